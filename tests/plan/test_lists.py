"""What people bring: lists of accessions, and tables of runs by archives."""

import gzip
import inspect
from pathlib import Path

import pytest

from scripts.core.errors import InputError
from scripts.plan.lists import RUNINFO, ListedRun, asked_for, begins_run_list, is_path, is_run_list, parse_run_list

SELECTOR = (
    "Run,Assay Type,AvgSpotLen,Bases,BioProject,Bytes,cell count,Consent,DATASTORE filetype,Experiment,"
    "GEO_Accession (exp),Instrument,LibraryLayout,Organism,Sample Name,source_name,SRA Study,tissue"
)
CELL = 'SRR7,RNA-Seq,200,494,PRJNA1,352,1,public,"fastq,sra",SRX4,GSM3,HiSeq,PAIRED,Mus musculus,GSM3,"x, y",SRP5,skin'


def write(tmp_path: Path, text: str, encoding: str = "utf-8") -> str:
    path = tmp_path / "list.txt"
    path.write_bytes(text.encode(encoding))
    return str(path)


def rows(text: str) -> list[ListedRun]:
    return list(parse_run_list(text.splitlines(), "t"))


# Lists


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_lists_in_files_are_read_line_by_line(tmp_path: Path, encoding: str, end: str) -> None:
    listed = ["GSE1", "", "# all of a consortium, é", " GSE2\xa0 # the other one", '"SRR3",,', "gsm4; srx5", "GSE1"]
    path = write(tmp_path, end.join(listed), encoding)
    assert asked_for(["GSE9", path]) == (["GSE9", "GSE1", "GSE2", "SRR3", "GSM4", "SRX5"], [])
    assert asked_for(path)[0][0] == "GSE1"


def test_all_faults_of_lists_come_at_once_with_their_lines(tmp_path: Path) -> None:
    path = write(tmp_path, "GSE1\nGSE\nCRA002977\nE-GEOD-7\n")
    accessions, faults = asked_for(["gse5", path, str(tmp_path / "none.txt"), "E-MTAB-1", "/home/x", "--option-file=x"])
    assert accessions == ["GSE1", "GSE7"]
    assert [fault.partition(" is ")[0] for fault in faults] == [
        "series.0: 'gse5'",
        f"{path}, line 2: 'GSE'",
        f"{path}, line 3: CRA002977",
        f"series.2: {tmp_path / 'none.txt'}: it cannot be read: No such file or directory.",
        "series.3: E-MTAB-1",
        "series.4: /home/x: it cannot be read: No such file or directory.",
        "series.5: '--option-file=x'",
    ]


def test_an_empty_list_is_a_fault(tmp_path: Path) -> None:
    path = write(tmp_path, "# nothing\n\n")
    assert asked_for(path) == ([], [f"series.0: {path} has no accession."])
    assert asked_for([]) == ([], [])


def test_paths_and_accessions() -> None:
    assert [is_path(word) for word in ("GSE1", "phs001457.v1.p1", "a.txt", "a/b", "list")] == [
        False,
        False,
        True,
        True,
        False,
    ]


def test_runs_of_a_table_are_asked_for(tmp_path: Path) -> None:
    second = CELL.replace("SRR7", " srr8 ")
    path = write(tmp_path, "\n".join([SELECTOR, CELL, "", second]) + "\n")
    assert is_run_list(path)
    assert asked_for(path) == (["SRR7", "SRR8"], [])
    path = write(tmp_path, "\n".join([SELECTOR, CELL, CELL.replace("SRR7", "SRR 9"), CELL[:9]]) + "\n")
    assert asked_for(path)[1] == [
        f"{path}, line 3: 'SRR 9' in column Run is not a run (SRR…, ERR… or DRR…).",
        f"{path}, line 4: 2 values, but the header has 18 columns.",
    ]


@pytest.mark.parametrize(
    "column", ["sample_name", "instrument", "platform", "BioSample", "library_name", "center_name"]
)
def test_a_table_of_files_is_a_run_table_whatever_its_columns(tmp_path: Path, column: str) -> None:
    """Metadata of one's own may have the names that tables of archives have."""
    assert not is_run_list(write(tmp_path, f"run\t{column}\tsource\nA01\tx\tfile:a_1.fastq;a_2.fastq\n"))
    assert not is_run_list(write(tmp_path, f"run\tsource\t{column}\nSRR1\t\tx\nA01\tfile:a.fastq\tx\n"))
    assert is_run_list(write(tmp_path, f"run\t{column}\tsource\nSRR1\tx\tliver\n"))


@pytest.mark.parametrize("header", ["Run", "acc", "run_accession", "Run_s"])
def test_a_list_of_runs_may_have_a_header(tmp_path: Path, header: str) -> None:
    assert asked_for(write(tmp_path, f"{header}\nSRR1\nSRR2\n")) == (["SRR1", "SRR2"], [])


# What is a table of runs


@pytest.mark.parametrize(
    ("line", "is_one"),
    [
        (SELECTOR, True),
        (SELECTOR.replace(",", "\t"), True),
        (",".join(RUNINFO), True),
        ("Run,BioProject", True),
        ("run_accession\tfastq_ftp", True),
        ("AvgSpotLen_l\tRun_s\tOrganism_s", True),
        ('"","Run","Assay.Type","GEO_Accession..exp."', True),
        ('"Run" "Assay.Type" "status"', True),
        ("run,assay_type,library_layout,bio_project", True),
        (",".join(["SRR1", *["x"] * 46]), True),
        ("run\tspecies\tassay", False),
        ("run", False),
        ("run\tspecis", False),
        ("run\texperiment\tsample\ttax_id\tassay\tbiosample", False),
        ("SRR1", False),
        ("GSE1", False),
        ("series\trun", False),
        ("", False),
    ],
)
def test_tables_of_archives_are_known_by_their_header(line: str, is_one: bool) -> None:
    assert begins_run_list(line) == is_one


# Their rows


def test_a_row_of_the_run_selector() -> None:
    (row,) = rows(f"{SELECTOR}\n{CELL}")
    assert (row.line, row.run, row.fault) == (2, "SRR7", "")
    assert row.values["GeoAccession"] == row.values["SampleName"] == "GSM3"
    assert (row.values["SRAStudy"], row.values["Bytes"], row.values["bases"]) == ("SRP5", "352", "494")
    assert row.attributes == (("cell count", "1"), ("source_name", "x, y"), ("tissue", "skin"))


def as_r(header: str, line: str, separator: str, row_names: str) -> str:
    """Return the table as R's write.csv or write.table makes it."""
    names = [f'"{name}"' for name in header.translate(str.maketrans(" ()", "...")).split(",")]
    values = [f'"{value}"' for value in line.replace('"fastq,sra"', "fastq;sra").replace('"x, y"', "x; y").split(",")]
    first = {"none": ([], []), "column": (['""'], ['"1"']), "shifted": ([], ['"1"'])}[row_names]
    return "\n".join([separator.join(first[0] + names), separator.join(first[1] + values)])


@pytest.mark.parametrize("separator", [",", "\t", " ", ";"])
@pytest.mark.parametrize("row_names", ["none", "column", "shifted"])
def test_tables_that_r_wrote(separator: str, row_names: str) -> None:
    (row,) = rows(as_r(SELECTOR, CELL, separator, row_names))
    assert (row.run, row.fault) == ("SRR7", "")
    assert (row.values["LibraryStrategy"], row.values["GeoAccession"]) == ("RNA-Seq", "GSM3")
    assert row.attributes == (("cell.count", "1"), ("source_name", "x; y"), ("tissue", "skin"))


def test_runinfo_with_and_without_its_header() -> None:
    line = ",".join(["SRR1", "2026-01-01 00:00:00", *[""] * 44, "hash"])
    assert [(row.line, row.run, row.values["ReadHash"]) for row in rows(f"{line}\n\n{line}")] == [
        (1, "SRR1", "hash"),
        (3, "SRR1", "hash"),
    ]
    head = ",".join(RUNINFO)
    assert [row.line for row in rows("\n".join([head, line, "", head, line]))] == [2, 5]


def test_no_row_vanishes() -> None:
    header = "Run,Experiment,tissue,,"
    found = rows(
        "\n".join([header, "SRR1,SRX1,a,,", "SRR2,SRX2,a", ",SRX3,a", ",,,,", "SRR4,SRX4,a,b", "/home/x,SRX5,a"])
    )
    assert [(row.line, row.run) for row in found] == [(2, "SRR1"), (3, "SRR2"), (4, ""), (6, ""), (7, "")]
    assert [row.fault for row in found[2:]] == [
        "t, line 4: '' in column Run is not a run (SRR…, ERR… or DRR…).",
        "t, line 6: 4 values, but the header has 3 columns.",
        "t, line 7: '/home/x' in column Run is not a run (SRR…, ERR… or DRR…).",
    ]


def test_quotes_that_are_not_closed() -> None:
    with pytest.raises(InputError, match=r"t, line 3: a cell is too long, or its quote is not closed\."):
        rows('Run,tissue\nSRR1,a\nSRR2,"b\nSRR3,c\n')
    (row,) = rows('Run\ttissue\nSRR2\t"b\n')  # between tabs a quote is a character like others
    assert row.attributes == (("tissue", '"b'),)
    (row,) = rows('Run\ttissue\nSRR2\t"a ""b"""\n')
    assert row.attributes == (("tissue", 'a "b"'),)


def test_cells_of_several_lines() -> None:
    found = rows('Run,tissue\nSRR1,"a\nb"\nSRR2,"c\nSRR3,d"\nSRR4,e\n')
    assert [(row.line, row.run, row.attributes) for row in found] == [
        (2, "SRR1", (("tissue", "a b"),)),
        (4, "SRR2", (("tissue", "c SRR3,d"),)),
        (6, "SRR4", (("tissue", "e"),)),
    ]
    assert [row.fault for row in found] == [
        "",
        "t, line 4: the quote of a cell is not closed: the cell has another run's line in it.",
        "",
    ]


def test_an_empty_list_after_faults(tmp_path: Path) -> None:
    path = write(tmp_path, "\n")
    assert len(asked_for(["GSE", path])[1]) == 2


def test_doubled_columns() -> None:
    found = rows("Run,Sample Name,sample_name,tissue,tissue\nSRR1,GSM1,own,a,b\n")
    assert found[0].values["SampleName"] == "GSM1"
    assert found[0].attributes == (("sample_name", "own"), ("tissue", "a"), ("tissue", "b"))
    assert rows("Run,Run\nSRR1,SRR2\n")[0].fault == "t, line 2: the table has two columns Run."


def test_what_is_no_table_of_runs() -> None:
    with pytest.raises(InputError, match="t: not a table of runs; its first line begins with 'Error: no such run'"):
        rows("Error: no such run\n")
    assert rows("\n\n") == []
    assert rows(SELECTOR) == []


def test_packed_tables(tmp_path: Path) -> None:
    path = tmp_path / "anything.bin"
    path.write_bytes(gzip.compress(f"{SELECTOR}\n{CELL}\n".encode("utf-16")))
    assert asked_for(str(path)) == (["SRR7"], [])


def test_only_the_standard_library_is_needed() -> None:
    source = inspect.getsource(inspect.getmodule(asked_for))  # type: ignore[arg-type]
    assert "pandas" not in source
