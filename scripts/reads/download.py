"""Download the archives of a unit's runs, and let none pass that does not prove itself.

For every run the sources are tried in the order given (sra: prefetch, which asks the resolver; ncbi: the address that
the record of the series names; ena: the archive that ENA's record names), in rounds with growing waits, until one
gives an archive whose size and md5 are those promised and which vdb-validate calls consistent. Only then it gets its
name, {run}.sra; a run of source `bam` gives {run}.bam, one of source `file:` a link where it is an archive. What
became of every run stands in status.tsv.

Where no archive is to be had, ENA's FASTQ is taken (source `ena_fastq`, with `ena` among the sources), provided that
it has every read of the record: {run}_{n}.fastq.gz and {run}.fastq.gz, of the sizes and md5 that ENA's record promises.

What has arrived so far lies in a folder beside the output (work/partial/{unit}) and is taken up by the next job when
this one is killed. Nothing is left there of a run that failed for good, and of one that is still tried only the part of
the source that gave most of it, beside that of the source at work.
"""

import argparse
import contextlib
import errno
import json
import re
import shutil
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from scripts.core import http
from scripts.core.command import command_parser
from scripts.core.concurrency import every, side_by_side
from scripts.core.errors import DISK_FULL, InputError, RunFault
from scripts.core.files import hash_file, size_of_folder, write_atomic
from scripts.core.locks import exclusive_lock
from scripts.core.progress import Progress, format_bytes
from scripts.core.subprocesses import STALLED, bytes_read, ends_if_removed, ends_with_command, run_program
from scripts.formats import fastq_files
from scripts.plan.footprint import beyond_limit, experiments_that_fit, held_by, held_by_unit, told_gb
from scripts.plan.run_table import Run
from scripts.plan.status import RunStatus, read_statuses, write_statuses
from scripts.plan.units import add_runs_option, read_unit_rows
from scripts.reads import sources, sra_archive
from scripts.reads.sources import ArchiveObject
from scripts.reads.unit_records import FASTQ, UnitRecords

SOURCES = ("sra", "ncbi", "ena")
# When every source failed, the gravest of their faults names the run's.
_GRAVITY = ("ARCHIVE_CORRUPT", "CHECKSUM_MISMATCH", "QUALITY_LITE", "BARCODE_LOST", "DOWNLOAD_FAILED")
_FULL = re.compile(r"storage exhausted|no space left|disk full|quota", re.IGNORECASE)
_LONGEST_WAIT = 120.0  # seconds between two rounds
_STEP = 1 << 20  # bytes that a transfer must have brought for its round not to count
_LEAST_RATE = 50_000.0  # bytes a second of a transfer, below which another source is asked if there is one
_VERIFIED = 1 << 26  # bytes
_OFTEN = 1 << 20  # a source may be asked again as often as there are rounds
_UNRELIABLE = 3  # a source that failed for so many runs one after the other is asked last from then on


class SourceFault(Exception):
    """A source that did not give a run: the reason it makes for, a sentence, and how often it may be asked again."""

    def __init__(self, reason: str, sentence: str, again: int = 0, wait: float = 0.0) -> None:
        super().__init__(sentence)
        self.reason = reason
        self.sentence = sentence.rstrip(".")
        self.again = again
        self.wait = wait


class Downloader:
    """The downloads of one unit: its settings, its records, and what it has learnt about the sources."""

    def __init__(self, runs: Sequence[Run], options: argparse.Namespace) -> None:
        self.runs = list(runs)
        self.options = options
        self.output = Path(options.output)
        self.partial = Path(options.partial or self.output.parent.parent / "partial") / options.runs.stem
        self.ready = self.partial / "ready"
        self.settled = read_statuses(Path(options.kept) / "status.tsv") if options.kept else {}
        self.fit = None  # experiments for which there is room
        if options.limit_gb is not None:
            waiting = [row for row in self.runs if row.run not in self.settled]
            self.fit = experiments_that_fit(waiting, options.limit_gb * 1e9)
        self.guard = threading.Lock()
        self.records = UnitRecords(self.runs, options.records, options.ena, options.patience)
        self.failures: dict[str, int] = {}  # of a source, one after the other
        self.reserved: dict[str, int] = {}  # run → bytes it may still write
        self.places: dict[str, threading.Semaphore] = {}  # host → its free places
        self.progress = Progress(len(self.runs))
        self.peak = 0  # the most bytes that lay on disk
        self.planned = held_by_unit(row for row in self.runs if row.run not in self.settled).archive

    def prepare(self) -> None:
        """Make the folders and the settings of the tools."""
        self.ready.mkdir(parents=True, exist_ok=True)
        self.output.mkdir(parents=True, exist_ok=True)
        for left in ("*.sra", "*.bam", "*.fastq.gz", "status.tsv"):
            for path in self.output.glob(left):
                path.unlink()
        self.still_ours = ends_if_removed(self.output)
        self.online = sra_archive.write_settings(self.partial / "online.mkfg", self.options.resolver)
        self.online["NCBI_VDB_QUALITY"] = "RZ" if self.options.accept_lite else "R"
        self.offline = sra_archive.write_settings(self.partial / "offline.mkfg")
        self.held_before = size_of_folder(self.partial)

    # One run

    def run(self, row: Run) -> RunStatus:
        """Get one run and say what became of it; one that an earlier round settled stays as it is."""
        if row.run in self.settled:
            return self.settled[row.run]
        status = RunStatus(row.run)
        try:
            if row.source.startswith("file:"):
                return self._local(row, status)
            kept = self._kept(row)
            if kept is None:
                with self._room(row):
                    kept = self._download(row)
            return status._replace(**kept)
        except RunFault as fault:
            shutil.rmtree(self.partial / row.run, ignore_errors=True)
            return status.failed(fault)

    def _kept(self, row: Run) -> dict[str, str] | None:
        """Return what is known of a run that an earlier job has got, None where there is none."""
        note = self.ready / f"{row.run}.json"
        if not note.is_file():
            return None
        known = json.loads(note.read_text(encoding="utf-8"))
        there = {path.name for path in sources.arrived(self.ready, row.run)}
        if known.pop("md5") != row.md5 or not there or there != set(known.pop("files", [])):
            return None
        if (known["detail"] and not self.options.accept_lite) or (known["source"] == "bam") != (row.source == "bam"):
            return None
        return known

    def _local(self, row: Run, status: RunStatus) -> RunStatus:
        """Look at the files that the plan names; an archive is linked into the output."""
        paths = [path for path in row.source.removeprefix("file:").split(";") if path]
        missing = [path for path in paths if not Path(path).is_file()]
        if missing or not paths:
            raise RunFault("DOWNLOAD_FAILED", f"no such file: {', '.join(missing) or row.source}.")
        kinds = [fastq_files.kind_of(path) for path in paths]
        strange = [path for path, kind in zip(paths, kinds, strict=True) if not kind]
        if strange:
            raise RunFault("DOWNLOAD_FAILED", f"neither an archive nor FASTQ nor BAM: {', '.join(strange)}.")
        if len(paths) > 1 and not all(kind.startswith("fastq") for kind in kinds):
            raise RunFault("DOWNLOAD_FAILED", "a run is several FASTQ files, or one archive, or one BAM.")
        if kinds == ["sra"]:
            if row.md5 and hash_file(paths[0], "md5") != row.md5.lower():
                raise RunFault("CHECKSUM_MISMATCH", f"the md5 of {paths[0]} is not {row.md5}, as the plan says.")
            detail = self._prove(Path(paths[0]))
            fastq_files.link(paths[0], self.ready / f"{row.run}.sra")
            return status._replace(source=row.source, detail=detail)
        return status._replace(source=row.source)

    @contextlib.contextmanager
    def _room(self, row: Run) -> Iterator[None]:
        """Hold room for one archive; raises RunFault(DISK_LIMIT) where there is none, for it or its conversion."""
        if self.fit is not None and row.experiment not in self.fit:
            words = f"with its FASTQ it may need {told_gb(held_by(row).peak)}"
            clause = beyond_limit(self.options.limit_gb, held_by_unit(self.runs).peak, row)
            raise RunFault("DISK_LIMIT", f"{words}, which {clause}")
        try:
            self._reserve(row, int(row.bytes or 0), "archive")
            yield
        finally:
            with self.guard:
                self.reserved.pop(row.run)

    def _reserve(self, row: Run, need: int, what: str) -> None:
        """Set aside so many bytes for one run, in place of what was before. Raises RunFault(DISK_LIMIT)."""
        with self.guard:
            self.reserved.pop(row.run, None)
            running = sum(self.reserved.values())
            self.reserved[row.run] = need
        arrived = size_of_folder(self.partial / row.run)
        free = shutil.disk_usage(self.partial).free
        if need - arrived > free - running:
            raise RunFault(
                "DISK_LIMIT", f"the {what} has {format_bytes(need)}, and the disk has no room for it.", DISK_FULL
            )
        limit = self.options.limit_gb
        held = size_of_folder(self.ready) + running + need
        if limit is not None and held > limit * 1e9:
            most = max(held, held_by_unit(self.runs).peak)
            raise RunFault("DISK_LIMIT", f"the {what} has {format_bytes(need)}, which {beyond_limit(limit, most, row)}")

    def _download(self, row: Run) -> dict[str, str]:
        """Ask the sources in rounds; return what the status says of the run. Raises RunFault.

        A round in which more of the run arrived than ever is not counted: a server may cut each transfer short.
        """
        order = ["bam"] if row.source == "bam" else self._order()
        if "ena" in order:
            order.append(FASTQ)
        left = dict.fromkeys(order, _OFTEN)  # source → how often it may still be asked
        faults: dict[str, SourceFault] = {}
        parts: dict[str, int] = {}  # source → the most that ever arrived of it
        rounds = 0
        while rounds <= self.options.retries:
            if faults:
                wait = min(_LONGEST_WAIT, self.options.first_wait * 2 ** max(0, rounds - 1))
                asked_for = [fault.wait for source, fault in faults.items() if left[source] > 0]
                time.sleep(min(_LONGEST_WAIT * 5, max([wait, *asked_for])))
            moved = False
            for source in order:
                if left[source] <= 0:
                    continue
                if source == FASTQ and not rounds and any(left[other] > 0 for other in order if other != FASTQ):
                    continue  # archives are asked twice before, and again while they arrive in parts
                left[source] -= 1
                hurried = rounds < self.options.retries and any(left[other] > 0 for other in order if other != source)
                try:
                    detail, files = self._ask(source, row, hurried)
                except SourceFault as fault:
                    left[source] = min(left[source], fault.again)
                    if not fault.sentence:  # there is no such source
                        continue
                    faults[source] = fault
                    self._tell(f"{row.run}: {source}: {fault.sentence}.")
                    self._learn(source, failed=fault.reason == "DOWNLOAD_FAILED" and fault.again > 0)
                    arrived = size_of_folder(self.partial / row.run / source)
                    moved = moved or arrived >= parts.get(source, 0) + _STEP
                    parts[source] = max(arrived, parts.get(source, 0))
                    self._leave_one_part(row)
                    refused = sum(fault.reason == "ARCHIVE_CORRUPT" for fault in faults.values())
                    if refused > 1:  # the archive itself is broken: further mirrors have the same bytes
                        left = {other: left[other] if other == FASTQ else 0 for other in order}
                    continue
                self._learn(source, failed=False)
                return self._keep(row, source, detail, files)
            if not any(tries > 0 for tries in left.values()):
                break
            rounds += not moved
        reason = min((fault.reason for fault in faults.values()), key=_GRAVITY.index)
        told = [f"{source}: {faults[source].sentence}" for source in (*SOURCES, FASTQ, "bam") if source in faults]
        raise RunFault(reason, "; ".join(told) + ".")

    def _leave_one_part(self, row: Run) -> None:
        """Delete what broken transfers left of a run, but for the largest part."""
        parts = sorted((self.partial / row.run).iterdir(), key=size_of_folder)
        for folder in parts[:-1]:
            shutil.rmtree(folder, ignore_errors=True)

    def _order(self) -> list[str]:
        with self.guard:
            return sorted(self.options.order, key=lambda source: self.failures.get(source, 0) >= _UNRELIABLE)

    def _learn(self, source: str, failed: bool) -> None:
        with self.guard:
            self.failures[source] = self.failures.get(source, 0) + 1 if failed else 0

    def _keep(self, row: Run, source: str, detail: str, files: Sequence[Path]) -> dict[str, str]:
        """Put proven files among those that are ready; they survive this job."""
        for path in sources.arrived(self.ready, row.run):
            path.unlink()
        known = {"source": source, "detail": detail}
        note = self.ready / f"{row.run}.json"
        told = {**known, "md5": row.md5, "files": [path.name for path in files]}
        write_atomic(note, json.dumps(told))
        for path in files:
            path.replace(self.ready / path.name)
        shutil.rmtree(self.partial / row.run, ignore_errors=True)
        return known

    # One source

    def _ask(self, source: str, row: Run, hurried: bool) -> tuple[str, list[Path]]:
        """Get a run from one source into its partial folder; return the detail of its status, and the files.

        ``hurried``: a slow source is left for another one. Raises SourceFault, RunFault.
        """
        folder = self.partial / row.run / source
        folder.mkdir(parents=True, exist_ok=True)
        taken_up = any(folder.iterdir())
        path = folder / f"{row.run}.{'bam' if source == 'bam' else 'sra'}"
        try:
            if source == FASTQ:
                return "", self._fetch_fastq(row, folder)
            if source == "sra":
                lite, proven = self._prefetch(row, path, hurried), ""
            else:
                lite, proven = self._fetch(source, row, path, hurried)
            if source == "bam":
                if fastq_files.kind_of(path) != "bam":
                    raise SourceFault("DOWNLOAD_FAILED", f"what arrived is {_kind(path)}, not a BAM file", again=1)
                return "", [path]
            if not sra_archive.is_archive(path):
                raise SourceFault("DOWNLOAD_FAILED", f"what arrived is {_kind(path)}, not an archive", again=1)
            if row.md5 and not proven and not lite and (proven := hash_file(path, "md5")) != row.md5.lower():
                raise SourceFault("CHECKSUM_MISMATCH", f"its md5 is {proven}, but the record says {row.md5}")
            if lite and not self.options.accept_lite:
                raise SourceFault("QUALITY_LITE", "only SRA Lite is on offer, with simplified qualities")
            # The record's md5 is that of the archive in full quality, even if all its qualities are one.
            return self._prove(path, whole=bool(row.md5) and not lite and proven.lower() == row.md5.lower()), [path]
        except SourceFault as fault:
            if fault.reason == "CHECKSUM_MISMATCH" and taken_up:
                fault.again = 1  # the two halves may not belong together
            if fault.again != _OFTEN:  # nothing of it is worth keeping
                shutil.rmtree(folder, ignore_errors=True)
            raise
        except RunFault as fault:
            if fault.reason == "DISK_LIMIT":
                raise
            shutil.rmtree(folder, ignore_errors=True)
            raise SourceFault(fault.reason, fault.detail) from fault

    def _prove(self, path: Path, whole: bool = False) -> str:
        """Let an archive prove itself; return the detail of its status. Raises RunFault.

        One that is ``whole`` for certain is not looked at for being Lite.
        """
        sra_archive.validate(path, self.offline)
        if whole or not sra_archive.is_lite(path, self.offline):
            return ""
        if not self.options.accept_lite:
            raise RunFault("QUALITY_LITE", "what arrived is SRA Lite, with simplified qualities.")
        return "SRA Lite: the qualities are simplified."

    @contextlib.contextmanager
    def _place(self, row: Run, address: str = "") -> Iterator[None]:
        """Take one of the places that a host has for transfers, when one is free.

        Without an address it is the one to which the resolver leads, which it does not tell us itself.
        """
        most = self.options.per_host
        if most is None or most >= self.options.parallel:  # there is a place for everybody
            yield
            return
        if not address:
            with contextlib.suppress(SourceFault):
                address = next((offer.url for offer in self._objects("ncbi", row)), "")
        host = urlsplit(address or self.options.resolver).netloc
        with self.guard:
            places = self.places.setdefault(host, threading.Semaphore(most))
        with places:
            yield

    def _prefetch(self, row: Run, path: Path, hurried: bool) -> bool:
        """Have prefetch get a run; return whether it is Lite. Raises SourceFault."""
        # It believes a whole file of the right size whatever it holds, and a lock that a killed one left.
        path.unlink(missing_ok=True)
        path.with_name(path.name + ".lock").unlink(missing_ok=True)
        _mend_transaction(path)
        step = max(1, int(_LEAST_RATE * self.options.patience)) if hurried else 1
        with self._place(row):
            told = run_program(
                ["prefetch", "--max-size", "u", "--output-file", str(path), row.run],
                self.online,
                # A prefetch that verifies writes nothing, but reads all that it has got.
                progress=lambda process: (size_of_folder(path.parent) // step, bytes_read(process) // _VERIFIED),
                patience=self.options.patience,
            )
        said = told.output + told.errors
        if told.status == 0 and path.is_file():
            return "SRA Lite file is being retrieved" in said
        if told.status == STALLED:
            few = f"fewer than {_LEAST_RATE / 1000:g} kB a second" if hurried else "no byte"
            raise SourceFault("DOWNLOAD_FAILED", f"{few} for {self.options.patience:g} s", again=_OFTEN)
        if _FULL.search(said):
            raise RunFault("DISK_LIMIT", "the disk became full while the archive was downloaded.", DISK_FULL)
        if "failed to verify" in said:
            raise SourceFault("CHECKSUM_MISMATCH", "its md5 is not the one that the resolver promises")
        if "size does not match" in said:
            raise SourceFault("CHECKSUM_MISMATCH", "its size is not the one that the resolver promises")
        if refused := re.search(r"failed to resolve accession .*?- (.*?) \( ?(40[0-9]) ?\)", said):
            raise SourceFault("DOWNLOAD_FAILED", f"the resolver answers {refused[2]}, {refused[1]}")
        if "file not found while opening" in said:
            raise SourceFault("DOWNLOAD_FAILED", "the address that the resolver gives holds no file")
        words = sra_archive.first_words(told.errors, path)
        raise SourceFault(
            "DOWNLOAD_FAILED", f"prefetch failed{': ' + words if words else ' and does not say why'}", again=_OFTEN
        )

    def _fetch(self, source: str, row: Run, path: Path, hurried: bool) -> tuple[bool, str]:
        """Fetch a run over HTTP; return whether it is Lite, and its md5 where that was promised and is as promised."""
        offers = self._objects(source, row)
        chosen = [offer for offer in offers if not offer.lite] or (offers if self.options.accept_lite else [])
        if not chosen and offers:
            raise SourceFault("QUALITY_LITE", "only SRA Lite is on offer, with simplified qualities")
        if not chosen:
            reason = "BARCODE_LOST" if source == "bam" else "DOWNLOAD_FAILED"
            raise SourceFault(reason, f"the record names no {'BAM file' if source == 'bam' else 'archive'}")
        fault = None
        for offer in chosen:
            md5 = offer.md5 if source in ("ena", "bam") or offer.lite else row.md5 or offer.md5
            self._reserve(row, offer.size or int(row.bytes or 0), "archive")
            try:
                self._transfer(row, offer, path, md5, hurried)
                return offer.lite, md5
            except SourceFault as error:
                fault = error
        raise fault

    def _fetch_fastq(self, row: Run, folder: Path) -> list[Path]:
        """Fetch ENA's FASTQ where it has every read of the record; return the files. Raises SourceFault, RunFault."""
        offers = self._objects(FASTQ, row)
        if not offers:
            raise SourceFault("DOWNLOAD_FAILED", "")
        reads = self.records.reads(row.run)
        try:
            files = sources.whole_fastq(row.run, offers, reads, row.layout if row.assay == "plate" else "")
        except ValueError as error:
            raise SourceFault("DOWNLOAD_FAILED", str(error)) from error
        self._reserve(row, sum(offer.size or 0 for offer in files.values()), "FASTQ of ENA")
        for name, offer in files.items():
            if not (folder / name).is_file():
                self._transfer(row, offer, folder / name, offer.md5, hurried=False)
        for number, read in enumerate(reads, 1):
            name = next(iter(files)) if len(files) == 1 else f"{row.run}_{number}.fastq.gz"
            if name not in files or read.stdev or not (read.spots and read.length):
                continue
            if other := set(fastq_files.first_lengths(folder / name)) - {int(read.length)}:
                told = f"{name} has reads of {min(other)} bases, the record of {int(read.length)}"
                raise SourceFault("DOWNLOAD_FAILED", told)
        return [folder / name for name in files]

    def _transfer(self, row: Run, offer: ArchiveObject, path: Path, md5: str, hurried: bool) -> None:
        """Fetch one file. Raises SourceFault, RunFault(DISK_LIMIT)."""
        # With a checksum the rounds take a broken transfer up again; without one only the same call can.
        policy = http.RetryPolicy(
            retries=0 if md5 else min(2, self.options.retries),
            first_wait=self.options.first_wait,
            timeout=self.options.patience,
            least_rate=_LEAST_RATE if hurried else 0.0,
        )
        try:
            with self._place(row, offer.url):
                http.fetch(offer.url, path, md5=md5 or None, size=offer.size, policy=policy)
        except http.ChecksumError as error:
            raise SourceFault("CHECKSUM_MISMATCH", error.fault) from error
        except http.RemoteError as error:
            lasting = error.status is not None and 400 <= error.status < 500 and error.status not in (408, 425, 429)
            again = 0 if lasting else _OFTEN
            raise SourceFault("DOWNLOAD_FAILED", error.fault, again=again, wait=error.wait) from error
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            raise RunFault("DISK_LIMIT", "the disk became full while the archive was downloaded.", DISK_FULL) from error

    def _objects(self, source: str, row: Run) -> list[ArchiveObject]:
        """Return what the records say a source has of a run. Raises SourceFault."""
        try:
            return self.records.objects(source, row.run)
        except InputError as error:
            self._tell(str(error))
            raise SourceFault("DOWNLOAD_FAILED", "the record of the series cannot be read") from error
        except http.RemoteError as error:
            lasting = error.status is not None and 400 <= error.status < 500 and error.status != 429
            raise SourceFault("DOWNLOAD_FAILED", error.fault, again=0 if lasting else _OFTEN) from error

    # All runs

    def all(self) -> None:
        """Get every run of the unit, then put the archives and the status table in place."""
        self.prepare()
        statuses = []
        with every(self.options.report, self._watch):
            for row, status in side_by_side(self.run, self.runs, self.options.parallel):
                statuses.append(status)
                self.progress.done += 1
                self._look()
                if row.run in self.settled:
                    words = "settled by an earlier round"
                else:
                    words = f"ready, from {status.source}" if status.ok else f"{status.reason}: {status.detail}"
                self._tell(f"{row.run}: {words.rstrip('.')}. {self.progress.summary()}")
        self.progress.end()
        for status in statuses:
            if status.ok:
                for path in sources.arrived(self.ready, status.run):
                    path.replace(self.output / path.name)
        write_statuses(self.output / "status.tsv", statuses)
        self.peak = max(self.peak, size_of_folder(self.output))
        reckoned = held_by_unit(self.runs).archive
        self._tell(f"Held at most {self.peak / 1e6:.1f} MB; reckoned with {reckoned / 1e6:.1f} MB.")
        shutil.rmtree(self.ready, ignore_errors=True)
        for name in ("online.mkfg", "offline.mkfg"):
            (self.partial / name).unlink(missing_ok=True)

    def _watch(self) -> None:
        """Tell how far we are; end at once when somebody has taken our output away, for another job is at it then."""
        self.still_ours()
        self._look()

    def _look(self) -> None:
        held = size_of_folder(self.partial) + size_of_folder(self.output)
        self.peak = max(self.peak, held)
        self.progress.show(max(0, held - self.held_before), held / self.planned if self.planned else 0)

    def _tell(self, words: str) -> None:
        self.progress.report(words)


def _kind(path: Path) -> str:
    """What a file that is no archive may be, in a few words."""
    with path.open("rb") as handle:
        start = handle.read(2048)
    if not start:
        return "an empty file"
    return "a web page" if http.is_html(start) else "something else"


def _mend_transaction(path: Path) -> None:
    """Let prefetch take up the part that a killed one left.

    Beside ``X.tmp`` it keeps ``X.prf``: the 8 bytes ``NCBIprTr`` and the size of the part in 8 bytes, least first (as
    prefetch 3.0.3 leaves them on SIGTERM). A killed prefetch leaves it empty, and the next one would start
    from nothing. Should the part be broken, the checksum tells and it is fetched anew.
    """
    part = path.with_name(path.name + ".tmp")
    note = path.with_name(path.name + ".prf")
    if part.is_file() and note.is_file() and not note.stat().st_size:
        note.write_bytes(b"NCBIprTr" + part.stat().st_size.to_bytes(8, "little"))


def main(argv: Sequence[str] | None = None) -> None:
    parser = command_parser(__doc__)
    add_runs_option(parser)
    parser.add_argument("--records", required=True, help="folder of the records of the series")
    parser.add_argument("--order", nargs="+", choices=SOURCES, default=list(SOURCES), help="sources, first to last")
    parser.add_argument("--resolver", required=True, help="address of the SDL resolver that prefetch asks")
    parser.add_argument("--ena", default="", help="address of ENA, asked when the series has no ENA record")
    parser.add_argument("--retries", type=int, default=5, help="further rounds through the sources (default 5)")
    parser.add_argument("--first-wait", type=float, default=1.0, help="seconds before the second round, then doubled")
    parser.add_argument("--patience", type=float, default=60.0, help="seconds without a byte that end a transfer")
    parser.add_argument("--accept-lite", action="store_true", help="take SRA Lite where there is nothing else")
    parser.add_argument("--kept", nargs="?", help="what is kept of an earlier round, see scripts/reads/retry.py")
    parser.add_argument("--parallel", type=int, default=1, help="runs that are downloaded side by side")
    parser.add_argument("--per-host", type=int, help="transfers from one host at a time (default: as many as runs)")
    parser.add_argument("--limit-gb", type=float, help="what the job may hold on disk")
    parser.add_argument("--report", type=float, default=1.0, help="seconds between two looks at the progress")
    parser.add_argument(
        "--partial", help="folder of unfinished downloads (default: partial/ beside the output's folder)"
    )
    parser.add_argument("--output", required=True, help="folder of the archives and of status.tsv")
    options = parser.parse_args(argv)
    downloader = Downloader(read_unit_rows(options.runs), options)
    with ends_with_command():
        try:
            with exclusive_lock(downloader.partial / "lock"):
                downloader.all()
        finally:
            with contextlib.suppress(OSError):  # something is left for a later job
                downloader.partial.rmdir()
                downloader.partial.parent.rmdir()
