"""Options of the commands that look up what the configuration asks for."""

import pytest

from scripts.core.errors import InputError
from scripts.plan.choices import parse_choices
from scripts.plan.decisions.asking import AskedFor
from tests.plan.analyses import analysis


def asking(**values: object) -> AskedFor:
    return analysis(**values).asking


def test_discover_options_say_what_the_configuration_says():
    discover = {"since": "2026-10-01", "types": ["a type"], "sra": False, "species": ["mus"], "accept_gb": 1.5}
    options = asking(series="lists/mine.txt", assay={"GSE1": "plate"}, discover=discover).discover_options()
    assert options == [
        *("--since", "2026-10-01", "--date", "published", "--types", "a type", "--limit", "500"),
        *(
            "--accept",
            "results/discovered.accepted.txt",
            "--accept-gb",
            "1.5",
            "--series",
            "lists/mine.txt",
            "--no-sra",
        ),
        *("--species", "mus=10090", "--assay", "GSE1=plate", "--chemistry", "auto", "--exp-id", "accession"),
    ]
    options = asking(discover={"query": "retina AND mouse", "types": [], "accept": None}).discover_options()
    assert options[:6] == ["--query", "retina AND mouse", "--date", "published", "--limit", "500"]
    assert parse_choices(options).species == {"homo": "9606", "mus": "10090"}


def test_a_list_of_accepted_series_is_asked_for_when_it_has_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    accept = "results/discovered.accepted.txt"
    made = asking(series=["GSE1", accept])
    assert (made.plan_options()[:3], made.accession_files()) == (["--series", "GSE1", "--species"], [])
    (tmp_path / "results").mkdir()
    (tmp_path / accept).write_text("GSE2\n")
    assert (made.plan_options()[:3], made.accession_files()) == (["--series", "GSE1", accept], [accept])
    (tmp_path / accept).write_text("# nothing\n")
    name = "name at least one accession, e.g. GSE67835."
    with pytest.raises(InputError) as caught:
        asking(series=accept).asked_digest()
    listed = f"{accept} is empty yet: `snakemake discover` fills it; or"
    assert str(caught.value) == f"series: nothing is asked for; {listed} {name}"
    with pytest.raises(InputError) as caught:
        asking(series=[]).asked_digest()
    assert str(caught.value) == f"series: nothing is asked for; {name}"


def test_plan_options_say_what_the_configuration_says():
    made = asking(
        series=["GSE1", "lists/mine.txt"],
        assay={"GSE1": "plate"},
        leave_out={"SRR1": "too few reads"},
        droplets={"chemistry": "10x_3p_v3"},
    )
    assert made.accession_files() == ["lists/mine.txt"]
    options = made.plan_options()
    assert options[:3] == ["--series", "GSE1", "lists/mine.txt"]
    choices = parse_choices(options)
    assert choices.species == {"homo": "9606", "mus": "10090"}
    assert (choices.assay, choices.any_assay) == ({"GSE1": "plate"}, "auto")
    assert choices.leave_out == {"SRR1": "too few reads"}
    assert choices.chemistry == "10x_3p_v3"
    assert asking(series=[], run_table="mine.tsv", assay="droplet").plan_options()[:2] == ["--run-table", "mine.tsv"]
    assert asking(refresh="all").refresh_options() == ["--refresh", "all"]
    assert asking(refresh=[]).refresh_options() == []
    assert asking(refresh=["GSE1", "SRP2"]).plan_options() == asking().plan_options()
    removing = asking(withdrawn="remove").plan_options()
    assert removing == [*asking().plan_options(), "--withdrawn", "remove"]
    assert parse_choices(removing) == parse_choices(asking().plan_options())
