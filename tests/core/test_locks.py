"""A lock file is held by one process at a time, and gone at the end; requests share one rate."""

import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from scripts.core.locks import RateLimit, exclusive_lock

HOME = Path(__file__).parents[2]
HOLD = """
import sys
from scripts.core.locks import exclusive_lock
with exclusive_lock(sys.argv[1]):
    print("held", flush=True)
    input()
"""


def hold(path):
    return subprocess.Popen(
        [sys.executable, "-c", HOLD, path],
        cwd=HOME,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("kill", [False, True])
def test_the_second_waits_for_the_end_of_the_first(tmp_path, kill):
    path = tmp_path / "below" / "lock"
    with hold(path) as first:
        assert first.stdout.readline() == "held\n"
        with hold(path) as second:
            assert second.stderr.readline() == f"An earlier job still holds {path}: waiting for its end.\n"
            if kill:
                first.kill()
            else:
                first.communicate("\n")
            assert second.stdout.readline() == "held\n"
            assert path.exists()
            second.communicate("\n")
    assert not path.exists()


def test_an_error_removes_the_lock(tmp_path):
    with pytest.raises(KeyError), exclusive_lock(tmp_path / "lock"):
        assert (tmp_path / "lock").exists()
        raise KeyError
    assert not (tmp_path / "lock").exists()


def test_requests_of_all_processes_share_one_limit(tmp_path: Path) -> None:
    limits = [RateLimit(tmp_path, "eutils", per_second=20) for _ in range(4)]

    def ask(limit: RateLimit) -> None:
        for _ in range(3):
            limit.wait()
            times.append(time.monotonic())

    times: list[float] = []
    threads = [threading.Thread(target=ask, args=(limit,)) for limit in limits]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(times) - min(times) >= 11 / 20 - 0.02
    assert len(times) == 12


def test_a_time_stamp_from_a_wrong_clock_does_not_block(tmp_path: Path) -> None:
    (tmp_path / "eutils.next").write_text("99999999999")
    begin = time.monotonic()
    RateLimit(tmp_path, "eutils", per_second=100).wait()
    assert time.monotonic() - begin < 1
