"""The cells of a shard are aligned, each by itself: what fails, is killed or gets lost."""

import gzip
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.core.errors import Interrupted
from scripts.plan.status import RunStatus, read_statuses, write_statuses
from scripts.plates import align
from scripts.plates.cells import alignment_files, log_file
from scripts.star.log import read_star_log
from tests.plates.shards import (
    CHOSEN,
    HOME,
    ORPHANS,
    TWO_RUNS,
    UNIT,
    align_arguments,
    lay_out,
    run_align,
    run_count,
    table,
)
from tests.toy.world import World

pytestmark = pytest.mark.tools


def test_pairs_and_unpaired_reads_of_a_cell_have_a_bam_each_and_one_log(shard: Path) -> None:
    names = [path.name for path in alignment_files(shard / "aligned", ORPHANS)]
    assert names == [f"{ORPHANS}.bam", f"{ORPHANS}.single.bam"]
    log = read_star_log(log_file(shard / "aligned", ORPHANS))
    assert log["Number of input reads"] == "861"
    assert log["Uniquely mapped reads %"] == f"{100 * int(log['Uniquely mapped reads number']) / 861:.2f}%"


def test_only_alignments_and_status_are_left_and_headers_name_no_path(shard: Path) -> None:
    names = {path.name for path in (shard / "aligned").iterdir()}
    expected = {f"{column}{ending}" for column in CHOSEN for ending in (".bam", ".Log.final.out")}
    assert names == expected | {f"{ORPHANS}.single.bam", "status.tsv"}
    header = subprocess.run(
        ["samtools", "view", "--no-PG", "-H", str(shard / "aligned" / f"{TWO_RUNS}.bam")],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert str(shard) not in header


def test_a_failed_run_takes_its_experiment_along_and_no_other(world: World, mm10: Path, tmp_path: Path) -> None:
    lay_out(world, tmp_path, ["SRX9000001", TWO_RUNS])
    statuses = read_statuses(tmp_path / "fastq" / "status.tsv")
    failed = statuses["SRR9000045"]._replace(state="failed", reason="ARCHIVE_CORRUPT", detail="a bit is wrong")
    write_statuses(tmp_path / "fastq" / "status.tsv", [*(s for s in statuses.values() if s.run != failed.run), failed])
    statuses = run_align(tmp_path, mm10)
    assert statuses["SRR9000045"] == failed
    assert statuses["SRR9000007"].reason == "INCOMPLETE_EXPERIMENT"
    assert statuses["SRR9000007"].detail.startswith("SRR9000045 of the same experiment failed")
    counted, statuses = run_count(tmp_path, mm10)
    assert counted.columns == ["SRX9000001"]
    assert statuses["SRR9000007"].reason == "INCOMPLETE_EXPERIMENT"


def cut(path: Path, reads: int) -> None:
    path.write_text("".join(path.read_text().splitlines(keepends=True)[: 4 * reads]))


def test_lost_reads_are_noticed(world: World, mm10: Path, tmp_path: Path) -> None:
    lay_out(world, tmp_path, ["SRX9000001", "SRX9000002", "SRX9000003"])
    cut(tmp_path / "fastq" / "SRR9000001_1.fastq", 100)
    (tmp_path / "fastq" / "SRR9000002.fastq").unlink()
    statuses = run_align(tmp_path, mm10)
    assert statuses["SRR9000001"][1:4] == (
        "failed",
        "READS_MISSING",
        "STAR has read 100 reads, but the archive has 497 spots.",
    )
    assert statuses["SRR9000002"][2:4] == ("READS_MISSING", "no FASTQ file of SRR9000002 is there.")
    assert statuses["SRR9000003"].ok


def test_reads_are_counted_where_no_record_has_their_number(world: World, mm10: Path, tmp_path: Path) -> None:
    lay_out(world, tmp_path, ["SRX9000001"])
    plan = (tmp_path / f"{UNIT}.tsv").read_text()
    (tmp_path / f"{UNIT}.tsv").write_text(plan.replace("\t497\t", "\t\t"))
    write_statuses(tmp_path / "fastq" / "status.tsv", [RunStatus("SRR9000001")])
    cut(tmp_path / "fastq" / "SRR9000001_2.fastq", 100)
    statuses = run_align(tmp_path, mm10)
    assert statuses["SRR9000001"].detail == "SRR9000001_1.fastq has 497 reads, SRR9000001_2.fastq 100."


def test_a_failed_star_is_reported_in_its_words(world: World, mm10: Path, tmp_path: Path) -> None:
    lay_out(world, tmp_path, ["SRX9000002"])
    reads = tmp_path / "fastq" / "SRR9000002.fastq"
    reads.write_text(reads.read_text().replace("@", "", 1))
    statuses = run_align(tmp_path, mm10)
    assert statuses["SRR9000002"].reason == "ALIGN_FAILED"
    assert statuses["SRR9000002"].detail.startswith("STAR failed: ")
    assert "the read ID lines should start with @" in statuses["SRR9000002"].detail


def test_a_second_try_makes_only_what_is_missing(
    world: World, mm10: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    lay_out(world, tmp_path, ["SRX9000001", "SRX9000002"])

    def fall_over(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(align, "publish", fall_over)
        with pytest.raises(KeyboardInterrupt):
            run_align(tmp_path, mm10, "--genome-memory=none")
    reads = tmp_path / "fastq" / "SRR9000002.fastq"
    reads.write_text(reads.read_text().replace("SRR9000002.1 ", "SRR9000002.x ", 1))  # other reads: made again
    capsys.readouterr()
    assert run_align(tmp_path, mm10, "--genome-memory=none")["SRR9000001"].ok
    assert "1 column(s) were aligned by an earlier try." in capsys.readouterr().err
    counted, _ = run_count(tmp_path, mm10)
    assert table(counted)["SRX9000001"] == world.plate_truth()["SRX9000001"]


def put_star_in_front(folder: Path, monkeypatch: pytest.MonkeyPatch, times: int, words: str, fate: str) -> None:
    """Let another STAR be found that meets its fate when its arguments hold these words, so many times."""
    front = folder / "front"
    front.mkdir()
    real = shutil.which("STAR")
    (front / "STAR").write_text(
        f'#!/bin/bash\nif [[ "$*" == *"{words}"* ]] && [ $(wc -c <{front}/met) -lt {times} ]; then\n'
        f'    printf x >>{front}/met\n    {fate}\nfi\nexec {real} "$@"\n'
    )
    (front / "STAR").chmod(0o755)
    (front / "met").touch()
    monkeypatch.setenv("PATH", f"{front}:{os.environ['PATH']}")


@pytest.mark.parametrize("fate", ["kill -KILL $$", "kill -TERM $$", "bash -c 'kill -KILL $$'; exit"])
def test_a_star_killed_twice_fails_the_job_and_no_run(
    world: World, mm10: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, fate: str
) -> None:
    lay_out(world, tmp_path, CHOSEN[:3])
    put_star_in_front(tmp_path, monkeypatch, 2, "SRR9000002.fastq", fate)
    with pytest.raises(Interrupted) as raised:
        run_align(tmp_path, mm10, "--genome-memory=none")
    name = "SIGTERM" if "TERM" in fate else "SIGKILL"
    assert str(raised.value) == (
        f"SRX9000002: not aligned. STAR was ended by {name}; was there too little memory? Run the same command again."
    )
    assert not (tmp_path / "aligned").exists()
    assert "It is aligned once more." in capsys.readouterr().err
    statuses = run_align(tmp_path, mm10, "--genome-memory=none")
    assert all(status.ok for status in statuses.values())
    assert "2 column(s) were aligned by an earlier try." in capsys.readouterr().err
    counted, _ = run_count(tmp_path, mm10, "--counter=native")
    assert table(counted) == {column: world.plate_truth()[column] for column in CHOSEN[:3]}


def test_a_star_that_crashes_by_itself_is_a_fault_of_the_run(
    world: World, mm10: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lay_out(world, tmp_path, CHOSEN[:2])
    put_star_in_front(tmp_path, monkeypatch, 9, "SRR9000002.fastq", "kill -SEGV $$")
    statuses = run_align(tmp_path, mm10, "--genome-memory=none")
    assert statuses["SRR9000002"][1:4] == ("failed", "ALIGN_FAILED", "STAR failed: STAR was ended by SIGSEGV.")
    assert statuses["SRR9000001"].ok


def test_a_star_without_memory_fails_the_job_and_no_run(
    world: World, mm10: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lay_out(world, tmp_path, CHOSEN[:2])
    words = "EXITING because of FATAL ERROR: not enough memory for BAM sorting"
    put_star_in_front(tmp_path, monkeypatch, 1, "SRR9000002.fastq", f"echo '{words}'; exit 107")
    with pytest.raises(Interrupted, match=r"SRX9000002: not aligned\. ERROR: not enough memory for BAM sorting"):
        run_align(tmp_path, mm10, "--genome-memory=none")
    assert all(status.ok for status in run_align(tmp_path, mm10, "--genome-memory=none").values())


FULL_DISK = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]
FULL_DISK += ['mount -t tmpfs -o size=100k none "$0" && cd "$1" && shift && exec "$@"']


@pytest.mark.skipif(
    subprocess.run([*FULL_DISK, "/mnt", "/", "true"], capture_output=True, check=False).returncode != 0,
    reason="a disk of its own cannot be mounted here",
)
def test_a_full_disk_fails_the_job_and_no_run(world: World, mm10: Path, tmp_path: Path) -> None:
    lay_out(world, tmp_path, CHOSEN[:2])
    disk = tmp_path / "disk"
    disk.mkdir()
    options = [f"--scratch={disk / 'a'}", "--genome-memory=none"]
    command = [sys.executable, "-m", "scripts", "align", *align_arguments(tmp_path, mm10, *options)]
    done = subprocess.run([*FULL_DISK, disk, HOME, *command], capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    assert "is full; make room, then run the same command again." in done.stderr.splitlines()[-1]
    assert not (tmp_path / "aligned").exists()
    assert all(status.ok for status in run_align(tmp_path, mm10, "--genome-memory=none").values())


@pytest.mark.parametrize("options", [[], ["--set=twopassMode=Basic"]])  # in two passes the reads are read twice
def test_compressed_reads_are_aligned_as_plain_ones(
    world: World, mm10: Path, tmp_path: Path, options: list[str]
) -> None:
    made = []
    for packed in (False, True):
        folder = tmp_path / f"packed.{packed}"
        folder.mkdir()
        lay_out(world, folder, [TWO_RUNS, ORPHANS])
        for path in (folder / "fastq").glob("*.fastq") if packed else ():
            Path(f"{path}.gz").write_bytes(gzip.compress(path.read_bytes()))
            path.unlink()
        assert all(status.ok for status in run_align(folder, mm10, *options).values())
        made.append({path.name: path.read_bytes() for path in (folder / "aligned").glob("*.bam")})
    assert made[0] == made[1] and len(made[0]) == 3
