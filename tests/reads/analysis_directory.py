"""Analysis directories for tests of single commands: a run table, and records to download or archives to convert."""

import gzip
import hashlib
import os
import shutil
import stat
import urllib.request
from pathlib import Path

from scripts.formats.fastq_files import read_pieces
from scripts.plan.run_table import Run, write_runs
from scripts.plan.status import RunStatus, read_statuses, write_statuses
from scripts.reads import download, fastq

UNIT = "GSE900001.mus.0000"


class Analysis:
    """An analysis directory with the records of a toy series and a plan of some runs."""

    def __init__(self, folder, server, world, runs, **changes):
        self.folder, self.server, self.world, self.runs = folder, server, world, runs
        records = folder / "resources/records/GSE900001"
        records.mkdir(parents=True)
        experiments = [name for name, made in world.experiments.items() if set(made.runs) & set(runs)]
        self.xml = records / "sra.xml.gz"
        self.xml.write_bytes(gzip.compress(self.answer("/eutils/efetch.fcgi?db=sra&id=" + ",".join(experiments))))
        fields = "run_accession,sra_ftp,sra_md5,sra_bytes"
        rows = [
            self.answer(f"/ena/portal/api/filereport?accession={run}&result=read_run&fields={fields}&format=tsv")
            for run in runs
        ]
        lines = [rows[0].splitlines()[0], *(line for row in rows for line in row.splitlines()[1:])]
        self.ena = records / "ena.tsv.gz"
        self.ena.write_bytes(gzip.compress(b"\n".join(lines) + b"\n"))
        self.plan(runs, **changes)
        server.clear()

    def answer(self, path):
        with urllib.request.urlopen(self.server.url + path) as response:
            return response.read()

    def offer_fastq(self):
        """Let ENA's record name its FASTQ as well."""
        fields = "run_accession,sra_ftp,sra_md5,sra_bytes,fastq_ftp,fastq_md5,fastq_bytes"
        asked = f"/ena/portal/api/filereport?result=read_run&fields={fields}&format=tsv&accession="
        lines = [line for run in self.runs for line in self.answer(asked + run).splitlines()]
        self.ena.write_bytes(gzip.compress(b"\n".join(dict.fromkeys(lines)) + b"\n"))
        self.server.clear()

    def offer(self, kind, url, files):
        """Let ENA's record name files (name → bytes) as ``fastq`` or ``submitted``, beside what it names already."""
        lines = [line.split("\t") for line in gzip.decompress(self.ena.read_bytes()).decode().splitlines()]
        values = {
            "ftp": [f"{url}/{name}" for name in files],
            "md5": [hashlib.md5(content).hexdigest() for content in files.values()],
            "bytes": [str(len(content)) for content in files.values()],
        }
        for column, items in values.items():
            lines[0].append(f"{kind}_{column}")
            lines[1].append(";".join(items))
        self.ena.write_bytes(gzip.compress("".join("\t".join(line) + "\n" for line in lines).encode()))

    def plan(self, runs, **changes):
        rows = []
        for number, run in enumerate(runs):
            facts = self.world.archives[run]
            row = Run(
                series="GSE900001",
                experiment=f"SRX{number:04d}",
                run=run,
                species="mus",
                assay="plate",
                spots=str(facts.spots),
                bases=str(facts.bases),
                bytes=str(facts.size),
                md5=facts.md5,
                status="planned",
            )
            rows.append(row._replace(**changes))
        write_runs(self.folder / f"{UNIT}.tsv", rows)

    def words(self, *options, output="work/download"):
        given = ["--runs", f"{UNIT}.tsv", "--records", "resources/records"]
        given += ["--resolver", self.server.archives["sra"], "--ena", self.server.archives["ena"]]
        given += ["--more-passes", "3", "--first-wait", "0.05", "--patience", "1.5", "--output", f"{output}/{UNIT}"]
        return [*given, *options]

    def run(self, *options, **more):
        here = Path.cwd()
        os.chdir(self.folder)
        try:
            download.main(self.words(*options, **more))
        finally:
            os.chdir(here)
        return self.statuses()

    @property
    def output(self):
        return self.folder / "work/download" / UNIT

    def statuses(self):
        return read_statuses(self.output / "status.tsv")

    def archive(self, run):
        return (self.output / f"{run}.sra").read_bytes()

    def original(self, run):
        return (self.world.sra / f"{run}.sra").read_bytes()

    def check_served(self, run, source):
        status = self.statuses()[run]
        assert (status.state, status.source, status.reason) == ("ok", source, "")
        assert self.archive(run) == self.original(run)

    def check_failed(self, run, reason, detail):
        status = self.statuses()[run]
        assert (status.state, status.reason, status.detail) == ("failed", reason, detail)
        assert [path.name for path in self.output.iterdir()] == ["status.tsv"]
        assert [path.name for path in (self.folder / "work").iterdir()] == ["download"]  # no part is kept for ever

    def sent(self, run):
        """Bytes of the archive that left the server."""
        return sum(asked.bytes for asked in self.server.asked(f"/{run}$|/{run} $") if asked.method == "GET")


class Conversion:
    """A unit whose download is done, in a folder that is the current one."""

    def __init__(self, folder, world):
        self.folder, self.world = folder, world
        self.rows = []
        self.statuses = []
        (folder / "archives").mkdir()

    def add(self, run, assay="plate", archive=None, status=None, **changes):
        spots = str(self.world.archives[run].spots) if run in self.world.archives else ""
        experiment = "SRX1" if assay == "droplet" else f"SRX{run}"
        row = Run(series="GSE1", experiment=experiment, run=run, species="mus", assay=assay, spots=spots)
        self.rows.append(row._replace(status="planned", **changes))
        self.statuses.append(status or RunStatus(run, source="sra"))
        if archive is None and (self.world.sra / f"{run}.sra").exists():
            archive = self.world.sra / f"{run}.sra"
        if archive:
            (self.folder / f"archives/{run}.sra").symlink_to(archive)
        return self

    def run(self, *options):
        write_statuses("archives/status.tsv", self.statuses)
        unit = "GSE1.mus.SRX1" if self.rows[0].assay == "droplet" else "GSE1.mus.0000"
        write_runs(f"{unit}.tsv", self.rows)
        words = ["--runs", f"{unit}.tsv", "--archives", "archives"]
        fastq.main([*words, "--output", "fastq", *options])
        return read_statuses("fastq/status.tsv")

    def files(self):
        return sorted(path.name for path in (self.folder / "fastq").iterdir() if path.name != "status.tsv")

    def text(self, name):
        """Return the text of a FASTQ file."""
        return b"".join(read_pieces(self.folder / "fastq" / name)).decode()

    def failed(self, run, reason, detail, *options):
        """Run, and expect that this run fails so and leaves nothing."""
        status = self.run(*options)[run]
        assert (status.state, status.reason, status.detail) == ("failed", reason, detail)
        assert not [name for name in self.files() if name.startswith(run)]


WRAPPER = """#!/bin/bash
set -o pipefail
{real} "$@" {then}
exit {status}
"""


def wrap_fastq_dump(monkeypatch, folder, then, status="$?"):
    """Put a fastq-dump on the PATH that does its work and something more."""
    real = shutil.which("fastq-dump")
    program = folder / "bin/fastq-dump"
    program.parent.mkdir()
    program.write_text(WRAPPER.format(real=real, then=then, status=status))
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
