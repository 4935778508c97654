"""The run table, the status table and the units of work: what is written is what is read, and faults are reported."""

import pytest

from scripts.core.errors import InputError
from scripts.plan.run_table import Run, columns_of, faults_of, read_runs, write_runs

CELL = Run(series="GSE1", experiment="SRX1", run="SRR1", species="mus", assay="plate", status="planned")


def cells(count: int, **values: str) -> list[Run]:
    return [CELL._replace(experiment=f"SRX{n:03d}", run=f"SRR{n:03d}", **values) for n in range(count)]


def test_the_table_has_the_columns_that_others_rely_on(tmp_path):
    write_runs(tmp_path / "plan.tsv", [])
    assert (tmp_path / "plan.tsv").read_text(encoding="utf-8") == (
        "series\texp_id\tsample\texperiment\trun\ttax_id\torganism\tspecies\tassay\tchemistry\tlayout\tread_roles\t"
        "spots\tbases\tbytes\tmd5\tsource\tstatus\treason\tdetail\n"
    )


def test_rows_come_back_sorted_and_whole(tmp_path):
    rows = [
        CELL._replace(series="GSE2", detail='said "so",\there'),
        CELL._replace(run="SRR2", organism="Mus musculus ß"),
        CELL,
    ]
    write_runs(tmp_path / "plan.tsv", rows)
    assert read_runs(tmp_path / "plan.tsv") == [
        CELL,
        CELL._replace(run="SRR2", organism="Mus musculus ß"),
        CELL._replace(series="GSE2", detail='said "so", here'),
    ]


def test_columns_may_stand_in_any_order_and_be_few(tmp_path):
    (tmp_path / "plan.tsv").write_bytes(b"\xef\xbb\xbfspecies\trun\r\nmus\tSRR1\r\n\r\n")
    assert read_runs(tmp_path / "plan.tsv") == [Run(run="SRR1", species="mus")]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("run\tspecis\n", "line 1: 'specis' is not a column of a run table."),
        ("run\trun\n", "line 1: column 'run' is duplicated."),
        ("series\n", "line 1: no column 'run'"),
        ("", "line 1: no column 'run'"),
        ("run\tspecies\nSRR1\n", "line 2: 1 values, but the header has 2 columns."),
    ],
)
def test_words_of_an_unreadable_table(tmp_path, text, words):
    (tmp_path / "plan.tsv").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match="needs 1 correction") as reported:
        read_runs(tmp_path / "plan.tsv")
    assert words in str(reported.value)


def test_an_absent_table_is_reported(tmp_path):
    with pytest.raises(InputError, match="it cannot be read: No such file"):
        read_runs(tmp_path / "none.tsv")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"run": "../SRR1"}, "run '../SRR1' is no accession"),
        ({"run": ""}, "a planned row needs a run"),
        ({"species": "rat"}, "species 'rat' is not configured; known are homo, mus"),
        ({"assay": "bulk"}, "assay 'bulk' is neither plate nor droplet"),
        ({"layout": "PAIRED"}, "layout 'PAIRED' is neither single nor paired"),
        ({"read_roles": "barcode,cDNA"}, "read_roles 'barcode,cDNA' has a word"),
        ({"read_roles": "barcode,cdna"}, "read_roles 'barcode,cdna' name a barcode, but a plate run is one cell"),
        ({"read_roles": "index,none"}, "read_roles 'index,none' must name one or two reads of cDNA"),
        (
            {"source": "reads/a.fq.gz"},
            "source 'reads/a.fq.gz' is no archive (sra, ncbi, ena, ena_fastq, submitted, bam); a path is written",
        ),
        ({"run": "A1"}, "A1: no accession of a run (SRR…, ERR…, DRR…), so that no archive has it. Give its files as"),
        ({"run": "SRX1", "source": "ena"}, "SRX1: no accession of a run"),
        (
            {"run": "CRR12"},
            "CRR12 is of GSA (CNCB-NGDC, https://ngdc.cncb.ac.cn/gsa), which is another archive; download",
        ),
        ({"source": "file:a.fq.gz;b.fq", "read_roles": "cdna"}, "has 1 words, but source has 2 file(s)"),
        ({"source": "file:a.fq;b.fq", "layout": "single"}, "layout is single, but source has 2 files of cDNA"),
        ({"source": "file:a.fastq.gz", "layout": "paired"}, "layout is paired, but source has one file of cDNA"),
        ({"source": "file:a.fq;b.fq", "read_roles": "cdna,none", "layout": "paired"}, "layout is paired, but"),
        ({"spots": "1e6"}, "spots '1e6' is not a whole number"),
        ({"status": "done"}, "status 'done' is not one of"),
        ({"reason": "LOST"}, "reason 'LOST' is not a code"),
    ],
)
def test_values_that_cannot_be_worked_with(change, words):
    assert list(faults_of([CELL], ["homo", "mus"])) == []
    reported = list(faults_of([CELL._replace(**change)], ["homo", "mus"]))
    assert len(reported) == 1
    assert words in reported[0].sentence


@pytest.mark.parametrize(
    "change",
    [
        {"source": "file:a.sra", "layout": "paired"},
        {"source": "file:a.bam", "read_roles": "index,cdna,cdna2"},
        {"source": "file:a.fq;b.fq", "layout": "single", "read_roles": "cdna,none"},
        {"source": "file:a.fq;b.fq", "layout": "paired"},
        {"read_roles": "cdna2"},
    ],
)
def test_files_roles_and_layout_that_agree(change):
    assert list(faults_of([CELL._replace(**change)], ["mus"])) == []


def test_a_run_is_unique_for_each_species():
    assert list(faults_of([CELL, CELL._replace(species="homo")], ["homo", "mus"])) == []
    assert "is duplicated" in next(faults_of([CELL, CELL], ["homo", "mus"])).sentence


def test_an_experiment_is_of_one_assay():
    other = CELL._replace(run="SRR2", assay="droplet")
    assert "plate in one row and droplet in another" in next(faults_of([CELL, other], ["mus"])).sentence


def test_columns_are_experiments_or_runs():
    rows = [CELL._replace(run="SRR2"), CELL]
    assert {name: [row.run for row in runs] for name, runs in columns_of(rows, "experiment").items()} == {
        "SRX1": ["SRR1", "SRR2"]
    }
    assert list(columns_of(rows, "run")) == ["SRR1", "SRR2"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_tables_as_people_save_them(tmp_path, encoding, end):
    lines = [
        "",
        "Run\tspecies\tread_roles\torganism\t\t",
        ' SRR1\xa0\t"mus"\t"barcode,cdna"\té\t\t',
        "\t\t\t",
        "SRR2\t\t\t\t",
    ]
    (tmp_path / "runs.tsv").write_bytes(end.join(lines).encode(encoding))
    assert read_runs(tmp_path / "runs.tsv") == [
        Run(run="SRR1", species="mus", read_roles="barcode,cdna", organism="é"),
        Run(run="SRR2"),
    ]


def test_only_line_feeds_end_rows(tmp_path):
    (tmp_path / "runs.tsv").write_text("run\tdetail\nSRR1\ta\u2028b\x0bc\x85d\nSRR2\t\n", encoding="utf-8")
    assert [(row.run, row.detail) for row in read_runs(tmp_path / "runs.tsv")] == [
        ("SRR1", "a\u2028b\x0bc\x85d"),
        ("SRR2", ""),
    ]


def test_all_rows_of_the_wrong_width_are_told(tmp_path):
    (tmp_path / "runs.tsv").write_text("run\tspecies\nSRR1\nSRR2\tmus\nSRR3\tmus\tx\n")
    with pytest.raises(InputError) as reported:
        read_runs(tmp_path / "runs.tsv")
    assert str(reported.value).splitlines()[1:] == [
        "line 2: 1 values, but the header has 2 columns.",
        "line 4: 3 values, but the header has 2 columns.",
    ]


def test_a_table_that_is_no_text(tmp_path):
    (tmp_path / "runs.tsv").write_bytes(b"PK\x03\x04")
    with pytest.raises(InputError, match="this is a workbook, not a text; save it as text, separated by tabs"):
        read_runs(tmp_path / "runs.tsv")


@pytest.mark.parametrize(
    ("column", "value"),
    [
        *(
            (name, value)
            for name in ("series", "experiment", "run")
            for value in ("-x", ".x", "a/b", "A" * 81, "a\n", "é")
        ),
        ("series", "a.b"),
        *((name, value) for name in ("experiment", "run") for value in ("a.", "a..b", "a." * 40 + "b")),
        *(("sample", value) for value in ("/home/x", "../x", "--option", "a\\b", "\x1b[31m")),
        *(("exp_id", value) for value in ("../x", "a/b", "-x", "é")),
        *(("tax_id", value) for value in ("0", "-1", "x", "9" * 5000)),
        *(("spots", value) for value in ("9" * 5000, "-1", "²")),
        ("md5", "../x"),
    ],
)
def test_values_that_leave_their_place(column, value):
    (fault,) = faults_of([CELL._replace(**{column: value})], ["homo", "mus"])
    assert (fault.column, fault.value) == (column, value)
    assert fault.sentence.isprintable()
    assert len(fault.sentence) < 250


def test_names_may_have_dots():
    row = CELL._replace(run="plate.A1", experiment="plate-2.A1", source="file:a.fq")
    assert list(faults_of([row], ["mus"])) == []


def test_runs_whose_files_would_have_the_same_names():
    rows = [CELL._replace(run=run, experiment=run, source="file:a.fq") for run in ("a", "a_2", "b_1", "a.1", "c_x")]
    rows.append(CELL._replace(run="b", experiment="b", source="file:a.fq", series="GSE2"))  # not in the same folder
    assert [fault.sentence for fault in faults_of(rows, ["mus"])] == [
        "a_2: its FASTQ files would be named like those of a; rename one of the two runs."
    ]


def test_names_of_samples_are_free(tmp_path):
    assert list(faults_of([CELL._replace(sample="Donor 3 (left), é")], ["mus"])) == []


def test_a_table_holds_no_control_characters(tmp_path):
    row = Run("GSE1", run="SRR1", organism="Mus\x1b[31m µ\u202e", detail="a\tb\r\nc\x07\udc80\x85d")
    write_runs(tmp_path / "runs.tsv", [row])
    (found,) = read_runs(tmp_path / "runs.tsv")
    assert (found.organism, found.detail) == (r"Mus\x1b[31m µ\u202e", r"a b c\x07\udc80 d")


def test_blanks_in_a_path_are_kept(tmp_path):
    row = Run("GSE1", run="c1", source="file:my  reads/a.fq;b  .fq", detail="a  note")
    write_runs(tmp_path / "runs.tsv", [row])
    assert read_runs(tmp_path / "runs.tsv") == [row._replace(detail="a note")]
