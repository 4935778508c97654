"""MEX archives: the same bytes everywhere, read back as they were, and refused when they are something else."""

import gzip
import hashlib
import http.server
import io
import tarfile
import threading
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scripts.core.errors import InputError
from scripts.droplets import mex, mex_archive
from scripts.droplets.mex import read_archive, unpack_archive, verify_archive, write_archive

FIELDS = {
    "type": mex.TYPE,
    "software": "STAR",
    "software_version": "2.7.10b",
    "arguments": "STAR --soloType CB_UMI_Simple\n",
    "output_type": "unfiltered sparse gene count matrix of unique reads",
    "experiment_accession": "SRX1",
    "description": 'a "quoted"\ttitle, π',
    "library_accession": "GSM1",
}
BARCODES = b"AAAC\nAAAG\nCCCC\n"
FEATURES = b"ENSG1\tNA\tGene Expression\nENSG2\tB\tGene Expression\n"
MATRIX = b"%%MatrixMarket matrix coordinate integer general\n%\n2 3 3\n1 1 5\n2 1 1\n2 3 12\n"
DENSE = [[5, 0, 0], [1, 0, 12]]
METADATA = (
    "name\tvalue\ntype\tMexGeneArchive_v1\nsoftware\tSTAR\nsoftware_version\t2.7.10b\n"
    "arguments\tSTAR --soloType CB_UMI_Simple\noutput_type\tunfiltered sparse gene count matrix of unique reads\n"
    'experiment_accession\tSRX1\ndescription\ta "quoted" title, π\nlibrary_accession\tGSM1\n'
    + "".join(
        f"Gene/raw/{name}\tmd5sum:{hashlib.md5(content).hexdigest()}\n"
        for name, content in (("barcodes.tsv", BARCODES), ("features.tsv", FEATURES), ("matrix.mtx", MATRIX))
    )
)
PARTS = {"metadata.tsv": METADATA.encode(), "barcodes.tsv": BARCODES, "features.tsv": FEATURES, "matrix.mtx": MATRIX}


def write(path: Path, **more) -> Path:
    parts = {"barcodes": BARCODES, "features": FEATURES, "matrix": MATRIX} | more
    write_archive(path, "Gene/raw", "matrix.mtx", fields=FIELDS, **parts)
    return path


def pack(members, compress=True) -> io.BytesIO:
    """Return a tar of (name, content) or of (TarInfo, content) pairs, written by Python's own tarfile."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in members:
            info = name if isinstance(name, tarfile.TarInfo) else tarfile.TarInfo(name)
            if info.type in (tarfile.REGTYPE, tarfile.AREGTYPE):
                info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    content = buffer.getvalue()
    return io.BytesIO(gzip.compress(content) if compress else content)


def members(**changed):
    return [(f"Gene/raw/{name}", content) for name, content in (PARTS | changed).items()]


def test_archive_is_as_its_page_says(tmp_path):
    path = write(tmp_path / "a.tar.gz")
    with tarfile.open(path) as archive:
        infos = archive.getmembers()
        assert [info.name for info in infos] == [f"Gene/raw/{name}" for name in PARTS]
        for info, content in zip(infos, PARTS.values(), strict=True):
            assert archive.extractfile(info).read() == content
            assert (info.mtime, info.uid, info.gid, info.uname, info.gname) == (0, 0, 0, "root", "root")
            assert (info.mode, info.type, info.pax_headers) == (0o644, tarfile.REGTYPE, {})
    head = path.read_bytes()[:10]
    assert head == b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"  # no name, no time


def test_tar_is_that_of_python(tmp_path):
    path = write(tmp_path / "a.tar.gz")
    infos = []
    for name, content in members():
        info = tarfile.TarInfo(name)
        info.uname = info.gname = "root"
        infos.append((info, content))
    assert gzip.decompress(path.read_bytes()) == pack(infos, compress=False).getvalue()


@pytest.mark.parametrize("description", ['"', '"naive" cells', 'cells, "naive"', '""'])
def test_quotes_in_the_metadata_are_read_back(tmp_path, description):
    write_made(tmp_path / "a.tar.gz", (["A"], [("g", "G")], np.array([[1]]), description))
    assert read_archive(tmp_path / "a.tar.gz").metadata["description"] == description


def test_name_folder_and_threads_change_no_byte(tmp_path, monkeypatch):
    monkeypatch.setattr(mex, "PIECE", 1000)
    lines = b"".join(b"%d %d %d\n" % (1 + n % 2, 1 + n // 2, n % 9 + 1) for n in range(3000))
    matrix = b"%%%%MatrixMarket matrix coordinate integer general\n%%\n2 1500 3000\n%s" % lines
    barcodes = b"".join(b"%06d\n" % n for n in range(1500))
    (tmp_path / "other").mkdir()
    (tmp_path / "other/m.mtx").write_bytes(matrix)
    whole = [
        write(tmp_path / "a.tar.gz", barcodes=barcodes, matrix=matrix, threads=1),
        write(tmp_path / "b.tar.gz", barcodes=barcodes, matrix=matrix, threads=3),
        write(tmp_path / "other/c.tar.gz", barcodes=barcodes, matrix=tmp_path / "other/m.mtx", threads=2),
    ]
    assert len({path.read_bytes() for path in whole}) == 1
    assert read_archive(whole[0]).matrix.shape == (2, 1500)
    assert zlib.decompressobj(31).decompress(whole[0].read_bytes())  # one gzip member, for readers of the first only


def test_what_is_written_is_read(tmp_path):
    archive = read_archive(write(tmp_path / "a.tar.gz"))
    assert archive.folder == "Gene/raw"
    assert archive.metadata == FIELDS | {
        "arguments": "STAR --soloType CB_UMI_Simple",
        "description": 'a "quoted" title, π',
    }
    assert archive.barcodes.tolist() == [b"AAAC", b"AAAG", b"CCCC"]
    assert archive.features == [("ENSG1", "NA", "Gene Expression"), ("ENSG2", "B", "Gene Expression")]
    assert archive.matrix.toarray().tolist() == DENSE
    data = archive.to_anndata()
    assert data.X.toarray().T.tolist() == DENSE
    assert data.obs_names.tolist() == ["AAAC", "AAAG", "CCCC"]
    assert data.var_names.tolist() == ["ENSG1", "ENSG2"]
    assert data.var["gene_name"].tolist() == ["NA", "B"]  # a gene's name, not a missing value
    assert data.uns["description"] == 'a "quoted" title, π'


@pytest.mark.parametrize("name", mex.METADATA_NAMES)
def test_both_names_of_the_metadata_are_read(tmp_path, name):
    path = tmp_path / "a.tar.gz"
    parts = {"barcodes": BARCODES, "features": FEATURES, "matrix": MATRIX}
    write_archive(path, "Gene/raw", "matrix.mtx", fields=FIELDS, metadata_name=name, **parts)
    assert read_archive(path).matrix.toarray().tolist() == DENSE
    with tarfile.open(path) as archive:
        assert archive.getnames()[0] == f"Gene/raw/{name}"


def test_older_writers_paths_and_line_ends_are_read():
    """The published 0.2.3 names members by the path they had on its machine, ends lines with CRLF, quotes newlines."""
    text = METADATA.replace("Gene/raw/", "data/x/Solo.out/Gene/raw/").replace("\n", "\r\n")
    text = text.replace("STAR --soloType CB_UMI_Simple", '"STAR --soloType CB_UMI_Simple\n"')
    archive = read_archive(pack(members(**{"metadata.tsv": text.encode()})))
    assert archive.metadata["arguments"] == "STAR --soloType CB_UMI_Simple\n"
    assert archive.matrix.toarray().tolist() == DENSE


def test_archive_is_read_from_an_address(tmp_path):
    write(tmp_path / "a.tar.gz")

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *more):
            super().__init__(*more, directory=str(tmp_path))

        def log_message(self, *words):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        assert read_archive(f"{address}/a.tar.gz").matrix.toarray().tolist() == DENSE
        with pytest.raises(InputError, match=r"b\.tar\.gz: cannot be reached: HTTP Error 404"):
            read_archive(f"{address}/b.tar.gz")
        server.shutdown()


def test_barcodes_of_several_lengths_and_none(tmp_path):
    archive = read_archive(write(tmp_path / "a.tar.gz", barcodes=b"SRR1\nSRR22\nSRR333\n"))
    assert archive.barcodes.tolist() == [b"SRR1", b"SRR22", b"SRR333"]
    empty = b"%%MatrixMarket matrix coordinate integer general\n%\n2 0 0\n"
    archive = read_archive(write(tmp_path / "b.tar.gz", barcodes=b"", matrix=empty))
    assert archive.matrix.shape == (2, 0)
    assert archive.to_anndata().shape == (0, 2)


def link(name, target, kind=tarfile.SYMTYPE):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info, b""


GENE = "Gene/raw"


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (lambda: pack([*members()[:3], link(f"{GENE}/matrix.mtx", "/etc/passwd")]), "is no regular file"),
        (lambda: pack([*members()[:3], link(f"{GENE}/matrix.mtx", f"{GENE}/x", tarfile.LNKTYPE)]), "is no regular"),
        (lambda: pack([link("Gene", "", tarfile.DIRTYPE), *members()]), "is no regular file"),
        (lambda: pack([*members()[:3], ("/Gene/raw/matrix.mtx", MATRIX)]), "is not a plain relative path"),
        (lambda: pack([*members()[:3], ("Gene/../raw/matrix.mtx", MATRIX)]), "is not a plain relative path"),
        (lambda: pack([*members()[:3], ("Gene/./matrix.mtx", MATRIX)]), "is not a plain relative path"),
        (lambda: pack([*members()[:3], ("Gene/raw/.mtx", MATRIX)]), "is not a plain relative path"),
        (lambda: pack([*members()[:3], ("Gene//matrix.mtx", MATRIX)]), "is not a plain relative path"),
        (lambda: pack([*members()[:3], ("Gene/filtered/matrix.mtx", MATRIX)]), "is in another folder than"),
        (lambda: pack([*members(), (f"{GENE}/more.txt", b"")]), "is none of metadata.tsv, barcodes.tsv"),
        (lambda: pack([*members(), (f"{GENE}/other.mtx", MATRIX)]), "is the second matrix"),
        (lambda: pack(members()[:3]), "it has no matrix"),
        (lambda: pack([]), "it has no metadata, barcodes.tsv, features.tsv, matrix"),
        (lambda: pack(members()[1:]), "the first member is Gene/raw/barcodes.tsv"),
        (
            lambda: pack(members(**{"barcodes.tsv": b"AAAC\nAAAG\nCCCA\n"})),
            "Gene/raw/barcodes.tsv differ(s) from the md5",
        ),
        (lambda: pack(members(**{"metadata.tsv": b"name\tvalue\n"})), "its type is 'missing'"),
        (lambda: pack(members(**{"metadata.tsv": b"type\tMexGeneArchive_v1\n"})), "does not begin with the line"),
        (lambda: pack(members(**{"metadata.tsv": b"name\tvalue\nx\ty\tz\n"})), "has a line of 3 values"),
        (lambda: pack(members(**{"metadata.tsv": b"name\tvalue\n\xff\t1\n"})), "is no table"),
        (lambda: io.BytesIO(b"no gzip at all"), "cannot be read"),
        (lambda: io.BytesIO(b""), "is cut short"),
        (lambda: io.BytesIO(write_bytes()[:-9]), "is cut short"),
        (lambda: io.BytesIO(write_bytes()[:-300]), "cut short"),
        (lambda: io.BytesIO(gzip.compress(b"x" * 2000)), "a tar header is broken"),
        (lambda: io.BytesIO(gzip.compress(gzip.decompress(write_bytes()) + b"more")), "there is more behind"),
        (lambda: io.BytesIO(gzip.compress(gzip.decompress(write_bytes()) + bytes(2 << 20))), "there is more behind"),
    ],
)
def test_hostile_archives_are_refused(made, words):
    with pytest.raises(InputError) as told:
        read_archive(made())
    assert words in str(told.value)


def write_bytes() -> bytes:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        return write(Path(folder, "a.tar.gz")).read_bytes()


def test_sizes_that_lie_are_refused():
    tar = bytearray(gzip.decompress(write_bytes()))
    infos = tarfile.open(fileobj=io.BytesIO(bytes(tar))).getmembers()
    matrix = infos[3]
    for size, words in ((len(MATRIX) + 50_000, "cut short"), (len(MATRIX) - 3, "is longer than its header says")):
        matrix.size = size
        changed = bytes(tar[: matrix.offset]) + matrix.tobuf(tarfile.USTAR_FORMAT) + bytes(tar[matrix.offset + 512 :])
        with pytest.raises(InputError, match=words):
            read_archive(io.BytesIO(gzip.compress(changed)))
    barcodes = infos[1]
    barcodes.size = 1 << 40
    changed = bytes(tar[: barcodes.offset]) + barcodes.tobuf(tarfile.GNU_FORMAT)
    with pytest.raises(InputError, match="is larger than any barcodes"):
        read_archive(io.BytesIO(gzip.compress(changed)))


def test_matrix_that_does_not_fit_is_refused(tmp_path):
    with pytest.raises(InputError, match="the matrix is of 2 features and 3 barcodes, but there are 2 and 2"):
        read_archive(write(tmp_path / "a.tar.gz", barcodes=b"AAAC\nAAAG\n"))
    with pytest.raises(InputError, match="do not have the same number of columns"):
        read_archive(write(tmp_path / "a.tar.gz", features=b"ENSG1\tA\nENSG2\n"))


@pytest.mark.parametrize(
    ("part", "content", "words"),
    [
        ("matrix", MATRIX[:-3], "Gene/raw/matrix.mtx: the last line is cut short; was the disk full?"),
        ("matrix", MATRIX[:-7], "Gene/raw/matrix.mtx: 5 lines, but its head promises 6; was the disk full?"),
        ("matrix", b"", "Gene/raw/matrix.mtx: not a Matrix Market file; it has no head."),
        ("matrix", b"x\n", "Gene/raw/matrix.mtx: not a Matrix Market coordinate file: it begins with b'x'."),
        ("features", FEATURES[:-1], "Gene/raw/features.tsv: the last line is cut short; was the disk full?"),
    ],
)
def test_writer_refuses_what_a_full_disk_left(tmp_path, part, content, words):
    with pytest.raises(InputError) as told:
        write(tmp_path / "a.tar.gz", **{part: content})
    assert str(told.value) == words
    assert not (tmp_path / "a.tar.gz").exists()


def test_writer_tells_a_missing_file(tmp_path):
    with pytest.raises(InputError, match=r"none\.mtx: there is no such file to be packed\.$"):
        write(tmp_path / "a.tar.gz", matrix=tmp_path / "none.mtx")


# Whatever comes ------------------------------------------------------------------------------------------------------

texts = st.text(
    st.characters(min_codepoint=33, max_codepoint=0x2FF, exclude_characters="\x7f\x85\xa0"), min_size=1, max_size=9
)


@st.composite
def contents(draw):
    names = draw(st.lists(st.text("ACGT", min_size=1, max_size=5), unique=True, max_size=8))
    features = draw(st.lists(st.tuples(texts, texts), min_size=1, max_size=6))
    dense = draw(
        st.lists(
            st.lists(st.integers(0, 10**9), min_size=len(names), max_size=len(names)),
            min_size=len(features),
            max_size=len(features),
        )
    )
    return (
        names,
        features,
        np.array(dense, dtype=np.int64).reshape(len(features), len(names)),
        draw(st.text(max_size=20)),
    )


def write_made(path, made):
    names, features, dense, description = made
    lines = [
        b"%d %d %d\n" % (row + 1, column + 1, dense[row, column])
        for column, row in zip(*dense.T.nonzero(), strict=True)
    ]
    head = b"%%%%MatrixMarket matrix coordinate integer general\n%%\n%d %d %d\n" % (*dense.shape, len(lines))
    write_archive(
        path,
        "Gene/raw",
        "matrix.mtx",
        fields=FIELDS | {"description": description},
        barcodes="".join(f"{name}\n" for name in names).encode(),
        features="".join("\t".join(row) + "\n" for row in features).encode(),
        matrix=head + b"".join(lines),
    )


@given(contents())
@settings(max_examples=60, deadline=None)
def test_what_is_written_is_read_whatever_it_is(tmp_path_factory, made):
    path = tmp_path_factory.mktemp("made") / "a.tar.gz"
    names, features, dense, _ = made
    write_made(path, made)
    archive = read_archive(path)
    assert archive.barcodes.astype(str).tolist() == names
    assert archive.features == features
    assert (archive.matrix.toarray() == dense).all()
    assert all(verify_archive(path).values())


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_a_changed_archive_is_told_or_the_same(tmp_path_factory, data):
    """Bytes are changed, cut out or put in, in the tar or in its gzip: an InputError, or the same data."""
    original = write_bytes()
    inside = data.draw(st.booleans())
    content = bytearray(gzip.decompress(original) if inside else original)
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, min(len(content) - 1, 6000)))
        kind = data.draw(st.sampled_from(["change", "cut", "put", "end"]))
        if kind == "change":
            content[place] = data.draw(st.integers(0, 255))
        elif kind == "cut":
            del content[place : place + data.draw(st.integers(1, 600))]
        elif kind == "put":
            content[place:place] = data.draw(st.binary(min_size=1, max_size=600))
        else:
            del content[place:]
        if not content:
            break
    changed = gzip.compress(bytes(content)) if inside else bytes(content)
    folder = tmp_path_factory.mktemp("changed")
    path = folder / "a.tar.gz"
    path.write_bytes(changed)
    try:
        archive = read_archive(path)
    except InputError as error:
        assert str(error).startswith(str(path))
    else:
        assert archive.matrix.toarray().tolist() == DENSE
        assert archive.barcodes.tolist() == [b"AAAC", b"AAAG", b"CCCC"]
        assert archive.features[0] == ("ENSG1", "NA", "Gene Expression")
    target = folder / "inner/target"
    try:
        unpack_archive(path, target)
    except InputError:
        assert [one for one in target.rglob("*") if one.is_file()] == []
    outside = [one for one in folder.rglob("*") if one.is_file() and target not in one.parents and one != path]
    assert outside == []


# The command ---------------------------------------------------------------------------------------------------------


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


def test_verify_tells_of_all_archives(tmp_path):
    good = write(tmp_path / "good.tar.gz")
    bad = tmp_path / "bad.tar.gz"
    bad.write_bytes(b"")
    mex_archive.main(["verify", str(good)])
    with pytest.raises(InputError, match=r"bad\.tar\.gz: the archive is cut short\.\n.*none\.tar\.gz: cannot be read"):
        mex_archive.main(["verify", str(bad), str(good), str(tmp_path / "none.tar.gz")])


def test_show_tells_metadata_and_size(tmp_path, capsys):
    mex_archive.main(["show", str(write(tmp_path / "a.tar.gz"))])
    told = capsys.readouterr().out
    assert "  experiment_accession\tSRX1\n" in told
    assert "  matrix\t2 features × 3 barcodes, 3 entries, sum 18\n" in told


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
