"""Progress in a log: a line now and then, with the rate of the last seconds."""

import pytest

from scripts.core import progress
from scripts.core.progress import Progress, format_bytes


@pytest.fixture
def clock(monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_a_silent_log_gets_a_line_every_ten_seconds(clock, capsys):
    shown = Progress(3)
    for second in range(1, 32):
        clock[0] = 1000.0 + second
        shown.done = second // 12
        shown.show(second * 2_000_000, second / 40)
    assert capsys.readouterr().err.splitlines() == [
        "0 of 3 runs, 20.0 MB, 2.0 MB/s",
        "1 of 3 runs, 40.0 MB, 2.0 MB/s",
        "2 of 3 runs, 60.0 MB, 2.0 MB/s",
    ]


def test_other_words_put_the_next_line_off(clock, capsys):
    shown = Progress(1)
    clock[0] += 9
    shown.report("SRR1: ready.")
    clock[0] += 9
    shown.show(1, 0.5)
    shown.end()
    assert capsys.readouterr().err == "SRR1: ready.\n"


def test_the_rate_is_that_of_the_last_seconds(clock):
    shown = Progress(1)
    for _ in range(60):
        clock[0] += 1
        shown.show(90_000_000, 0.9)
    assert shown.summary() == "0 of 1 runs, 90.0 MB, 0 bytes/s"


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0 bytes"), (999, "999 bytes"), (1000, "1.0 kB"), (2_500_000, "2.5 MB"), (3e12, "3000.0 GB")]
)
def test_bytes_for_people(size, text):
    assert format_bytes(size) == text
