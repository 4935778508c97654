"""What a sample of the reads of a run shows, found when they are converted and kept for the harvest.

Of each run: from which species its reads are, by the k-mers of the exons of all planned species
(:mod:`scripts.references.kmer_index`); whether mates are of one locus; on which loci its reads are; and a sketch of its
sequences, by which the same reads are found under another run. Nothing is counted or left out by it.

``units/reads/{unit}.json`` has for each run of a unit, also for those of earlier jobs: ``reads`` (of the file that the
sketch is of, up to MOST_READS), ``length`` (mean bases of the sampled reads), ``sampled`` (reads that were looked up),
``species`` (label → sampled reads with k-mers of that species alone), ``pairs`` and ``agree`` (pairs with a locus of
each mate, and those where it is the same), ``loci`` (locus → sampled reads, the most frequent; of an experiment of
several runs) and ``sketch`` (base64 of the smallest hashes of its sequences, uint64).
"""

import base64
import json
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from scripts.core.concurrency import side_by_side
from scripts.core.disk.files import write_atomic
from scripts.formats.fastq_files import open_reads
from scripts.references.kmer_index import KmerIndex, encode, hash_kmers, mix, read_kmer_index

SKETCH = 128
"""Hashes of the sequences of a run that are kept."""
MOST_READS = 1_000_000
"""Reads of a run from which its sketch is made, the first ones; most plate cells have fewer."""
SAMPLED_SPOTS = 2048
"""Spots that are looked up, of the first FIRST_SPOTS."""
FIRST_SPOTS = 1 << 16
MOST_LOCI = 400
_PIECE = 1 << 20
_LINE_END = ord("\n")
_WORD = 8  # bytes of a word of uint64

ReadFigures = dict[str, Any]


class SpeciesKmers(NamedTuple):
    """The k-mers of several species, of one scale."""

    indexes: Mapping[str, KmerIndex]

    @property
    def scale(self) -> int:
        return max((index.scale for index in self.indexes.values()), default=1)


def read_species_kmers(paths: Mapping[str, str | Path]) -> SpeciesKmers:
    """Return the k-mers of species; ``paths`` is label → index. Of those of a smaller scale fewer are used."""
    read = {species: read_kmer_index(path) for species, path in paths.items()}
    scale = max((index.scale for index in read.values()), default=1)
    return SpeciesKmers({species: index.below(scale) for species, index in sorted(read.items())})


class SequenceBlock(NamedTuple):
    """The sequences of some thousand reads in a text."""

    text: bytes
    starts: np.ndarray
    ends: np.ndarray

    def some(self, first: int, step: int) -> list[bytes]:
        """Return every so many of the sequences."""
        chosen = slice(first, None, step)
        return [
            self.text[start:end]
            for start, end in zip(self.starts[chosen].tolist(), self.ends[chosen].tolist(), strict=True)
        ]


def read_sequences(path: Path, most: int) -> Iterator[SequenceBlock]:
    """Yield the sequences of a FASTQ file that was checked before, the first ``most``."""
    rest, seen = b"", 0
    with open_reads(path) as handle:
        while seen < most:
            piece = handle.read(_PIECE)
            text = rest + (piece or b"\n")  # the last line may have no end
            lines = np.flatnonzero(np.frombuffer(text, np.uint8) == _LINE_END)
            whole = lines.size // 4 * 4
            starts, ends = lines[0:whole:4] + 1, lines[1:whole:4]
            yield SequenceBlock(text, starts[: most - seen], ends[: most - seen])
            seen += starts.size
            if not piece:
                break
            rest = text[lines[whole - 1] + 1 :] if whole else text


class SequenceSketch:
    """The smallest hashes of the sequences that were added, in whatever order, each once.

    The first half of a hash is that of 16 of its bases, so that most sequences are not looked at any further; shorter
    ones are passed over.
    """

    def __init__(self) -> None:
        self.hashes: set[int] = set()
        self._limit = 1 << 32

    def add(self, block: SequenceBlock) -> None:
        """Add sequences."""
        room = block.ends - block.starts - _WORD
        enough = room >= _WORD
        starts, ends, room = block.starts[enough], block.ends[enough], room[enough]
        if not starts.size:
            return
        words = np.lib.stride_tricks.sliding_window_view(np.frombuffer(block.text, np.uint8), _WORD)
        first, second = (words[starts + part * room // 3].view("<u8").ravel() for part in (1, 2))
        keys = mix(first ^ mix(second)) >> np.uint64(32)
        for at in np.flatnonzero(keys < np.uint64(self._limit)).tolist():
            digest = blake2b(block.text[starts[at] : ends[at]], digest_size=4).digest()
            self.hashes.add(int(keys[at]) << 32 | int.from_bytes(digest, "big"))
            if len(self.hashes) > 8 * SKETCH:
                self._shrink()
        self._shrink()

    def _shrink(self) -> None:
        if len(self.hashes) > SKETCH:
            self.hashes = set(sorted(self.hashes)[:SKETCH])
            self._limit = (max(self.hashes) >> 32) + 1

    def text(self) -> str:
        """Return the sketch as base64 of little-endian uint64."""
        return base64.b64encode(np.array(sorted(self.hashes), "<u8").tobytes()).decode()


def sketch_of(text: str) -> np.ndarray:
    """Return the hashes (uint64, in order) of a sketch as text."""
    return np.frombuffer(base64.b64decode(text), "<u8").astype(np.uint64)


def files_of_run(folder: Path, run: str) -> dict[int, Path]:
    """Return number → FASTQ file of a run, 0 for one without a number."""
    found = {}
    for path in sorted(folder.glob(f"{run}*.fastq*")):
        if match := re.fullmatch(rf"{re.escape(run)}(?:_(\d+))?\.fastq(?:\.gz)?", path.name):
            found[int(match[1] or 0)] = path
    return found


def describe_reads(files: Mapping[int, Path], is_plate: bool, kmers: SpeciesKmers, spots: int) -> ReadFigures:
    """Return the figures of the reads of a run; ``spots`` is how many it has.

    Of a plate cell its mates, or its unpaired reads, are looked at; of a droplet library its longest read.
    """
    mates = [files[number] for number in (1, 2) if number in files] or list(files.values())[:1] if is_plate else []
    chosen = mates or [max(files.values(), key=_first_length)] if files else []
    sketch = SequenceSketch()
    reads = 0
    sampled: list[list[bytes]] = []
    step = max(1, min(spots, FIRST_SPOTS) // SAMPLED_SPOTS)
    for number, path in enumerate(chosen):
        of_file: list[bytes] = []
        seen = 0
        for block in read_sequences(path, FIRST_SPOTS if number else MOST_READS):
            if seen < FIRST_SPOTS and len(of_file) < SAMPLED_SPOTS:
                of_file += block.some(-seen % step, step)
            seen += block.starts.size
            if not number:
                sketch.add(block)
        reads = reads if number else seen
        sampled.append(of_file[:SAMPLED_SPOTS])
    return {"reads": reads, "sketch": sketch.text()} | _look_up(sampled, kmers)


def _first_length(path: Path) -> int:
    block = next(read_sequences(path, 1000))
    return int((block.ends - block.starts).sum())


def _look_up(sampled: Sequence[Sequence[bytes]], kmers: SpeciesKmers) -> ReadFigures:
    """Return the figures of sampled reads, the same spots of each file."""
    reads = [sequence for of_file in sampled for sequence in of_file]
    owners, loci = find_species(reads, kmers)
    names = list(kmers.indexes)
    species = {name: int((owners == at).sum()) for at, name in enumerate(names)}
    places = Counter(
        f"{names[owner]}:{locus}" for owner, locus in zip(owners.tolist(), loci.tolist(), strict=True) if locus >= 0
    )
    figures: ReadFigures = {
        "length": round(sum(map(len, reads)) / len(reads), 2) if reads else 0,
        "sampled": len(reads),
        "species": species,
        "loci": dict(sorted(places.items(), key=lambda place: (-place[1], place[0]))[:MOST_LOCI]),
    }
    if len(sampled) == 2 and len(sampled[0]) == len(sampled[1]):
        half = len(sampled[0])
        both = (loci[:half] >= 0) & (loci[half:] >= 0)
        same = both & (loci[:half] == loci[half:]) & (owners[:half] == owners[half:])
        figures |= {"pairs": int(both.sum()), "agree": int(same.sum())}
    return figures


def find_species(reads: Sequence[bytes], kmers: SpeciesKmers) -> tuple[np.ndarray, np.ndarray]:
    """Return of each read the number of the one species of which it has k-mers, and its locus there (int64).

    -1 where it has none, k-mers of several species, or of several loci. A k-mer that several species have says nothing.
    """
    owners, loci = np.full(len(reads), -1, np.int64), np.full(len(reads), -1, np.int64)
    found, places = hash_kmers(encode(b"-".join(reads)), kmers.scale)
    if not found.size:
        return owners, loci
    ends = np.cumsum([len(read) + 1 for read in reads])
    of_read = np.searchsorted(ends, places, "right")
    at = np.stack([index.find(found) for index in kmers.indexes.values()]) if kmers.indexes else np.zeros((0, 0))
    known = (at >= 0).sum(axis=0) == 1 if at.size else np.zeros(found.size, bool)
    if not known.any():
        return owners, loci
    species = (at >= 0).argmax(axis=0)[known]
    of_read, at = of_read[known], at[:, known]
    locus = np.zeros(species.size, np.int64)
    for number, index in enumerate(kmers.indexes.values()):
        mine = species == number
        locus[mine] = index.loci[at[number, mine]]
    _only(of_read, species, owners)
    mine = (locus >= 0) & (owners[of_read] == species)
    _only(of_read[mine], locus[mine], loci)
    return owners, loci


def _only(groups: np.ndarray, values: np.ndarray, into: np.ndarray) -> None:
    """Set the value of each group whose values are all the same."""
    least, most = np.full(into.size, np.iinfo(np.int64).max), np.full(into.size, -1, np.int64)
    np.minimum.at(least, groups, values)
    np.maximum.at(most, groups, values)
    same = least == most
    into[same] = most[same]


def read_figures(path: str | Path) -> dict[str, ReadFigures]:
    """Return run → its figures of a file of a unit; none where there is no such file, or it is of another version."""
    file = Path(path)
    content = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    return dict(content["runs"]) if content.get("version") == 1 else {}


class ConvertedRun(NamedTuple):
    """What is known of a run whose reads are converted."""

    is_plate: bool
    spots: int
    has_others: bool
    """Whether its experiment has other runs, with which its loci are compared."""


def keep_figures(
    path: Path,
    folder: Path,
    runs: Mapping[str, ConvertedRun],
    kmers: Callable[[], SpeciesKmers],
    threads: int,
    gone: Collection[str] = (),
) -> None:
    """Add the figures of runs, whose reads are in a folder, to the file of their unit.

    ``gone`` are runs that have no reads now, whose figures of an earlier conversion are removed.
    """
    known = kmers() if runs else SpeciesKmers({})
    figures = {run: of_run for run, of_run in read_figures(path).items() if run not in gone}

    def describe(run: str) -> ReadFigures:
        of_run = describe_reads(files_of_run(folder, run), runs[run].is_plate, known, runs[run].spots)
        return of_run if runs[run].has_others else of_run | {"loci": {}}

    figures |= dict(side_by_side(describe, list(runs), threads))
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {"version": 1, "runs": {run: figures[run] for run in sorted(figures)}}
    write_atomic(path, json.dumps(content, sort_keys=True) + "\n")
