"""MEX archives: the same bytes everywhere."""

import gzip
import tarfile
import zlib

import pytest

from scripts.core.errors import InputError
from scripts.droplets.mex import mex_writer
from scripts.droplets.mex.mex_reader import read_archive
from tests.droplets.mex.mex_parts import (
    FEATURES,
    MATRIX,
    PARTS,
    members,
    pack,
    write,
)


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


def test_name_folder_and_threads_change_no_byte(tmp_path, monkeypatch):
    monkeypatch.setattr(mex_writer, "PIECE", 1000)
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
    with pytest.raises(InputError) as raised:
        write(tmp_path / "a.tar.gz", **{part: content})
    assert str(raised.value) == words
    assert not (tmp_path / "a.tar.gz").exists()


def test_writer_names_a_missing_file(tmp_path):
    with pytest.raises(InputError, match=r"none\.mtx: there is no such file to be packed\.$"):
        write(tmp_path / "a.tar.gz", matrix=tmp_path / "none.mtx")
