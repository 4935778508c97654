"""Fetch an inclusion list of barcodes from a path or address: plain text, a barcode a line, checked."""

import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from scripts.core.command import command_parser
from scripts.core.disk.files import hash_file
from scripts.core.disk.shared_cache import add_links_option, build_targets
from scripts.core.errors import InputError
from scripts.core.secrets import mask
from scripts.droplets.chemistries import InclusionList, read_chemistries
from scripts.droplets.inclusion_lists import content_digest, copy_checked, keep_bases

PACKAGE = "ngs-tools"
"""A source: the list as the package ngs-tools has it; the package is optional."""
PACKAGED = f"{PACKAGE}:"
"""Prefix of a source that is a file of that package."""


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


def describe_content(
    source: str, plain: Path, count: int, length: int, wanted: InclusionList, known: Mapping[str, InclusionList]
) -> str:
    """Return how a list compares with what is known of the one that is wanted.

    Raises InputError where its barcodes have another length, or are those of another list that is known.
    """
    if wanted.length and length != wanted.length:
        raise InputError(
            f"{source}: its barcodes have {length or 'several numbers of'} bases, but those of {wanted.name} have"
            f" {wanted.length}; is it another list?"
        )
    digest = content_digest(plain, length)
    if digest in wanted.contents:
        return f"known, {wanted.contents[digest]}"
    other = next((one.name for one in known.values() if digest in one.contents), "")
    if other:
        raise InputError(
            f"{source}: these are the barcodes of {other}, not those of {wanted.name}; give that list under its own"
            " name."
        )
    if count != wanted.barcodes:
        return f"not the list as its makers give it away, which has {wanted.barcodes}; taken as it is"
    return "as many as it should have"


def fetch_list(
    source: str,
    target: Path,
    sha256: str = "",
    *,
    barcodes: int = 0,
    one_length: bool = True,
    wanted: InclusionList | None = None,
    known: Mapping[str, InclusionList] = MappingProxyType({}),
) -> tuple[int, int, str]:
    """Write the list of a path or address as plain text.

    Returns how many barcodes it has, their length (0: several), and how it compares with the ``wanted`` list, one of
    those that are ``known``. ``sha256`` is that of the file at the source, ``barcodes`` the number that the list must
    have; an empty or zero one is not checked. Raises InputError for a source that does not exist, another checksum,
    number, letter or length, and for a list that is known to be another.
    """
    bases: tuple[int, ...] = ()
    if source == PACKAGE:
        if wanted is None or not wanted.packaged:
            name = wanted.name if wanted else target.stem
            raise InputError(f"{source}: the package is not known to have the list {name}; give a path or an address.")
        source, bases = f"{PACKAGED}{wanted.packaged}", wanted.bases
    if wanted:
        one_length = bool(wanted.length)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{target.name}.", dir=target.parent) as folder:
        if source.startswith(("http://", "https://", "ftp://")):
            from scripts.core.http import fetch

            local = Path(folder, "fetched")
            fetch(source, local, sha256=sha256 or None)
        else:
            name = source.removeprefix(PACKAGED)
            local = Path(source) if name == source else packaged_list(name)
            if not local.is_file():
                raise InputError(f"{source}: there is no such file; give the path or the address of an inclusion list.")
            if sha256 and (found := hash_file(local)) != sha256.lower():
                raise InputError(f"{source}: its SHA-256 is {found}, but {sha256.lower()} was expected.")
        plain = Path(folder, "plain")
        count, length = copy_checked(local, plain, one_length=one_length)
        if bases:
            count, length = keep_bases(plain, *bases)
        if barcodes and count != barcodes:
            raise InputError(f"{source}: {count} barcodes, but this list must have {barcodes}.")
        comparison = describe_content(source, plain, count, length, wanted, known) if wanted else ""
        plain.replace(target)
    return count, length, comparison


def main(argv: Sequence[str] | None = None) -> None:
    parser = command_parser(__doc__)
    parser.add_argument(
        "--source",
        required=True,
        help="path or address of the list, plain or gzip; ngs-tools, the list as that package has it; or"
        " ngs-tools:FILE, a file of that package",
    )
    parser.add_argument("--list", default="", help="the list of the chemistries that it must be")
    parser.add_argument("--chemistries", help="what is known of the lists: config/chemistries.yaml")
    parser.add_argument("--sha256", default="", help="SHA-256 of the file at the source; not checked when empty")
    parser.add_argument("--barcodes", type=int, default=0, help="how many barcodes it must have; not checked when 0")
    parser.add_argument("--any-length", action="store_true", help="take barcodes of several lengths")
    parser.add_argument("--output", required=True, type=Path, help="the list as plain text")
    add_links_option(parser)
    args = parser.parse_args(argv)
    known: Mapping[str, InclusionList] = {}
    if args.list:
        if not args.chemistries:
            raise InputError("--list needs --chemistries, which says what is known of the list.")
        _, known = read_chemistries(args.chemistries)
        if args.list not in known:
            raise InputError(f"--list {args.list}: {args.chemistries} has no such list; it has {', '.join(known)}.")

    def fetch_into(output: Path) -> None:
        count, length, comparison = fetch_list(
            args.source,
            output,
            args.sha256,
            barcodes=args.barcodes,
            one_length=not args.any_length,
            wanted=known.get(args.list),
            known=known,
        )
        summary = f"{args.output.name}: {count} barcodes of {length or 'several'} bases"
        print(f"{summary}: {comparison}" if comparison else summary, file=sys.stderr)

    def made_from() -> Mapping[str, str]:
        local = Path(args.source)
        return {
            "source": args.sha256 or (hash_file(local) if local.is_file() else mask(args.source).rpartition("/")[2])
        }

    build_targets(args.links, args.output.stem, made_from, [args.output], fetch_into)
