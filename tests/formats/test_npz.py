"""An npz has the bytes of its page, which are those of numpy.savez, on every Python."""

import hashlib
import io
import struct
import sys
import zipfile
import zlib

import numpy as np
import pytest

from scripts.formats import npz

ARRAYS = {
    "format": np.array(1, "<i8"),
    "kind": np.array("linear", "<U6"),
    "classes": np.array(["a", "ä\u4e00"], "<U2"),
    "weights": np.array([[0.5, 1], [2, 3], [4, 5]], "<f8"),
    "columns": np.asfortranarray(np.array([[0.5, 1], [2, 3]], "<f8")),
    "codes": np.arange(3, dtype="<u2"),
    "text": np.array([b"ACGT", b""], "|S4"),
    "nothing": np.zeros((0, 5), "<f2"),
}


def test_numpy_reads_what_is_written(tmp_path):
    npz.write_npz(tmp_path / "a.npz", ARRAYS)
    with np.load(tmp_path / "a.npz") as read:
        assert list(read) == list(ARRAYS)
        for name, array in ARRAYS.items():
            assert (read[name].dtype, read[name].shape) == (array.dtype, array.shape)
            assert np.array_equal(read[name], array)
    assert [path.name for path in tmp_path.iterdir()] == ["a.npz"]
    with pytest.raises(TypeError, match="x is an array of Python objects"):
        npz.write_npz(tmp_path / "b.npz", {"x": np.array([{}])})


def test_the_bytes_are_those_of_the_page(tmp_path):
    """A zip put together by hand, after docs/formats.md."""
    npz.write_npz(tmp_path / "a.npz", {"codes": ARRAYS["codes"]})
    header = b"{'descr': '<u2', 'fortran_order': False, 'shape': (3,), }".ljust(117) + b"\n"
    content = b"\x93NUMPY\x01\x00\x76\x00" + header + bytes([0, 0, 1, 0, 2, 0])
    crc = zlib.crc32(content)
    local = b"PK\3\4" + bytes([45, 0, 0, 0, 0, 0, 0, 0, 33, 0]) + struct.pack("<L", crc) + b"\xff" * 8
    local += bytes([9, 0, 20, 0]) + b"codes.npy" + bytes([1, 0, 16, 0]) + struct.pack("<QQ", 134, 134)
    entry = b"PK\1\2" + bytes([45, 3, 45, 0, 0, 0, 0, 0, 0, 0, 33, 0]) + struct.pack("<LLL", crc, 134, 134)
    entry += bytes([9] + [0] * 9) + struct.pack("<L", 0o600 << 16) + bytes(4) + b"codes.npy"
    end = b"PK\5\6" + bytes([0, 0, 0, 0, 1, 0, 1, 0]) + struct.pack("<LL", len(entry), len(local + content)) + bytes(2)
    whole = local + content + entry + end
    assert (tmp_path / "a.npz").read_bytes() == whole
    assert hashlib.sha256(whole).hexdigest() == "592ad8472c367bfd92230875ca1855cda99cba9bd2364f628d2487c96dc7af4c"


@pytest.mark.skipif(sys.version_info < (3, 11, 4), reason="zipfile wrote another version into the headers of ZIP64")
def test_the_bytes_are_those_of_savez(tmp_path):
    npz.write_npz(tmp_path / "ours.npz", ARRAYS)
    np.savez(tmp_path / "theirs.npz", **ARRAYS)
    assert (tmp_path / "ours.npz").read_bytes() == (tmp_path / "theirs.npz").read_bytes()


class Behind(io.BytesIO):
    """A file of which only what is behind some bytes is kept."""

    def __init__(self, before):
        super().__init__()
        self.before = before

    def tell(self):
        return self.before + super().tell()

    def seek(self, *_):
        raise io.UnsupportedOperation


@pytest.mark.parametrize("size", [100, 2**31 - 1, 2**31, 2**33])
@pytest.mark.parametrize("offset", [0, 2**31 - 1, 2**31, 2**33])
def test_directories_of_large_files(size, offset):
    """Sizes and offsets beyond 31 bits, without the gigabytes."""
    info = zipfile.ZipInfo("arr_0.npy")
    info.create_version = info.extract_version = 45
    info.external_attr = 0o600 << 16
    info.file_size = info.compress_size = size
    info.CRC, info.header_offset = 7, offset
    made = Behind(offset + size)
    with zipfile.ZipFile(made, "w") as archive:
        archive._didModify = True
        archive.filelist.append(info)
    ours = npz.directory([npz.ZipMember("arr_0.npy", 7, size, offset)], offset + size)
    assert ours == made.getvalue()
