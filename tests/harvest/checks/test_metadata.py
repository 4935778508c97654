"""Metadata of somebody else: read sample by sample, and compared with the ledger."""

import gzip
import io
import json
import tarfile

import pytest

from scripts.core.errors import InputError
from scripts.harvest.checks import metadata
from scripts.harvest.results import SAMPLE_COLUMNS
from scripts.plan.run_table import Run

LEDGER = [
    Run("GSE1", "GSE1", "GSM1", "SRX1", "SRR1", species="mus", status="counted"),
    Run("GSE1", "GSE1", "GSM2", "SRX2", "SRR2", species="mus", status="failed"),
]
SAMPLE = {"platform_data": [], "sample_data": {}, "series_data": {}}
NAME = "mus_meta/GSE1.metadata.json"


def write(path, files, kind=tarfile.REGTYPE):
    with gzip.open(path, "wb") as packed, tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, data in files:
            member = tarfile.TarInfo(name)
            member.size, member.type = len(data), kind
            archive.addfile(member, io.BytesIO(data))


def reported(folder, *files, **options):
    write(folder / "mus_meta.tgz", files, **options)
    samples = set()
    try:
        return [*metadata.archive_faults(folder / "mus_meta.tgz", LEDGER, samples)]
    except InputError as error:
        return [str(error)]


@pytest.mark.parametrize("size", [1, 3, 1 << 16])
def test_samples_are_read_one_by_one(size):
    made = {f"GSM{number}": SAMPLE | {"sample_data": {"title": ["ä" * 50, str(number)]}} for number in range(9)}
    data = json.dumps(made, ensure_ascii=False, indent=1).encode() + b"\n"
    pieces = iter([data[start : start + size] for start in range(0, len(data), size)])
    assert dict(metadata.samples_of(lambda: next(pieces, b""), "x")) == made
    pieces = iter([b" { } \n"])
    assert dict(metadata.samples_of(lambda: next(pieces, b""), "x")) == {}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"", "'' instead of '{'"),
        (b"[]", "'[]' instead of '{'"),
        (b'{"GSM1": {', "Expecting property name enclosed in double quotes"),
        (b'{"GSM1": ' + b"[" * 100_000, "its values are nested too deep"),
        (b'{"GSM1": ' + b"9" * 5000 + b"}", "Exceeds the limit"),
        (b'{"GSM1": {}, "GSM1": {}}', "'GSM1' is no new key"),
        (b'{"GSM1": {}} x', "there is more behind its end"),
        (b'{"GSM1": "\xff"}', "'utf-8' codec can't decode byte 0xff"),
        (b'{"GSM1" {}}', "'{}}' instead of ':'"),
    ],
)
def test_texts_that_are_none(tmp_path, text, words):
    faults = reported(tmp_path, (NAME, text))
    assert faults[-1].startswith(f"mus_meta.tgz: {NAME}: cannot be read as JSON: {words}")


def test_a_sample_that_is_too_large_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(metadata, "MOST_SAMPLE", 1000)
    faults = reported(tmp_path, (NAME, b'{"GSM1": "' + b"A" * 300_000 + b'"}'))
    assert faults == [f"mus_meta.tgz: {NAME}: cannot be read as JSON: one of its values is too large."]


def test_metadata_that_are_not_of_the_ledger_are_reported(tmp_path):
    sound = json.dumps({"GSM1": SAMPLE}).encode()
    assert reported(tmp_path, (NAME, sound)) == []
    assert reported(tmp_path, (NAME, json.dumps({"GSM2": SAMPLE}).encode())) == [
        f"mus_meta.tgz: {NAME}: 1 samples are not counted in the ledger, e.g. 'GSM2'."
    ]
    assert reported(tmp_path, (NAME, b'{"GSM1": {}}')) == [
        f"mus_meta.tgz: {NAME}: 'GSM1' does not have platform_data, sample_data, series_data."
    ]
    assert reported(tmp_path, (NAME, sound), ("../x", b"{}"), (NAME, sound)) == [
        "mus_meta.tgz: ../x: of no series in the ledger.",
        f"mus_meta.tgz: {NAME}: there more than once.",
    ]
    assert reported(tmp_path, (NAME, b""), kind=tarfile.SYMTYPE) == [f"mus_meta.tgz: {NAME!r} is no file."]
    (tmp_path / "mus_meta.tgz").write_bytes((tmp_path / "mus_meta.tgz").read_bytes()[:40])
    with pytest.raises(InputError, match=r"^mus_meta\.tgz: cannot be read to its end: "):
        [*metadata.archive_faults(tmp_path / "mus_meta.tgz", LEDGER, set())]


def test_long_names_are_read(tmp_path):
    exp_id = "x" * 150
    ledger = [LEDGER[0]._replace(exp_id=exp_id)]
    write(tmp_path / "mus_meta.tgz", [(f"mus_meta/{exp_id}.metadata.json", json.dumps({"GSM1": SAMPLE}).encode())])
    samples = set()
    assert [*metadata.archive_faults(tmp_path / "mus_meta.tgz", ledger, samples)] == []
    assert samples == {(exp_id, "GSM1")}


def test_tables_that_are_not_of_the_ledger_are_reported(tmp_path):
    path = tmp_path / "mus.metadata.samples.csv"

    def of(*rows, samples=None):
        path.write_text("".join(",".join(row) + "\n" for row in rows))
        return [*metadata.table_faults(path, LEDGER, samples)]

    row = ["GSE1", "GSM1", *[""] * (len(SAMPLE_COLUMNS) - 2)]
    assert of(SAMPLE_COLUMNS, row, samples={("GSE1", "GSM1")}) == []
    assert of(["x"]) == [f"{path.name}: its first row must be {', '.join(SAMPLE_COLUMNS)}."]
    for rows, words in (
        ([row, row], "line 3: 'GSE1 GSM1' is there more than once."),
        ([["GSE1", "GSM2", *row[2:]]], "line 2: 'GSE1 GSM2' is not counted in the ledger."),
        ([row[:3]], f"line 2: it has 3 values, expected {len(SAMPLE_COLUMNS)}."),
    ):
        assert of(SAMPLE_COLUMNS, *rows) == [f"{path.name}: the row that ends in {words}"]
    assert of(SAMPLE_COLUMNS, samples={("GSE1", "GSM1")}) == [
        f"{path.name}: its samples are not those of mus_meta.tgz."
    ]
