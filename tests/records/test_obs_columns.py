"""The columns of obs: of plate cells, of the cells of droplet libraries, and of the samples of both."""

import gzip

import numpy as np
import pytest

from scripts.plan.run_table import Run
from scripts.records.obs_columns import (
    add_numbers,
    add_own,
    column_name,
    describe_sample,
    describe_samples,
    droplet_columns,
    join_values,
    library_fields,
    origin_of,
    star_columns,
)

ROWS = [Run(run="SRR1", spots="5", layout="single"), Run(run="SRR2", spots="7", bases="9", layout="single")]


def test_runs_of_a_cell_are_one_value():
    assert [join_values(ROWS, name) for name in ("run", "layout")] == ["SRR1;SRR2", "single"]
    assert [add_numbers(ROWS, name) for name in ("spots", "bases")] == [12, None]


@pytest.mark.parametrize("mirror", ["sra", "ncbi", "ena", "ena_fastq"])
def test_the_archive_that_served_a_cell_does_not_change_its_columns(mirror):
    assert origin_of([ROWS[0]._replace(source=mirror), ROWS[1]._replace(source="sra")]) == "archive"
    assert origin_of([ROWS[0]._replace(source="file:a.fq;b.fq"), ROWS[1]._replace(source=mirror)]) == (
        "file:a.fq;b.fq;archive"
    )
    for source in ("bam", "submitted", ""):
        assert origin_of([ROWS[0]._replace(source=source)]) == source


def test_a_library_has_what_its_reads_showed():
    fields = library_fields(ROWS, "10xv3", "", {"geo_age": "P1"})
    assert [fields[name] for name in ("run", "spots", "chemistry", "read_roles", "geo_age")] == [
        *("SRR1;SRR2", 12, "10xv3", "", "P1")
    ]
    assert not {"md5", "source", "status", "reason", "detail"} & fields.keys()


def test_fields_of_libraries_are_columns_of_their_cells():
    libraries = [{"spots": 3, "geo_z": "z", "run": "SRR1"}, {"spots": 4, "run": "SRR2", "geo_a": "a"}]
    columns = droplet_columns(libraries, [2, 1])
    assert list(columns) == ["run", "spots", "geo_a", "geo_z"]
    assert columns["spots"].tolist() == [3, 3, 4]
    assert [columns[name] for name in ("run", "geo_a", "geo_z")] == [
        *(["SRR1", "SRR1", "SRR2"], [None, None, "a"], ["z", "z", None])
    ]
    assert droplet_columns([], []) == {}


def test_own_columns_keep_their_names_where_these_are_free():
    columns = {"run": ["a", "b"], "genes": [1, 2]}
    add_own(columns, [{"donor": "D1", "genes": "many"}, {"_index": "0"}])
    assert list(columns) == ["run", "genes", "donor", "own_genes", "own__index"]
    assert [columns[name] for name in ("donor", "own_genes", "own__index")] == [
        *(["D1", None], ["many", None], [None, "0"])
    ]


def test_numbers_of_logs_are_whole_or_decimal():
    logs = [{"Number of input reads": "4", "Mismatch rate per base, %": "0.43%", "Started job on": "x"}, {}]
    columns = star_columns(logs)
    reads = columns["star_number_of_input_reads"]
    assert reads[0] == 4 and np.isnan(reads[1])
    assert star_columns(logs[:1])["star_number_of_input_reads"].dtype == np.int64
    decimals = columns["star_mismatch_rate_per_base_percent"]
    assert decimals[0] == 0.43
    assert np.isnan(decimals[1])
    assert len(columns) == 2


SOFT = """\
^SERIES = GSE1
!Series_title = one
^SAMPLE = GSM1
!Sample_title = cell one
!Sample_source_name_ch1 = brain
!Sample_characteristics_ch1 = age: P1
^SAMPLE = GSM2
!Sample_title = not asked for
"""
MINIML = """<?xml version="1.0" encoding="UTF-8"?>
<MINiML xmlns="http://www.ncbi.nlm.nih.gov/geo/info/MINiML" version="0.5.0">
  <Sample iid="GSM1"><Title>cell one</Title><Accession database="GEO">GSM1</Accession>
    <Channel position="1"><Source>brain</Source><Characteristics tag="age">P1</Characteristics></Channel></Sample>
  <Series iid="GSE1"><Title>one</Title><Accession database="GEO">GSE1</Accession></Series>
</MINiML>
"""
DESCRIBED = {"GSM1": {"geo_title": "cell one", "geo_source_name": "brain", "geo_age": "P1"}}


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("GSE1_family.soft.gz", gzip.compress(SOFT.encode())),
        ("GSE1_family.soft", SOFT.encode()),
        ("GSE1_family.xml.gz", gzip.compress(MINIML.encode())),
        ("GSE1_family.xml", MINIML.encode()),
        ("sra.xml.gz", gzip.compress(MINIML.encode())),
    ],
)
def test_every_record_of_a_series_gives_the_same(tmp_path, name, data):
    (tmp_path / "GSE1").mkdir()
    (tmp_path / "GSE1" / name).write_bytes(data)
    assert describe_samples(tmp_path, "GSE1", {"GSM1"}) == DESCRIBED


def test_a_series_of_series_is_followed_to_its_parts(tmp_path):
    for series, text in {
        "GSE9": "^SERIES = GSE9\n!Series_relation = SuperSeries of: GSE8\n!Series_relation = SuperSeries of: GSE1\n",
        "GSE1": SOFT,
    }.items():
        (tmp_path / series).mkdir()
        (tmp_path / series / f"{series}_family.soft").write_text(text)
    assert describe_samples(tmp_path, "GSE9", {"GSM1"}) == DESCRIBED


def test_a_series_without_a_record_gives_nothing(tmp_path):
    assert describe_samples(tmp_path, "GSE1", {"GSM1"}) == {}
    assert describe_samples(tmp_path, "SRP1", {""}) == {}


def test_characteristics_become_columns():
    fields = {
        "characteristics_ch1": ["Age/sex: 3 d: m", "no name", "viability (%): 90", ": odd"],
        "characteristics_ch2": ["Age/sex: other"],
        "taxid_ch1": ["9606"],
        "title": [" a ", "b"],
    }
    assert describe_sample(fields) == {
        "geo_age_sex": "3 d: m;other",
        "geo_characteristics": "no name;: odd",
        "geo_viability_percent": "90",
        "geo_title": "a;b",
    }
    assert column_name("Mismatch rate per base, %") == "mismatch_rate_per_base_percent"
