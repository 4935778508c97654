"""The estimator of costs, from the options of a command."""

import argparse

import pytest

from scripts.plan.sizes.cost import add_cost_options, estimator_of


def options(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_cost_options(parser)
    return parser.parse_args(words)


def test_the_size_of_a_genome_that_is_still_to_be_fetched_is_asked_for(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "resources" / "made" / "star").mkdir(parents=True)
    asked = []

    def bytes_at(address: str) -> int | None:
        asked.append(address)
        return {"https://x/toy.fa.gz": 500_000, "https://x/plain.fa": 3_000_000}.get(address)

    named = {"toy": "https://x/toy.fa.gz", "plain": "https://x/plain.fa", "lost": "https://x/lost.fa.gz"}
    named |= {"made": "https://x/made.fa.gz", "own": "genomes/own.fa"}
    words = ["--references", *(f"{name}={name}" for name in named), "--fasta"]
    found, missing = estimator_of(options(*words, *(f"{key}={path}" for key, path in named.items())), {}, 96, bytes_at)
    assert asked == ["https://x/toy.fa.gz", "https://x/plain.fa", "https://x/lost.fa.gz"]
    assert missing == ["toy", "plain", "lost", "own"]
    sizes = {name: found.references[name]["genome_mb"] for name in named}
    assert sizes["toy"] == pytest.approx(0.5 * 4)  # a gzipped base takes two bits
    assert sizes["plain"] == pytest.approx(3.0)
    assert sizes["lost"] == sizes["made"] == sizes["own"] == 3200.0  # as long as the human genome
    assert found.references["toy"]["index_mb"] < 100
