"""Archives of the SRA (.sra): the settings of sra-tools, and what they find in an archive.

An archive begins with the bytes ``NCBI.sra``. The tools exit with 0 on much that is wrong (seen with sra-tools 3.0.3):
``vdb-validate`` is silent, with status 0, on an empty file and on a web page. So no exit status is trusted alone, and
a good archive is one of which it prints ``is consistent``.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from scripts.core.errors import Interrupted, RunFault
from scripts.core.subprocesses import Finished, path_argument, run_program

_DISK_FULL = re.compile(r"storage exhausted|no space left|disk full|quota", re.IGNORECASE)

# Without provider = "none" every call asks the cloud's metadata service, 10 s where packets are dropped.
_EVERYWHERE = '/LIBS/GUID = "00000000-0000-4000-8000-000000000001"\n/libs/cloud/provider = "none"\n'
_OFFLINE = '/repository/remote/disabled = "true"\n'
_RESOLVER = '/repository/remote/{repository}/SDL.2/resolver-cgi = "{address}"\n'
_REFERENCES = (
    '/repository/user/main/public/apps/refseq/volumes/refseq = "{name}"\n'
    '/repository/user/main/public/root = "{parent}"\n'
)
_OTHER_SETTINGS = ("VDB_CONFIG", "NCBI_VDB_CONFIG", "NCBI_HOME", "VDB_ROOT")


class CheckedArchive(NamedTuple):
    """Whether a sound archive is SRA Lite, and whether its reads are aligned to references."""

    lite: bool
    aligned: bool


def write_settings(
    path: str | Path, resolver: str | None = None, references: tuple[str, str] | None = None
) -> dict[str, str]:
    """Write a settings file for sra-tools and return the environment in which they read it, and no other one.

    With ``resolver``, the address of an SDL resolver, the tools fetch from there; without it they stay offline, and
    take references of aligned archives from the folder ``references``: its parent, without quotes and ``$``, its name.
    """
    settings = [_EVERYWHERE, _OFFLINE]
    if references is not None:
        settings.append(_REFERENCES.format(parent=references[0], name=references[1]))
    if resolver is not None:
        settings[1:] = [_RESOLVER.format(repository=name, address=resolver) for name in ("main", "protected")]
    Path(path).write_text("".join(settings), encoding="utf-8")
    environment = {name: value for name, value in os.environ.items() if name not in _OTHER_SETTINGS}
    absolute = str(Path(path).resolve())
    # The tools pass over settings whose path is not ASCII, and then ask NCBI itself.
    return {**environment, "NCBI_SETTINGS": absolute if absolute.isascii() else os.path.relpath(path), "LC_ALL": "C"}


def tools_version(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the version of the installed fastq-dump as ``{"sra-tools": version}``; none where it does not say."""
    answer = run_program(["fastq-dump", "--version"], environment)
    found = re.search(r"\d+\.\d[\w.-]*", answer.output)
    return {"sra-tools": found[0]} if found else {}


def check(path: str | Path, environment: dict[str, str], accept_lite: bool, lite: bool | None = None) -> CheckedArchive:
    """Read a whole archive with ``vdb-validate``; ``lite`` is what its record proves of its qualities, if anything.

    Raises RunFault: ARCHIVE_CORRUPT in the words of vdb-validate, QUALITY_LITE where Lite is not accepted.
    """
    done = run_program(["vdb-validate", path_argument(path)], environment)
    if words := _fault_of(done, path):
        raise RunFault("ARCHIVE_CORRUPT", f"vdb-validate refuses the archive: {words}.", done.cause)
    if lite is None:
        lite = is_lite(path, environment)
    if lite and not accept_lite:
        raise RunFault("QUALITY_LITE", "what arrived is SRA Lite, with simplified qualities.")
    return CheckedArchive(lite, "REFERENCE" in done.errors + done.output)


def find_damage(path: str | Path, environment: dict[str, str]) -> str:
    """Return why ``vdb-validate`` refuses a file, in its words; empty where it is consistent."""
    return _fault_of(run_program(["vdb-validate", path_argument(path)], environment), path)


def _fault_of(done: Finished, path: str | Path) -> str:
    if done.status or "is consistent" not in done.errors + done.output:
        return first_words(done.errors, path) or "it does not say that it is consistent"
    return ""


def count_spots(path: str | Path, environment: dict[str, str]) -> int:
    """Return the number of spots of an archive, from its metadata.

    An archive of no spots at all has no table, or one without columns. Raises RunFault(ARCHIVE_CORRUPT) where the
    archive cannot be read.
    """
    done = run_program(["vdb-dump", "--info", path_argument(path)], environment)
    raise_if_silent("vdb-dump", done)
    fields = dict(re.findall(r"^(\w+)\s*: (.*)$", done.output, re.MULTILINE))
    if "type" not in fields:
        words = f"vdb-dump cannot read the archive: {first_words(done.errors, path)}."
        raise RunFault("ARCHIVE_CORRUPT", words, done.cause)
    return int(fields.get("SEQ", "0").replace(",", ""))


def is_lite(path: str | Path, environment: dict[str, str]) -> bool:
    """Return whether an archive is SRA Lite by its own metadata, which name the program that took the qualities away.

    The tools print 30 for every base of SRA Lite, and 3 for those of reads that did not pass the filter. So they do of
    archives whose submitter had no other qualities, which are not Lite.
    """
    return "<delite" in run_program(["kdbmeta", path_argument(path), "SOFTWARE"], environment).output


def raise_if_silent(program: str, done: Finished) -> None:
    """Raise Interrupted where a program failed without a message: the driver of sra-tools does not report a kill."""
    if done.status and not done.errors.strip() and not done.cause:
        raise Interrupted(f"{program} ended without a word; was it killed? Run the same command again.")


def says_disk_is_full(errors: str) -> bool:
    """Return whether one of the sra-tools failed because the disk, or a quota, is full."""
    return _DISK_FULL.search(errors) is not None


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
