"""Bring a run from one source to disk, by prefetch or HTTP, and check everything that can be known of its bytes.

Which source that is, and what happens when it fails, is decided in :mod:`~scripts.reads.sources.source_order`.
"""

import contextlib
import errno
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from scripts.core import http
from scripts.core.disk.files import hash_file, path_below, remove_folder, size_of_folder
from scripts.core.disk.locks import slot
from scripts.core.errors import DISK_FULL, RunFault, fault_of_run
from scripts.core.progress import format_bytes
from scripts.core.subprocesses import STALLED, bytes_read, path_argument, run_program
from scripts.formats import fastq_files
from scripts.plan.run_table import Run
from scripts.reads.lost_reads import find_loss
from scripts.reads.sources import sra_archive
from scripts.reads.sources.remote_files import (
    BAM,
    FASTQ,
    SUBMITTED,
    RemoteFile,
    UnitRecords,
    is_lite,
    submitted_files,
    whole_fastq,
)
from scripts.reads.sources.source_order import Again, SourceFault
from scripts.reads.sources.sra_references import ReferenceMissing, References
from scripts.reads.unit_disk import DiskRoom

_LEAST_RATE = 50_000.0  # bytes a second below which another source is asked, if there is one
_SIMPLIFIED = {ord("?"), ord("$")}  # the qualities of SRA Lite, 30 and 3, in FASTQ
_ALIKE = 0.95  # SRA Lite of a larger share of the full archive's size has lost no qualities
_VERIFIED = 1 << 26  # bytes that prefetch reads in one step of its verification

# What prefetch prints → reason and sentence of the fault, after which it is not asked again.
_PREFETCH_FAULTS = (
    ("failed to verify", "CHECKSUM_MISMATCH", "its md5 is not the one that the resolver promises"),
    ("size does not match", "CHECKSUM_MISMATCH", "its size is not the one that the resolver promises"),
    (r"failed to resolve .*?- (.*?) \( ?(40[0-9]) ?\)", "DOWNLOAD_FAILED", r"the resolver answers \2, \1"),
    ("file not found while opening", "DOWNLOAD_FAILED", "the address that the resolver gives holds no file"),
)


class Fetched(NamedTuple):
    """The files of a run, and whether their qualities are simplified, as in SRA Lite."""

    files: list[Path]
    lite: bool = False


class TransferSettings(NamedTuple):
    """How sources are asked: prefetch by ``resolver``, HTTP by ``policy``, whose timeout holds for both.

    ``references`` is the folder in which references of aligned archives are kept, see
    :mod:`~scripts.reads.sources.sra_references`.
    ``policy`` is that of files without a checksum; with one, the next pass resumes a broken transfer. ``per_host`` is
    the number of transfers from one host at a time, of all that name the folder ``slots``; None for any.
    """

    resolver: str
    accept_lite: bool = False
    policy: http.RetryPolicy = http.RetryPolicy()
    per_host: int | None = None
    references: Path = Path("resources/sra_references")
    slots: Path = Path("resources/transfers")


class Transfers:
    """The transfers of a unit's runs; safe for threads."""

    def __init__(self, settings: TransferSettings, records: UnitRecords, room: DiskRoom, folder: Path) -> None:
        self.settings = settings
        self.records = records
        self.room = room
        self.folder = folder
        self.online = sra_archive.write_settings(folder / "online.mkfg", settings.resolver)
        self.online["NCBI_VDB_QUALITY"] = "RZ" if settings.accept_lite else "R"
        self.offline = sra_archive.write_settings(folder / "offline.mkfg")
        self.references = References(settings.references, settings.resolver, settings.policy, self.offline)
        self._of_lite: set[str] = set()  # runs of which an archive had SRA Lite alone

    def fetch(self, source: str, row: Run, folder: Path, hurried: bool) -> Fetched | None:
        """Bring a run from a source into a folder, where a broken transfer is resumed; None where the source has none.

        ``hurried``: leave a slow source for another one. Raises SourceFault, RunFault(DISK_LIMIT).
        """
        folder.mkdir(parents=True, exist_ok=True)
        resumed = any(folder.iterdir())
        try:
            if source == BAM:
                return self._fetch_bam(row, folder)
            if source == SUBMITTED:
                return self._fetch_submitted(row, folder)
            if source == FASTQ:
                fetched = self._fetch_fastq(row, folder)
            else:
                fetched = self._fetch_archive(source, row, path_below(folder, f"{row.run}.sra"), hurried)
            if fetched and self._has_submitted(row):
                loss = find_loss(row, self.records.reads(row.run), fetched.files, self.offline)
                if loss:
                    raise loss
            return fetched
        except SourceFault as fault:
            if fault.reason == "CHECKSUM_MISMATCH" and resumed:
                fault.again = Again.ONCE  # the two halves may not belong together
            if fault.again != Again.EVERY_PASS:
                remove_folder(folder.parent, folder.name, ignore_errors=True)
            raise
        except ReferenceMissing as error:
            remove_folder(folder.parent, folder.name, ignore_errors=True)
            again = Again.ONCE if error.transient else Again.NEVER
            raise SourceFault(error.reason, error.detail, again) from error
        except Exception as error:
            of_run = fault_of_run(error, "DOWNLOAD_FAILED")
            if of_run.reason == "DISK_LIMIT":
                raise
            remove_folder(folder.parent, folder.name, ignore_errors=True)
            raise SourceFault(of_run.reason, of_run.detail, cause=of_run.cause) from error

    def reserve(self, row: Run, need: int, what: str, folder: Path) -> None:
        """Reserve room for the files of a run, some of which may be in its folder. Raises RunFault(DISK_LIMIT)."""
        verb = "" if what.endswith(" have") else " has"
        self.room.reserve(row, need, f"the {what}{verb} {format_bytes(need)}", size_of_folder(folder))

    def _fetch_archive(self, source: str, row: Run, path: Path, hurried: bool) -> Fetched:
        if source == "sra":
            lite, md5 = self._prefetch(row, path, hurried), ""
        else:
            lite, md5 = self._fetch_offered(source, row, path, hurried)
        if fastq_files.kind_of(path) != "sra":
            raise SourceFault("DOWNLOAD_FAILED", f"what arrived is {_kind(path)}, not an archive", Again.ONCE)
        recorded = row.md5.lower()
        if recorded and not md5 and not lite and (md5 := hash_file(path, "md5")) != recorded:
            raise SourceFault("CHECKSUM_MISMATCH", f"its md5 is {md5}, but the record says {row.md5}")
        if lite:
            self._of_lite.add(row.run)
        if lite and not self.settings.accept_lite:
            raise SourceFault("QUALITY_LITE", "only SRA Lite is on offer, with simplified qualities")
        # The record's md5 is that of the archive in full quality, even if all its qualities are the same.
        full = bool(recorded) and not lite and md5.lower() == recorded
        return self.check_archive(row, path, False if full else True if lite else None)

    def check_archive(self, row: Run, path: Path, lite: bool | None = None, beside: Path | None = None) -> Fetched:
        """Check an archive; return its files, the note on its references among them, see :mod:`sra_references`.

        ``lite`` is what is known of its qualities, ``beside`` the folder of a local archive. Raises RunFault.
        """
        checked = sra_archive.check(path, self.offline, self.settings.accept_lite, lite)
        files = [path]
        note = path_below(self.folder, f"{row.run}.references") if beside else path.with_suffix(".references")
        if checked.aligned and self.references.gather(path, note, beside):
            files.append(note)
        return Fetched(files, checked.lite)

    def _fetch_bam(self, row: Run, folder: Path) -> Fetched:
        path = path_below(folder, f"{row.run}.bam")
        self._fetch_offered(BAM, row, path, hurried=False)
        if fastq_files.kind_of(path) != "bam":
            raise SourceFault("DOWNLOAD_FAILED", f"what arrived is {_kind(path)}, not a BAM file", Again.ONCE)
        return Fetched([path])

    def _fetch_fastq(self, row: Run, folder: Path) -> Fetched | None:
        """Fetch ENA's FASTQ where it has every read of the record."""
        offered = self._files(FASTQ, row)
        if not offered:
            return None
        reads = self.records.reads(row.run)
        try:
            files = whole_fastq(row.run, offered, reads, row.layout if row.assay == "plate" else "")
        except ValueError as error:
            raise SourceFault("DOWNLOAD_FAILED", str(error)) from error
        self.reserve(row, sum(file.size for file in files.values()), "FASTQ of ENA", folder.parent)
        for name, file in files.items():
            if not (folder / name).is_file():
                self._transfer(file, folder / name, file.md5, hurried=False)
        for number, read in enumerate(reads, 1):
            name = next(iter(files)) if len(files) == 1 else f"{row.run}_{number}.fastq.gz"
            if name not in files or read.stdev or not (read.spots and read.length):
                continue
            if other := set(fastq_files.first_lengths(folder / name)) - {int(read.length)}:
                sentence = f"{name} has reads of {min(other)} bases, the record of {int(read.length)}"
                raise SourceFault("DOWNLOAD_FAILED", sentence)
        lite = self._is_simplified(row, [folder / name for name in files])
        if lite and not self.settings.accept_lite:
            raise SourceFault("QUALITY_LITE", "the qualities of ENA's FASTQ are simplified, as those of SRA Lite")
        return Fetched([folder / name for name in files], lite)

    def _is_simplified(self, row: Run, files: Sequence[Path]) -> bool:
        """Whether ENA made FASTQ from SRA Lite: it has no other qualities, and the archives offer Lite of the run.

        Where they offer none, or one that is not smaller than the archive in full quality, the submitter's own
        qualities are so.
        """
        if not all(fastq_files.first_qualities(path) <= _SIMPLIFIED for path in files):
            return False
        offered = self._files("ncbi", row)
        lite = [file.size for file in offered if is_lite(file)]
        full = [file.size for file in offered if not is_lite(file)]
        if lite and full and all(full) and min(lite) > _ALIKE * min(full):
            return False
        return bool(lite) or row.run in self._of_lite

    def _has_submitted(self, row: Run) -> bool:
        """Whether all reads of a run are on offer as they were submitted, by the records that are kept."""
        with contextlib.suppress(SourceFault, ValueError):
            return bool(submitted_files(row.run, self._files(SUBMITTED, row, ask=False), row))
        return False

    def _fetch_submitted(self, row: Run, folder: Path) -> Fetched | None:
        """Fetch what the submitter gave to the archive, where that is all reads of the run."""
        try:
            offered = self._files(SUBMITTED, row)
        except SourceFault:
            if row.source == SUBMITTED:
                raise
            offered = []  # the sources for which it stands in have said so
        if not offered:
            return None
        try:
            files = submitted_files(row.run, offered, row)
        except ValueError as error:
            raise SourceFault("DOWNLOAD_FAILED", str(error)) from error
        self.reserve(row, sum(file.size for file in files.values()), "submitted files have", folder.parent)
        for name, file in files.items():
            if not (folder / name).is_file():
                self._transfer(file, folder / name, file.md5, hurried=False)
            kind = fastq_files.kind_of(folder / name)
            if not (kind == "bam" if name.endswith(".bam") else kind.startswith("fastq")):
                raise SourceFault("DOWNLOAD_FAILED", f"{file.name} is {_kind(folder / name)}")
        return Fetched([folder / name for name in files])

    def _fetch_offered(self, source: str, row: Run, path: Path, hurried: bool) -> tuple[bool, str]:
        """Fetch the file that the records name; return whether it is Lite, and its md5 where that was promised."""
        offered = self._files(source, row)
        full = [file for file in offered if not is_lite(file)]
        chosen = full or (offered if self.settings.accept_lite else [])
        if not chosen and offered:
            raise SourceFault("QUALITY_LITE", "only SRA Lite is on offer, with simplified qualities")
        if not chosen:
            reason = "BARCODE_LOST" if source == BAM else "DOWNLOAD_FAILED"
            raise SourceFault(reason, f"the record names no {'BAM file' if source == BAM else 'archive'}")
        for number, file in enumerate(chosen, 1):
            md5 = row.md5 or file.md5 if source == "ncbi" and full else file.md5
            self.reserve(row, file.size or int(row.bytes or 0), "archive", path.parent.parent)
            try:
                self._transfer(file, path, md5, hurried)
                break
            except SourceFault:
                if number == len(chosen):
                    raise
        return not full, md5

    def _transfer(self, file: RemoteFile, path: Path, md5: str, hurried: bool) -> None:
        """Fetch one file over HTTP."""
        policy = self.settings.policy._replace(least_rate=_LEAST_RATE if hurried else 0.0)
        if md5:
            policy = policy._replace(retries=0)
        try:
            with self._slot(file.url):
                http.fetch(file.url, path, md5=md5 or None, size=file.size or None, policy=policy)
        except http.ChecksumError as error:
            raise SourceFault("CHECKSUM_MISMATCH", error.fault) from error
        except http.RemoteError as error:
            raise _source_fault(error) from error
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            raise _disk_became_full() from error

    def _prefetch(self, row: Run, path: Path, hurried: bool) -> bool:
        """Have prefetch get a run; return whether it is Lite."""
        # prefetch takes any whole file of the right size for the archive, and obeys the lock of a killed one.
        path.unlink(missing_ok=True)
        path.with_name(path.name + ".lock").unlink(missing_ok=True)
        _mend_transaction(path)
        patience = self.settings.policy.timeout
        step = max(1, int(_LEAST_RATE * patience)) if hurried else 1
        with self._slot(self._prefetch_address(row)):
            done = run_program(
                ["prefetch", "--max-size", "u", "--check-rs", "no", "--output-file", path_argument(path), row.run],
                self.online,
                # While it verifies, prefetch writes nothing, but reads all that has arrived.
                progress=lambda process: (size_of_folder(path.parent) // step, bytes_read(process) // _VERIFIED),
                patience=patience,
            )
        said = done.output + done.errors
        if done.status == 0 and path.is_file():
            return "SRA Lite file is being retrieved" in said
        if done.status == STALLED:
            few = f"fewer than {_LEAST_RATE / 1000:g} kB a second" if hurried else "no byte"
            raise SourceFault("DOWNLOAD_FAILED", f"{few} for {patience:g} s", Again.EVERY_PASS)
        if sra_archive.says_disk_is_full(said):
            raise _disk_became_full()
        for pattern, reason, sentence in _PREFETCH_FAULTS:
            if found := re.search(pattern, said):
                raise SourceFault(reason, found.expand(sentence))
        words = sra_archive.first_words(done.errors, path)
        sentence = f"prefetch failed{': ' + words if words else ' and does not say why'}"
        raise SourceFault("DOWNLOAD_FAILED", sentence, Again.EVERY_PASS)

    def _prefetch_address(self, row: Run) -> str:
        """Return the address to which the resolver will lead, as the record of the series has it."""
        if self.settings.per_host is not None:
            with contextlib.suppress(SourceFault):
                return next((file.url for file in self._files("ncbi", row)), self.settings.resolver)
        return self.settings.resolver

    @contextlib.contextmanager
    def _slot(self, address: str) -> Iterator[None]:
        """Wait until the host of an address has fewer transfers than ``per_host``."""
        if self.settings.per_host is None:
            yield
            return
        host = re.sub(r"[^\w.-]", "_", urlsplit(address).netloc.rpartition("@")[2])[-100:]
        with slot(self.settings.slots / host, self.settings.per_host):
            yield

    def _files(self, source: str, row: Run, ask: bool = True) -> list[RemoteFile]:
        try:
            return self.records.files(source, row.run, ask)
        except http.RemoteError as error:
            raise _source_fault(error) from error
        except Exception as error:
            fault = fault_of_run(error, "DOWNLOAD_FAILED")
            raise SourceFault(fault.reason, f"the record cannot be read: {fault.detail}", cause=fault.cause) from error


def _source_fault(error: http.RemoteError) -> SourceFault:
    """Return the fault of a source that could not be reached, or answered something else than the file."""
    again = Again.NEVER if error.final else Again.EVERY_PASS
    return SourceFault("DOWNLOAD_FAILED", error.fault, again, error.wait)


def _disk_became_full() -> RunFault:
    return RunFault("DISK_LIMIT", "the disk became full while the archive was downloaded.", DISK_FULL)


def _kind(path: Path) -> str:
    """Return what a file that is no archive may be, in a few words."""
    with path.open("rb") as handle:
        start = handle.read(2048)
    if not start:
        return "an empty file"
    return "a web page" if http.is_html(start) else "something else"


def _mend_transaction(path: Path) -> None:
    """Let prefetch resume the part that a killed one left.

    Beside ``X.tmp`` it keeps ``X.prf``: the 8 bytes ``NCBIprTr`` and the size of the part in 8 bytes, least first (as
    prefetch 3.0.3 leaves them on SIGTERM). A killed prefetch leaves it empty, and the next one would start
    from nothing. A damaged part fails the checksum and is fetched again.
    """
    part = path.with_name(path.name + ".tmp")
    note = path.with_name(path.name + ".prf")
    if part.is_file() and note.is_file() and not note.stat().st_size:
        note.write_bytes(b"NCBIprTr" + part.stat().st_size.to_bytes(8, "little"))
