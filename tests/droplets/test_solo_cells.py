"""The called cells are those that STAR calls in the run that counts, also where the last barcode is one of them.

Each library is counted once, and every filter calls its cells from what was kept.
"""

import gzip
import hashlib
import json
import random
import shutil
import subprocess
from collections import Counter
from pathlib import Path

import pysam
import pytest

from scripts.core.errors import InputError, RunFault
from scripts.droplets import cells
from scripts.droplets.mex.mex_reader import read_archive
from scripts.plan.run_table import Run, write_runs
from scripts.plan.status import RunStatus, read_statuses, write_statuses
from scripts.plates import bam
from tests.droplets.counting import count_library, folder_of_cells, pack_counted

CHEMISTRIES = Path(__file__).parents[2] / "config/chemistries.yaml"
LIST = "3M-february-2018"
FEATURES = ("Gene", "GeneFull")
GENES, EXON = 6, 300
EMPTY_DROPS = "EmptyDrops_CR 20 0.99 10 4 200 2 0.01 20000 0.01 100"
MATRICES = 4
"""Random libraries; 200 take some minutes."""

pytestmark = [pytest.mark.tools, pytest.mark.skipif(shutil.which("STAR") is None, reason="STAR is not installed")]


def dna(dice: random.Random, length: int) -> str:
    return "".join(dice.choices("ACGT", k=length))


def make_umis() -> list[str]:
    """Return 252 UMIs of which any two differ in three bases or more; STAR leaves out those of one base."""
    umis = ("".join("ACGT"[number >> shift & 3] * 3 for shift in (0, 2, 4, 6)) for number in range(256))
    return [umi for umi in umis if len(set(umi)) > 1]


UMIS = make_umis()


@pytest.fixture(scope="module")
def genome(tmp_path_factory) -> tuple[Path, list[str]]:
    """An index of single-exon genes, and the sequence of each; those of the last two are the same."""
    folder = tmp_path_factory.mktemp("cells")
    dice = random.Random(5)
    contig = dna(dice, GENES * 1000 + 2000)
    starts = [1000 * number + 1000 for number in range(GENES)]
    last, other = starts[-1], starts[-2]  # two genes of one sequence
    contig = contig[:last] + contig[other : other + EXON] + contig[last + EXON :]
    rows = [("G9", 500, 590), ("G9", 700, 790), *((f"G{n}", at + 1, at + EXON) for n, at in enumerate(starts))]
    (folder / "genome.fa").write_text(f">chr1\n{contig}\n")
    (folder / "genes.gtf").write_text(
        "".join(
            f'chr1\ttoy\texon\t{first}\t{last}\t.\t+\t.\tgene_id "{gene}"; transcript_id "{gene}";\n'
            for gene, first, last in rows
        )
    )
    command = ["STAR", "--runMode", "genomeGenerate", "--genomeDir", "index", "--genomeFastaFiles", "genome.fa"]
    command += ["--sjdbGTFfile", "genes.gtf", "--sjdbOverhang", "75", "--genomeSAindexNbases", "5"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return folder / "index", [contig[at : at + EXON] for at in starts]


class Library:
    """A library of random molecules in a folder; ``made`` is barcode → how many molecules it has."""

    def __init__(
        self, folder: Path, genome: tuple[Path, list[str]], made: dict[str, int], seed: int, uncounted: int = 0
    ) -> None:
        """``uncounted`` further barcodes have a read of two genes alike."""
        self.folder, (self.index, genes), self.made = folder, genome, made
        dice = random.Random(seed)
        others = [dna(dice, 16) for _ in range(uncounted)]
        spots = [
            (barcode + umi, gene[at : at + 90])
            for barcode, count in made.items()
            for umi in UMIS[:count]
            for gene, at in [(dice.choice(genes[:-2]), dice.randrange(EXON - 90))]
        ]
        spots += [(barcode + UMIS[0], genome[1][-1][:90]) for barcode in others]
        dice.shuffle(spots)
        (folder / "lists").mkdir(parents=True)
        (folder / "fastq").mkdir()
        (folder / f"lists/{LIST}.txt").write_text("".join(f"{barcode}\n" for barcode in sorted([*made, *others])))
        for number, reads in enumerate(zip(*spots, strict=True), 1):
            records = (f"@{spot}\n{read}\n+\n{'F' * len(read)}\n" for spot, read in enumerate(reads))
            (folder / f"fastq/R1_{number}.fastq").write_text("".join(records))
        write_statuses(folder / "fastq/status.tsv", [RunStatus("R1", spots=str(len(spots)))])
        row = Run(series="S", experiment="X", run="R1", species="homo", assay="droplet", status="planned")
        write_runs(folder / "S.homo.X.tsv", [row])
        verdict = {"roles": "barcode,cdna", "chemistry": "", "candidates": ["10x_3p_v3"], "offset": 0}
        verdict |= {"umi_length": 12, "mean_lengths": [28.0, 90.0], "words": "Told by the test"}
        (folder / "roles.json").write_text(json.dumps({"runs": {"R1": verdict}}))

    def call(self, cell_filter: str, *more: str) -> RunStatus:
        """Call the cells of the counted library, and pack it."""
        solo, status = self.folder / "solo", self.folder / "status.tsv"
        words = [f"--solo={solo}", f"--figures={solo}.json", f"--output={folder_of_cells(solo)}", f"--status={status}"]
        cells.main([*words, "--features", *FEATURES, f"--cell-filter={cell_filter}", *more])
        return self.pack()

    def count(self, cell_filter: str, *more: str) -> RunStatus:
        """Count and pack the library."""
        arguments = ["--runs", self.folder / "S.homo.X.tsv", "--fastq", self.folder / "fastq", "--index", self.index]
        arguments += ["--roles", self.folder / "roles.json", "--chemistries", CHEMISTRIES]
        arguments += ["--inclusion-lists", self.folder / "lists", "--output", self.folder / "solo"]
        arguments += ["--status", self.folder / "status.tsv", "--cell-filter", cell_filter, *more]
        count_library([*arguments, "--features", *FEATURES, "--multireads", "Unique", "EM"])
        return self.pack()

    def pack(self) -> RunStatus:
        """Pack the library unless it failed; return its status."""
        status = read_statuses(self.folder / "status.tsv")["R1"]
        shutil.rmtree(self.folder / "mex", ignore_errors=True)
        if status.ok:
            pack_counted(self.folder / "solo", self.folder / "mex", FEATURES, ["Unique", "EM"])
        return status

    def count_by_hand(self, cell_filter: str) -> Path:
        """Return STAR's own output, called with the same options by hand."""
        target = self.folder / "by hand"
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir()
        command = f"""STAR --genomeDir {self.index} --readFilesIn ../fastq/R1_2.fastq ../fastq/R1_1.fastq
            --outSAMtype None --soloType CB_UMI_Simple --soloCBwhitelist ../lists/{LIST}.txt --soloCBstart 1
            --soloCBlen 16 --soloUMIstart 17 --soloUMIlen 12 --soloFeatures {" ".join(FEATURES)}
            --soloMultiMappers Unique EM --soloCellFilter {cell_filter} --clipAdapterType CellRanger4
            --soloCBmatchWLtype 1MM_multi_Nbase_pseudocounts --soloUMIfiltering MultiGeneUMI_CR
            --soloUMIdedup 1MM_CR --soloStrand Forward"""
        subprocess.run(command.split(), cwd=target, check=True, capture_output=True)
        return target / "Solo.out"


def cells_of(made: dict[str, int], cell_filter: str, uncounted: int) -> set[str]:
    """Return the cells by the description of STAR's simple filters, which count barcodes without counts, too."""
    word, *numbers = cell_filter.split()
    counts = sorted(made.values(), reverse=True) + [0] * uncounted
    if word == "TopCells":
        least = counts[min(len(counts) - 1, int(numbers[0]))]
    else:
        expected, percentile, ratio = map(float, numbers)
        least = round(counts[min(len(counts) - 1, round(expected * (1 - percentile)))] / ratio)
    return {barcode for barcode, count in made.items() if count >= max(least, 1)}


FILTERS = ("TopCells 3", "TopCells 1000", "CellRanger2.2 20 0.99 10", "CellRanger2.2", "EmptyDrops_CR", EMPTY_DROPS)


def test_cells_of_every_filter_are_those_of_star_also_the_last_barcode(tmp_path, genome):
    """Barcodes, order, matrices and figures; some barcodes have reads of two genes alone, which are no counts."""
    compared = Counter()
    for seed in range(MATRICES):
        dice = random.Random(seed)
        barcodes = sorted({dna(dice, 16) for _ in range(dice.choice([1, 2, 5, 30]))})
        made = {barcode: dice.choice([dice.randint(1, 6), dice.randint(30, 200)]) for barcode in barcodes}
        made[barcodes[-1]] = 220
        library = Library(tmp_path / str(seed), genome, made, seed, uncounted=3 * seed)
        for number, cell_filter in enumerate(FILTERS):
            status = library.count(cell_filter) if number == 0 else library.call(cell_filter)
            if status.reason == "COUNT_FAILED":  # EmptyDrops_CR of STAR 2.7.10b crashes on some small libraries
                assert status.detail == (
                    "the cells of Gene could not be called: STAR was ended by SIGSEGV. Give another"
                    " droplets.cell_filter, e.g. CellRanger2.2."
                )
                continue
            assert status.ok
            by_hand = library.count_by_hand(cell_filter)
            for feature in FEATURES:
                cells = read_archive(library.folder / f"mex/{feature}_Unique_filtered.tar.gz")
                called = cells.barcodes.astype(str).tolist()
                assert called[-1] == barcodes[-1], seed
                if cell_filter in ("TopCells 3", "CellRanger2.2 20 0.99 10"):
                    assert set(called) == cells_of(made, cell_filter, 3 * seed), (seed, cell_filter)
                for kind in ("raw", "filtered"):
                    archive = read_archive(library.folder / f"mex/{feature}_Unique_{kind}.tar.gz")
                    for member, digest in archive.digests.items():
                        expected = (by_hand / feature / kind / member.rpartition("/")[2]).read_bytes()
                        assert digest == hashlib.md5(expected).hexdigest(), (seed, cell_filter, member)
                summary = folder_of_cells(library.folder / "solo") / feature / "Summary.csv"
                assert summary.read_text() == (by_hand / feature / "Summary.csv").read_text(), (seed, cell_filter)
                shared = read_archive(library.folder / f"mex/{feature}_EM_filtered.tar.gz")
                assert shared.barcodes.tolist() == cells.barcodes.tolist()
            compared[cell_filter] += 1
    assert min(compared[cell_filter] for cell_filter in FILTERS) > MATRICES / 4


def test_one_barcode_is_a_cell(tmp_path, genome):
    library = Library(tmp_path, genome, {"ACGTACGTACGTACGT": 50}, 1)
    status = library.count("EmptyDrops_CR")
    assert status.ok
    assert status.detail == (
        "Told by the test; strand Forward. EmptyDrops_CR was skipped, it needs more than 45000 barcodes (Gene has 1,"
        " GeneFull has 1): cells by CellRanger2.2 3000 0.99 10."
    )
    for feature in FEATURES:
        archive = read_archive(tmp_path / f"mex/{feature}_Unique_filtered.tar.gz")
        assert archive.barcodes.tolist() == [b"ACGTACGTACGTACGT"]
        assert archive.matrix.sum() == 50
        assert archive.metadata["arguments"].endswith(
            "--soloCellFilter EmptyDrops_CR ; EmptyDrops_CR was skipped (1 barcodes, it needs more than 45000):"
            " CellRanger2.2 3000 0.99 10"
        )


def test_empty_drops_that_are_not_skipped_are_not_said_to_be(tmp_path, genome):
    dice = random.Random(3)
    library = Library(tmp_path, genome, {dna(dice, 16): dice.randint(1, 200) for _ in range(20)}, 1)
    no_candidate = EMPTY_DROPS.replace(" 2 0.01", " 500 0.01")
    assert library.count(no_candidate).detail == "Told by the test; strand Forward."
    arguments = read_archive(tmp_path / "mex/Gene_Unique_filtered.tar.gz").metadata["arguments"]
    assert arguments.endswith(f"--soloCellFilter {no_candidate}")


def test_without_a_cell_filter_there_are_raw_archives_only(tmp_path, genome):
    library = Library(tmp_path, genome, {"ACGTACGTACGTACGT": 50, "CCGTACGTACGTACGT": 5}, 1)
    assert library.count("None").detail == (
        "Told by the test; strand Forward. No cells were called (droplets.cell_filter: None); there are raw matrices"
        " only."
    )
    assert {path.name for path in (tmp_path / "mex").iterdir()} == {
        f"{feature}_{way}_raw.tar.gz" for feature in FEATURES for way in ("EM", "Unique")
    }


def test_what_was_counted_is_kept_whichever_floor_it_reaches(tmp_path, genome):
    library = Library(tmp_path, genome, {"ACGTACGTACGTACGT": 50, "CCGTACGTACGTACGT": 5}, 1)
    expected = {"Log.final.out", "Log.out", "Solo.out/Barcodes.stats", "Solo.out/barcodes.tsv.gz"}
    names = ("Features.stats", "Summary.csv", "UMIperCellSorted.txt.gz", "reads.tsv.gz")
    names += tuple(f"raw/{name}.gz" for name in ("features.tsv", "matrix.mtx", "UniqueAndMult-EM.mtx"))
    expected |= {f"Solo.out/{feature}/{name}" for feature in FEATURES for name in names}
    expected |= {"counted.json", "status.tsv"}
    kept = tmp_path / "solo"
    assert library.count("EmptyDrops_CR", "--min-gene-share", "1.1").reason == "LOW_GENE_SHARE"
    assert not (tmp_path / "mex").exists()
    first = {str(path.relative_to(kept)): path.read_bytes() for path in kept.rglob("*") if path.is_file()}
    assert first.keys() == expected
    assert gzip.decompress(first["Solo.out/Gene/UMIperCellSorted.txt.gz"]) == b"50\n5\n"
    reads = "number\tbarcode\treads\n1\tACGTACGTACGTACGT\t50\n2\tCCGTACGTACGTACGT\t5\n"
    assert gzip.decompress(first["Solo.out/Gene/reads.tsv.gz"]).decode() == reads
    assert library.call("EmptyDrops_CR", "--min-gene-share", "0").ok  # asked for after all
    packed = {path.name: path.read_bytes() for path in (tmp_path / "mex").iterdir()}
    assert library.count("EmptyDrops_CR").ok
    second = {str(path.relative_to(kept)): path.read_bytes() for path in kept.rglob("*") if path.is_file()}
    assert {name for name in first if first[name] != second[name]} <= {"Log.final.out", "Log.out"}  # they have a clock
    assert packed == {path.name: path.read_bytes() for path in (tmp_path / "mex").iterdir()}
    (tmp_path / "solo/counted.json").unlink()
    with pytest.raises(InputError, match=r"it has no counted\.json, so what was counted is not kept in it\. Delete"):
        library.call("EmptyDrops_CR")
    write_statuses(tmp_path / "fastq/status.tsv", [RunStatus("R1").failed(RunFault("DOWNLOAD_FAILED", "x."))])
    assert library.count("EmptyDrops_CR").reason == "DOWNLOAD_FAILED"
    assert [path.name for path in kept.iterdir()] == ["status.tsv"]


def test_alignments_are_kept_with_the_tags_of_cells(tmp_path, genome):
    """The reads of each barcode, as many as were made, with its UMIs and genes; the archives are those without them."""
    made = {"ACGTACGTACGTACGT": 50, "CCGTACGTACGTACGT": 5}
    library = Library(tmp_path, genome, made, 1)
    assert library.count("EmptyDrops_CR").ok
    without = {path.name: path.read_bytes() for path in (tmp_path / "mex").iterdir()}
    assert library.count("EmptyDrops_CR", "--alignments", str(tmp_path / "alignments")).ok
    assert without == {path.name: path.read_bytes() for path in (tmp_path / "mex").iterdir()}
    (tmp_path / "reference.json").write_text(json.dumps({"name": "toy", "fingerprint": "0"}))
    arguments = ["--runs", tmp_path / "S.homo.X.tsv", "--alignments", tmp_path / "alignments"]
    arguments += ["--reference", tmp_path / "reference.json", "--output", tmp_path / "bam"]
    bam.main(list(map(str, arguments)))
    assert sorted(path.name for path in (tmp_path / "bam").iterdir()) == ["X.bam", "X.bam.bai"]
    with pysam.AlignmentFile(tmp_path / "bam/X.bam") as alignments:
        assert alignments.header["HD"]["SO"] == "coordinate"
        assert alignments.header["CO"] == ["reference: toy sha256:0", "run: R1"]
        records = list(alignments)
    assert Counter(record.get_tag("CB") for record in records) == made
    umis = {(record.get_tag("CB"), record.get_tag("UB")) for record in records}
    assert umis == {(barcode, umi) for barcode, count in made.items() for umi in UMIS[:count]}
    assert {record.get_tag("GX") for record in records} <= {f"G{number}" for number in range(GENES)}
    assert all(record.get_tag("GX") == record.get_tag("GN") for record in records)


def test_a_library_without_counts_has_no_cells(tmp_path, genome):
    library = Library(tmp_path, (genome[0], 3 * ["ACGT" * 75]), {"ACGTACGTACGTACGT": 50}, 1)
    assert library.count("EmptyDrops_CR", "--min-gene-share", "0").ok
    for feature in FEATURES:
        cells = read_archive(tmp_path / f"mex/{feature}_Unique_filtered.tar.gz")
        assert cells.matrix.shape == (GENES + 1, 0)


def test_options_that_the_workflow_sets_or_star_lacks_are_refused(tmp_path, genome):
    library = Library(tmp_path, genome, {"ACGTACGTACGTACGT": 5}, 1)
    with pytest.raises(InputError, match=r"genomeLoad: it cannot be set"):
        library.count("None", "--set", "genomeLoad=LoadAndKeep")
    with pytest.raises(InputError, match=r"soloStrandd: STAR has no such option; did you mean soloStrand\?"):
        library.count("None", "--set", "soloStrandd=Forward")
    with pytest.raises(InputError, match=r"--cell-filter: 'Emptydrops' is no cell filter of STAR; did you mean"):
        library.count("Emptydrops")
