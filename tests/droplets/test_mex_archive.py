"""The command mex_archive: packs, merges, shows, verifies, unpacks and converts archives."""

import gzip

import numpy as np
import pytest

from scripts.core.errors import InputError
from scripts.droplets import mex_archive
from scripts.droplets.mex.mex_reader import read_archive
from scripts.droplets.mex.mex_writer import write_archive
from scripts.plan.matrices import are_listed, write_archive_list
from scripts.plan.run_table import Run, write_runs
from scripts.plan.status import RunStatus, write_statuses
from tests.droplets.mex.mex_parts import (
    BARCODES,
    DENSE,
    FEATURES,
    FIELDS,
    MATRIX,
    PARTS,
    members,
    pack,
    write,
)


def test_verify_says_which_member_differs(tmp_path, capsys):
    path = tmp_path / "a.tar.gz"
    path.write_bytes(pack(members(**{"features.tsv": FEATURES.replace(b"B", b"C")})).getvalue())
    with pytest.raises(InputError, match=r"a\.tar\.gz: Gene/raw/features\.tsv differs from the md5 in the metadata\.$"):
        mex_archive.main(["verify", str(path)])
    lines = [line.split("\t")[1:] for line in capsys.readouterr().out.splitlines()]
    assert lines == [
        ["Gene/raw/barcodes.tsv", "ok"],
        ["Gene/raw/features.tsv", "differs"],
        ["Gene/raw/matrix.mtx", "ok"],
    ]


def test_verify_reports_all_archives(tmp_path):
    good = write(tmp_path / "good.tar.gz")
    bad = tmp_path / "bad.tar.gz"
    bad.write_bytes(b"")
    mex_archive.main(["verify", str(good)])
    with pytest.raises(
        InputError,
        match=r"bad\.tar\.gz: cannot be read to its end: it is cut short\.\n.*none\.tar\.gz: cannot be read",
    ):
        mex_archive.main(["verify", str(bad), str(good), str(tmp_path / "none.tar.gz")])


def test_show_prints_metadata_and_size(tmp_path, capsys):
    mex_archive.main(["show", str(write(tmp_path / "a.tar.gz"))])
    printed = capsys.readouterr().out
    assert "  experiment_accession\tSRX1\n" in printed
    assert "  matrix\t2 features × 3 barcodes, 3 entries, sum 18\n" in printed


def test_unpack_gives_the_members(tmp_path):
    mex_archive.main(["unpack", str(write(tmp_path / "a.tar.gz")), "--output", str(tmp_path / "out")])
    found = {str(path.relative_to(tmp_path / "out")): path.read_bytes() for path in (tmp_path / "out").rglob("*.*")}
    assert found == {f"Gene/raw/{name}": content for name, content in PARTS.items()}


def test_unpack_gives_what_readers_of_10x_expect(tmp_path):
    path = write(tmp_path / "a.tar.gz")
    mex_archive.main(["unpack", str(path), "--output", str(tmp_path / "out"), "--tenx"])
    folder = tmp_path / "out/Gene/raw"
    assert sorted(one.name for one in folder.iterdir()) == [
        "barcodes.tsv.gz",
        "features.tsv.gz",
        "matrix.mtx.gz",
        "metadata.tsv",
    ]
    import pandas
    import scipy.io

    with gzip.open(folder / "matrix.mtx.gz") as handle:
        assert scipy.io.mmread(handle).toarray().tolist() == DENSE
    assert pandas.read_csv(folder / "features.tsv.gz", header=None, sep="\t").shape == (2, 3)


def test_convert_gives_anndata(tmp_path):
    import anndata

    path = write(tmp_path / "a.tar.gz")
    mex_archive.main(["convert", str(path), "--output", str(tmp_path / "a.h5ad")])
    assert anndata.read_h5ad(tmp_path / "a.h5ad").X.toarray().T.tolist() == DENSE
    with pytest.raises(InputError, match=r"a\.loom: give a name that ends with \.h5ad\.$"):
        mex_archive.main(["convert", str(path), "--output", str(tmp_path / "a.loom")])


def made_of(path, experiment, name="matrix.mtx", **more):
    parts = {"barcodes": BARCODES, "features": FEATURES, "matrix": MATRIX} | more
    fields = FIELDS | {"experiment_accession": experiment, "library_accession": f"GSM{experiment[3:]}"}
    write_archive(path, "Gene/raw", name, fields=fields, **parts)
    return str(path)


def test_merged_archives_list_every_part(tmp_path):
    paths = [made_of(tmp_path / f"{name}.tar.gz", name) for name in ("SRX1", "SRX2")]
    mex_archive.main(["merge", *paths, "--output", str(tmp_path / "out/merged.tar.gz")])
    merged = read_archive(tmp_path / "out/merged.tar.gz")
    assert merged.barcodes.astype(str).tolist() == [
        f"{experiment}_{barcode}" for experiment in ("SRX1", "SRX2") for barcode in ("AAAC", "AAAG", "CCCC")
    ]
    assert merged.matrix.toarray().tolist() == [row + row for row in DENSE]
    assert merged.metadata["software"] == "sra2matrix"
    assert merged.metadata["experiment_accession"] == "SRX1;SRX2"
    assert merged.metadata["library_accession"] == "GSM1;GSM2"
    assert merged.metadata["arguments"] == ("SRX1: STAR --soloType CB_UMI_Simple ; SRX2: STAR --soloType CB_UMI_Simple")
    assert merged.metadata["description"] == 'a "quoted" title, π'
    before = (tmp_path / "out/merged.tar.gz").read_bytes()
    mex_archive.main(["merge", *paths, "--output", str(tmp_path / "again.tar.gz")])
    assert (tmp_path / "again.tar.gz").read_bytes() == before


def test_unlike_archives_are_not_merged(tmp_path):
    first = made_of(tmp_path / "1.tar.gz", "SRX1")
    other = made_of(tmp_path / "2.tar.gz", "SRX2", features=FEATURES.replace(b"ENSG2", b"ENSG3"))
    with pytest.raises(InputError, match=r"2\.tar\.gz: it does not have the features of .*1\.tar\.gz; such are not"):
        mex_archive.main(["merge", first, other, "--output", str(tmp_path / "m.tar.gz")])
    with pytest.raises(InputError, match=r"its experiment \(SRX1\) must be there, and once only\."):
        mex_archive.main(["merge", first, first, "--output", str(tmp_path / "m.tar.gz")])
    shared = made_of(tmp_path / "3.tar.gz", "SRX3", name="UniqueAndMult-EM.mtx")
    with pytest.raises(InputError, match=r"3\.tar\.gz: it does not have the kind of matrix of .*1\.tar\.gz; such are"):
        mex_archive.main(["merge", first, shared, "--output", str(tmp_path / "m.tar.gz")])


def test_real_values_keep_their_text(tmp_path):
    real = MATRIX.replace(b"integer", b"real").replace(b" 12\n", b" 0.333333\n").replace(b"1 1 5", b"1 1 1e-05")
    first = made_of(tmp_path / "1.tar.gz", "SRX1", name="UniqueAndMult-Rescue.mtx", matrix=real)
    mex_archive.main(["merge", first, "--output", str(tmp_path / "m.tar.gz")])
    mex_archive.main(["unpack", str(tmp_path / "m.tar.gz"), "--output", str(tmp_path / "out")])
    assert (tmp_path / "out/Gene/raw/UniqueAndMult-Rescue.mtx").read_bytes() == real


def test_merged_values_keep_every_digit(tmp_path):
    real = MATRIX.replace(b"integer", b"real").replace(b"1 1 5", b"1 1 1234567.25")
    second = real.replace(b"2 3 12", b"2 3 0.12345678901234567").replace(b"2 1 1", b"2 1 0.10")
    name = "UniqueAndMult-EM.mtx"
    paths = [made_of(tmp_path / f"{n}.tar.gz", f"SRX{n}", name, matrix=text) for n, text in ((1, real), (2, second))]
    mex_archive.main(["merge", *paths, "--output", str(tmp_path / "m.tar.gz")])
    mex_archive.main(["unpack", str(tmp_path / "m.tar.gz"), "--output", str(tmp_path / "out")])
    assert (tmp_path / "out/Gene/raw" / name).read_bytes().splitlines()[2:] == [
        *(b"2 6 6", b"1 1 1234567.25", b"2 1 1", b"2 3 12"),
        *(b"1 4 1234567.25", b"2 4 0.10", b"2 6 0.12345678901234567"),
    ]


def junctions(path, experiment, rows, matrix):
    head = f"%%MatrixMarket matrix coordinate integer general\n%\n{len(rows)} 2 {len(matrix)}\n"
    fields = FIELDS | {
        "experiment_accession": experiment,
        "output_type": "unfiltered sparse splice junction count matrix",
    }
    write_archive(
        path,
        "SJ/raw",
        "matrix.mtx",
        fields=fields,
        barcodes=b"AAAC\nCCCC\n",
        features="".join(f"{row}\n" for row in rows).replace(" ", "\t").encode(),
        matrix=(head + "".join(f"{line}\n" for line in matrix)).encode(),
    )
    return str(path)


def test_junctions_of_several_libraries_are_united(tmp_path):
    first = ["chr1 10 20 1 1 0 5 0 30", "chr1 30 40 2 1 1 1 2 12", "chr3 5 9 1 1 1 1 0 8"]
    second = ["chr1 4 9 1 1 1 2 0 20", "chr1 10 20 1 1 1 3 1 38", "chr2 7 8 1 1 1 9 0 5"]
    paths = [
        junctions(tmp_path / "1.tar.gz", "SRX1", first, ["1 1 4", "3 1 1", "1 2 1", "2 2 1"]),
        junctions(tmp_path / "2.tar.gz", "SRX2", second, ["1 1 2", "2 1 3", "3 2 9"]),
    ]
    mex_archive.main(["merge", *paths, "--output", str(tmp_path / "m.tar.gz")])
    merged = read_archive(tmp_path / "m.tar.gz")
    assert [" ".join(row) for row in merged.features] == [
        "chr1 4 9 1 1 1 2 0 20",
        "chr1 10 20 1 1 1 8 1 38",
        "chr1 30 40 2 1 1 1 2 12",
        "chr2 7 8 1 1 1 9 0 5",
        "chr3 5 9 1 1 1 1 0 8",
    ]
    assert merged.matrix.toarray().tolist() == [[0, 0, 2, 0], [4, 1, 3, 0], [0, 1, 0, 0], [0, 0, 0, 9], [1, 0, 0, 0]]
    other = junctions(tmp_path / "3.tar.gz", "SRX3", ["chr1 10 20 1 2 0 1 0 9"], [])
    with pytest.raises(InputError, match=r"3\.tar\.gz: the motif of junction chr1:10:20:1 differs; it is of another g"):
        mex_archive.main(["merge", *paths, other, "--output", str(tmp_path / "x.tar.gz")])
    strange = junctions(tmp_path / "4.tar.gz", "SRX4", ["chr1 10 20"], [])
    with pytest.raises(InputError, match=r"4\.tar\.gz: not a junction as STAR writes it: 'chr1 10 20'\."):
        mex_archive.main(["merge", paths[0], strange, "--output", str(tmp_path / "x.tar.gz")])
    empty = junctions(tmp_path / "5.tar.gz", "SRX5", [], [])
    mex_archive.main(["merge", empty, paths[0], "--output", str(tmp_path / "e.tar.gz")])
    assert read_archive(tmp_path / "e.tar.gz").matrix.toarray().tolist() == [[0, 0, 4, 1], [0, 0, 0, 1], [0, 0, 1, 0]]
    assert not list(tmp_path.glob(".mex*"))


@pytest.mark.parametrize("more", [[], ["--tenx"]])
def test_what_another_archive_has_written_stays(tmp_path, more):
    out = ["--output", str(tmp_path / "out"), *more]
    first = made_of(tmp_path / "1.tar.gz", "SRX1")
    mex_archive.main(["unpack", first, *out])
    written = {path: path.read_bytes() for path in (tmp_path / "out").rglob("*.*")}
    mex_archive.main(["unpack", first, *out])  # the same once more
    for name in ("matrix.mtx", "UniqueAndMult-EM.mtx"):
        other = made_of(tmp_path / "2.tar.gz", "SRX2", name, matrix=MATRIX.replace(b" 12\n", b" 13\n"))
        with pytest.raises(InputError, match="is there already, from another archive; give another folder as --output"):
            mex_archive.main(["unpack", other, *out])
    assert {path: path.read_bytes() for path in (tmp_path / "out").rglob("*.*")} == written


def test_outputs_that_cannot_be_written(tmp_path):
    path = made_of(tmp_path / "1.tar.gz", "SRX1")
    (tmp_path / "x.h5ad").mkdir()
    for words, fault in (
        (["convert", path, "--output", str(tmp_path / "x.h5ad")], "a folder; give the name of the file to write"),
        (["merge", path, "--output", "/"], "/: a folder; give the name of the file to write"),
        (["merge", path, "--output", f"{path}/m.tar.gz"], "File exists"),
        (["unpack", path, "--output", path], "File exists"),
        (["plates", "--counts", path, "--output", str(tmp_path / "p")], "cannot be read as an h5ad file"),
        (
            ["merge", made_of(tmp_path / "2.tar.gz", "SRX 2"), "--output", str(tmp_path / "m")],
            "b'SRX 2_AAAC' is no barc",
        ),
    ):
        with pytest.raises(InputError, match=fault):
            mex_archive.main(words)


def test_plate_cells_are_packed_by_accession(tmp_path):
    import anndata
    import pandas
    import scipy.sparse

    obs = pandas.DataFrame({"experiment": ["SRX1", "SRX2"], "sample": ["GSM1", "GSM2"]}, index=["SRX1", "SRX2"])
    var = pandas.DataFrame({"gene_name": ["A", "B"]}, index=["ENSG1", "ENSG2"])
    counts = scipy.sparse.csr_matrix(np.array([[3, 0], [1, 2]], dtype=np.int32))
    anndata.AnnData(counts, obs, var, uns={"parameters": {"mode": "union"}}).write_h5ad(tmp_path / "homo.h5ad")
    target = tmp_path / "plates.tar.gz"
    mex_archive.main(["plates", "--counts", str(tmp_path / "homo.h5ad"), "--output", str(target)])
    archive = read_archive(target)
    assert archive.barcodes.tolist() == [b"SRX1", b"SRX2"]
    assert archive.matrix.T.toarray().tolist() == [[3, 0], [1, 2]]
    assert archive.features[1] == ("ENSG2", "B", "Gene Expression")
    assert archive.metadata["arguments"] == "mode=union"
    assert archive.metadata["experiment_accession"] == "SRX1;SRX2"


def test_failed_library_leaves_no_folder_and_an_empty_list(tmp_path):
    row = Run(series="S", experiment="X1", run="RX1", species="homo", assay="droplet", status="planned")
    write_runs(tmp_path / "S.homo.X1.tsv", [row])
    write_statuses(tmp_path / "s.tsv", [RunStatus("RX1", "failed", "ALIGN_FAILED", "x")])
    (tmp_path / "out").mkdir()
    (tmp_path / "out/old.tar.gz").write_bytes(b"x")
    arguments = ["pack", "--runs", tmp_path / "S.homo.X1.tsv", "--solo", tmp_path / "solo"]
    arguments += [
        "--cells",
        tmp_path / "cells",
        "--list",
        tmp_path / "list.tsv",
        "--status",
        tmp_path / "s.tsv",
        "--records",
        tmp_path,
        "--output",
        tmp_path / "out",
    ]
    mex_archive.main(list(map(str, arguments)))
    assert not (tmp_path / "out").exists()
    assert (tmp_path / "list.tsv").read_text() == ""
    assert are_listed(tmp_path / "list.tsv", tmp_path / "out")


def test_a_list_of_archives_tells_when_one_is_missing(tmp_path):
    listed, folder = tmp_path / "list.tsv", tmp_path / "mex"
    assert are_listed(listed, folder)  # not packed yet
    folder.mkdir()
    (folder / "a.tar.gz").write_bytes(b"xyz")
    write_archive_list(listed, {"a.tar.gz": 3})
    assert are_listed(listed, folder)
    (folder / "a.tar.gz").write_bytes(b"xy")
    assert not are_listed(listed, folder)
    (folder / "a.tar.gz").unlink()
    assert not are_listed(listed, folder)
    write_archive_list(listed, {})
    assert not are_listed(listed, folder)  # of a library that failed since


def test_joined_wells_are_named_in_the_description(tmp_path):
    assert mex_archive.describe_library("Brain", tmp_path) == "Brain"
    (tmp_path / "wells.tsv").write_text("hexamer\toligo_dt\n")
    words = "the oligo-dT and the hexamer barcode of each well are joined"
    assert mex_archive.describe_library("Brain", tmp_path) == f"Brain; {words}"
    assert mex_archive.describe_library("", tmp_path) == words
