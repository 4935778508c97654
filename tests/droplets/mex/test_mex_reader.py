"""MEX archives: read back as they were written, and refused when they are something else."""

import gzip
import hashlib
import http.server
import io
import tarfile
import tempfile
import threading
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scripts.core.errors import InputError
from scripts.droplets.mex.mex_reader import (
    open_archive,
    read_archive,
    read_cells,
    sum_cells,
    unpack_archive,
    verify_archive,
)
from scripts.droplets.mex.mex_writer import METADATA_NAMES, write_archive
from tests.droplets.mex.mex_parts import (
    BARCODES,
    DENSE,
    FEATURES,
    FIELDS,
    MATRIX,
    METADATA,
    members,
    pack,
    write,
    write_made,
)


@pytest.mark.parametrize("description", ['"', '"naive" cells', 'cells, "naive"', '""'])
def test_quotes_in_the_metadata_are_read_back(tmp_path, description):
    write_made(tmp_path / "a.tar.gz", (["A"], [("g", "G")], np.array([[1]]), description))
    assert read_archive(tmp_path / "a.tar.gz").metadata["description"] == description


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


@pytest.mark.parametrize("name", METADATA_NAMES)
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


def made_of(**parts):
    buffer = io.BytesIO()
    with tempfile.TemporaryDirectory() as folder:
        buffer.write(write(Path(folder, "a.tar.gz"), **parts).read_bytes())
    buffer.seek(0)
    return buffer


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
        (lambda: pack(members(**{"metadata.tsv": b"name\tvalue\n..\t1\n"})), "has the name '..', which is none"),
        (lambda: pack(members(**{"metadata.tsv": METADATA.encode() + b"type\tx\n"})), "has 'type' more than once"),
        (lambda: pack(members(**{"metadata.tsv": b"\xef\xbb\xbf" + METADATA.encode()})), "with a byte order mark"),
        (lambda: made_of(barcodes=b"AAAC\nCCCC\nAAAC\n"), "barcodes.tsv has 'AAAC' more than once"),
        (lambda: made_of(barcodes=b"AAAC\n\nCCCC\n"), "barcodes.tsv, line 2: b'' is no barcode"),
        (lambda: made_of(barcodes=b"\n\n\n"), "barcodes.tsv, line 1: b'' is no barcode"),
        (lambda: made_of(barcodes=b"\xef\xbb\xbf" + BARCODES), "line 1: b'\\xef\\xbb\\xbfAAAC' is no barcode"),
        (lambda: made_of(features=b"\xef\xbb\xbf" + FEATURES), "features.tsv begins with a byte order mark"),
        (lambda: made_of(features=b"ENSG1\tA\n\tB\n"), "features.tsv, line 2 has no name"),
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
    with pytest.raises(InputError) as raised:
        read_archive(made())
    assert words in str(raised.value)


def write_bytes() -> bytes:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        return write(Path(folder, "a.tar.gz")).read_bytes()


def test_sizes_that_lie_are_refused():
    tar = bytearray(gzip.decompress(write_bytes()))
    infos = tarfile.open(fileobj=io.BytesIO(bytes(tar))).getmembers()
    matrix = infos[3]
    for size, words in (
        (len(MATRIX) + 50_000, "an entry of more than 1,024 char"),
        (len(MATRIX) - 3, "is longer than its header says"),
    ):
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


texts = st.text(
    st.characters(min_codepoint=33, max_codepoint=0x2FF, exclude_categories=["Cc"], exclude_characters="\xa0"),
    min_size=1,
    max_size=9,
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


@given(contents())
@settings(max_examples=60)
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
@settings(max_examples=150)
def test_a_changed_archive_is_refused_or_the_same(tmp_path_factory, data):
    """Bytes are changed, cut out or put in, in the tar or in its gzip: an InputError, or the same data."""
    original = write_bytes()
    inside = data.draw(st.booleans())
    content = bytearray(gzip.decompress(original) if inside else original)
    for _ in range(data.draw(st.integers(1, 3))):
        position = data.draw(st.integers(0, min(len(content) - 1, 6000)))
        kind = data.draw(st.sampled_from(["change", "cut", "put", "end"]))
        if kind == "change":
            content[position] = data.draw(st.integers(0, 255))
        elif kind == "cut":
            del content[position : position + data.draw(st.integers(1, 600))]
        elif kind == "put":
            content[position:position] = data.draw(st.binary(min_size=1, max_size=600))
        else:
            del content[position:]
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


def test_a_matrix_as_others_write_it():
    theirs = b"%%MatrixMarket matrix coordinate integer\tgeneral\n% x\n 2 3  3\n\n  1 1\t5\n% y\n2 1 1\n2 3 12 \n"
    theirs = theirs.replace(b"\n", b"\r\n")
    metadata = METADATA.replace(hashlib.md5(MATRIX).hexdigest(), hashlib.md5(theirs).hexdigest()).encode()
    assert (
        read_archive(pack(members(**{"matrix.mtx": theirs, "metadata.tsv": metadata}))).matrix.toarray().tolist()
        == DENSE
    )


def test_a_matrix_before_its_barcodes_costs_no_memory():
    metadata, barcodes, features, matrix = members()
    assert read_archive(pack([metadata, matrix, barcodes, features])).matrix.toarray().tolist() == DENSE
    lie = (matrix[0], MATRIX.replace(b"2 3 3", b"2 60000000 3"))
    made = pack([metadata, lie, barcodes, features])
    tracemalloc.start()
    with pytest.raises(InputError, match="the matrix is of 2 features and 60000000 barcodes, but there are 2 and 3"):
        read_archive(made)
    assert tracemalloc.get_traced_memory()[1] < 3e7
    tracemalloc.stop()


@pytest.mark.parametrize("address", ["http://[::1", "http://", f"http://{'a' * 70}.x/", "http://h:x/", "HTTP://h/a b"])
def test_addresses_that_are_none(address):
    with pytest.raises(InputError, match="cannot be reached: "):
        read_archive(address)


def test_an_answer_that_breaks_off(tmp_path):
    content = write(tmp_path / "a.tar.gz").read_bytes()

    class Broken(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.wfile.write(b"%x\r\n%b" % (len(content), content[:100]))

        def log_message(self, *words):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Broken) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with pytest.raises(InputError, match="cannot be read to its end"):
            read_archive(f"http://127.0.0.1:{server.server_port}/a.tar.gz")
        server.shutdown()


def add_up(archive, most=10):
    with open_archive(archive, "a.tar.gz") as stream:
        return sum_cells(stream, lambda genes: np.ones(len(list(genes)), np.uint64), most)


def test_barcodes_are_added_up_where_they_are_not_too_many(tmp_path):
    made = add_up(pack(members()))
    assert made.barcodes.tolist() == [b"AAAC", b"AAAG", b"CCCC"]
    assert (made.features, made.sums.tolist()) == (2, [[6, 0, 12]])
    assert add_up(pack(members()), most=2) is None
    metadata, barcodes, features, matrix = members()
    with pytest.raises(InputError, match=r"Gene/raw/matrix\.mtx is before its barcodes and features"):
        add_up(pack([metadata, matrix, barcodes, features]))


def test_some_cells_are_read_in_the_order_given(tmp_path):
    path = write(tmp_path / "a.tar.gz")
    cells = read_cells(path, np.array([b"CCCC", b"AAAC"]))
    assert cells.matrix.toarray().tolist() == [[0, 5], [12, 1]]
    assert cells.barcodes.tolist() == [b"CCCC", b"AAAC"]
    assert read_cells(path, np.zeros(0, "S1")).matrix.shape == (2, 0)
    for wanted in ([b"AAAC", b"GGGG"], [b"AAAC", b"AAAC"]):
        with pytest.raises(InputError, match="its barcodes do not have each of the 2 cells once"):
            read_cells(path, np.array(wanted))
