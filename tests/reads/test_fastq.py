"""The conversion of a unit: statuses, room on the disk, and jobs that end early."""

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from scripts.core import command
from scripts.core.disk.files import size_of_folder
from scripts.core.disk.folders import find_fault, seal
from scripts.core.errors import Interrupted
from scripts.plan.run_table import write_runs
from scripts.plan.sizes.footprint import format_gb, run_footprint, unit_footprint
from scripts.plan.status import RunStatus, write_statuses
from scripts.reads import fastq
from scripts.reads.conversion import convert
from scripts.reads.unit_folders import spent_downloads
from tests.reads.analysis_directory import wrap_fastq_dump

pytestmark = pytest.mark.tools

PAIRED, SINGLE, ORPHAN_RUN = "SRR9000001", "SRR9000002", "SRR9000017"


@pytest.mark.parametrize("fate", ["kill -KILL $$", "exit 1"])  # 1, without a word: its driver outlives a killed tool
def test_a_killed_conversion_fails_the_job_and_no_run(conversion, monkeypatch, fate):
    front = conversion.folder / "front"
    front.mkdir()
    (front / "fastq-dump").write_text(f"#!/bin/bash\n{fate}\n")
    (front / "fastq-dump").chmod(0o755)
    conversion.add(PAIRED)
    with monkeypatch.context() as patched:
        patched.setenv("PATH", str(front), prepend=os.pathsep)
        with pytest.raises(Interrupted, match=r"was ended by SIGKILL|ended without a word; was it killed\?"):
            conversion.run()
    assert conversion.files() == []
    assert conversion.run()[PAIRED].ok


def test_layout_is_given_only_where_the_plan_has_another(conversion, world):
    layout = "paired" if len(world.archives[PAIRED].read_types) == 2 else "single"
    assert conversion.add(PAIRED, layout=layout).run()[PAIRED].layout == ""


def test_failed_runs_are_passed_on_and_lost_ones_reported(conversion):
    before = RunStatus("SRR5", "failed", "CHECKSUM_MISMATCH", "sra: wrong.", "")
    conversion.add(SINGLE).add("SRR5", status=before).add("SRR6")
    write = conversion.statuses
    statuses = conversion.run()
    assert statuses["SRR5"] == before and statuses[SINGLE].ok
    assert (statuses["SRR6"].reason, statuses["SRR6"].detail) == ("DOWNLOAD_FAILED", "the download left no archive.")
    conversion.statuses = [status for status in write if status.run != "SRR6"]
    conversion.failed("SRR6", "DOWNLOAD_FAILED", "the download does not know this run.")


def test_no_conversion_begins_without_room(conversion, world):
    conversion.add(PAIRED, bases="1000000000", spots=str(world.archives[PAIRED].spots))
    # The archive shows how well reads are compressed: 2.56 bits a base and 30 bytes a spot. The record does not give
    # its size: FASTQ of ten bits a base and 60 bytes a spot, and as much again when it is counted.
    detail = "the conversion may need 0.321 GB, which passes scratch.limit_gb, 0.001; set that to 2.51 or more, "
    detail += "and retry to [DISK_LIMIT]."
    conversion.failed(PAIRED, "DISK_LIMIT", detail, "--limit-gb", "0.001")


def test_a_run_of_unknown_bases_needs_four_times_its_archive(conversion, world):
    size = world.archives[PAIRED].size
    conversion.add(PAIRED, spots="", bytes=str(size))
    enough = 4 * size / 1e9  # the archive is a link here and holds nothing
    assert conversion.run("--limit-gb", f"{enough + 1e-6:.9f}")[PAIRED].ok
    status = conversion.run("--limit-gb", f"{enough - 1e-6:.9f}")[PAIRED]
    words = f"the conversion may need {format_gb(4 * size)}, which passes scratch.limit_gb, {enough - 1e-6:g}; "
    assert status.detail == f"{words}set that to {format_gb(8 * size).split()[0]} or more, and retry to [DISK_LIMIT]."


def test_the_disk_that_was_used_is_reported_with_its_estimate(conversion, world, capsys):
    for run in (PAIRED, SINGLE, ORPHAN_RUN):
        facts = world.archives[run]
        conversion.add(run, bases=str(facts.bases), bytes=str(facts.size))
    conversion.run("--threads", "2")
    pattern = r"^Disk: at most ([\d.]+) MB; the estimate was ([\d.]+) MB\.$"
    used, estimate = map(float, re.search(pattern, capsys.readouterr().err, re.MULTILINE).groups())
    fastq = sum((conversion.folder / "fastq" / name).stat().st_size for name in conversion.files())
    assert fastq / 1e6 <= used + 0.05
    assert used <= estimate == round(unit_footprint(conversion.rows).converting / 1e6, 1)


def test_nothing_temporary_is_left(conversion):
    conversion.add(PAIRED).add(SINGLE).run("--threads", "2")
    assert all(name.endswith(".fastq.gz") for name in conversion.files())
    assert sorted(path.name for path in conversion.folder.iterdir()) == ["GSE1.mus.0000.tsv", "archives", "fastq"]


def test_a_job_whose_output_is_taken_away_ends_and_the_next_one_goes_on(conversion, tmp_path, monkeypatch):
    marker = tmp_path / "started"
    wrap_fastq_dump(monkeypatch, tmp_path, f"; [ -e {marker} ] || {{ touch {marker}; sleep 60; }}")
    conversion.add(SINGLE)
    write_runs("GSE1.mus.0000.tsv", conversion.rows)
    write_statuses("archives/status.tsv", conversion.statuses)
    words = ["--runs", "GSE1.mus.0000.tsv", "--archives", "archives"]
    environment = {**os.environ, "PYTHONPATH": str(Path(fastq.__file__).parents[2])}
    job = subprocess.Popen(
        [sys.executable, "-m", "scripts", "fastq", *words, "--output", "fastq"],
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
    )
    until = time.monotonic() + 15
    while not marker.exists():
        assert time.monotonic() < until
        time.sleep(0.02)
    shutil.rmtree("fastq")  # as Snakemake does before it tries again
    assert conversion.run()[SINGLE].ok
    assert job.wait(timeout=10) == 143
    assert "fastq has been removed: this job ends." in job.stderr.read()
    job.stderr.close()
    assert all(name.startswith(SINGLE) for name in conversion.files())
    assert not (tmp_path / ".fastq.lock").exists()


def test_what_is_converted_counts_against_the_limit(conversion, world):
    """Archives that were larger than planned: the first runs find room, the last one no more."""
    runs = [f"SRR900000{number}" for number in (2, 4, 5)]
    last = max(runs, key=lambda run: world.archives[run].bases)
    for run in runs:
        conversion.add(run, bases=str(world.archives[run].bases))
    assert last == runs[-1] and all(status.ok for status in conversion.run().values())
    before = sum(
        (conversion.folder / f"fastq/{name}").stat().st_size for name in conversion.files() if last not in name
    )
    held = run_footprint(conversion.rows[-1])
    statuses = conversion.run("--limit-gb", f"{(before + held.fastq - 1000) / 1e9:.9f}")
    assert [status.reason for status in statuses.values()] == ["", "", "DISK_LIMIT"]
    assert all(status.ok for status in conversion.run("--limit-gb", f"{(before + held.converting) / 1e9:.9f}").values())


def copy_archives(conversion):
    """Put copies in place of the links to the toy world's archives; return run → size."""
    sizes = {}
    for path in (conversion.folder / "archives").glob("*.sra"):
        content = path.read_bytes()
        path.unlink()
        path.write_bytes(content)
        sizes[path.stem] = len(content)
    return sizes


@pytest.fixture
def job(monkeypatch):
    """The commands of this test are jobs of a workflow, which write end marks."""
    monkeypatch.setattr(command, "is_job", lambda: True)


def seal_archives(conversion):
    write_statuses("archives/status.tsv", conversion.statuses)
    seal("archives")


def test_archives_are_deleted_as_soon_as_their_reads_are_written(conversion, monkeypatch, job):
    runs = [f"SRR900000{number}" for number in range(1, 7)]
    for run in runs:
        conversion.add(run)
    sizes = copy_archives(conversion)
    seal_archives(conversion)
    seen = []

    def convert_and_look(row, archives, *more):
        assert not find_fault(archives)
        made = convert(row, archives, *more)
        seen.append(sum(path.stat().st_size for path in archives.glob("*.sra")) + size_of_folder(".fastq.reads"))
        return made

    monkeypatch.setattr(fastq, "convert", convert_and_look)
    assert all(status.ok for status in conversion.run("--delete-archives").values())
    assert not list(Path("archives").glob("*.sra")) and not find_fault("archives")
    both = max(sum(sizes.values()), size_of_folder("fastq"))
    assert len(seen) == len(runs) and max(seen) <= both + max(sizes.values()) < 2 * sum(sizes.values())
    assert not Path(".fastq.reads").exists()


def test_without_being_asked_no_archive_is_deleted(conversion):
    conversion.add(PAIRED).run()
    assert Path(f"archives/{PAIRED}.sra").exists()


def test_a_job_goes_on_where_a_killed_one_was(conversion, monkeypatch, job):
    runs = ["SRR9000001", "SRR9000002", "SRR9000004"]
    for run in runs:
        conversion.add(run)
    seal_archives(conversion)
    conversion.run()
    wanted = {name: conversion.text(name) for name in conversion.files() if not name.startswith(".")}
    shutil.rmtree("fastq")
    copy_archives(conversion)
    seal_archives(conversion)
    began = []

    def killed(row, *more):
        began.append(row.run)
        if len(began) == 3:
            raise SystemExit(143)
        return convert(row, *more)

    with monkeypatch.context() as patched:
        patched.setattr(fastq, "convert", killed)
        with pytest.raises(SystemExit):
            conversion.run("--delete-archives")
    shutil.rmtree("fastq")  # as Snakemake does
    (Path(".fastq.reads") / "SRR9000004_1.fastq.gz").write_bytes(b"half of it")
    assert [Path(f"archives/{run}.sra").exists() for run in runs] == [False, False, True] and not find_fault("archives")
    began.clear()
    monkeypatch.setattr(fastq, "convert", killed)
    statuses = conversion.run("--delete-archives")
    assert began == ["SRR9000004"] and all(status.ok for status in statuses.values())
    assert {name: conversion.text(name) for name in wanted} == wanted
    assert not find_fault("fastq")


@pytest.mark.parametrize("lost", ["reads", "note", "half"])
def test_reads_that_are_lost_with_their_archive_are_downloaded_anew(conversion, monkeypatch, job, lost):
    conversion.add(PAIRED).add(SINGLE)
    copy_archives(conversion)
    seal_archives(conversion)
    monkeypatch.setattr(fastq, "settle_parts", lambda *_: (_ for _ in ()).throw(SystemExit(143)))
    with pytest.raises(SystemExit):
        conversion.run("--delete-archives")
    for path in Path(".fastq.reads").glob(f"{PAIRED}*" if lost != "note" else f".{PAIRED}.json"):
        path.unlink() if lost != "half" else path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(Interrupted, match=f"{PAIRED}: the archive was converted and deleted, but its reads are gone"):
        conversion.run("--delete-archives")
    assert find_fault("archives") == "it has no end mark"  # so that the next call removes it


def test_downloads_whose_reads_are_gone_are_spent(conversion, monkeypatch, job):
    """As the folder of reads of a job that is killed when it is done, or before Snakemake knew of it."""

    def spent(*unseen):
        return spent_downloads(Path("downloads"), Path("work"), unseen) == [Path("downloads/fastq")]

    conversion.add(PAIRED).add(SINGLE)
    copy_archives(conversion)
    seal_archives(conversion)
    monkeypatch.chdir(conversion.folder)
    Path("downloads").mkdir()
    Path("downloads/fastq").symlink_to("../archives")
    Path("work").symlink_to(".")
    assert not spent("work/fastq")  # nothing is converted
    with monkeypatch.context() as patched:
        patched.setattr(fastq, "settle_parts", lambda *_: (_ for _ in ()).throw(SystemExit(143)))
        with pytest.raises(SystemExit):
            conversion.run("--delete-archives")
    assert not any(Path(f"archives/{run}.sra").exists() for run in (PAIRED, SINGLE))
    assert not spent("work/fastq")  # the next job goes on with what is converted
    conversion.run("--delete-archives")
    assert not spent()
    assert spent("work/fastq")  # which Snakemake removes
    shutil.rmtree("fastq")
    assert spent()
    assert spent_downloads(Path("nowhere"), Path("work"), ()) == []


def test_what_another_plan_has_converted_is_not_taken(conversion, monkeypatch, job):
    conversion.add(PAIRED)
    seal_archives(conversion)
    monkeypatch.setattr(fastq, "settle_parts", lambda *_: (_ for _ in ()).throw(SystemExit(143)))
    with pytest.raises(SystemExit):
        conversion.run()
    monkeypatch.undo()
    conversion.rows[0] = conversion.rows[0]._replace(read_roles="cdna,none")
    monkeypatch.chdir(conversion.folder)
    assert conversion.run()[PAIRED].layout == "single"
    assert conversion.files() == [f"{PAIRED}.fastq.gz"]
