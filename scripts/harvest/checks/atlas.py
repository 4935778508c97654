"""Atlases: their files are those of their manifests. What is in them is read by atlas_check."""

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from scripts.core.disk.files import parse_json, read_bounded
from scripts.core.errors import InputError

MOST_MANIFEST = 1 << 24
"""Bytes of a manifest that are read."""


def manifests(files: Iterable[str]) -> list[str]:
    """Return the manifests among the files, ``atlas/{species}/manifest.json``."""
    return [name for name in files if re.fullmatch(r"atlas/[^/]+/manifest\.json", name)]


def manifest_faults(results: Path, name: str, sums: Mapping[str, str]) -> Iterator[str]:
    """Yield a sentence for each file of an atlas that is not as its manifest says; ``sums`` are those of SHA256SUMS.

    Raises InputError where the manifest cannot be read.
    """
    manifest = parse_json(read_bounded(results / name, MOST_MANIFEST), name)
    folder = name.removesuffix("manifest.json")
    try:
        parts = [manifest["files"], *(shard["files"] for shard in manifest["shards"])]
        listed = {f"{folder}{file}": _sha256(of) for part in parts for file, of in part.items()}
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{name}: not a manifest of an atlas: {type(error).__name__} {error}.") from error
    here = {path: digest for path, digest in sums.items() if path.startswith(folder) and path != name}
    for path in sorted(listed.keys() | here.keys()):
        if path not in here:
            yield f"{path}: in the manifest of its atlas, but not in SHA256SUMS."
        elif path not in listed:
            yield f"{path}: not in the manifest of its atlas."
        elif listed[path] != here[path]:
            yield f"{path}: its sha256 is not that in the manifest of its atlas."


def _sha256(listed: Any) -> str:
    return str(listed["sha256"])
