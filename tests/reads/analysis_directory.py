"""An analysis directory for tests of single commands: a plan of some toy runs and the records of their series."""

import gzip
import os
import urllib.request
from pathlib import Path

from scripts.plan.run_table import Run, write_runs
from scripts.plan.status import read_statuses
from scripts.reads import download

UNIT = "GSE900001.mus.0000"


class Analysis:
    """An analysis directory with the records of a toy series and a plan of some runs."""

    def __init__(self, folder, server, world, runs, **changes):
        self.folder, self.server, self.world, self.runs = folder, server, world, runs
        place = folder / "resources/records/GSE900001"
        place.mkdir(parents=True)
        experiments = [name for name, made in world.experiments.items() if set(made.runs) & set(runs)]
        self.xml = place / "sra.xml.gz"
        self.xml.write_bytes(gzip.compress(self.answer("/eutils/efetch.fcgi?db=sra&id=" + ",".join(experiments))))
        fields = "run_accession,sra_ftp,sra_md5,sra_bytes"
        rows = [
            self.answer(f"/ena/portal/api/filereport?accession={run}&result=read_run&fields={fields}&format=tsv")
            for run in runs
        ]
        lines = [rows[0].splitlines()[0], *(line for row in rows for line in row.splitlines()[1:])]
        self.ena = place / "ena.tsv.gz"
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
        given += ["--retries", "3", "--first-wait", "0.05", "--patience", "1.5", "--output", f"{output}/{UNIT}"]
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
