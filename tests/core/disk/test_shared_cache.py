"""What several analyses share is made once, whole, and by whoever comes first."""

import json
import os
import platform
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from scripts.core.disk import shared_cache
from scripts.core.disk.shared_cache import build_once, link_into
from scripts.core.errors import InputError
from scripts.records import client

HOME = Path(__file__).parents[3]
NAMES = ["index", "list.txt"]
SLOW = """
import sys, time
from pathlib import Path
from scripts.core.disk.shared_cache import build_once

def make(folder):
    (folder / "index").mkdir()
    for number in range(20):
        (folder / "index" / f"part{number}").write_text("x")
        time.sleep(float(sys.argv[2]) / 20)
    (folder / "list.txt").write_text(sys.argv[3])

print(build_once(sys.argv[1], "index", {"of": 1}, ["index", "list.txt"], make))
"""


def maker(text="made"):
    def make(folder):
        (folder / "index").mkdir()
        (folder / "index" / "SA").write_text(text)
        (folder / "list.txt").write_text(text)

    return make


def fail(_):
    raise AssertionError("it was there")


def start(folder, seconds, text):
    return subprocess.Popen(
        [sys.executable, "-c", SLOW, folder, str(seconds), text],
        cwd=HOME,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def left(folder):
    """What is there beside what was made."""
    return {path.name for path in folder.iterdir()} - {*NAMES, ".made"}


def test_what_is_there_is_not_made_again(tmp_path):
    assert build_once(tmp_path / "a", "index", {"of": 1}, NAMES, maker())
    assert not build_once(tmp_path / "a", "index", {"of": 1}, NAMES, fail)
    assert (tmp_path / "a/index/SA").read_text() == "made"
    assert json.loads((tmp_path / "a/.made/index.json").read_text()) == {"of": 1}
    assert not left(tmp_path / "a")


def test_what_lacks_a_part_or_its_record_is_made_again(tmp_path):
    build_once(tmp_path, "index", {"of": 1}, NAMES, maker("old"))
    (tmp_path / "list.txt").unlink()
    assert build_once(tmp_path, "index", {"of": 1}, NAMES, maker("new"))
    (tmp_path / ".made/index.json").unlink()
    assert build_once(tmp_path, "index", {"of": 1}, NAMES, maker("newer"))
    assert (tmp_path / "index/SA").read_text() == (tmp_path / "list.txt").read_text() == "newer"


def test_another_version_is_made_anew_in_the_own_folder_alone(tmp_path, monkeypatch):
    own, others = tmp_path / "own", tmp_path / "others"
    own.mkdir()
    (own / "shared").symlink_to(others, target_is_directory=True)
    others.mkdir()
    monkeypatch.chdir(own)
    for folder in ("mine", "shared"):
        assert build_once(folder, "index", {"of": 1, "by": 2}, NAMES, maker("one"))
    assert build_once("mine", "index", {"of": 2, "by": 2}, NAMES, maker("two"))
    assert Path("mine/index/SA").read_text() == "two"
    with pytest.raises(InputError) as caught:
        build_once("shared", "index", {"of": 2, "by": 2}, NAMES, fail)
    assert str(caught.value).startswith(
        "shared: index was made from something else (of), and other analyses may be using"
    )
    assert Path("shared/index/SA").read_text() == "one"


def test_a_failure_leaves_nothing_and_frees_the_lock(tmp_path):
    def broken(folder):
        (folder / "index").mkdir()
        raise InputError("no")

    with pytest.raises(InputError, match="no"):
        build_once(tmp_path, "index", {"of": 1}, NAMES, broken)
    assert list(tmp_path.iterdir()) == []
    assert build_once(tmp_path, "index", {"of": 1}, NAMES, maker())


def test_of_several_at_once_one_makes_it_and_nobody_sees_a_half(tmp_path):
    makers = [start(tmp_path, 0.6, f"{number}") for number in range(4)]
    halves = 0
    while any(process.poll() is None for process in makers):
        seen = tmp_path / "index"
        if seen.exists() and len(list(seen.iterdir())) != 20:
            halves += 1
    printed = [process.communicate() for process in makers]
    assert not halves
    assert sorted(output.strip() for output, _ in printed) == ["False"] * 3 + ["True"]
    waited = [errors for output, errors in printed if output.strip() == "False"]
    assert any("is building it; waiting.\n" in errors for errors in waited)
    assert not left(tmp_path)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
@pytest.mark.tools  # waits some seconds
def test_who_waits_goes_on_when_the_maker_is_killed(tmp_path, number):
    first = start(tmp_path, 60, "first")
    until = time.monotonic() + 10
    while not list(tmp_path.glob(".index.*.part/index/part1")):
        assert time.monotonic() < until
        time.sleep(0.02)
    second = start(tmp_path, 0.1, "second")
    assert f"process {first.pid} on {platform.node()} is building it; waiting." in second.stderr.readline()
    first.send_signal(number)
    first.communicate()
    output, errors = second.communicate(timeout=20)
    assert output == "True\n"
    assert f"process {first.pid} on {platform.node()}, which was building it, has ended; it is built again." in errors
    assert (tmp_path / "list.txt").read_text() == "second"
    assert not left(tmp_path)


def lock_of(process, folder, kind):
    lock = folder / f".{kind}.making"
    lock.mkdir()
    owner = {**shared_cache._HERE, "process": process, "started": 1, "user": os.getuid(), "token": "t"}
    (lock / "owner.json").write_text(json.dumps(owner))
    return lock


def test_what_killed_makers_left_of_files_that_are_there_is_removed(tmp_path):
    build_once(tmp_path, "index", {"of": 1}, NAMES, maker())
    ended = subprocess.Popen(["true"])
    ended.wait()
    lock_of(ended.pid, tmp_path, "index")
    mine = lock_of(os.getpid(), tmp_path, "kmers")
    owner = json.loads((mine / "owner.json").read_text()) | {"started": shared_cache._start_of(os.getpid())}
    (mine / "owner.json").write_text(json.dumps(owner))
    old = [
        ".index.ab12cd34.part",
        ".star.ab12cd_4.part",
        ".index.making.12345678.gone",
        ".index.a.1.12345678.candidate",
    ]
    kept = [".kmers.ab12cd34.part", ".kmers.a.1.12345678.candidate", ".mine", "mine.part"]
    for name in (*old, *kept):
        (tmp_path / name / "x").mkdir(parents=True)
    os.utime(tmp_path / old[-1], (1, 1))
    assert not build_once(tmp_path, "index", {"of": 1}, NAMES, fail)
    assert left(tmp_path) == {*kept, ".kmers.making"}


def test_only_the_half_made_files_of_the_same_kind_are_replaced(tmp_path):
    """A kind whose name begins with the same word, of another analysis, is being made."""
    other = lock_of(os.getpid(), tmp_path, "index.gene")
    owner = json.loads((other / "owner.json").read_text()) | {"started": shared_cache._start_of(os.getpid())}
    (other / "owner.json").write_text(json.dumps(owner))
    (tmp_path / ".index.gene.ab12cd34.part").mkdir()
    assert build_once(tmp_path, "index", {"of": 1}, NAMES, maker())
    assert left(tmp_path) == {".index.gene.making", ".index.gene.ab12cd34.part"}


def test_an_owner_on_another_machine_is_believed_while_it_shows_itself(tmp_path, monkeypatch):
    lock = tmp_path / ".index.making"
    lock.mkdir()
    owner = {"machine": "elsewhere", "namespace": "", "process": 1, "begun": "5", "user": 0, "token": "theirs"}
    (lock / "owner.json").write_text(json.dumps(owner))
    looks = []

    class Clock:
        """Each look at the lock takes a minute; the owner shows itself in the first ten."""

        def monotonic(self):
            return 60.0 * len(looks)

        def sleep(self, seconds):
            looks.append(seconds)
            if len(looks) <= 10:
                os.utime(lock / "owner.json", ns=(len(looks), len(looks)))

    monkeypatch.setattr(shared_cache, "time", Clock())
    assert build_once(tmp_path, "index", {"of": 1}, NAMES, maker())
    assert len(looks) == 10 + shared_cache.SILENCE / 60 + 1
    assert not left(tmp_path)


def test_what_comes_second_after_all_is_thrown_away(tmp_path):
    def late(folder):
        maker("second")(folder)
        shared_cache._remove_lock(
            tmp_path / ".index.making", json.loads(next(tmp_path.glob(".index.making/*")).read_text())["token"]
        )
        build_once(tmp_path, "index", {"of": 1}, NAMES, maker("first"))

    assert not build_once(tmp_path, "index", {"of": 1}, NAMES, late)
    assert (tmp_path / "index/SA").read_text() == "first"
    assert not left(tmp_path)


def test_links_go_to_what_is_there_and_removing_them_leaves_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    build_once("resources/hg38", "index", {"of": 1}, NAMES, maker())
    for _ in range(2):
        link_into("units/references/hg38", "resources/hg38", NAMES)
    link = Path("units/references/hg38/index")
    assert str(link.readlink()) == "../../../resources/hg38/index"
    assert (link / "SA").read_text() == "made"
    link.unlink()
    assert Path("resources/hg38/index/SA").exists()


def test_analyses_that_ask_for_one_family_file_at_once_fetch_it_once(tmp_path, monkeypatch):
    asked = []
    waiting = threading.Semaphore(0)
    wait_for = shared_cache._wait_for

    def report_and_wait_for(lock):
        waiting.release()
        wait_for(lock)

    def fetch(url, path, **_):
        asked.append(url)
        assert all(waiting.acquire(timeout=10) for _ in range(2))
        path.parent.mkdir()
        path.write_bytes(b"family")

    monkeypatch.setattr(shared_cache, "_wait_for", report_and_wait_for)
    monkeypatch.setattr(client.http, "fetch", fetch)
    found = []

    def ask():
        found.append(client.Archives(tmp_path, "http://geo", "http://eutils", "http://ena").family_file("GSE1"))

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(asked) == 1
    assert [path.read_bytes() for path in found] == [b"family"] * 3
    assert [path.name for path in (tmp_path / "GSE1").iterdir()] == ["GSE1_family.soft.gz"]


def test_a_lock_that_is_held_on_is_reported_each_minute_with_its_user(tmp_path, monkeypatch, capsys):
    lock = tmp_path / ".index.making"
    lock.mkdir()
    owner = {"machine": "elsewhere", "namespace": "", "process": 1, "started": 5, "user": 0, "token": "theirs"}
    (lock / "owner.json").write_text(json.dumps(owner))
    looks = []

    class Clock:
        """Each look at the lock takes 20 seconds; the owner goes on for six minutes."""

        def monotonic(self):
            return 20.0 * len(looks)

        def sleep(self, seconds):
            looks.append(seconds)
            os.utime(lock / "owner.json", ns=(len(looks), len(looks)))
            if len(looks) == 18:
                shared_cache._remove_lock(lock, "theirs")

    monkeypatch.setattr(shared_cache, "time", Clock())
    assert build_once(tmp_path, "index", {"of": 1}, NAMES, maker())
    lines = capsys.readouterr().err.splitlines()
    assert lines[:2] == [
        f"{tmp_path}: index: process 1 on elsewhere is building it; waiting.",
        f"  The lock {lock} is that of user {shared_cache.user_name(os.getuid())}.",
    ]
    assert lines == lines[:2] * 6


@pytest.mark.parametrize("planted", ["file", "folder", "link", "pipe", "list", "numbers"])
def test_what_is_no_lock_ends_the_wait_with_a_sentence(tmp_path, monkeypatch, planted):
    monkeypatch.setattr(shared_cache, "_NO_OWNER", 0.3)
    lock = tmp_path / "shared" / ".index.making"
    lock.parent.mkdir()
    (tmp_path / "mine").write_text("mine")
    if planted == "file":
        lock.write_text("{}")
    elif planted == "link":
        lock.symlink_to(tmp_path / "mine")
    else:
        lock.mkdir()
        (lock / "more").touch()
        if planted == "pipe":
            os.mkfifo(lock / "owner.json")
        elif planted == "list":
            (lock / "owner.json").write_text("[" * 100_000)
        elif planted == "numbers":
            (lock / "owner.json").write_text('{"machine": 1, "process": "x", "started": [], "token": 5}')
    with pytest.raises(InputError, match=rf"{lock}: not a lock of this workflow; \S+ put it there. Remove it\.$"):
        build_once(tmp_path / "shared", "index", {"of": 1}, NAMES, maker())
    assert (tmp_path / "mine").read_text() == "mine"


def test_no_link_of_somebody_else_is_followed(tmp_path):
    shared, mine = tmp_path / "shared", tmp_path / "mine"
    shared.mkdir()
    mine.mkdir()
    (mine / "index.json").write_text("mine")
    (shared / ".made").symlink_to(mine)
    with pytest.raises(InputError, match=r"\.made: a link, which is not followed\. Remove it\.$"):
        build_once(shared, "index", {"of": 1}, NAMES, maker())
    assert (mine / "index.json").read_text() == "mine"


def test_the_lock_of_an_owner_that_has_ended_and_that_cannot_be_removed_is_reported(tmp_path, monkeypatch):
    lock = tmp_path / ".index.making"
    lock.mkdir()
    ended = subprocess.Popen(["true"])
    ended.wait()
    owner = {**shared_cache._HERE, "process": ended.pid, "started": 5, "user": os.getuid(), "token": "theirs"}
    (lock / "owner.json").write_text(json.dumps(owner))

    def refuse(self, target):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(InputError, match=rf"has ended, but {lock} is that of \S+, who has to remove it\.$"):
        build_once(tmp_path, "index", {"of": 1}, NAMES, maker())
