"""Where the genome of a shard is loaded: once, and nothing is left of it, whatever is killed."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from scripts.star.genome_memory import find_namespace
from tests.plates.shards import (
    CHOSEN,
    HOME,
    UNIT,
    align_arguments,
    lay_out,
    run_align,
    run_count,
    table,
)
from tests.shared_memory import segments_of
from tests.toy.world import World

pytestmark = pytest.mark.tools


def works_in(process: Path, folder: Path) -> bool:
    with contextlib.suppress(OSError):
        return folder in (process / "cwd").resolve().parents
    return False


@pytest.mark.skipif(not find_namespace(), reason="namespaces are refused here")
@pytest.mark.parametrize(
    ("memory", "ending"), [("auto", "SIGKILL"), ("auto", "STAR killed"), ("shared", "SIGTERM"), ("shared", "SIGHUP")]
)
def test_no_memory_is_left_when_something_is_killed(
    world: World, mm10: Path, tmp_path: Path, memory: str, ending: str
) -> None:
    lay_out(world, tmp_path, CHOSEN)
    for path in (tmp_path / "fastq").glob("*.fastq"):  # longer work, to be killed in
        path.write_text(path.read_text() * 60)
    arguments = align_arguments(tmp_path, mm10, "--threads=1", f"--genome-memory={memory}")
    command = subprocess.Popen(
        [sys.executable, "-m", "scripts", "align", *arguments],
        cwd=HOME,
        stderr=subprocess.DEVNULL,
    )
    cells = tmp_path / f".{UNIT}.align" / "cells"
    until = time.monotonic() + 30
    while not list(cells.glob("SRX*/Aligned.out.bam")) and time.monotonic() < until:
        time.sleep(0.02)
    stars = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit() and works_in(path, cells)]
    assert stars
    if ending.startswith("SIG"):
        command.send_signal(signal.Signals[ending])
    else:
        for star in stars:
            with contextlib.suppress(ProcessLookupError):  # it has ended since
                os.kill(star, signal.SIGKILL)
        command.terminate()
    command.wait()
    until = time.monotonic() + 10
    while any(Path(f"/proc/{star}").exists() for star in stars) and time.monotonic() < until:
        time.sleep(0.02)
    assert not any(Path(f"/proc/{star}").exists() for star in stars)
    assert not segments_of(mm10)


@pytest.mark.skipif(not find_namespace(), reason="namespaces are refused here")
@pytest.mark.parametrize("memory", ["auto", "shared"])
@pytest.mark.parametrize("killed", [False, True])
def test_two_shards_on_one_node_do_not_disturb_one_another(
    world: World, mm10: Path, tmp_path: Path, memory: str, killed: bool
) -> None:
    commands = {}
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        folder = lay_out(world, tmp_path / name, CHOSEN[:3])
        arguments = align_arguments(folder, mm10, "--threads=1", f"--genome-memory={memory}")
        commands[name] = [sys.executable, "-m", "scripts", "align", *arguments]
    running = {name: subprocess.Popen(command, cwd=HOME) for name, command in commands.items()}
    if killed:
        until = time.monotonic() + 30
        while not list((tmp_path / "one" / f".{UNIT}.align" / "cells").glob("SRX*")):
            assert time.monotonic() < until and running["one"].poll() is None
            time.sleep(0.002)
        running["one"].kill()
        running["one"].wait()
        assert running["two"].wait(timeout=60) == 0
        if memory == "auto":  # what a killed one left in the node's memory is removed by the next
            assert not segments_of(mm10)
        running["one"] = subprocess.Popen(commands["one"], cwd=HOME)
    for name, command in running.items():
        assert command.wait(timeout=60) == 0
        counted, _ = run_count(tmp_path / name, mm10, "--counter=native")
        assert table(counted) == {column: world.plate_truth()[column] for column in CHOSEN[:3]}
    assert not segments_of(mm10)


SMALL_MEMORY = ["unshare", "--user", "--map-root-user", "--ipc", "sh", "-c"]
SMALL_MEMORY += ['echo 4096 >/proc/sys/kernel/shmmax && exec "$@"', "sh"]


@pytest.mark.skipif(
    subprocess.run([*SMALL_MEMORY, "true"], capture_output=True, check=False).returncode != 0,
    reason="the limit of shared memory cannot be set here",
)
@pytest.mark.parametrize("compiler", [True, False])
def test_without_shared_memory_the_genome_is_loaded_once_all_the_same(
    world: World, mm10: Path, tmp_path: Path, compiler: bool
) -> None:
    if compiler and not shutil.which("cc"):
        pytest.skip("no C compiler is installed")
    folder = tmp_path / "with blanks, and a comma"
    folder.mkdir()
    lay_out(world, folder, CHOSEN[:3])
    path = tmp_path / "bin"
    path.mkdir()
    star = Path(shutil.which("STAR"))
    loads = tmp_path / "loads"
    (path / "STAR").write_text(f'#!/bin/bash\necho "$*" >>{loads}\nexec {star} "$@"\n')
    (path / "STAR").chmod(0o755)
    needed = ["samtools", "bash", "sh", "grep", "dirname", "basename", "cat", "ls", "rm"]
    for name in [*needed, *(["cc", "as", "ld"] if compiler else [])]:
        if shutil.which(name):
            (path / name).symlink_to(shutil.which(name))
    arguments = align_arguments(folder, mm10, "--genome-memory=inside", "--threads=2")
    done = subprocess.run(
        [*SMALL_MEMORY, "env", f"PATH={path}", sys.executable, "-m", "scripts", "align", *arguments],
        capture_output=True,
        text=True,
        check=True,
        cwd=HOME,
    )
    assert "The genome cannot be loaded into shared memory: " in done.stderr
    how = [line.split("--genomeLoad ")[1].split()[0] for line in loads.read_text().splitlines()]
    if compiler:
        assert "It is loaded once, into a file instead." in done.stderr
        assert how == ["LoadAndExit", "LoadAndExit", "LoadAndKeep", "LoadAndKeep", "LoadAndKeep"]
    else:
        assert "Nor into a file: there is no C compiler (cc).\nEach cell loads it now." in done.stderr
        assert how == ["LoadAndExit", "NoSharedMemory", "NoSharedMemory", "NoSharedMemory"]
    assert not list(folder.glob(".*"))
    counted, _ = run_count(folder, mm10)
    assert table(counted) == {column: world.plate_truth()[column] for column in CHOSEN[:3]}


def test_shared_memory_under_the_lock_is_removed(world: World, mm10: Path, tmp_path: Path) -> None:
    lay_out(world, tmp_path, ["SRX9000001"])
    assert run_align(tmp_path, mm10, "--genome-memory=shared")["SRR9000001"].ok
    assert not segments_of(mm10)
