"""Runs that hold a part of the reads of their spots: index reads alone, or one of the two reads that are counted.

Submitters load the files of one library as runs of their own, too. A run of index reads beside a run with others is
left out. Two runs that are the first and the second read of the same spots are joined to one run. Both are halves: they
have as many spots, and one read a spot beside index reads. Which half comes first is said by ``read_roles`` of the plan
(``barcode`` and ``cdna``; ``cdna`` and ``cdna2`` of plates), else by the lengths of the reads. The names of all spots
must agree. Where an archive keeps no names, spots are called by their numbers, which any two runs share: then halves
are joined only where plan or lengths say that they are barcodes and cDNA, or mates.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from scripts.core.disk.files import path_below
from scripts.core.errors import RunFault, fault_of_run
from scripts.formats.fastq_files import find_reads, first_lengths, open_packed, open_reads, suffix_of
from scripts.plan.run_table import Run, has_second_reads
from scripts.plan.status import RunStatus
from scripts.reads.conversion import INDEX_READ

_BARCODE_LENGTHS = (20, 34)  # bases of a read that holds barcode and UMI alone
_SPOTS_AT_ONCE = 50_000


class Half(NamedTuple):
    """A run with one long read a spot: the number of that read, from 1, its file, length and first header.

    ``numbers`` are those of all reads of a spot that are not empty; ``place`` is 1 or 2, the place of the read in the
    pair, or 0 where neither plan nor length says.
    """

    row: Run
    spots: str
    numbers: tuple[int, ...]
    number: int
    file: Path
    length: int
    header: bytes
    place: int

    @property
    def name(self) -> bytes:
        """What the first spot is called, see :func:`spot_name`."""
        return spot_name(self.header, self.row.run)


def spot_name(header: bytes, run: str) -> bytes:
    """Return what a spot is called in the header of its read, without run and mate: ``5 A00:1:8`` or ``A00:1:8``.

    Headers are those of fastq-dump (``@SRR1.5 A00:1:8``; no name, or the number, where the archive has no names), of
    ENA (``@SRR1.5 A00:1:8/1``) and of sequencers (``@A00:1:8/1``, ``@A00:1:8 1:N:0``).
    """
    words = header[1:].split(None, 2)
    own = run.encode() + b"."
    if words and words[0].startswith(own):
        return b" ".join([words[0][len(own) :], *map(_without_mate, words[1:2])])
    return _without_mate(words[0]) if words else b""


def _without_mate(name: bytes) -> bytes:
    return name[:-2] if name.endswith((b"/1", b"/2")) else name


def is_number(name: bytes) -> bool:
    """Whether a spot is called by its number only, which every run has."""
    words = set(name.split())
    return len(words) == 1 and words.pop().isdigit()


def settle_parts(
    columns: Mapping[str, Sequence[Run]], statuses: Mapping[str, RunStatus], folder: Path
) -> dict[str, RunStatus]:
    """Leave out the index reads among the runs of each column and join its halves; return all statuses after it.

    The first half gets the read of the second as one more file, a plate run as ``_2``. Halves of which a name differs
    fail (LAYOUT_AMBIGUOUS).
    """
    after = dict(statuses)
    for rows in columns.values():
        try:
            after |= _settle(rows, after, folder)
        except Exception as error:
            fault = fault_of_run(error, "READS_MISSING")
            after |= {row.run: after[row.run].failed(fault) for row in rows if after[row.run].ok}
    return after


def _settle(rows: Sequence[Run], statuses: Mapping[str, RunStatus], folder: Path) -> dict[str, RunStatus]:
    """Return the statuses of a column's runs after a look at their reads."""
    after = {row.run: statuses[row.run] for row in rows}
    good = [row for row in rows if after[row.run].ok] if len(rows) > 1 else []
    lengths = {row.run: _longest_reads(row.run, folder) for row in good}
    others = [row.run for row in good if max(lengths[row.run], default=0) > INDEX_READ]
    for row in good:
        if others and 0 < max(lengths[row.run], default=0) <= INDEX_READ:
            after[row.run] = _leave_out(after[row.run], lengths[row.run], [after[run] for run in others], folder)
    good = [row for row in good if after[row.run].ok]
    halves = [half for row in good if (half := _find_half(row, after[row.run], folder))]
    for first, second in find_pairs(halves):
        one, other = after[first.row.run], after[second.row.run]
        try:
            _join(first, second, folder)
        except RunFault as fault:
            after |= {one.run: one.failed(fault), other.run: other.failed(fault)}
        else:
            after |= {one.run: _first_status(one, first, second), other.run: _second_status(other, first, second)}
    for half in halves:
        if after[half.row.run].ok and has_second_reads(half.row):
            words = "its read_roles name second reads only, but no run with the first ones has as many spots."
            after[half.row.run] = after[half.row.run].failed(RunFault("READS_MISSING", words))
    return after


def _longest_reads(run: str, folder: Path) -> list[int]:
    """Return the length of the longest of the first reads in each file of a run."""
    files = [find_reads(folder, run), *_files(run, folder).values()]
    return [max(first_lengths(path), default=0) for path in files if path]


def _leave_out(status: RunStatus, lengths: Sequence[int], others: Sequence[RunStatus], folder: Path) -> RunStatus:
    """Return the status of a run of index reads, and remove its files."""
    for path in (find_reads(folder, status.run), *_files(status.run, folder).values()):
        if path:
            path.unlink()
    words = f"the run holds only index reads ({', '.join(map(str, lengths))} nt)"
    same = [other.run for other in others if other.spots == status.spots]
    whose = f"those of the {int(status.spots):,} spots of {same[0]}" if same else f"beside {others[0].run}"
    return status.failed(RunFault("INDEX_READS_ONLY", f"{words}, {whose}."))


def _find_half(row: Run, status: RunStatus, folder: Path) -> Half | None:
    """Return a run as a half, None where it is none."""
    numbered = _files(row.run, folder)
    if row.assay == "plate":
        whole = find_reads(folder, row.run)
        files = {1: whole} if whole and not numbered else {}
    else:
        files = numbered
    lengths = {number: max(first_lengths(path), default=0) for number, path in files.items()}
    long = [number for number, length in lengths.items() if length > INDEX_READ]
    if len(long) != 1 or not int(status.spots or 0):
        return None
    (number,) = long
    with open_reads(files[number]) as handle:
        header = handle.readline()
    place = _place(row, number, lengths[number])
    return Half(row, status.spots, tuple(files), number, files[number], lengths[number], header, place)


def _files(run: str, folder: Path) -> dict[int, Path]:
    """Return number of the read → file of a run, sorted."""
    ours = re.compile(rf"{re.escape(run)}_(\d+)\.fastq(?:\.gz)?")
    found = {path: ours.fullmatch(path.name) for path in folder.glob(f"{run}_*.fastq*")}
    return dict(sorted((int(match[1]), path) for path, match in found.items() if match))


def _place(row: Run, number: int, length: int) -> int:
    roles = row.read_roles.split(",")
    role = roles[number - 1] if number <= len(roles) else ""
    if row.assay == "plate":
        return {"cdna": 1, "cdna2": 2}.get(role, 0)
    by_length = 1 if _BARCODE_LENGTHS[0] <= length <= _BARCODE_LENGTHS[1] else 0
    return {"barcode": 1, "cdna": 2}.get(role, by_length)


def find_pairs(halves: Sequence[Half]) -> Iterator[tuple[Half, Half]]:
    """Yield the halves that belong together, the first one first.

    Those of as many spots, where there are only one first half and one other, else those whose first spot has the same
    name.
    """
    groups: dict[str, list[Half]] = {}
    for half in halves:
        groups.setdefault(half.spots, []).append(half)
    for group in groups.values():
        firsts = [half for half in group if half.place == 1]
        others = [half for half in group if half.place != 1]
        if len(firsts) == len(others) == 1 and (others[0].place == 2 or others[0].row.assay != "plate"):
            yield firsts[0], others[0]
            continue
        by_name: dict[bytes, list[Half]] = {}
        for half in group:
            by_name.setdefault(half.name, []).append(half)
        for name, same in by_name.items():
            same.sort(key=lambda half: (half.place or 1.5, half.row.run))
            if len(same) == 2 and not is_number(name) and (same[0].place != same[1].place or not same[0].place):
                yield same[0], same[1]


def _join(first: Half, second: Half, folder: Path) -> None:
    """Write the reads of the second half under the names of the first, and remove its own files.

    Raises RunFault (LAYOUT_AMBIGUOUS) where the names of a spot differ; then nothing is changed.
    """
    run = first.row.run
    written = path_below(folder, f".{run}.joined")
    try:
        _write_second(first, second, written)
    except RunFault:
        written.unlink()
        raise
    for path in (*_files(second.row.run, folder).values(), second.file):
        path.unlink(missing_ok=True)
    if first.row.assay == "plate":
        first.file.replace(path_below(folder, f"{run}_1{suffix_of(first.file)}"))
    written.replace(path_below(folder, f"{run}_{max(first.numbers) + 1}.fastq.gz"))


def _write_second(first: Half, second: Half, target: Path) -> None:
    runs = first.row.run, second.row.run
    starts = [len(f"@{run}.") for run in runs]
    done = 0
    with open_reads(first.file) as one, open_reads(second.file) as other, open_packed(target) as writer:
        while lines := list(islice(one, 4 * _SPOTS_AT_ONCE)):
            reads = list(islice(other, 4 * _SPOTS_AT_ONCE))
            headers = lines[::4], reads[::4]
            # As fastq-dump writes them, names are the same behind the run; only where they are not each is parsed.
            if [line[starts[0] :] for line in headers[0]] != [line[starts[1] :] for line in headers[1]]:
                _compare(headers, runs, done)
            reads[::4] = headers[0]
            writer.write(b"".join(reads))
            done += len(headers[0])


def _compare(headers: tuple[Sequence[bytes], Sequence[bytes]], runs: tuple[str, str], done: int) -> None:
    for number, pair in enumerate(zip(*headers, strict=True), done + 1):
        names = [spot_name(header, run) for header, run in zip(pair, runs, strict=True)]
        if names[0] != names[1]:
            words = [name.decode("utf-8", "replace") for name in names]
            raise RunFault(
                "LAYOUT_AMBIGUOUS",
                f"{runs[0]} and {runs[1]} may be the two reads of the same spots, but spot {number:,} is called"
                f" {words[0]!r} in one and {words[1]!r} in the other, so that they are not joined.",
            )


def _first_status(status: RunStatus, first: Half, second: Half) -> RunStatus:
    by = "number, for the archive keeps no names" if is_number(first.name) else "name"
    status = _with_detail(status, f"The other read of its spots is {second.row.run}; joined by {by}.")
    if first.row.assay == "plate":
        return status._replace(layout="" if first.row.layout == "paired" else "paired")
    roles = first.row.read_roles.split(",")[: max(first.numbers)]
    return status._replace(read_roles=",".join([*roles, "cdna"])) if first.row.read_roles else status


def _second_status(status: RunStatus, first: Half, second: Half) -> RunStatus:
    role = "cdna2" if second.row.assay == "plate" else "cdna" if first.place else "none"
    roles = ["index" if number in second.numbers else "none" for number in range(1, max(second.numbers) + 1)]
    roles[second.number - 1] = role
    status = _with_detail(status, f"Its reads are joined to the spots of {first.row.run}.")
    return status._replace(state="joined", layout="", read_roles=",".join(roles))


def _with_detail(status: RunStatus, sentence: str) -> RunStatus:
    return status._replace(detail=" ".join(filter(None, [status.detail, sentence])))
