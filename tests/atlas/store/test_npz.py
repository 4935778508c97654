import shutil
import struct
import sys
import zipfile

import numpy as np
import pytest

from scripts.atlas.store.npz import ArrayFile, NpzWriter
from scripts.core.errors import InputError

VALUES = np.arange(7 * 5, dtype="<f2").reshape(7, 5)


def chunks(file, size, *part, **options):
    return [chunk.copy() for chunk in file.scan(size, *part, **options)]


def savez(path, array):
    np.savez(path, array)
    return path


def deflated(path, array):
    np.savez_compressed(path, array)
    return path


def npy_behind_npz(path, array):
    np.save(path, array)  # as the author's code did: numpy appends .npy
    return path.with_name(f"{path.name}.npy")


def npy_named_npz(path, array):
    shutil.move(npy_behind_npz(path, array), path)
    return path


FORMS = {"stored": savez, "deflated": deflated, "npy": npy_behind_npz, "renamed": npy_named_npz}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("size", [1, 3, 7, 100])
def test_every_form_is_read_in_chunks(tmp_path, form, size):
    file = ArrayFile(FORMS[form](tmp_path / "x_embs.npz", VALUES))
    assert file.kind == {"renamed": "npy"}.get(form, form)
    assert (file.shape, file.dtype.str, file.rows) == ((7, 5), "<f2", 7)
    assert [len(chunk) for chunk in chunks(file, size)] == [min(size, 7 - start) for start in range(0, 7, size)]
    assert np.array_equal(np.concatenate(chunks(file, size)), VALUES)
    assert np.array_equal(np.concatenate(chunks(file, size, 2, 6)), VALUES[2:6])
    assert np.array_equal(np.concatenate(chunks(file, size, 2)), VALUES[2:])
    assert np.array_equal(file.read(), VALUES)
    if form != "deflated":
        assert np.array_equal(file.map(), VALUES)


@pytest.mark.parametrize("form", FORMS)
def test_an_array_without_rows(tmp_path, form):
    file = ArrayFile(FORMS[form](tmp_path / "x.npz", VALUES[:0]))
    assert (file.rows, chunks(file, 10), file.read().shape) == (0, [], (0, 5))


@pytest.mark.skipif(sys.version_info < (3, 11, 4), reason="zipfile wrote another version into the headers of ZIP64")
@pytest.mark.parametrize("array", [VALUES, VALUES[:0], np.arange(9, dtype="<u2"), np.array([b"ACGT", b""], "S4")])
@pytest.mark.parametrize("step", [1, 4])
def test_the_bytes_written_are_those_of_savez(tmp_path, array, step):
    with NpzWriter(tmp_path / "ours.npz", array.dtype, array.shape) as writer:
        for start in range(0, len(array), step):
            writer.append(array[start : start + step])
    np.savez(tmp_path / "theirs.npz", array)
    assert (tmp_path / "ours.npz").read_bytes() == (tmp_path / "theirs.npz").read_bytes()
    assert np.array_equal(np.load(tmp_path / "ours.npz")["arr_0"], array)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ours.npz", "theirs.npz"]


def test_a_writer_that_fails_leaves_the_old_file(tmp_path):
    path = savez(tmp_path / "x.npz", VALUES)
    before = path.read_bytes()
    with pytest.raises(ValueError, match="2 rows, but its shape has 7"), NpzWriter(path, "<f2", (7, 5)) as writer:
        writer.append(VALUES[:2])
    with pytest.raises(ValueError, match="more rows than the 1"), NpzWriter(path, "<f2", (1, 5)) as writer:
        writer.append(VALUES[:2])
    with pytest.raises(ValueError, match="float64"), NpzWriter(path, "<f2", (7, 5)) as writer:
        writer.append(VALUES.astype(float))
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("form", FORMS)
def test_a_file_cut_anywhere_is_reported(tmp_path, form):
    path = FORMS[form](tmp_path / "x.npz", VALUES)
    whole = path.read_bytes()
    for length in [*range(80), *range(80, len(whole) - 80, 11), *range(len(whole) - 80, len(whole))]:
        path.write_bytes(whole[:length])
        with pytest.raises(InputError, match=rf"^{path.name}: .*(cut short|empty file|first bytes|no header)"):
            ArrayFile(path)


@pytest.mark.parametrize("form", ["stored", "deflated"])
def test_a_flipped_bit_is_reported_by_reading(tmp_path, form):
    path = FORMS[form](tmp_path / "x.npz", np.arange(3000, dtype="<f2").reshape(600, 5))
    whole = bytearray(path.read_bytes())
    whole[len(whole) // 2] ^= 4
    path.write_bytes(whole)
    with pytest.raises(InputError, match=r"^x.npz: (damaged: the CRC of its numbers is|its array)"):
        chunks(ArrayFile(path), 100, verify=True)


def test_a_flipped_bit_in_the_header_is_reported_by_reading(tmp_path):
    path = savez(tmp_path / "x.npz", VALUES)
    whole = bytearray(path.read_bytes())
    place = whole.index(b"     ")  # blanks that pad the header
    whole[place] = 9
    path.write_bytes(whole)
    with pytest.raises(InputError, match="CRC"):
        chunks(ArrayFile(path), 100, verify=True)


def test_files_that_are_no_array(tmp_path):
    def reported(name="x.npz"):
        with pytest.raises(InputError) as caught:
            ArrayFile(tmp_path / name)
        return str(caught.value)

    assert reported("none.npz") == "none.npz: cannot be read: No such file or directory."
    (tmp_path / "x.npz").write_text("<html>")
    assert reported() == "x.npz: neither an npz nor an npy: its first bytes are b'<html>'."
    np.savez(tmp_path / "x.npz", embs=VALUES, top3=VALUES)
    assert "x.npz: its arrays are embs.npy, top3.npy; expected the one array arr_0" in reported()
    np.savez(tmp_path / "x.npz", np.array([{}], object))
    assert "it holds Python objects, not numbers" in reported()
    np.savez(tmp_path / "x.npz", np.float16(1))
    assert "it holds a single number, not rows" in reported()
    with zipfile.ZipFile(tmp_path / "x.npz", "w", zipfile.ZIP_BZIP2) as archive:
        archive.writestr("arr_0.npy", b"x" * 99)
    assert reported() == "x.npz: neither stored nor deflated; numpy.savez writes such files."


def test_a_shape_that_promises_more_than_there_is(tmp_path):
    path = npy_behind_npz(tmp_path / "x.npz", VALUES)
    path.write_bytes(path.read_bytes().replace(b"(7, 5)", b"(9, 5)"))
    with pytest.raises(InputError, match=r"70 bytes of numbers, but its shape \(9, 5\) of float16 is 90 bytes"):
        ArrayFile(path)
    whole = bytearray(savez(tmp_path / "x.npz", VALUES).read_bytes())
    whole[whole.index(b"(7, 5)") + 1] = ord("9")
    (tmp_path / "x.npz").write_bytes(whole)
    with pytest.raises(InputError, match="cut short, or was changed"):
        ArrayFile(tmp_path / "x.npz")


def test_columns_that_lie_together_are_not_read_by_rows(tmp_path):
    file = ArrayFile(savez(tmp_path / "x.npz", np.asfortranarray(VALUES)))
    assert file.fortran
    assert np.array_equal(file.map(), VALUES)
    with pytest.raises(InputError, match=r"x.npz: .*Fortran order.*numpy.ascontiguousarray"):
        next(file.scan(3))


def test_the_sizes_of_a_deflated_array_that_lie(tmp_path):
    path = deflated(tmp_path / "x.npz", np.zeros((100, 5), "<f2"))
    whole = bytearray(path.read_bytes())
    place = whole.rindex(b"PK\x01\x02")
    with zipfile.ZipFile(path) as archive:
        size = archive.infolist()[0].file_size
    assert struct.unpack_from("<I", whole, place + 24)[0] == size
    struct.pack_into("<I", whole, place + 24, size + 10)
    path.write_bytes(whole)
    with pytest.raises(InputError, match="cut short, or was changed"):
        ArrayFile(path)


@pytest.mark.parametrize("form", ["stored", "deflated", "npy"])
def test_any_damage_is_reported_or_does_no_harm(tmp_path, form):
    path = FORMS[form](tmp_path / "x.npz", VALUES)
    whole = path.read_bytes()
    dice = np.random.default_rng(7)
    reported = 0
    places = range(0, 128 if form == "npy" else len(whole), 2)  # an npy has no CRC
    for place in places:
        damaged = bytearray(whole)
        damaged[place] ^= 1 << int(dice.integers(0, 8))
        path.write_bytes(damaged)
        try:
            file = ArrayFile(path)
            chunks(file, 2, verify=True)
        except InputError as error:
            assert str(error).startswith(f"{path.name}: ")
            reported += 1
        else:
            if (file.dtype, file.shape) == (VALUES.dtype, VALUES.shape):
                assert np.array_equal(np.concatenate(chunks(file, 3)), VALUES)
    assert reported > len(places) / 3
