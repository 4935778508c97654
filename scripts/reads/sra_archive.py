"""Archives of the SRA (.sra): how sra-tools are told where to ask, and how an archive is asked what it holds.

An archive begins with the bytes ``NCBI.sra``. The tools answer 0 to much that is wrong (facts gathered with sra-tools
3.0.3), so nothing here trusts an exit status alone: ``vdb-validate`` is silent, with status 0, about an empty file
and about a web page, and so its words ``is consistent`` are asked for.
"""

import os
import re
from pathlib import Path
from typing import NamedTuple

from scripts.core.errors import Interrupted, RunFault
from scripts.core.subprocesses import run_program
from scripts.formats.fastq_files import MAGIC

_LOOKED_AT = 200  # spots whose qualities are looked at

# Provider none: otherwise every call asks the cloud's metadata service, 10 s where packets are dropped.
_EVERYWHERE = '/LIBS/GUID = "00000000-0000-4000-8000-000000000001"\n/libs/cloud/provider = "none"\n'
_OFFLINE = '/repository/remote/disabled = "true"\n'
_RESOLVER = '/repository/remote/{repository}/SDL.2/resolver-cgi = "{address}"\n'
_OTHER_SETTINGS = ("VDB_CONFIG", "NCBI_VDB_CONFIG", "NCBI_HOME", "VDB_ROOT")


class Archive(NamedTuple):
    """What an archive holds."""

    spots: int


def write_settings(path: str | Path, resolver: str | None = None) -> dict[str, str]:
    """Write a settings file for sra-tools and return the environment in which they obey it, and no other one.

    With ``resolver``, the address of an SDL resolver, the tools may fetch from there; without it they stay offline.
    """
    text = _EVERYWHERE
    if resolver is None:
        text += _OFFLINE
    else:
        text += "".join(_RESOLVER.format(repository=name, address=resolver) for name in ("main", "protected"))
    Path(path).write_text(text, encoding="utf-8")
    environment = {name: value for name, value in os.environ.items() if name not in _OTHER_SETTINGS}
    return {**environment, "NCBI_SETTINGS": str(Path(path).resolve()), "LC_ALL": "C"}


def is_archive(path: str | Path) -> bool:
    """Whether a file begins as an archive does."""
    with Path(path).open("rb") as handle:
        return handle.read(len(MAGIC)) == MAGIC


def validate(path: str | Path, environment: dict[str, str]) -> None:
    """Have ``vdb-validate`` look through a whole archive. Raises RunFault(ARCHIVE_CORRUPT) in its words."""
    told = run_program(["vdb-validate", str(path)], environment)
    if told.status == 0 and "is consistent" in told.errors + told.output:
        return
    said = first_words(told.errors, path)
    raise RunFault(
        "ARCHIVE_CORRUPT", f"vdb-validate refuses the archive: {said or 'it does not say that it is consistent'}."
    )


def describe(path: str | Path, environment: dict[str, str]) -> Archive:
    """Return what an archive holds, from its metadata. Raises RunFault(ARCHIVE_CORRUPT) where it cannot be read.

    An archive of no spots at all has no table, or one without columns.
    """
    told = run_program(["vdb-dump", "--info", str(path)], environment)
    fields = dict(re.findall(r"^(\w+)\s*: (.*)$", told.output, re.MULTILINE))
    if told.status and not told.errors.strip():  # nor does the tools' driver say that its tool was killed
        raise Interrupted("vdb-dump ended without a word; was it killed? The same call goes on.")
    if "type" not in fields:
        raise RunFault("ARCHIVE_CORRUPT", f"vdb-dump cannot read the archive: {first_words(told.errors, path)}.")
    return Archive(spots=int(fields.get("SEQ", "0").replace(",", "")))


def is_lite(path: str | Path, environment: dict[str, str]) -> bool:
    """Whether the qualities of an archive were simplified.

    SRA Lite keeps no qualities; the tools then make them up, 30 for every base and 3 for those of reads that did not
    pass the filter. An archive whose first spots hold nothing else is Lite, whatever it calls itself.
    """
    told = run_program(["vdb-dump", "-R", f"1-{_LOOKED_AT}", "-C", "QUALITY", "-N", str(path)], environment)
    return set(re.findall(r"\d+", told.output)) in ({"30"}, {"3", "30"})


def first_words(errors: str, path: str | Path = "") -> str:
    """Return the first line of error that one of the sra-tools wrote, without its clock, its name and our paths."""
    lines = [line.strip() for line in errors.splitlines() if line.strip() and "Current preference is" not in line]
    chosen = [line for line in lines if re.search(r"\b(?:err|int|fatal|sys): ", line)] or lines
    if not chosen:
        return ""
    line = re.sub(r"^\d{4}-\d\d-\d\dT[\d:]+ [\w.-]+?:? (?:(?:err|int|fatal|sys|warn|info): )?", "", chosen[0])
    if path:
        line = line.replace(str(path), Path(path).name)
    line = re.sub(r"\bhttps?://\S+", "its address", line)
    return re.sub(r"(?:/[^\s/'\"]+){2,}/", "", line).strip().rstrip(".")
