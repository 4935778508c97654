"""The reads of archives: those that fasterq-dump writes, split where spots have all, some or one of their reads."""

import gzip
import io
import random
import subprocess
from pathlib import Path

import pytest

from scripts.reads import archive_reads
from scripts.reads.archive_reads import _SpotSplitter, dump
from scripts.reads.sources.sra_archive import write_settings
from tests.toy.catalogue import LIBRARY_V3, ORPHANS
from tests.toy.world import World

Spot = list[tuple[int, str, str]]  # (number, bases, qualities) of each read


def printed(spots: list[Spot]) -> bytes:
    """Return spots as fastq-dump prints them."""
    reads = (
        f"@S.{at} A:{at}\n{bases}\n+{n}\n{marks}\n" for at, spot in enumerate(spots, 1) for n, bases, marks in spot
    )
    return "".join(reads).encode()


def expected(spots: list[Spot], plate: bool) -> dict[int, str]:
    """Return number → text of each file, made read by read."""
    texts: dict[int, str] = {}
    for at, spot in enumerate(spots, 1):
        for place, (number, bases, marks) in enumerate(spot, 1):
            file = number if not plate else place if len(spot) > 1 else 0
            texts[file] = texts.get(file, "") + f"@S.{at} A:{at}\n{bases}\n+\n{marks}\n"
    return dict(sorted(texts.items()))


def split(folder: Path, text: bytes, plate: bool) -> tuple[dict[int, str], dict[int, int], bool]:
    """Return number → text and number → reads of what the text is split into, and whether it is cut short."""
    with _SpotSplitter(folder, "", plate) as splitter:
        splitter.take(io.BytesIO(text))
    written = splitter.written()
    texts = {number: gzip.decompress(path.read_bytes()).decode() for number, (path, _) in written.items()}
    return texts, {number: reads for number, (_, reads) in written.items()}, splitter.is_cut


def made(dice: random.Random, numbers: list[int]) -> Spot:
    reads = []
    for number in numbers:
        length = dice.randrange(1, 30)
        # Qualities that look like other lines: '@' and '+' are letters of them.
        reads.append((number, "".join(dice.choices("ACGTN", k=length)), "".join(dice.choices("@+1#F", k=length))))
    return reads


KINDS = {
    "pairs": lambda dice: [1, 2],
    "single reads": lambda dice: [1],
    "orphans": lambda dice: dice.choice([[1, 2], [1, 2], [1], [2]]),
    "orphans that follow one another": lambda dice: dice.choice([[1], [2]]),
    "three reads": lambda dice: [1, 2, 3],
    "any reads": lambda dice: sorted(dice.sample([1, 2, 3, 4], dice.randrange(1, 5))),
}


@pytest.mark.parametrize("plate", [True, False])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("block", [7, 100, 1 << 20])
def test_every_read_is_in_its_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, plate: bool, kind: str, block: int
) -> None:
    monkeypatch.setattr(archive_reads, "_BLOCK", block)
    dice = random.Random(kind)
    spots = [made(dice, KINDS[kind](dice)) for _ in range(200)]
    texts, reads, is_cut = split(tmp_path, printed(spots), plate)
    assert texts == expected(spots, plate) and not is_cut
    assert sum(reads.values()) == sum(map(len, spots))


def test_a_text_that_is_cut_anywhere_is_noticed(tmp_path: Path) -> None:
    dice = random.Random(5)
    spots = [made(dice, [1, 2]) for _ in range(4)]
    text = printed(spots)
    ends = {len(printed(spots[:number])) for number in range(5)}
    ends |= {len(printed([*spots[:number], spots[number][:1]])) for number in range(4)}
    for cut in range(len(text)):
        assert split(tmp_path, text[:cut], True)[2] == (cut not in ends), cut
    assert split(tmp_path, b"", True) == ({}, {}, False)


def test_no_blank_is_left_where_the_archive_keeps_no_names(tmp_path: Path) -> None:
    text = b"@S.1 \nA\n+1\nF\n@S.1 \nC\n+2\n \n@S.2 \nG\n+1\nF\n"
    assert split(tmp_path, text, True)[0] == {0: "@S.2\nG\n+\nF\n", 1: "@S.1\nA\n+\nF\n", 2: "@S.1\nC\n+\n \n"}


def by_fasterq_dump(archive: Path, folder: Path, *options: str) -> dict[int, str]:
    """Return number → text of the files that fasterq-dump writes."""
    command = ["fasterq-dump", *options, "--qual-defline", "+", "--outdir", str(folder), "--temp", str(folder)]
    environment = write_settings(folder.parent / "offline.mkfg")
    subprocess.run([*command, str(archive)], env=environment, check=True, capture_output=True)
    numbers = {path: path.stem.rpartition("_")[2] for path in folder.glob("*.fastq")}
    return {int(number) if len(number) == 1 else 0: path.read_text() for path, number in sorted(numbers.items())}


@pytest.mark.tools
@pytest.mark.parametrize(("spots_at_once", "threads"), [(1_000_000, 1), (7, 3)])
@pytest.mark.parametrize("run", ["SRR9000001", "SRR9000002", ORPHANS, LIBRARY_V3])
def test_the_reads_are_those_of_fasterq_dump(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: str, spots_at_once: int, threads: int
) -> None:
    run = world.experiments[run].runs[0] if run.startswith("SRX") else run
    plate = run != world.experiments[LIBRARY_V3].runs[0]
    spots = world.archives[run].spots
    if spots > 1000 and spots_at_once < 1000:
        spots_at_once = 300
    monkeypatch.setattr(archive_reads, "_SPOTS_OF_PIECE", spots_at_once)
    for name in ("work", "fasterq"):
        (tmp_path / name).mkdir()
    # Names: fasterq-dump prints the number of the spot where the archive has none.
    options = ["--split-3", "--seq-defline", "@$ac.$si $sn"]
    if not plate:
        options = ["--split-files", "--include-technical", "--seq-defline", "@$ac.$si"]
    wanted = by_fasterq_dump(world.sra / f"{run}.sra", tmp_path / "fasterq", *options)
    environment = write_settings(tmp_path / "offline.mkfg")
    archive, work = world.sra / f"{run}.sra", tmp_path / "work"
    written, read = dump(archive, work, environment, spots=spots, plate=plate, names=plate, threads=threads)
    texts = {number: gzip.decompress(path.read_bytes()).decode() for number, (path, _) in written.items()}
    assert texts == wanted and read == spots
    assert {number: text.count("\n") // 4 for number, text in texts.items()} == {
        number: reads for number, (_, reads) in written.items()
    }
    assert sorted(path.name for path in (tmp_path / "work").iterdir()) == [f"{n}.fastq.gz" for n in sorted(written)]
