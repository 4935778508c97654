"""A lock file is held by one process at a time, and gone at the end."""

import subprocess
import sys
from pathlib import Path

import pytest

from scripts.core.locks import exclusive_lock

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
