"""Reference sequences to which an archive is aligned and which it does not hold: found, proved and kept for all runs.

An aligned archive (cSRA) has of an aligned read only what differs from its reference. Where the reference is an
accession (``NC_000001.10``), its sequence may be a file of its own, which the tools look up by that name. It is taken
from beside a local archive, from the cache, or from where the resolver (SDL, version 2) says, as prefetch does.

A file is the reference where vdb-validate finds it consistent, and name and length are those that the archive gives.
The copy that is kept is marked as circular. That changes no read, but it is read at once then: sra-tools 3.0.3 reads
others in the background, and crash where that ends while a read is restored.

A download notes the references of a run in ``{run}.references``: a line each, name and path, separated by a tab.
"""

import contextlib
import json
import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from threading import Lock

from scripts.core import http
from scripts.core.disk.files import hash_file, make_folder, path_below, remove_folder, write_atomic
from scripts.core.disk.locks import exclusive_lock
from scripts.core.errors import RunFault
from scripts.core.subprocesses import path_argument, run_program
from scripts.core.untrusted import quoted, web_address, whole_number
from scripts.formats import fastq_files
from scripts.reads.sources import sra_archive
from scripts.records.answers.sra_xml import RemoteFile

_NAME = re.compile(
    r"(?:[A-Z]{2,3}_[A-Z]{0,2}|[A-Z]{1,3})[0-9]{5,9}(?:\.[0-9]{1,3})?"
)  # sra-tools look up no other names
_LINE = re.compile(r"([^,]*),.*,(?:true|false),(local|remote)(?::.*)?")
_MD5 = re.compile("[0-9A-Fa-f]{32}")
_FORM = {"accept-proto": "http,https", "capability": "allow-cloud-refseq"}
_BESIDE_BASES = 1 << 24  # bytes of a reference's file beyond one for each of its bases
_SHOWN = 10  # names in a sentence


class ReferenceMissing(RunFault):
    """References cannot be had, whose names are the cause; ``transient`` where another try may get them."""

    def __init__(self, faults: Mapping[str, str], total: int, transient: bool = False) -> None:
        by_fault: dict[str, list[str]] = {}
        for name, fault in faults.items():
            by_fault.setdefault(fault, []).append(name if _NAME.fullmatch(name) else quoted(name))
        clauses = []
        for fault, names in by_fault.items():
            more = f" and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else ""
            clauses.append(f"{', '.join(names[:_SHOWN])}{more} ({fault})")
        words = f"it is aligned to references that it does not hold, and {len(faults):,} of {total:,} cannot be had"
        cause = ",".join([name for name in faults if _NAME.fullmatch(name)][:_SHOWN])
        super().__init__("REFERENCE_MISSING", f"{words}: {'; '.join(clauses)}.", cause)
        self.transient = transient


class _NotHad(Exception):
    """Why a reference cannot be had, in a clause."""

    def __init__(self, clause: str, transient: bool = False) -> None:
        super().__init__(clause.rstrip("."))
        self.transient = transient


class References:
    """The cache of references in a folder, which all runs and jobs share; safe for threads."""

    def __init__(self, folder: Path, resolver: str, policy: http.RetryPolicy, offline: Mapping[str, str]) -> None:
        self.folder = folder
        self.resolver = resolver
        self.policy = policy
        self.offline = dict(offline)
        self._guard = Lock()
        self._offers: dict[str, RemoteFile | _NotHad] = {}

    def gather(self, archive: Path, note: Path, beside: Path | None = None) -> bool:
        """Find the references that an archive lacks and write their names and paths into ``note``.

        ``beside`` is the folder of a local archive. Return whether there are any. Raises ReferenceMissing.
        """
        lengths = external_references(archive, self.offline)
        found: dict[str, Path] = {}
        offers: dict[str, RemoteFile] = {}
        faults: dict[str, _NotHad] = {}
        for name, length in lengths.items():  # nothing is fetched unless all are on offer
            try:
                if ready := self._local(name, length, beside) or self._cached(name, length):
                    found[name] = ready
                else:
                    offers[name] = self._offer(name)
            except _NotHad as fault:
                faults[name] = fault
        for name, offer in offers.items() if not faults else ():
            try:
                found[name] = self._fetch(name, lengths[name], offer)
            except _NotHad as fault:
                faults[name] = fault
                break
        if faults:
            transient = all(fault.transient for fault in faults.values())
            raise ReferenceMissing({name: str(fault) for name, fault in faults.items()}, len(lengths), transient)
        if found:
            write_atomic(note, "".join(f"{name}\t{path.resolve()}\n" for name, path in found.items()))
        return bool(found)

    def _local(self, name: str, length: int, beside: Path | None) -> Path | None:
        if not _NAME.fullmatch(name):
            raise _NotHad("such a name is no accession of a sequence")
        path = beside / name if beside else None
        if path is None or not path.is_file():
            return None
        target = self.folder / "local" / hash_file(path, "md5") / name
        if not self._is_cached(target, name, length):
            make_folder(target.parent)
            with exclusive_lock(target.with_name(f".{name}.lock")):
                self._keep(path, name, length, target)
        return target

    def _cached(self, name: str, length: int) -> Path | None:
        path = path_below(self.folder, name)
        if self._is_cached(path, name, length):
            return path
        if not self._is_cached(path, name, length, circular=False):
            return None
        with exclusive_lock(self.folder / f".{name}.lock"):  # somebody put it there as it is
            self._keep(path, name, length, path)
        return path

    def _is_cached(self, path: Path, name: str, length: int, circular: bool = True) -> bool:
        if not path.is_file() or fastq_files.kind_of(path) != "sra":
            return False
        return self._identity(path) == (name, length, circular)

    def _offer(self, name: str) -> RemoteFile:
        """Ask the resolver where a reference is; once for all runs."""
        with self._guard:
            offer = self._offers.get(name)
        if offer is None or (isinstance(offer, _NotHad) and offer.transient):
            try:
                answer = http.request(self.resolver, data={"acc": name, **_FORM}, policy=self.policy)
                offer = offered_file(answer, name)
            except ValueError as error:
                offer = _NotHad(str(error))
            except http.RemoteError as error:
                offer = _NotHad(f"the resolver does not say where it is: {error.fault}", not error.final)
            with self._guard:
                self._offers[name] = offer
        if isinstance(offer, _NotHad):
            raise offer
        return offer

    def _fetch(self, name: str, length: int, offer: RemoteFile) -> Path:
        target = path_below(self.folder, name)
        most = length + _BESIDE_BASES
        if offer.size > most:
            raise _NotHad(f"the resolver offers {offer.size:,} bytes for a sequence of {length:,} bases")
        make_folder(self.folder)
        with exclusive_lock(self.folder / f".{name}.lock"):
            if self._is_cached(target, name, length):
                return target
            fetched = self.folder / f".{name}.fetched"
            try:
                http.fetch(
                    offer.url, fetched, md5=offer.md5 or None, size=offer.size or None, policy=self.policy, most=most
                )
                self._keep(fetched, name, length, target)
            except http.RemoteError as error:
                final = error.final or isinstance(error, http.ChecksumError)
                raise _NotHad(f"its file is not what the resolver promises: {error.fault}", not final) from error
            finally:
                fetched.unlink(missing_ok=True)
        return target

    def _keep(self, path: Path, name: str, length: int, target: Path) -> None:
        """Keep a copy of a file that is proved to be the reference. Raises _NotHad where it is not."""
        if fault := self._fault_of(path, name, length):
            raise _NotHad(f"{'its file' if path.name != name else 'the file beside the archive'} {fault}")
        scratch = target.with_name(f".{target.name}.part")  # under the lock; what a killed job left is replaced
        remove_folder(scratch.parent, scratch.name, ignore_errors=True)
        scratch.mkdir()
        try:
            table, copy = Path(scratch, "table"), Path(scratch, name)
            for command in (
                ["kar", "-x", path_argument(path.absolute()), "-d", str(table)],
                ["kdbmeta", str(table), r"col/CIRCULAR/row=\x01"],
                ["kar", "-c", str(copy), "-d", str(table)],
            ):
                done = run_program(command, self.offline)
                if done.status:
                    words = sra_archive.first_words(done.errors, path)
                    raise _NotHad(f"its file cannot be unpacked: {command[0]}: {words or done.status}")
            if fault := self._fault_of(copy, name, length):
                raise _NotHad(f"the copy of its file {fault}")
            copy.chmod(0o644)
            copy.replace(target)

        finally:
            remove_folder(scratch.parent, scratch.name, ignore_errors=True)

    def _fault_of(self, path: Path, name: str, length: int) -> str:
        """Return in a clause why a file is not this reference, empty where it is."""
        if fastq_files.kind_of(path) != "sra":
            return "is no file of the SRA"
        if words := sra_archive.find_damage(path, self.offline):
            return f"is damaged: {words}"
        found, bases, _ = self._identity(path)
        if found == name and bases == length:
            return ""
        return f"is {quoted(found)} with {bases:,} bases, not {name} with {length:,}"

    def _identity(self, path: Path) -> tuple[str, int, bool]:
        """Return accession and bases of a reference and whether it is circular; empty and 0 where a file is none."""
        command = ["vdb-dump", "-R", "1", "-C", "SEQ_ID,TOTAL_SEQ_LEN,CIRCULAR", "-f", "tab", path_argument(path)]
        name, length, circular = [*run_program(command, self.offline).output.strip().split("\t"), "", "", ""][:3]
        parts = name.split("|")  # gi|448814763|ref|NC_000962.3|
        accession = next((part for part in reversed(parts) if part), "")
        return accession, whole_number(length) or 0, circular == "true"


def external_references(archive: Path, environment: Mapping[str, str]) -> dict[str, int]:
    """Return name → bases of the references that an aligned archive does not hold; none where it is not aligned.

    Raises RunFault(ARCHIVE_CORRUPT) where they cannot be listed.
    """
    done = run_program(["align-info", path_argument(archive)], dict(environment))
    if done.status:
        words = sra_archive.first_words(done.errors, archive)
        raise RunFault("ARCHIVE_CORRUPT", f"align-info cannot list its references: {words}.", done.cause)
    lines = map(_LINE.fullmatch, done.output.splitlines())
    names = dict.fromkeys(line[1] for line in lines if line and line[2] == "remote")
    if not names:
        return {}
    command = ["vdb-dump", "-T", "REFERENCE", "-C", "SEQ_ID,SEQ_LEN", "-f", "tab", path_argument(archive)]
    lengths: Counter[str] = Counter()
    for row in run_program(command, dict(environment)).output.splitlines():
        name, _, length = row.rpartition("\t")
        lengths[name] += whole_number(length) or 0
    return {name: lengths[name] for name in names}


def offered_file(answer: bytes, name: str) -> RemoteFile:
    """Return the file of a reference by an answer of the resolver: ``{"result": [{"bundle", "status", "files"}]}``.

    Raises ValueError with a clause where it has none, or none that anybody may fetch.
    """
    try:
        results = json.loads(answer)["result"]
        entries = [entry for entry in results if entry.get("bundle") in (name, None)] or results
        refusals = [f"{entry['status']}, {entry.get('msg', '')}" for entry in entries if entry.get("status") != 200]
        files = [file for entry in entries for file in entry.get("files", ())]
        for file in files:
            urls = [web_address(str(place.get("link", ""))) for place in file.get("locations", ())]
            size, md5 = whole_number(str(file.get("size", ""))) or 0, str(file.get("md5") or "")
            if url := next(filter(None, urls), ""):
                return RemoteFile(name, "reference", size, md5 if _MD5.fullmatch(md5) else "", url, (url,))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError("the resolver's answer is not what SDL answers") from error
    if refusals:
        raise ValueError(f"the resolver answers {quoted(refusals[0])[1:-1]}".rstrip(", "))
    raise ValueError("the resolver gives no address for it")


@contextlib.contextmanager
def with_references(note: Path, work: Path, offline: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """Yield the environment in which sra-tools find the references of a run, whose note need not exist.

    The folder ``work`` gets links to them. Raises RunFault(REFERENCE_MISSING) where one has been removed since.
    """
    if not note.is_file():
        yield dict(offline)
        return
    folder = work / "references"
    folder.mkdir()
    for line in note.read_text(encoding="utf-8").splitlines():
        name, _, path = line.partition("\t")
        if not Path(path).is_file():
            raise RunFault("REFERENCE_MISSING", f"{path}, which the download of the run found, is no longer there.")
        fastq_files.link(path, path_below(folder, name))
    descriptor = os.open(work, os.O_RDONLY | os.O_DIRECTORY)  # settings hold no path with quotes
    try:
        root = f"/proc/{os.getpid()}/fd/{descriptor}"
        yield sra_archive.write_settings(work / "references.mkfg", references=(root, folder.name))
    finally:
        os.close(descriptor)
