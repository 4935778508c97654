"""The files of an atlas in a folder of results are those of its manifest."""

import json

import pytest

from scripts.core.errors import InputError
from scripts.harvest.checks import atlas

NAME = "atlas/mus/manifest.json"
MANIFEST = {"files": {"segments.tsv": {"sha256": "1"}}, "shards": [{"files": {"a_embs.npz": {"sha256": "2"}}}]}
SUMS = {"atlas/mus/segments.tsv": "1", "atlas/mus/a_embs.npz": "2", NAME: "3", "atlas/mus.train/x": "4"}


def faults(folder, manifest, sums):
    (folder / "atlas/mus").mkdir(parents=True, exist_ok=True)
    (folder / NAME).write_text(manifest if isinstance(manifest, str) else json.dumps(manifest))
    return [*atlas.manifest_faults(folder, NAME, sums)]


def test_files_that_are_not_as_the_manifest_says(tmp_path):
    assert atlas.manifests([*SUMS, "atlas/manifest.json", "x/atlas/mus/manifest.json"]) == [NAME]
    assert faults(tmp_path, MANIFEST, SUMS) == []
    changed = {"atlas/mus/segments.tsv": "x", "atlas/mus/more": "5", NAME: "3"}
    assert faults(tmp_path, MANIFEST, changed) == [
        "atlas/mus/a_embs.npz: in the manifest of its atlas, but not in SHA256SUMS.",
        "atlas/mus/more: not in the manifest of its atlas.",
        "atlas/mus/segments.tsv: its sha256 is not that in the manifest of its atlas.",
    ]


@pytest.mark.parametrize("manifest", ["[]", "{}", '{"files": [], "shards": []}', '{"files": {"a": 1}, "shards": []}'])
def test_manifests_that_are_none(tmp_path, manifest):
    with pytest.raises(InputError, match=rf"^{NAME}: not a manifest of an atlas: "):
        faults(tmp_path, manifest, SUMS)
    with pytest.raises(InputError, match="nested too deep"):
        faults(tmp_path, "[" * 100_000, SUMS)
