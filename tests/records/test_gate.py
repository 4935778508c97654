"""Damaged and hostile records and tables: each is read or refused in a sentence, and no bad accession gets through."""

import io
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from scripts.core.errors import InputError
from scripts.core.untrusted import text_lines
from scripts.plan.accessions import KINDS, accession_of, parse_accession
from scripts.plan.choices import parse_choices, plan_from_table
from scripts.plan.lists import RUNINFO, asked_for
from scripts.plan.run_table import faults_of
from scripts.records import listed_runs
from scripts.records.answers import family_files, run_reports, sra_xml
from scripts.records.answers.series_record import SeriesRecord
from scripts.records.answers.sra_xml import Experiment
from scripts.records.rows import Origin, Plan, add_experiments
from tests.records.small_archives import family, package, package_set, run, sample

SEEDS = 150
CHOICES = parse_choices(["--species", "homo=9606", "mus=10090"])
WORDS = [
    *("/home/x/data", "../../x", "--option-file=x", "-rf", "SRR1;touch x", "SRR1\nSRR2", "SRR１", "S" * 3000, "", " "),
    *("9" * 5000, "-1", "1e400", "NaN", "0x10", "٣٤", "²", "http://[::1", "file:///etc/passwd", "\0", "\r", "\u2028"),
    *("\ufeff", "&", "<", "a\tb", "a,b", "'", '"', ".", "\x1b[31m", "None", "\xff"),
]
NAMED = ("SRR1", "SRX1", "GSM1", "GSE1", "SRP1", "PRJNA1", "9606", "100", "h/1.gz", "1")
SOUND = {
    "soft": family("GSE1", [sample("GSM1", ["SRX1"])], relations=["SRA: x?term=SRP1", "SuperSeries of: GSE2"]),
    "xml": package_set(package("SRX1", [run("SRR1"), run("SRR2", lengths=(8, 26, 90))], gsm="GSM1")),
    "ena": "run_accession\texperiment_accession\ttax_id\tread_count\tfastq_ftp\tfastq_md5\tfastq_bytes\n"
    "SRR1\tSRX1\t9606\t10\th/1.gz;h/2.gz\ta;b\t1;2\n",
    "list": "Run,Experiment,SRA Study,Organism,Bytes,Sample Name\nSRR1,SRX1,SRP1,Homo sapiens,100,GSM1\n",
    "runinfo": ",".join(["SRR1", "", "", "1", "2", *[""] * 5, "SRX1", *[""] * 36]) + "\n" + ",".join(RUNINFO) + "\n",
    "run_table": "run\texperiment\tseries\tsample\tspecies\tassay\nSRR1\tSRX1\tGSE1\tGSM1\tmus\tplate\n",
    "accessions": "GSE1\nSRR1 # one\nSAMN1, GSM2\n",
}


def damaged(text: str, rng: random.Random) -> bytes:
    """Return a text with some words replaced, bytes changed, cut, doubled, or in another encoding."""
    for _ in range(rng.randint(1, 3)):
        at = rng.randrange(len(text) + 1)
        words = [word for word in NAMED if word in text] or [""]
        text = rng.choice(
            [
                text.replace(rng.choice(words), rng.choice(WORDS), rng.choice((1, -1))),
                text[:at] + rng.choice(WORDS) + text[at:],
                text[:at],
                text[:at] + text[at // 2 :],
            ]
        )
    body = text.encode(rng.choice(["utf-8", "utf-8", "utf-8-sig", "utf-16"]), "replace")
    for _ in range(rng.randint(0, 2)):
        if body:
            at = rng.randrange(len(body))
            body = body[:at] + bytes([rng.randrange(256)]) + body[at + 1 :]
    return body


def check_experiments(experiments: list[Experiment]) -> None:
    for item in experiments:
        runs = {found.run for found in item.runs if not found.fault}
        named = {item.study, item.project, item.sample, *item.series, *item.samples, *item.parents, *item.others, *runs}
        assert all(not name or parse_accession(name) for name in named), named
        assert not item.experiment or accession_of(item.experiment, "experiment", "run")
        for found in item.runs:
            assert all(
                len(number) <= 16 and (not number or number.isdecimal())
                for number in (found.spots, found.bases, found.size)
            )
    plan = Plan(CHOICES)
    add_experiments(experiments, Origin("GSE1", "GSE1", SeriesRecord(), "SRA"), {}, plan)
    rows = plan.all_rows()
    planned = [row for row in rows if row.status == "planned"]
    assert list(faults_of(planned, ["homo", "mus"])) == []
    assert {found.run for item in experiments for found in item.runs if found.run} <= {row.run for row in rows}


def read_soft(path: Path) -> None:
    for entity in family_files.read_family(path):
        for kind in ("experiments", "studies", "projects", "parts", "samples"):
            assert all(map(parse_accession, entity.linked(kind)))
        if entity.kind in KINDS and entity.well_named:
            assert parse_accession(entity.accession)
        assert all(len(tax_id) <= 10 for tax_id in entity.taxa())


def read_xml(path: Path) -> None:
    check_experiments(list(sra_xml.read_experiments(path)))


def read_ena(path: Path) -> None:
    rows = run_reports.read_report(path)
    for row in rows:
        assert all(file.url.startswith(("http://", "https://")) for file in run_reports.files_of(row, "fastq"))
    check_experiments(run_reports.experiments_of_report(rows))


def read_list(path: Path) -> None:
    check_experiments(run_reports.read_run_list(path))
    listed_runs.plan_run_list(path, CHOICES)


def read_run_table(path: Path) -> None:
    for row in plan_from_table(path, CHOICES):
        assert not row.run.startswith(("-", "/", ".")) and "/" not in row.run + row.experiment + row.sample + row.series


def read_accessions(path: Path) -> None:
    accessions, faults = asked_for([str(path)])
    assert all(map(parse_accession, accessions))
    assert all(fault.isprintable() for fault in faults)


READERS: dict[str, Callable[[Path], None]] = {
    "soft": read_soft,
    "xml": read_xml,
    "ena": read_ena,
    "list": read_list,
    "runinfo": read_list,
    "run_table": read_run_table,
    "accessions": read_accessions,
}


@pytest.mark.parametrize("kind", READERS)
def test_damaged_texts_are_read_or_refused(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "record"
    path.write_text(SOUND[kind], encoding="utf-8")
    READERS[kind](path)
    refused = 0
    for seed in range(SEEDS):
        path.write_bytes(damaged(SOUND[kind], random.Random(f"{kind}{seed}")))
        try:
            READERS[kind](path)
        except InputError as error:
            refused += 1
            assert len(str(error)) < 20_000
    assert refused < SEEDS  # some are sound enough


def test_lines_of_any_bytes_are_text_or_refused() -> None:
    for seed in range(SEEDS):
        rng = random.Random(seed)
        body = b"".join(
            rng.choice([b"\r", b"\n", b"a", b"\0", b"\xff", b"\xfe", b"\xef\xbb\xbf", "é".encode()]) for _ in range(20)
        )
        try:
            lines = list(text_lines(io.BytesIO(body), "a"))
        except InputError:
            continue
        assert not any("\n" in line or "\r" in line for line in lines)
