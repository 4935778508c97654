"""A manifest of somebody else: its types and names are checked before anything uses them."""

import json

import pytest

from scripts.atlas.store.manifest import read_manifest
from scripts.core.errors import InputError

SUM = {"bytes": 1, "sha256": "0" * 64}
SOUND = {
    "format": 1,
    "backend": {"name": "x"},
    "has_labels": True,
    "rows": 4,
    "shards": [{"name": "s", "rows": 4, "files": {"s_embs.npz": SUM}}],
    "files": {"segments.tsv": SUM},
}


def reported(folder, value):
    path = folder / "manifest.json"
    path.write_text(value if isinstance(value, str) else json.dumps(value))
    with pytest.raises(InputError) as error:
        read_manifest(path)
    return str(error.value).removeprefix(f"{path}").lstrip(": ")


def test_a_sound_manifest_is_read(tmp_path):
    (tmp_path / "manifest.json").write_text(json.dumps(SOUND))
    assert read_manifest(tmp_path / "manifest.json") == SOUND
    (tmp_path / "manifest.json").write_text("{}")
    assert read_manifest(tmp_path / "manifest.json") == {"backend": {}, "shards": [], "files": {}, "has_labels": True}


def test_a_manifest_of_a_newer_format_is_refused(tmp_path):
    assert reported(tmp_path, SOUND | {"format": 9}) == (
        "of format 9, which a newer version of sra2matrix wrote; this one reads format 1."
    )
    assert reported(tmp_path, SOUND | {"format": "1"}) == "format '1' is no number."


def test_all_faults_of_a_manifest_are_reported(tmp_path):
    value = {"shards": [1, SOUND["shards"][0], SOUND["shards"][0]], "files": [], "backend": None, "has_labels": "no"}
    assert reported(tmp_path, value).splitlines() == [
        "needs 5 corrections:",
        "backend: None is not an object.",
        "files: [] is not an object.",
        "has_labels: 'no' is not true or false.",
        "shards[1]: not an object with a name.",
        "shards[3]: 's' is there more than once.",
    ]


@pytest.mark.parametrize("name", ["/etc/passwd", "../x", "", "-x", "a\nb"])
def test_files_outside_the_folder_are_refused(tmp_path, name):
    for value in ({"files": {name: SUM}}, {"shards": [{"name": "s", "files": {name: SUM}}]}):
        assert f"{name!r} cannot be the name of a file or folder in {tmp_path}" in reported(tmp_path, value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[]", "a manifest must be a JSON object."),
        ("[" * 100_000, "cannot be read as JSON: its values are nested too deep."),
        ('{"rows": ' + "9" * 5000 + "}", "cannot be read as JSON: Exceeds the limit"),
        ('{"files": {"x": null}}', "needs 1 correction:\nfiles: 'x' has no bytes and sha256."),
        ('{"backend": {"name": 1}}', "needs 1 correction:\nbackend: name 1 is not a text."),
        ('{"rows": "45"}', "needs 1 correction:\nrows: '45' is not a number."),
        (" " * (1 << 24) + "{}", "more than 16,777,216 bytes, too large for such a file."),
    ],
)
def test_texts_that_are_no_manifest(tmp_path, text, words):
    assert reported(tmp_path, text).startswith(words)
