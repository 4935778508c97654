"""A lock file is held by one process at a time, and gone at the end; requests share one rate."""

import errno
import os
import platform
import subprocess
import sys
import threading
import time
from pathlib import Path
from unittest.mock import Mock

import pytest

from scripts.core.disk import locks
from scripts.core.disk.locks import RateLimit, exclusive_lock, open_lock, private_folder, slot
from scripts.core.disk.rights import user_name
from scripts.core.errors import InputError

HOME = Path(__file__).parents[3]
HOLD = """
import sys
from scripts.core.disk.locks import exclusive_lock
with exclusive_lock(sys.argv[1]):
    print("held", flush=True)
    input()
"""


def hold(path, code=HOLD):
    return subprocess.Popen(
        [sys.executable, "-c", code, path],
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


HOLD_SLOT = """
import sys
from scripts.core.disk.locks import slot
with slot(sys.argv[1], 2):
    print("held", flush=True)
    input()
"""


def test_processes_that_name_the_same_folder_share_its_slots(tmp_path, monkeypatch, capsys):
    folder = tmp_path / "transfers" / "host"
    monkeypatch.setattr(locks, "REPORT_EVERY", 0.05)
    with hold(folder, HOLD_SLOT) as first, hold(folder, HOLD_SLOT) as second:
        assert first.stdout.readline() == second.stdout.readline() == "held\n"
        threading.Timer(0.3, first.kill).start()
        with slot(folder, 2):
            assert first.wait() == -9
            with slot(tmp_path / "transfers" / "another", 1):
                pass
        second.communicate("\n")
    assert f"{folder}: all 2 are in use; waiting for one.\n" in capsys.readouterr().err
    with slot(folder, 2), slot(folder, 2):
        assert sorted(path.name for path in folder.iterdir()) == ["0", "1"]


def test_nobody_waits_for_a_slot_where_there_are_no_locks(tmp_path, monkeypatch):
    monkeypatch.setattr(locks.fcntl, "flock", Mock(side_effect=OSError(errno.ENOLCK, "No locks available")))
    with slot(tmp_path, 1), slot(tmp_path, 1):
        pass


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


def test_who_waits_says_who_holds_the_lock_again_and_again(tmp_path):
    path = tmp_path / "lock"
    waits = HOLD.replace("import sys\n", "import sys\nfrom scripts.core.disk import locks\nlocks.REPORT_EVERY = 0.3\n")
    with hold(path) as first:
        assert first.stdout.readline() == "held\n"
        with hold(path, waits) as second:
            words = [second.stderr.readline() for _ in range(6)]
            first.communicate("\n")
            assert second.stdout.readline() == "held\n"
            second.communicate("\n")
    assert words[:2] == [
        f"An earlier job still holds {path}: waiting for its end.\n",
        f"  It is held by process {first.pid} of user {user_name(os.getuid())} on {platform.node()}.\n",
    ]
    assert words == words[:2] * 3


def test_a_holder_that_the_kernel_does_not_name_is_that_of_the_file(tmp_path, monkeypatch):
    monkeypatch.setattr(locks, "Path", lambda path: tmp_path / "nowhere")
    handle = os.open(tmp_path / "lock", os.O_RDWR | os.O_CREAT)
    assert locks._holder(handle) == f"an unknown process; the file is that of user {user_name(os.getuid())}"
    os.write(handle, b"process 7 of user me on there\n")
    assert locks._holder(handle) == "process 7 of user me on there (as the file says)"
    os.close(handle)


@pytest.mark.parametrize("planted", ["link", "hanging", "folder", "pipe"])
def test_what_is_planted_in_place_of_a_lock_is_refused_and_left_alone(tmp_path, planted):
    mine, path = tmp_path / "mine", tmp_path / "shared" / "lock"
    path.parent.mkdir()
    mine.write_text("mine")
    if planted == "folder":
        path.mkdir()
    elif planted == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to(mine if planted == "link" else tmp_path / "new")
    words = {
        "folder": "the lock file cannot be opened: Is a directory",
        "pipe": "not a file, so it cannot be a lock. Remove it",
    }.get(
        planted, rf"a link that {user_name(os.getuid())} made, in place of a lock file; it is not followed. Remove it"
    )
    with pytest.raises(InputError, match=rf"^{path}: {words}\.$"), exclusive_lock(path):
        pass
    assert mine.read_text() == "mine"
    assert not (tmp_path / "new").exists()
    assert path.exists() or path.is_symlink()


def test_a_lock_for_all_can_be_opened_by_all_and_nothing_else_is_changed(tmp_path):
    before = os.umask(0o077)
    try:
        os.close(open_lock(tmp_path / "all", for_all=True))
        os.close(open_lock(tmp_path / "mine"))
        (tmp_path / "theirs").touch(0o640)
        os.close(open_lock(tmp_path / "theirs", for_all=True))
    finally:
        os.umask(before)
    modes = [(tmp_path / name).stat().st_mode & 0o777 for name in ("all", "mine", "theirs")]
    assert modes == [0o644, 0o600, 0o600]


def test_a_private_folder_is_ones_own(tmp_path):
    before = os.umask(0)
    try:
        assert private_folder(tmp_path / "below" / "mine").stat().st_mode & 0o777 == 0o700
        private_folder(tmp_path / "below" / "mine")
        (tmp_path / "open").mkdir(0o777)
    finally:
        os.umask(before)
    (tmp_path / "link").symlink_to(tmp_path / "below" / "mine")
    for name, words in (("link", "not a folder, but"), ("open", "others may write to it; run: chmod 700")):
        with pytest.raises(InputError, match=words):
            private_folder(tmp_path / name)
    if os.geteuid() == 0:
        (tmp_path / "theirs").mkdir(0o700)
        os.chown(tmp_path / "theirs", 12345, 12345)
        with pytest.raises(InputError, match="made by 12345, but it must be your own; have it removed"):
            private_folder(tmp_path / "theirs")


def test_the_rate_is_kept_in_a_folder_of_ones_own_and_follows_no_link(tmp_path):
    (tmp_path / "mine").write_text("mine")
    limit = RateLimit(tmp_path / "rates", "eutils", per_second=100)
    limit.wait()
    assert (tmp_path / "rates").stat().st_mode & 0o777 == 0o700
    limit.path.unlink()
    limit.path.symlink_to(tmp_path / "mine")
    with pytest.raises(InputError, match="a link that"):
        limit.wait()
    assert (tmp_path / "mine").read_text() == "mine"
