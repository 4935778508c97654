"""Figures of sampled reads: species, loci of mates, and sketches by which copies are found."""

import gzip
import random

import numpy as np
import pytest

from scripts.core.errors import InputError, RunFault
from scripts.harvest.quality.copies import find_alike
from scripts.plan.run_table import Run, write_runs
from scripts.plan.status import RunStatus, write_statuses
from scripts.reads import fastq
from scripts.reads import read_figures as module
from scripts.reads.read_figures import (
    SKETCH,
    ConvertedRun,
    SequenceSketch,
    SpeciesKmers,
    describe_reads,
    files_of_run,
    find_species,
    keep_figures,
    read_figures,
    read_sequences,
    read_species_kmers,
    sketch_of,
)
from scripts.references.kmer_index import encode, hash_kmers, unique_kmers, write_kmer_index
from tests.references.test_kmer_index import COMPLEMENT, bases


def index_of(*loci):
    """The index of a species of some loci."""
    found = [hash_kmers(encode(text), 1)[0] for text in loci]
    numbers = np.repeat(np.arange(len(loci), dtype=np.int32), [hashes.size for hashes in found])
    return unique_kmers(np.concatenate(found), numbers, 1)


SHARED = bases(300, 9)
HOMO = [bases(1000, 1), bases(1000, 2), SHARED]
MUS = [bases(1000, 3), SHARED]
KMERS = SpeciesKmers({"homo": index_of(*HOMO), "mus": index_of(*MUS)})


def reads_of(text, number, seed, length=60):
    dice = random.Random(seed)
    return [text[at : at + length] for at in dice.choices(range(len(text) - length), k=number)]


def write(path, reads):
    text = b"".join(b"@r.%d\n%b\n+\n%b\n" % (at, read, b"F" * len(read)) for at, read in enumerate(reads, 1))
    path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)
    return path


def test_a_read_is_of_the_one_species_that_has_its_words():
    reads = [HOMO[0][:60], MUS[0][5:65], SHARED[:60], bases(60, 8), HOMO[1][:40] + MUS[0][:40], b"ACGT", b""]
    reads += [HOMO[1][100:160][::-1].translate(COMPLEMENT), HOMO[0][:40] + HOMO[1][:40]]
    owners, loci = find_species(reads, KMERS)
    assert owners.tolist() == [0, 1, -1, -1, -1, -1, -1, 0, 0]
    assert loci.tolist() == [0, 0, -1, -1, -1, -1, -1, 1, -1]


def test_without_reads_or_species_nothing_is_known():
    assert [found.tolist() for found in find_species([], KMERS)] == [[], []]
    assert [found.tolist() for found in find_species([HOMO[0][:60]], SpeciesKmers({}))] == [[-1], [-1]]


def test_pairs_of_one_locus_agree(tmp_path):
    firsts = reads_of(HOMO[0], 50, 1) + reads_of(HOMO[1], 50, 2)
    seconds = [read[::-1].translate(COMPLEMENT) for read in reads_of(HOMO[0], 50, 3) + reads_of(HOMO[1], 50, 4)]
    files = {1: write(tmp_path / "R_1.fastq.gz", firsts), 2: write(tmp_path / "R_2.fastq", seconds)}
    figures = describe_reads(files, True, KMERS, 100)
    assert (figures["reads"], figures["sampled"], figures["length"]) == (100, 200, 60.0)
    assert figures["species"] == {"homo": 200, "mus": 0}
    assert (figures["pairs"], figures["agree"]) == (100, 100)
    assert figures["loci"] == {"homo:0": 100, "homo:1": 100}
    files[2] = write(tmp_path / "S_2.fastq", seconds[50:] + reads_of(MUS[0], 50, 5))
    other = describe_reads(files, True, KMERS, 100)
    assert (other["pairs"], other["agree"]) == (100, 0)
    assert other["species"] == {"homo": 150, "mus": 50}
    assert other["sketch"] == figures["sketch"]  # that of the first mate


def test_of_a_library_the_longest_read_is_looked_at(tmp_path):
    files = {1: write(tmp_path / "R_1.fastq", [bases(28, at) for at in range(40)])}
    files[2] = write(tmp_path / "R_2.fastq", reads_of(MUS[0], 40, 1, 90))
    figures = describe_reads(files, False, KMERS, 40)
    assert (figures["sampled"], figures["length"], figures["species"]) == (40, 90.0, {"homo": 0, "mus": 40})
    assert "pairs" not in figures


def test_spots_are_sampled_alike_from_both_mates(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "SAMPLED_SPOTS", 8)
    monkeypatch.setattr(module, "FIRST_SPOTS", 64)
    monkeypatch.setattr(module, "_PIECE", 300)
    reads = [HOMO[at % 2][at : at + 60] for at in range(200)]
    files = {number: write(tmp_path / f"R_{number}.fastq", reads) for number in (1, 2)}
    figures = describe_reads(files, True, KMERS, 200)
    assert (figures["sampled"], figures["pairs"], figures["agree"], figures["reads"]) == (16, 8, 8, 200)
    assert figures["loci"] == {"homo:0": 16}  # every eighth of the first 64


def test_a_run_without_reads(tmp_path):
    figures = describe_reads({0: write(tmp_path / "R.fastq", [])}, True, KMERS, 0)
    assert (figures["reads"], figures["sampled"], figures["length"], figures["loci"]) == (0, 0, 0, {})
    assert sketch_of(figures["sketch"]).size == 0
    assert describe_reads({}, True, KMERS, 0)["reads"] == 0


def sequences(path, most=10**9):
    return [read for block in read_sequences(path, most) for read in block.some(0, 1)]


def test_sequences_are_read_in_pieces(tmp_path, monkeypatch):
    reads = [bases(50 + at, at) for at in range(30)]
    path = write(tmp_path / "R.fastq", reads)
    for size in (70, 1000, 1 << 20):
        monkeypatch.setattr(module, "_PIECE", size)
        assert sequences(path) == reads
        assert sequences(path, 7) == reads[:7]
    path.write_bytes(path.read_bytes()[:-1])
    assert sequences(path) == reads
    assert sequences(write(tmp_path / "none.fastq", [])) == []


def sketch(tmp_path, reads):
    made = SequenceSketch()
    for block in read_sequences(write(tmp_path / "sketched.fastq", reads), 10**9):
        made.add(block)
    return sketch_of(made.text())


def test_a_sketch_is_the_same_in_any_order_and_of_duplicates(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_PIECE", 5000)
    reads = [bases(50, at) for at in range(2000)]
    shuffled = [*reads, *reads[:300]]
    random.Random(1).shuffle(shuffled)
    assert sketch(tmp_path, reads).tolist() == sketch(tmp_path, shuffled).tolist()
    assert sketch(tmp_path, reads).size == SKETCH
    assert sketch(tmp_path, reads[:50]).size == 50
    assert sketch(tmp_path, [read[:15] for read in reads]).size == 0
    assert sketch(tmp_path, [read[:16] for read in reads[:9]]).size == 9


@pytest.mark.parametrize("share", [1.0, 0.6])
def test_a_part_of_a_run_is_found(tmp_path, share):
    reads = [bases(50, at) for at in range(2000)]
    part = reads[300:900] + [bases(50, 9000 + at) for at in range(int(600 / share) - 600)]
    (likeness,) = find_alike([sketch(tmp_path, reads), sketch(tmp_path, part)], SKETCH, 10)
    assert abs(likeness.share - share) < 0.15


def test_figures_of_a_unit_are_added_to_those_before(tmp_path):
    for name in ("R1_1", "R1_2", "R10", "R2"):
        write(tmp_path / f"{name}.fastq.gz", reads_of(HOMO[0], 20, 1))
    assert list(files_of_run(tmp_path, "R1")) == [1, 2] and list(files_of_run(tmp_path, "R10")) == [0]
    write_kmer_index(tmp_path / "homo.npz", KMERS.indexes["homo"])
    path = tmp_path / "reads" / "unit.json"

    def kmers():
        return read_species_kmers({"homo": tmp_path / "homo.npz"})

    keep_figures(path, tmp_path, {"R1": ConvertedRun(True, 20, True), "R2": ConvertedRun(True, 20, False)}, kmers, 2)
    first = path.read_bytes()
    keep_figures(path, tmp_path, {"R10": ConvertedRun(True, 20, False)}, kmers, 1)
    assert list(read_figures(path)) == ["R1", "R10", "R2"]
    assert read_figures(path)["R1"]["species"] == {"homo": 40}
    assert [len(read_figures(path)[run]["loci"]) for run in ("R1", "R2")] == [1, 0]
    path.unlink()
    keep_figures(path, tmp_path, {"R2": ConvertedRun(True, 20, False), "R1": ConvertedRun(True, 20, True)}, kmers, 1)
    assert path.read_bytes() == first
    keep_figures(path, tmp_path, {}, kmers, 1)
    assert path.read_bytes() == first
    keep_figures(path, tmp_path, {}, kmers, 1, {"R1", "R9"})  # what has no reads now
    assert list(read_figures(path)) == ["R2"]
    assert read_figures(tmp_path / "none.json") == {}


def test_a_conversion_keeps_the_figures_of_the_runs_that_it_converted(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows, statuses = [], []
    for run, text in (("R1", HOMO[0]), ("R2", MUS[0]), ("R3", HOMO[1])):
        write(tmp_path / f"{run}.fastq", reads_of(text, 30, 1))
        row = Run("GSE1", experiment=f"X{run}", run=run, species="homo", assay="plate", layout="single")
        rows.append(row._replace(status="planned", source=f"file:{run}.fastq"))
        statuses.append(RunStatus(run, source=f"file:{run}.fastq"))
    write_runs("GSE1.homo.0000.tsv", rows)
    (tmp_path / "archives").mkdir()
    statuses[2] = statuses[2].failed(RunFault("DOWNLOAD_FAILED", "gone."))
    write_statuses("archives/status.tsv", statuses)
    for species in KMERS.indexes:
        write_kmer_index(f"{species}.npz", KMERS.indexes[species])
    options = ["--runs", "GSE1.homo.0000.tsv", "--archives", "archives", "--output", "fastq"]
    fastq.main([*options, "--figures", "reads/GSE1.homo.0000.json", "--kmers", "homo=homo.npz", "mus=mus.npz"])
    kept = read_figures("reads/GSE1.homo.0000.json")
    assert {run: of_run["species"] for run, of_run in kept.items()} == {
        "R1": {"homo": 30, "mus": 0},
        "R2": {"homo": 0, "mus": 30},
    }
    with pytest.raises(InputError, match="--kmers: 'homo' is not species=path"):
        fastq.main([*options, "--kmers", "homo"])
