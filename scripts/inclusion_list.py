"""Bring an inclusion list of barcodes into place, from a path or address: plain text, a barcode a line, checked."""

import argparse
import hashlib
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from scripts.formats.errors import InputError, run_command
from scripts.formats.inclusion_lists import copy_checked

PACKAGED = "ngs-tools:"
"""Begins a source that is a list of the package ngs-tools, which is installed only by those who want it."""


def is_address(source: str) -> bool:
    """Whether a source is an address rather than a path."""
    return source.startswith(("http://", "https://", "ftp://"))


def packaged_list(name: str) -> Path:
    """Return where the installed package ngs-tools keeps a list, e.g. 10x_version3_whitelist.txt.gz.

    Raises InputError where the package is not installed or has no such list.
    """
    import importlib.util

    found = importlib.util.find_spec("ngs_tools")
    if found is None or found.origin is None:
        raise InputError(f"{PACKAGED}{name}: the package ngs-tools is not installed; install it, or give a path.")
    folder = Path(found.origin).parent / "chemistry" / "whitelists"
    known = sorted(path.name for path in folder.glob("*.gz"))
    if name not in known:
        raise InputError(f"{PACKAGED}{name}: the package has no such list; it has {', '.join(known)}.")
    return folder / name


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal digits."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def place_list(
    source: str, target: Path, sha256: str = "", *, barcodes: int = 0, one_length: bool = True
) -> tuple[int, int]:
    """Write the list of a path or address as plain text; return how many barcodes it has and their length (0: several).

    ``sha256`` is that of the file as it is on offer, ``barcodes`` the number that the list must have; an empty or zero
    one is not checked. Raises InputError for a source that is not there, another checksum, number, letter or length.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{target.name}.", dir=target.parent) as folder:
        if is_address(source):
            from scripts.formats.remote import fetch

            local = Path(folder, "fetched")
            fetch(source, local, sha256=sha256 or None)
        else:
            packaged = source.startswith(PACKAGED)
            local = packaged_list(source.removeprefix(PACKAGED)) if packaged else Path(source)
            if not local.is_file():
                raise InputError(f"{source}: there is no such file; give the path or the address of an inclusion list.")
            if sha256 and (found := sha256_of(local)) != sha256.lower():
                raise InputError(f"{source}: its SHA-256 is {found}, but {sha256.lower()} was expected.")
        plain = Path(folder, "plain")
        count, length = copy_checked(local, plain, one_length=one_length)
        if barcodes and count != barcodes:
            raise InputError(f"{source}: {count} barcodes, but this list must have {barcodes}.")
        plain.replace(target)
    return count, length


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--source",
        required=True,
        help="path or address of the list, plain or gzip; or ngs-tools:FILE, a list of that package",
    )
    parser.add_argument("--sha256", default="", help="SHA-256 of the file on offer; not checked when empty")
    parser.add_argument("--barcodes", type=int, default=0, help="how many barcodes it must have; not checked when 0")
    parser.add_argument("--any-length", action="store_true", help="take barcodes of several lengths")
    parser.add_argument("--output", required=True, type=Path, help="the list as plain text")
    args = parser.parse_args(argv)
    count, length = place_list(
        args.source, args.output, args.sha256, barcodes=args.barcodes, one_length=not args.any_length
    )
    print(f"{args.output.name}: {count} barcodes of {length or 'several'} bases", file=sys.stderr)


if __name__ == "__main__":
    run_command(main)
