"""A folder of results is checked by whoever got it, from the folder alone."""

import csv
import gzip
import hashlib
import io
import os
import subprocess
import sys
import tarfile

import anndata
import numpy as np
import pandas
import pytest
import scipy.sparse

from scripts.core.errors import InputError
from scripts.formats.csv_gz import write_csv_gz
from scripts.harvest import checksums, results, verify
from scripts.plan.run_table import Run, write_runs
from scripts.plates.shard_counts import TALLIES

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


def write_small_archive(path, barcodes, dense, arguments=""):
    """Write a whole archive of two genes; ``dense`` is genes × cells."""
    kind = "real" if "_EM_" in path.name else "integer"
    entries = [(gene, cell, count) for gene, row in enumerate(dense) for cell, count in enumerate(row) if count]
    entries.sort(key=lambda entry: (entry[1], entry[0]))
    head = f"%%MatrixMarket matrix coordinate {kind} general\n%\n2 {len(barcodes)} {len(entries)}\n"
    files = {
        "barcodes.tsv": "".join(f"{barcode}\n" for barcode in barcodes),
        "features.tsv": "g1\tn1\tGene Expression\ng2\tn2\tGene Expression\n",
        "matrix.mtx": head + "".join(f"{gene + 1} {cell + 1} {count}\n" for gene, cell, count in entries),
    }
    files = {f"Gene/filtered/{name}": text.encode() for name, text in files.items()}
    lines = ["name\tvalue", "type\tMexGeneArchive_v1", f"arguments\t{arguments}"]
    lines += [f"{name}\tmd5sum:{hashlib.md5(data).hexdigest()}" for name, data in files.items()]
    files = {"Gene/filtered/metadata.tsv": "\n".join(lines).encode() + b"\n", **files}
    with tarfile.open(path, "w:gz") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))


def make(folder, counts=COUNTS, head=HEAD, mapped=MAPPED, log_head=None, h5ad_counts=None):
    write_runs(folder / "runs.tsv", ROWS)
    write_runs(folder / "plan.tsv", [row._replace(status="planned") for row in ROWS])
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


def note(folder, **parameters):
    """Note in the h5ad how the cells were counted."""
    made = anndata.read_h5ad(folder / "mus.h5ad")
    made.uns["parameters"] = parameters
    made.write_h5ad(folder / "mus.h5ad")
    sum_up(folder)


def sum_up(folder):
    checksums.main(["--results", str(folder), "--output", str(folder / "SHA256SUMS")])


def faults_of(folder):
    with pytest.raises(InputError) as error:
        verify.main([str(folder)])
    lines = str(error.value).splitlines()
    assert lines[0] == f"The folder {folder} needs {len(lines) - 1} correction{'s' * (len(lines) - 1 > 1)}:"
    return lines[1:]


def test_good_results_are_good(tmp_path, capsys):
    make(tmp_path)
    verify.main([str(tmp_path)])
    assert capsys.readouterr().err == f"{tmp_path}: 6 files, unchanged, complete and in agreement.\n"


def test_what_was_discovered_is_no_result(tmp_path, capsys):
    make(tmp_path)
    for name in results.DISCOVERED:
        (tmp_path / name).write_text("of today")
    verify.main([str(tmp_path)])
    checksums.main(["--results", str(tmp_path), "--output", str(tmp_path / "SHA256SUMS")])
    assert "discovered" not in (tmp_path / "SHA256SUMS").read_text()
    verify.main([str(tmp_path)])
    assert capsys.readouterr().err == 2 * f"{tmp_path}: 6 files, unchanged, complete and in agreement.\n"


def test_changed_lost_and_strange_files_are_reported(tmp_path):
    make(tmp_path)
    (tmp_path / "more.txt").write_text("x")
    with (tmp_path / "runs.tsv").open("a") as handle:
        handle.write("\n")
    (tmp_path / "mex" / "SRX3" / "Gene_Unique_raw.tar.gz").unlink()
    assert faults_of(tmp_path) == [
        "mex/SRX3/Gene_Unique_raw.tar.gz: in SHA256SUMS, but missing.",
        "more.txt: not in SHA256SUMS.",
        "runs.tsv: changed; its sha256 is not that of SHA256SUMS.",
        "mex/SRX3: no archive in it, though the library is counted in the ledger.",
    ]
    (tmp_path / "SHA256SUMS").unlink()
    assert faults_of(tmp_path)[0] == "SHA256SUMS: missing, so changed files cannot be found."


@pytest.mark.parametrize("mapped", [122, 124])
def test_counts_that_are_not_the_reads_mapped_are_reported(tmp_path, mapped):
    make(tmp_path, mapped=MAPPED | {"Uniquely mapped reads number": ["6", str(mapped)]})
    assert faults_of(tmp_path) == [
        f"mus.log.csv.gz: SRR3: counts and tallies make 123, but STAR mapped {mapped} reads."
    ]


FRACTIONS = {
    "A,1": [3.5, 0.0],
    "B": [0.0, 120.3333],
    **dict(zip(sorted(TALLIES), [[4, 0], [1, 0], [1, 3], [0, 0], [0, 0]], strict=True)),
}


def test_fractions_are_counts_where_they_are_noted(tmp_path, capsys):
    """The reads of several genes or loci (1 and 4 of the first cell) are tallied, and counted as well."""
    mapped = MAPPED | {"Uniquely mapped reads number": ["0", "123"]}
    make(tmp_path, counts=FRACTIONS, mapped=mapped)
    assert faults_of(tmp_path)[0] == "mus.htseq-count.csv.gz, row 5 (A,1): not 2 whole numbers, each after a comma."
    note(tmp_path, nonunique="fraction")
    verify.main([str(tmp_path)])
    assert "6 files, unchanged, complete and in agreement" in capsys.readouterr().err
    make(tmp_path, counts=FRACTIONS, mapped=mapped, h5ad_counts=FRACTIONS | {"B": [0.0, 120.3334]})
    note(tmp_path, nonunique="fraction")
    assert faults_of(tmp_path) == ["mus.h5ad: 1 cells have other counts than in the table, the first is SRR3."]
    make(tmp_path, counts=FRACTIONS, mapped=MAPPED)
    note(tmp_path, nonunique="fraction")
    assert faults_of(tmp_path) == ["mus.log.csv.gz: SRR1;SRR2: counts and tallies make 4, but STAR mapped 10 reads."]


def test_a_table_with_names_of_genes_is_read_without_them(tmp_path, capsys):
    make(tmp_path)
    path = tmp_path / "mus.htseq-count.csv.gz"
    rows = list(csv.reader(gzip.decompress(path.read_bytes()).decode().splitlines()))
    named = ["gene_name", "", "", "", 'a "b", c', *("" for _ in rows[5:])]
    write_csv_gz(path, [[line[0], name, *line[1:]] for line, name in zip(rows, named, strict=True)])
    sum_up(tmp_path)
    verify.main([str(tmp_path)])
    assert "6 files, unchanged, complete and in agreement" in capsys.readouterr().err


def test_the_tpm_of_a_cell_are_a_million(tmp_path, capsys):
    make(tmp_path)
    path = tmp_path / "mus.tpm.csv.gz"
    header = [[name, *values] for name, values in zip(["GENENAME", "EXP_ID", "TAXON", "GSM"], HEAD, strict=True)]
    write_csv_gz(path, [*header, ["A,1", "1e+06", "0"], ["B", "0", "999999.7"]])
    sum_up(tmp_path)
    verify.main([str(tmp_path)])
    assert "7 files, unchanged, complete and in agreement" in capsys.readouterr().err
    write_csv_gz(path, [*header, ["A,1", "1e+06", "0"], ["B", "0", "99999.7"]])
    sum_up(tmp_path)
    assert faults_of(tmp_path) == ["mus.tpm.csv.gz: SRR3: its TPM add up to 100000."]
    write_csv_gz(path, [*header, ["A,1", "1e+06", "1e+06"]])
    sum_up(tmp_path)
    assert faults_of(tmp_path) == ["mus.tpm.csv.gz: it does not have the 2 genes of the table of counts."]


@pytest.mark.parametrize("noted", [{"nonunique": "all"}, {"secondary_alignments": "score"}])
def test_alignments_that_count_more_than_once_are_at_least_the_reads(tmp_path, capsys, noted):
    make(tmp_path, mapped=MAPPED | {"Uniquely mapped reads number": ["1", "120"]})
    note(tmp_path, **noted)
    verify.main([str(tmp_path)])
    make(tmp_path, mapped=MAPPED | {"Uniquely mapped reads number": ["1", "124"]})
    note(tmp_path, **noted)
    assert faults_of(tmp_path) == ["mus.log.csv.gz: SRR3: counts and tallies make 123, but STAR mapped 124 reads."]


def test_tables_of_other_cells_are_reported(tmp_path):
    make(tmp_path, log_head=[list(reversed(line)) for line in HEAD])
    assert faults_of(tmp_path) == ["mus.log.csv.gz: its cells are not those of the table of counts, in the same order."]


def test_an_h5ad_with_other_counts_is_reported(tmp_path):
    make(tmp_path, h5ad_counts=COUNTS | {"B": [0, 121]})
    assert faults_of(tmp_path) == ["mus.h5ad: 1 cells have other counts than in the table, the first is SRR3."]
    (tmp_path / "mus.h5ad").write_bytes(b"no")
    sum_up(tmp_path)
    assert "mus.h5ad: cannot be read as the counts of a species" in faults_of(tmp_path)[0]


def test_a_header_that_is_not_the_ledgers_is_reported(tmp_path):
    make(tmp_path, head=[*HEAD[:3], ["GSM1", ""]])
    assert faults_of(tmp_path) == [
        "mus.htseq-count.csv.gz: SRR3 has GSE1, mus,  in its header, which is not what the ledger says."
    ]


@pytest.mark.parametrize(
    ("counts", "words"),
    [
        ({"B": [1, 2], "A": [1, 2]}, "row 6: 'A' is not in byte order, or duplicated."),
        ({"B": [1, 2, 3]}, "row 5 (B): not 2 whole numbers, each after a comma."),
        ({"B": [1, 2.5]}, "row 5 (B): not 2 whole numbers, each after a comma."),
        ({"B": [1, -2]}, "row 5 (B): not 2 whole numbers, each after a comma."),
        (
            {name: COUNTS[name] for name in ("A,1", "B", "__ambiguous")},
            "cut short; it has no row __alignment_not_unique, __no_feature, __not_aligned, __too_low_aQual.",
        ),
    ],
)
def test_a_table_that_is_no_table_is_reported(tmp_path, counts, words):
    make(tmp_path)
    names = ["GENENAME", "EXP_ID", "TAXON", "GSM"]
    rows = [[name, *values] for name, values in zip(names, HEAD, strict=True)]
    write_csv_gz(tmp_path / "mus.htseq-count.csv.gz", [*rows, *([name, *map(str, counts[name])] for name in counts)])
    sum_up(tmp_path)
    assert faults_of(tmp_path)[0].startswith("mus.htseq-count.csv.gz")
    assert faults_of(tmp_path)[0].endswith(words)


def test_archives_that_are_not_whole_are_reported(tmp_path):
    make(tmp_path)
    path = tmp_path / "mex" / "SRX3" / "Gene_Unique_raw.tar.gz"
    name = "mex/SRX3/Gene_Unique_raw.tar.gz"
    write_archive(path, other=b"!")
    sum_up(tmp_path)
    assert faults_of(tmp_path) == [f"{name}: Gene/raw/matrix.mtx does not have the md5 sum in the metadata."]
    write_archive(path, members=("barcodes.tsv",))
    sum_up(tmp_path)
    assert faults_of(tmp_path) == [f"{name}: not a MEX archive: it has no features.tsv, matrix."]
    write_archive(path)
    path.write_bytes(path.read_bytes()[:-6])
    table = tmp_path / "mus.htseq-count.csv.gz"
    table.write_bytes(table.read_bytes()[:-6])
    sum_up(tmp_path)
    faults = faults_of(tmp_path)
    assert faults[0].startswith("mus.htseq-count.csv.gz: cannot be read to its end: ")
    assert faults[1].startswith(f"{name}: cannot be read to its end: ")


def test_a_count_moved_from_gene_to_gene_is_reported_though_all_sums_are_right(tmp_path):
    make(tmp_path, counts=COUNTS | {"A,1": [3, 0], "B": [2, 120]}, h5ad_counts=COUNTS)
    assert faults_of(tmp_path) == ["mus.h5ad: 1 cells have other counts than in the table, the first is SRR1;SRR2."]


def test_genes_of_other_names_are_reported(tmp_path):
    make(tmp_path)
    root = anndata.read_h5ad(tmp_path / "mus.h5ad")
    root.var_names = ["A,1", "C"]
    root.write_h5ad(tmp_path / "mus.h5ad")
    sum_up(tmp_path)
    assert faults_of(tmp_path) == ["mus.h5ad: 1 cells have other counts than in the table, the first is SRR3."]


def test_a_changed_tally_is_reported(tmp_path):
    make(tmp_path)
    root = anndata.read_h5ad(tmp_path / "mus.h5ad")
    root.obs["__ambiguous"] = [0, 1]
    root.write_h5ad(tmp_path / "mus.h5ad")
    sum_up(tmp_path)
    assert faults_of(tmp_path) == ["mus.h5ad: 1 cells have other counts than in the table, the first is SRR3."]


def test_counts_beyond_31_bits_are_compared(tmp_path):
    great = COUNTS | {"B": [2**33, 120]}
    mapped = MAPPED | {"Uniquely mapped reads number": [str(6 + 2**33), "123"]}
    make(tmp_path, counts=great, mapped=mapped)
    verify.main([str(tmp_path)])
    make(tmp_path, counts=great, mapped=mapped, h5ad_counts=COUNTS | {"B": [2**33 - 2**32, 120]})
    assert faults_of(tmp_path) == ["mus.h5ad: 1 cells have other counts than in the table, the first is SRR1;SRR2."]


def test_a_row_that_was_taken_out_of_the_ledger_is_reported(tmp_path):
    make(tmp_path)
    sums = (tmp_path / "SHA256SUMS").read_text()
    old = hashlib.sha256((tmp_path / "runs.tsv").read_bytes()).hexdigest()
    write_runs(tmp_path / "runs.tsv", [*ROWS[:2], ROWS[3], ROWS[3]._replace(run="SRR5", status="failed")])
    new = hashlib.sha256((tmp_path / "runs.tsv").read_bytes()).hexdigest()
    (tmp_path / "SHA256SUMS").write_text(sums.replace(old, new))
    assert faults_of(tmp_path) == [
        "runs.tsv: SRR3 is in plan.tsv, but not in the ledger.",
        "runs.tsv: SRR5 is not in plan.tsv, but in the ledger.",
        "runs.tsv: SRR5 is failed without a reason.",
        "mus.htseq-count.csv.gz: SRR3 is in it, but not counted in the ledger.",
        "mus.log.csv.gz: SRR3 is in it, but not counted in the ledger.",
        "mex/SRX3: archives of a library that is not counted in the ledger.",
    ]


def test_a_ledger_that_is_no_table_is_reported_with_the_rest(tmp_path):
    make(tmp_path)
    (tmp_path / "runs.tsv").write_text("run\nSRR1\tmore\n")
    faults = faults_of(tmp_path)
    assert faults[0] == "runs.tsv: changed; its sha256 is not that of SHA256SUMS."
    assert faults[1:] == [
        f"The run table ({tmp_path}/runs.tsv) needs 1 correction: line 2: 2 values, but the header has 1 columns."
    ]


def test_runs_of_two_experiments_in_one_cell_and_cells_out_of_order_are_reported(tmp_path):
    make(tmp_path, head=[["SRR2;SRR3", "SRR1"], *HEAD[1:3], ["GSM1", "GSM1"]])
    assert faults_of(tmp_path) == [
        "mus.htseq-count.csv.gz: SRR2;SRR3 are one cell, but not runs of one experiment.",
        "mus.htseq-count.csv.gz: its cells are not sorted by series and run.",
    ]


@pytest.mark.parametrize(
    ("mapped", "words"),
    [
        ({"Number of input reads": ["11", "200"]}, "it has no row 'Uniquely mapped reads number'."),
        (MAPPED | {"Uniquely mapped reads number": ["6"]}, "row 'Uniquely mapped reads number' is cut short."),
        (
            MAPPED | {"Uniquely mapped reads number": ["6", "-nan"]},
            "SRR3: the reads that STAR mapped are not a number: '-nan', '0'.",
        ),
    ],
)
def test_a_log_without_the_reads_mapped_is_reported(tmp_path, mapped, words):
    make(tmp_path, mapped=mapped)
    assert faults_of(tmp_path) == [f"mus.log.csv.gz: {words}"]


def test_files_that_cannot_be_read_are_reported(tmp_path):
    make(tmp_path)
    (tmp_path / "mus.log.csv.gz").write_bytes((tmp_path / "mus.log.csv.gz").read_bytes()[:-6])
    whole = (tmp_path / "mus.h5ad").read_bytes()
    (tmp_path / "mus.h5ad").write_bytes(whole[: len(whole) // 2])
    with tarfile.open(tmp_path / "mus_meta.tgz", "w:gz") as archive:
        member = tarfile.TarInfo("mus_meta/GSE1.metadata.json")
        member.size = 5
        archive.addfile(member, io.BytesIO(b'{"a":'))
    sum_up(tmp_path)
    faults = faults_of(tmp_path)
    assert [fault.partition(": ")[0] for fault in faults] == ["mus.log.csv.gz", "mus.h5ad", "mus_meta.tgz"]
    assert faults[0].startswith("mus.log.csv.gz: cannot be read to its end: ")
    assert faults[2] == "mus_meta.tgz: mus_meta/GSE1.metadata.json: cannot be read as JSON: Expecting value."
    (tmp_path / "mus.htseq-count.csv.gz").write_bytes(b"GENENAME")
    (tmp_path / "mus.h5ad").unlink()
    (tmp_path / "SHA256SUMS").write_text("no sum")
    faults = faults_of(tmp_path)
    assert faults[0] == "SHA256SUMS, line 1: not 'sha256  path' as sha256sum writes it: 'no sum'."
    assert faults[1].startswith("mus.htseq-count.csv.gz: its first row cannot be read: ")
    assert faults[2] == "mus.h5ad: missing, though mus.htseq-count.csv.gz exists."
    assert faults[3].startswith("mus.htseq-count.csv.gz: cannot be read to its end: ")


def test_folders_of_other_results_are_summed_like_all_others(tmp_path, capsys):
    make(tmp_path)
    for name in ("embedding.npy", "cells.tsv"):
        (tmp_path / "atlas" / "mus").mkdir(parents=True, exist_ok=True)
        (tmp_path / "atlas" / "mus" / name).write_text(name)
    sum_up(tmp_path)
    verify.main([str(tmp_path)])
    assert capsys.readouterr().err.endswith(": 8 files, unchanged, complete and in agreement.\n")
    (tmp_path / "atlas" / "mus" / "cells.tsv").write_text("other")
    assert faults_of(tmp_path) == ["atlas/mus/cells.tsv: changed; its sha256 is not that of SHA256SUMS."]


def test_an_h5ad_of_droplets_that_is_not_of_the_archives_is_reported(tmp_path):
    make(tmp_path)
    (tmp_path / "droplets").mkdir()
    path = tmp_path / "droplets" / "GSE2.mus.h5ad"
    write_small_archive(tmp_path / "mex" / "SRX3" / "Gene_Unique_filtered.tar.gz", ["AC", "GT"], [[1, 0], [2, 5]])
    write_small_archive(
        tmp_path / "mex" / "SRX3" / "Gene_Unique_raw.tar.gz", ["AC", "CC", "GT"], [[1, 1, 0], [2, 0, 5]]
    )
    genes = pandas.DataFrame(index=["g1", "g2"])

    def write(names, counts):
        obs = pandas.DataFrame(index=names)
        anndata.AnnData(scipy.sparse.csr_matrix(np.array(counts)), obs, genes).write_h5ad(path)
        sum_up(tmp_path)

    write(["SRX3_AC", "SRX3_GT"], [[1, 2], [0, 5]])
    verify.main([str(tmp_path)])
    write(["SRX3_AC", "SRX3_GT"], [[1, 2], [0, 6]])
    assert faults_of(tmp_path) == ["droplets/GSE2.mus.h5ad: cells have other counts than in the archives in mex/."]
    write(["SRX3_AC"], [[1, 2]])
    assert faults_of(tmp_path) == [
        "droplets/GSE2.mus.h5ad: its 1 cells are not the 2 filtered cells of the archives in mex/."
    ]
    path.write_bytes(b"no")
    sum_up(tmp_path)
    assert faults_of(tmp_path)[0].startswith("droplets/GSE2.mus.h5ad: cannot be read as the counts of droplets: ")


def test_an_h5ad_of_a_series_without_a_counted_library_has_genes_and_no_cell(tmp_path):
    make(tmp_path)
    (tmp_path / "mex/SRX3/Gene_Unique_raw.tar.gz").unlink()
    (tmp_path / "droplets").mkdir()
    genes = pandas.DataFrame(index=["g1", "g2"])
    other = ["of no series and species with a droplet library in the ledger."]
    for status, name, cells, faults in (
        ("failed", "GSE2.mus", 0, []),
        ("left_out", "GSE2.mus", 0, []),
        ("failed", "GSE2.mus", 1, ["its 1 cells are not the 0 filtered cells of the archives in mex/."]),
        ("failed", "GSE2.homo", 0, other),
    ):
        rows = [row._replace(status=status, reason="EMPTY_READS") if row.series == "GSE2" else row for row in ROWS]
        write_runs(tmp_path / "runs.tsv", rows)
        path = tmp_path / f"droplets/{name}.h5ad"
        obs = pandas.DataFrame(index=["SRX3_AC"][:cells])
        anndata.AnnData(scipy.sparse.csr_matrix((cells, 2), dtype=np.int32), obs, genes).write_h5ad(path)
        sum_up(tmp_path)
        if faults:
            assert faults_of(tmp_path) == [f"droplets/{name}.h5ad: {fault}" for fault in faults]
        else:
            verify.main([str(tmp_path)])
        path.unlink()


def test_layers_that_are_not_of_the_raw_archives_are_reported(tmp_path):
    """A layer with zeros where the other feature's filter called no cell, as version 0.1 wrote it, is found."""
    make(tmp_path)
    (tmp_path / "droplets").mkdir()
    path, mex = tmp_path / "droplets" / "GSE2.mus.h5ad", tmp_path / "mex" / "SRX3"
    write_small_archive(mex / "Gene_Unique_filtered.tar.gz", ["AC", "GT"], [[1, 0], [2, 5]])
    write_small_archive(mex / "Gene_Unique_raw.tar.gz", ["CC", "AC", "GT"], [[0, 1, 0], [0, 2, 5]])
    write_small_archive(mex / "GeneFull_Unique_raw.tar.gz", ["CC", "AC", "GT"], [[4, 1, 3], [4, 2, 5]])
    write_small_archive(mex / "Gene_EM_raw.tar.gz", ["CC", "AC", "GT"], [[0, 1.5, 0], [0, 2.25, 5]])
    genes, obs = pandas.DataFrame(index=["g1", "g2"]), pandas.DataFrame(index=["SRX3_AC", "SRX3_GT"])

    def write(**layers):
        layers = {name: scipy.sparse.csr_matrix(np.array(counts)) for name, counts in layers.items()}
        counts = scipy.sparse.csr_matrix(np.array([[1, 2], [0, 5]]))
        anndata.AnnData(counts, obs, genes, layers=layers).write_h5ad(path)
        sum_up(tmp_path)

    write(GeneFull_Unique=[[1, 2], [3, 5]], Gene_EM=[[1.5, 2.25], [0, 5]])
    verify.main([str(tmp_path)])
    write(GeneFull_Unique=[[1, 2], [0, 0]], Gene_EM=[[1.5, 2.5], [0, 5]])
    assert faults_of(tmp_path) == [
        f"droplets/GSE2.mus.h5ad: layer {layer} has other counts than {layer}_raw.tar.gz in mex/."
        for layer in ("GeneFull_Unique", "Gene_EM")
    ]
    write_small_archive(mex / "Velocyto_spliced_raw.tar.gz", ["CC", "AC", "GT"], [[4, 1, 3], [4, 0, 5]])
    write(spliced=[[1, 0], [3, 5]])
    verify.main([str(tmp_path)])
    write(spliced=[[1, 1], [3, 5]])
    assert faults_of(tmp_path) == [
        "droplets/GSE2.mus.h5ad: layer spliced has other counts than Velocyto_spliced_raw.tar.gz in mex/."
    ]
    write(GeneFull_EM=[[1, 2], [0, 0]])
    assert faults_of(tmp_path) == ["droplets/GSE2.mus.h5ad: layer 'GeneFull_EM' has no raw archive in mex/SRX3."]


def test_cells_of_genefull_are_compared_with_its_archives(tmp_path):
    make(tmp_path)
    (tmp_path / "droplets").mkdir()
    path, mex = tmp_path / "droplets" / "GSE2.mus.h5ad", tmp_path / "mex" / "SRX3"
    for feature, cells in (("Gene", ["AC"]), ("GeneFull", ["AC", "GT"])):
        write_small_archive(
            mex / f"{feature}_Unique_filtered.tar.gz", cells, [[1, 0][: len(cells)], [2, 5][: len(cells)]]
        )
        write_small_archive(mex / f"{feature}_Unique_raw.tar.gz", ["CC", "AC", "GT"], [[0, 1, 0], [0, 2, 5]])
    genes, obs = pandas.DataFrame(index=["g1", "g2"]), pandas.DataFrame(index=["SRX3_AC", "SRX3_GT"])
    for counts, faults in (([0, 5], []), ([1, 5], ["cells have other counts than in the archives in mex/."])):
        values = scipy.sparse.csr_matrix(np.array([[1, 2], counts]))
        layers = {"Gene_Unique": scipy.sparse.csr_matrix(np.array([[1, 2], [0, 5]]))}
        data = anndata.AnnData(values, obs, genes, layers=layers, uns={"matrix": "GeneFull_Unique_filtered"})
        data.write_h5ad(path)
        sum_up(tmp_path)
        if faults:
            assert faults_of(tmp_path) == [f"droplets/GSE2.mus.h5ad: {fault}" for fault in faults]
        else:
            verify.main([str(tmp_path)])


@pytest.mark.parametrize(
    "cell_filter",
    ["CellRanger2.2 3 0.99 10", "TopCells 2", "EmptyDrops_CR 3 0.99 10 9 9 9 1 2 1 9"],
)
def test_cells_that_the_filter_calls_and_that_are_missing_are_reported(tmp_path, cell_filter):
    """What STAR's call from a matrix left out: the last barcode, of 90 counts, where 10 are enough."""
    make(tmp_path)
    mex = tmp_path / "mex" / "SRX3"
    arguments = f"STAR --soloCellFilter None ; STAR --runMode soloCellFiltering raw --soloCellFilter {cell_filter}"
    arguments += " --outSAMtype None"
    raw = [[100, 5, 0, 60], [1, 0, 12, 30]]
    write_small_archive(mex / "Gene_Unique_raw.tar.gz", ["AC", "CC", "GT", "TT"], raw, arguments)
    write_small_archive(mex / "Gene_Unique_filtered.tar.gz", ["AC", "GT"], [[100, 0], [1, 12]], arguments)
    sum_up(tmp_path)
    assert faults_of(tmp_path) == [
        f"mex/SRX3/Gene_Unique_filtered.tar.gz: lacks 1 of the cells that {cell_filter} calls, first TT with 90 counts."
        " Versions before 0.2 left out the last barcode; count the library again."
    ]
    write_small_archive(mex / "Gene_Unique_filtered.tar.gz", ["AC", "GT", "TT"], [[100, 0, 60], [1, 12, 30]], arguments)
    sum_up(tmp_path)
    verify.main([str(tmp_path)])
    write_small_archive(mex / "Gene_Unique_filtered.tar.gz", ["AC", "GT", "TT"], [[100, 0, 60], [1, 13, 30]], arguments)
    sum_up(tmp_path)
    assert faults_of(tmp_path) == [
        "mex/SRX3/Gene_Unique_raw.tar.gz: the cells of Gene_Unique_filtered.tar.gz have other counts in it."
    ]
    write_small_archive(mex / "Gene_Unique_filtered.tar.gz", ["AC", "AG"], [[100, 0], [1, 13]], arguments)
    sum_up(tmp_path)
    assert faults_of(tmp_path) == [
        "mex/SRX3/Gene_Unique_raw.tar.gz: its barcodes do not have each of the 2 cells once."
    ]


def test_the_exit_status_is_2_and_nothing_is_a_traceback(tmp_path):
    make(tmp_path)
    (tmp_path / "more.txt").write_text("x")
    done = subprocess.run([sys.executable, "-m", "scripts", "verify", str(tmp_path)], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"The folder {tmp_path} needs 1 correction:\nmore.txt: not in SHA256SUMS.\n"


def test_a_folder_without_a_ledger_is_reported(tmp_path):
    with pytest.raises(InputError, match=r"not a folder of results; it has no ledger \(runs.tsv\)"):
        verify.main([str(tmp_path)])


def test_links_and_what_is_no_file_are_reported(tmp_path):
    (tmp_path / "a").mkdir()
    make(tmp_path / "a")
    (tmp_path / "report.html").write_text("<p>")
    folder = tmp_path / "a"
    (folder / "loop").symlink_to(folder)
    (folder / "nowhere").symlink_to("/nonexistent")
    (folder / "report.html").symlink_to(tmp_path / "report.html")
    os.mkfifo(folder / "fifo")
    (folder / "mex/.snakemake_timestamp").touch()
    (folder / ".snakemake_timestamp").write_text("payload")
    os.close(os.open(os.fsencode(folder) + b"/a\xffb", os.O_CREAT))
    (folder / "a\nb").touch()
    (folder / "empty").mkdir()
    assert faults_of(folder) == [
        r"'a\nb': a file whose name has control characters or is not UTF-8.",
        r"'a\udcffb': a file whose name has control characters or is not UTF-8.",
        ".snakemake_timestamp: not in SHA256SUMS.",
        "fifo: a FIFO; a folder of results has only files and folders.",
        "loop: a link; a folder of results has only files and folders.",
        "nowhere: a link; a folder of results has only files and folders.",
        "report.html: a link; a folder of results has only files and folders.",
    ]


@pytest.mark.parametrize("name", ["runs.tsv", "plan.tsv", "SHA256SUMS", "mus.h5ad", "mus.htseq-count.csv.gz"])
@pytest.mark.parametrize("kind", ["fifo", "device", "folder"])
def test_nothing_waits_for_what_is_no_file(tmp_path, name, kind):
    make(tmp_path)
    (tmp_path / name).unlink()
    if kind == "fifo":
        os.mkfifo(tmp_path / name)
    elif kind == "folder":
        (tmp_path / name).mkdir()
    else:
        (tmp_path / name).symlink_to("/dev/zero")
    with pytest.raises(InputError):
        verify.main([str(tmp_path)])


def test_paths_that_leave_the_folder_are_reported(tmp_path):
    make(tmp_path)
    sums = (tmp_path / "SHA256SUMS").read_text()
    more = [f"{'0' * 64}  {path}\n" for path in ("/etc/passwd", "../x", "a//b", "-rf")] + [sums.splitlines()[0] + "\n"]
    (tmp_path / "SHA256SUMS").write_text(sums + "".join(more))
    begin = len(sums.splitlines()) + 1
    faults = faults_of(tmp_path)
    assert [fault.partition(": ")[0] for fault in faults] == [f"SHA256SUMS, line {begin + n}" for n in range(5)]
    assert faults[0].startswith(f"SHA256SUMS, line {begin}: '/etc/passwd' is no path in the folder: ")
    assert faults[4].endswith("is there more than once.")


def test_a_table_of_lines_that_never_end_is_refused(tmp_path):
    make(tmp_path)
    for name, begin in (("mus.htseq-count.csv.gz", b"GENENAME,"), ("mus.log.csv.gz", b"FIELD_NAMES,")):
        (tmp_path / name).write_bytes(gzip.compress(begin + b"A" * (1 << 20)))
    sums = {path: hashlib.sha256((tmp_path / path).read_bytes()).hexdigest() for path in results.list_files(tmp_path)}
    results.write_sums(tmp_path / "SHA256SUMS", sums)
    faults = faults_of(tmp_path)
    assert "mus.htseq-count.csv.gz, line 1: more than 4,348 bytes, too long for such a file." in faults


def test_numbers_of_thousands_of_digits_are_reported(tmp_path):
    make(tmp_path, mapped=MAPPED | {"Uniquely mapped reads number": ["9" * 4000, "٣"]})
    faults = faults_of(tmp_path)
    assert faults[0].startswith("mus.log.csv.gz: SRR1;SRR2: the reads that STAR mapped are not a number: '999")
    assert faults[1] == "mus.log.csv.gz: SRR3: the reads that STAR mapped are not a number: '٣', '0'."


def test_a_ledger_of_too_many_rows_is_refused(tmp_path):
    make(tmp_path)
    with pytest.raises(InputError, match="more than 3 rows; see the option --max-rows of verify"):
        verify.main([str(tmp_path), "--max-rows", "3"])
