"""The conversion of a unit: statuses, room on the disk, and jobs that end early."""

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from scripts.core.errors import Interrupted
from scripts.plan.footprint import format_gb, run_footprint, unit_footprint
from scripts.plan.run_table import write_runs
from scripts.plan.status import RunStatus, write_statuses
from scripts.reads import fastq
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
    assert conversion.files() == ["offline.mkfg"]
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
    # FASTQ of 2 bytes a base and 200 a spot, as much again to sort, and the archive at two fifths of a byte a base
    detail = "the conversion may need 4.01 GB, which passes scratch.limit_gb, 0.001; set that to 4.41 or more, "
    detail += "and retry to [DISK_LIMIT]."
    conversion.failed(PAIRED, "DISK_LIMIT", detail, "--limit-gb", "0.001")


def test_a_run_of_unknown_bases_needs_seventeen_times_its_archive(conversion, world):
    size = world.archives[PAIRED].size
    conversion.add(PAIRED, spots="", bytes=str(size))
    enough = 17 * size / 1e9  # the archive is a link here and holds nothing
    assert conversion.run("--limit-gb", f"{enough + 1e-6:.9f}")[PAIRED].ok
    status = conversion.run("--limit-gb", f"{enough - 1e-6:.9f}")[PAIRED]
    words = f"the conversion may need {format_gb(17 * size)}, which passes scratch.limit_gb, {enough - 1e-6:g}; "
    assert status.detail == f"{words}set that to {format_gb(18 * size).split()[0]} or more, and retry to [DISK_LIMIT]."


def test_the_disk_that_was_used_is_reported_with_its_estimate(conversion, world, capsys):
    for run in (PAIRED, SINGLE, ORPHAN_RUN):
        facts = world.archives[run]
        conversion.add(run, bases=str(facts.bases), bytes=str(facts.size))
    conversion.run("--threads", "2")
    pattern = r"^Disk: at most ([\d.]+) MB; the estimate was ([\d.]+) MB\.$"
    used, estimate = map(float, re.search(pattern, capsys.readouterr().err, re.MULTILINE).groups())
    fastq = sum((conversion.folder / "fastq" / name).stat().st_size for name in conversion.files())
    assert fastq / 1e6 <= used + 0.05
    assert used <= estimate == round(unit_footprint(conversion.rows).peak / 1e6, 1)


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
    statuses = conversion.run("--limit-gb", f"{(before + held.fastq + held.sorting - 1000) / 1e9:.9f}")
    assert [status.reason for status in statuses.values()] == ["", "", "DISK_LIMIT"]
    assert all(status.ok for status in conversion.run("--limit-gb", f"{(before + held.peak) / 1e9:.9f}").values())
