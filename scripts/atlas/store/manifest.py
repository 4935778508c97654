"""The manifest of an atlas, from wherever it came: nothing in it is used before its types and names are checked."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from scripts.atlas.store.files import read_json
from scripts.core.disk.files import path_below
from scripts.core.errors import InputError, raise_faults

FORMAT = 1
"""Of the manifest; a reader refuses a newer one."""


def read_manifest(path: Path) -> dict[str, Any]:
    """Return the manifest in a file, in which every key exists and is of its type.

    Raises InputError with all faults, and for a manifest of a newer format.
    """
    manifest = read_json(path)
    if not isinstance(manifest, dict):
        raise InputError(f"{path}: a manifest must be a JSON object.")
    version = manifest.get("format", FORMAT)
    if not isinstance(version, int) or isinstance(version, bool):
        raise InputError(f"{path}: format {version!r:.80} is no number.")
    if version > FORMAT:
        raise InputError(
            f"{path}: of format {version}, which a newer version of sra2matrix wrote; this one reads format {FORMAT}."
        )
    raise_faults(str(path), _faults(manifest, path.parent))
    defaults: dict[str, Any] = {"backend": {}, "shards": [], "files": {}, "has_labels": True}
    return {**defaults, **manifest}


def _faults(manifest: Mapping[str, Any], folder: Path) -> Iterator[str]:
    for key, kind, words in (
        ("backend", dict, "an object"),
        ("files", dict, "an object"),
        ("shards", list, "a list"),
        ("has_labels", bool, "true or false"),
        ("rows", int, "a number"),
    ):
        if key in manifest and (not isinstance(manifest[key], kind) or (kind is int and manifest[key] is True)):
            yield f"{key}: {manifest[key]!r:.80} is not {words}."
    backend = manifest.get("backend")
    for key in ("name", "version", "weights_sha256", "score_kind"):
        value = backend.get(key) if isinstance(backend, dict) else None
        if value is not None and not isinstance(value, str):
            yield f"backend: {key} {value!r:.80} is not a text."
    files = manifest.get("files")
    yield from _file_faults("files", files if isinstance(files, dict) else {}, folder)
    shards = manifest.get("shards")
    names = set()
    for number, shard in enumerate(shards if isinstance(shards, list) else [], 1):
        where = f"shards[{number}]"
        if not isinstance(shard, dict) or not isinstance(shard.get("name"), str):
            yield f"{where}: not an object with a name."
            continue
        if shard["name"] in names:
            yield f"{where}: {shard['name']!r:.80} is there more than once."
        names.add(shard["name"])
        if not isinstance(shard.get("rows", 0), int):
            yield f"{where}: rows {shard['rows']!r:.80} is not a number."
        of_shard = shard.get("files", {})
        if isinstance(of_shard, dict):
            yield from _file_faults(f"{where}: files", of_shard, folder)
        else:
            yield f"{where}: files {of_shard!r:.80} is not an object."


def _file_faults(where: str, files: Mapping[str, Any], folder: Path) -> Iterator[str]:
    for name, listed in files.items():
        try:
            path_below(folder, name)
        except InputError as error:
            yield f"{where}: {error}"
        if not isinstance(listed, dict):
            yield f"{where}: {name!r:.80} has no bytes and sha256."
