"""A folder of results is checked by whoever got it, from the folder alone."""

import hashlib
import io
import tarfile

import anndata
import numpy as np
import pandas
import pytest
import scipy.sparse

from scripts import checksums, verify
from scripts.formats.counts_csv import format_rows, parse_row
from scripts.formats.csv_gz import write_csv_gz
from scripts.formats.errors import InputError
from scripts.formats.run_table import Run, write_runs
from scripts.formats.shard_counts import TALLIES

ROWS = [
    Run("GSE1", "GSE1", "GSM1", "SRX1", "SRR1", species="mus", assay="plate", status="counted"),
    Run("GSE1", "GSE1", "GSM1", "SRX1", "SRR2", species="mus", assay="plate", status="counted"),
    Run("GSE1", "GSE1", "GSM2", "SRX2", "SRR3", species="mus", assay="plate", status="counted"),
    Run("GSE2", "GSE2", "GSM3", "SRX3", "SRR4", species="mus", assay="droplet", status="counted"),
]
COUNTS = {
    "A,1": [5, 0],
    "B": [0, 120],
    **dict(zip(sorted(TALLIES), [[4, 0], [0, 0], [1, 3], [0, 0], [0, 0]], strict=True)),
}
HEAD = [["SRR1;SRR2", "SRR3"], ["GSE1", "GSE1"], ["mus", "mus"], ["GSM1", "GSM2"]]
MAPPED = {"Number of input reads": ["11", "200"], "Uniquely mapped reads number": ["6", "123"]}
MAPPED["Number of reads mapped to multiple loci"] = ["4", "0"]


def write_archive(path, members=("barcodes.tsv", "features.tsv", "matrix.mtx"), other=b""):
    files = {f"Gene/raw/{name}": name.encode() for name in members}
    lines = ["name\tvalue", "type\tMexGeneArchive_v1"]
    lines += [f"{name}\tmd5sum:{hashlib.md5(data).hexdigest()}" for name, data in files.items()]
    files = {"Gene/raw/metadata.tsv": "\n".join(lines).encode(), **files}
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz") as archive:
        for name, data in files.items():
            data += other if name.endswith(".mtx") else b""
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))


def make(folder, counts=COUNTS, head=HEAD, mapped=MAPPED, log_head=None, h5ad_counts=None):
    write_runs(folder / "runs.tsv", ROWS)
    names = ["GENENAME", "EXP_ID", "TAXON", "GSM"]
    rows = [[name, *values] for name, values in zip(names, head, strict=True)]
    write_csv_gz(folder / "mus.htseq-count.csv.gz", [*rows, *([name, *map(str, counts[name])] for name in counts)])
    names[0] = "FIELD_NAMES"
    rows = [[name, *values] for name, values in zip(names, log_head or head, strict=True)]
    write_csv_gz(folder / "mus.log.csv.gz", [*rows, *([name, *values] for name, values in mapped.items())])
    genes = [name for name in counts if name not in TALLIES]
    matrix = scipy.sparse.csr_matrix(np.array([(h5ad_counts or counts)[name] for name in genes]).T)
    obs = pandas.DataFrame({"runs": head[0]}, index=["SRX1", "SRX2"])
    anndata.AnnData(matrix, obs, pandas.DataFrame(index=genes)).write_h5ad(folder / "mus.h5ad")
    write_archive(folder / "mex" / "SRX3" / "Gene_Unique_raw.tar.gz")
    sum_up(folder)


def sum_up(folder):
    checksums.main(["--results", str(folder), "--output", str(folder / "SHA256SUMS")])


def told(folder):
    with pytest.raises(InputError) as error:
        verify.main([str(folder)])
    lines = str(error.value).splitlines()
    assert lines[0] == f"The folder {folder} needs {len(lines) - 1} correction(s):"
    return lines[1:]


def test_good_results_are_good(tmp_path, capsys):
    make(tmp_path)
    verify.main([str(tmp_path)])
    assert capsys.readouterr().err == f"{tmp_path}: 5 files, unchanged, complete and in agreement.\n"


def test_changed_lost_and_strange_files_are_told(tmp_path):
    make(tmp_path)
    (tmp_path / "more.txt").write_text("x")
    with (tmp_path / "runs.tsv").open("a") as handle:
        handle.write("\n")
    (tmp_path / "mex" / "SRX3" / "Gene_Unique_raw.tar.gz").unlink()
    assert told(tmp_path) == [
        "mex/SRX3/Gene_Unique_raw.tar.gz: in SHA256SUMS, but not there.",
        "more.txt: not in SHA256SUMS.",
        "runs.tsv: changed; its sha256 is not that of SHA256SUMS.",
        "mex/SRX3: no archive in it, though the library is counted in the ledger.",
    ]
    (tmp_path / "SHA256SUMS").unlink()
    assert told(tmp_path)[0] == "SHA256SUMS: not there, so nobody can say whether a file changed."


@pytest.mark.parametrize("mapped", [122, 124])
def test_counts_that_are_not_the_reads_mapped_are_told(tmp_path, mapped):
    make(tmp_path, mapped=MAPPED | {"Uniquely mapped reads number": ["6", str(mapped)]})
    assert told(tmp_path) == [f"mus.log.csv.gz: SRR3: counts and tallies make 123, but STAR mapped {mapped} reads."]


def test_tables_of_other_cells_are_told(tmp_path):
    make(tmp_path, log_head=[list(reversed(line)) for line in HEAD])
    assert told(tmp_path) == ["mus.log.csv.gz: its cells are not those of the table of counts, in the same order."]


def test_an_h5ad_with_other_counts_is_told(tmp_path):
    make(tmp_path, h5ad_counts=COUNTS | {"B": [0, 121]})
    assert told(tmp_path) == ["mus.h5ad: 1 cells have other counts than in the table, the first is SRR3."]
    (tmp_path / "mus.h5ad").write_bytes(b"no")
    sum_up(tmp_path)
    assert "mus.h5ad: cannot be read as the counts of a species" in told(tmp_path)[0]


def test_a_header_that_is_not_the_ledgers_is_told(tmp_path):
    make(tmp_path, head=[*HEAD[:3], ["GSM1", ""]])
    assert told(tmp_path) == [
        "mus.htseq-count.csv.gz: SRR3 has GSE1, mus,  in its header, which is not what the ledger says."
    ]


@pytest.mark.parametrize(
    ("counts", "words"),
    [
        ({"B": [1, 2], "A": [1, 2]}, "row 6: 'A' is not in byte order, or there twice."),
        ({"B": [1, 2, 3]}, "row 5 (B): not 2 whole numbers, each after a comma."),
        ({"B": [1, 2.5]}, "row 5 (B): not 2 whole numbers, each after a comma."),
        ({"B": [1, -2]}, "row 5 (B): not 2 whole numbers, each after a comma."),
        (
            {name: COUNTS[name] for name in ("A,1", "B", "__ambiguous")},
            "cut short; it has no row __alignment_not_unique, __no_feature, __not_aligned, __too_low_aQual.",
        ),
    ],
)
def test_a_table_that_is_no_table_is_told(tmp_path, counts, words):
    make(tmp_path)
    names = ["GENENAME", "EXP_ID", "TAXON", "GSM"]
    rows = [[name, *values] for name, values in zip(names, HEAD, strict=True)]
    write_csv_gz(tmp_path / "mus.htseq-count.csv.gz", [*rows, *([name, *map(str, counts[name])] for name in counts)])
    sum_up(tmp_path)
    assert told(tmp_path)[0].startswith("mus.htseq-count.csv.gz")
    assert told(tmp_path)[0].endswith(words)


def test_archives_that_are_not_whole_are_told(tmp_path):
    make(tmp_path)
    path = tmp_path / "mex" / "SRX3" / "Gene_Unique_raw.tar.gz"
    name = "mex/SRX3/Gene_Unique_raw.tar.gz"
    write_archive(path, other=b"!")
    sum_up(tmp_path)
    assert told(tmp_path) == [f"{name}: Gene/raw/matrix.mtx does not have the md5 sum that the metadata tells."]
    write_archive(path, members=("barcodes.tsv",))
    sum_up(tmp_path)
    assert told(tmp_path) == [f"{name}: not a MEX archive of metadata, barcodes, features and matrix."]
    path.write_bytes(path.read_bytes()[:-6])
    table = tmp_path / "mus.htseq-count.csv.gz"
    table.write_bytes(table.read_bytes()[:-6])
    sum_up(tmp_path)
    faults = told(tmp_path)
    assert faults[0].startswith("mus.htseq-count.csv.gz: cannot be read to its end: ")
    assert faults[1].startswith(f"{name}: cannot be read to its end: ")


def test_a_folder_without_a_ledger_is_told(tmp_path):
    with pytest.raises(InputError, match=r"not a folder of results; it has no ledger \(runs.tsv\)"):
        verify.main([str(tmp_path)])


def test_rows_are_read_as_they_are_written():
    random = np.random.default_rng(0)
    for width in (0, 1, 7, 300):
        counts = (10 ** (random.random(width) * 12)).astype(np.int64) * (random.random(width) < 0.5)
        columns = np.flatnonzero(counts)
        there = counts[columns].astype(np.uint64)
        text = bytes(format_rows([b"g"], width, np.array([0, len(columns)]), 2 * columns.astype(np.int32), there))
        assert (parse_row(text[1:-1], width) == counts).all()
