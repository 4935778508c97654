"""Checksums of a folder, by which tests compare results."""

from pathlib import Path

from scripts.core.disk.files import hash_file


def sums(folder: Path) -> dict[str, str]:
    """Return path → SHA-256 of every file below a folder."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {path.relative_to(folder).as_posix(): hash_file(path) for path in files}
