"""Archives that fail at random, from seeds: the plan is whole or there is none, and the next day it is whole."""

import random
import re
from pathlib import Path

import pytest

from scripts.core.errors import InputError
from scripts.records import client
from tests.records.looked_up import plan
from tests.records.small_archives import SmallArchives, package_set
from tests.records.test_lookup_faults import NO_ANSWERS, named, report, series

RUNS = {"GSE1": [*range(1, 12)], "SRP1": [*range(1, 12)], "SRX3": [3], "SRR4": [4], "GSM5": [5]}
PASSING = (*NO_ANSWERS, "short", "first page", "twice", "damaged")


def spoilt(small: SmallArchives, kind: str, path: str, form: dict[str, str]) -> tuple[int, bytes] | None:
    """Return a spoilt answer to a request; None where this cannot be spoilt so."""
    if kind in NO_ANSWERS:
        return NO_ANSWERS[kind]
    if "efetch" not in path:
        return None
    if kind == "first page" and "WebEnv" in form:
        form = {**form, "retstart": "0"}
    texts = re.findall(r"<EXPERIMENT_PACKAGE>.*?</EXPERIMENT_PACKAGE>", small.answer(path, form)[1].decode())
    if kind == "short" and len(texts) > 1:
        texts = texts[: len(texts) // 2]
    elif kind == "twice":
        texts += texts[:1]
    elif kind == "damaged":
        texts = [text.replace("<TITLE>", "<TITLE>\x01", 1) for text in texts[:1]] + texts[1:]
    return 200, package_set(*texts).encode()


@pytest.mark.parametrize("seed", range(12))
def test_the_plan_is_whole_or_there_is_none(
    tmp_path: Path, small: SmallArchives, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    monkeypatch.setattr(client, "BATCH", 4)
    series(small, 11)
    dice = random.Random(seed)
    small.reports = dict.fromkeys(("PRJNA1", "SRP1"), report(range(1, 12)))
    small.reports |= {f"SR{kind}{n}": report(range(n, n + 1)) for n in range(1, 12) for kind in "RX"}
    asked = dice.sample([*RUNS], 2)
    expected = named(*{number for name in asked for number in RUNS[name]})
    share, tools = dice.choice([0.2, 0.5, 0.9]), dice.sample(["efetch", "esearch", "filereport", "geo"], 3)

    def before(path: str, form: dict[str, str]) -> tuple[int, bytes] | None:
        if not any(tool in path for tool in tools) or dice.random() > share:
            return None
        return spoilt(small, dice.choice(PASSING), path, form)

    for day in range(3):
        small.before = before if day < 2 else lambda path, form: None
        (tmp_path / "results" / "plan.tsv").unlink(missing_ok=True)
        try:
            assert sorted(plan(tmp_path, *asked, small=small)) == expected
        except InputError as error:
            assert day < 2, error
            assert str(error).startswith("The look-up could not be completed: ")
            assert not (tmp_path / "results" / "plan.tsv").exists()
