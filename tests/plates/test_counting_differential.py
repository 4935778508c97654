"""The native counter against htseq-count's own code: seeded read groups of every kind, all options."""

import contextlib
import io
import itertools
import random
import warnings
from pathlib import Path

import HTSeq
import numpy as np
import pysam
import pytest
from HTSeq.scripts.count_features.count_features_per_file import count_reads_single_file

from scripts.plates.bam_groups import BamError
from scripts.plates.counting import STRANDS, CellCounts, count_native
from scripts.plates.scoring import ALIGNMENTS, NONUNIQUE, Scoring
from scripts.references.count_index import make_count_index
from scripts.references.gene_intervals import MODES, GeneIntervals, build_gene_intervals, read_gene_intervals
from scripts.references.genes_table import write_genes
from scripts.references.gtf import Exon

pytestmark = pytest.mark.tools

CONTIGS = {"chr1": 4000, "chr2": 3000, "chrBare": 2000, "ERCC-00002": 1061}
PLAIN = Scoring()
SETTINGS = list(itertools.product(MODES, STRANDS))
OPTIONS = [
    Scoring(*chosen)
    for chosen in itertools.product(NONUNIQUE, ALIGNMENTS, ALIGNMENTS, (10, 0, 255))
    if Scoring(*chosen) != PLAIN
]
OPTIONS_OF_FILE = 5
"""Settings with other options than the defaults that are tried on each file."""


def random_exons(dice: random.Random, genes: int = 14) -> list[Exon]:
    """Exons on every contig but chrBare: overlapping, nested, doubled, alike, of genes on two contigs."""
    exons = [Exon("ERCC-00002", 0, 1061, "+", "ERCC-00002")]
    for number in range(genes):
        contig, strand = dice.choice(["chr1", "chr2"]), dice.choice("+-")
        start = dice.randrange(0, 2400)
        for _ in range(dice.randint(1, 4)):
            end = start + dice.randint(1, 250)
            exons.append(Exon(contig, start, end, strand, f"g{number:02d}"))
            if dice.random() < 0.2:
                exons.append(exons[-1])
            start = end + dice.choice([0, 1, dice.randint(2, 200)])
        if dice.random() < 0.1:
            exons.append(Exon("chr1", start, start + 50, strand, f"g{number:02d}"))
    return exons


def random_cigar(dice: random.Random, wild: bool) -> list[tuple[int, int]]:
    kinds = "M" * 10 + "NNNIDS=X" + ("HP0" if wild else "")
    cigar = [(0, dice.randint(10, 80))]
    for _ in range(dice.choice([0, 0, 0, 1, 2, 4])):
        kind = dice.choice(kinds)
        length = dice.randint(20, 400) if kind == "N" else dice.randint(1, 40)
        cigar.append((0, 0) if kind == "0" else ("MIDNSHP=X".index(kind), length))
    if dice.random() < 0.7:
        cigar.append((0, dice.randint(5, 60)))
    return cigar


def random_tags(dice: random.Random, hits: int) -> list[tuple]:
    tags = [("NH", hits, dice.choice("CCCCciIsSf")), ("HI", 1), ("nM", 0, "i"), ("MD", "75", "Z")]
    if dice.random() < 0.1:
        tags.insert(0, ("XB", [1, 2, 3]))
    if dice.random() < 0.1:
        tags.insert(0, ("XZ", "text NHC", "Z"))
    if dice.random() < 0.08:
        tags = [tag for tag in tags if tag[0] != "NH"]
    return tags


class Groups:
    """Makes read groups; ``wild`` ones break the rules of SAM as files in the field do."""

    def __init__(self, dice: random.Random, wild: bool) -> None:
        self.dice, self.wild = dice, wild
        self.header = pysam.AlignmentHeader.from_dict(
            {"HD": {"VN": "1.4"}, "SQ": [{"SN": name, "LN": length} for name, length in CONTIGS.items()]}
        )

    def record(self, name: str, flag: int) -> pysam.AlignedSegment:
        dice = self.dice
        read = pysam.AlignedSegment(self.header)
        read.query_name = name
        read.flag = flag
        read.mapping_quality = dice.choice([255, 255, 255, 255, 60, 10, 9, 3, 0])
        if not flag & 4:
            read.reference_id = dice.choices(range(len(CONTIGS)), [6, 3, 1, 1])[0]
            read.reference_start = dice.randrange(0, 2900)
            read.cigartuples = random_cigar(dice, self.wild)
        elif self.wild and dice.random() < 0.5:
            read.reference_id, read.reference_start = 0, dice.randrange(2900)
        if dice.random() < 0.8:
            length = read.infer_query_length() or 30
            read.query_sequence = "A" * length
            read.query_qualities = pysam.qualitystring_to_array("I" * length)
        read.set_tags(random_tags(dice, dice.choice([1, 1, 1, 1, 2, 5])))
        return read

    def mates(self, name: str, flags: list[int]) -> list[pysam.AlignedSegment]:
        """Return two mates, mostly near one another."""
        left, right = (self.record(name, flag) for flag in flags)
        if not left.is_unmapped and not right.is_unmapped and self.dice.random() < 0.9:
            right.reference_id = left.reference_id
            right.reference_start = max(0, left.reference_start + self.dice.randint(-100, 300))
        for read, mate in ((left, right), (right, left)):
            if not mate.is_unmapped:
                read.next_reference_id, read.next_reference_start = mate.reference_id, mate.reference_start
            read.mate_is_unmapped = mate.is_unmapped
            read.mate_is_reverse = mate.is_reverse
        return [left, right]

    def single(self, name: str) -> list[pysam.AlignedSegment]:
        dice = self.dice
        reads = [self.record(name, dice.choice([0, 16]) | (4 if dice.random() < 0.05 else 0))]
        for _ in range(dice.choice([0, 0, 0, 2])):
            reads.append(self.record(name, dice.choice([256, 272, 2048, 256 | 4 if self.wild else 256])))
        return reads

    def paired(self, name: str) -> list[pysam.AlignedSegment]:
        dice = self.dice
        reverse = dice.random() < 0.5
        flags = [1 | 64 | (16 if reverse else 32), 1 | 128 | (32 if reverse else 16)]
        reads = self.mates(name, [flag | (4 if dice.random() < 0.04 else 0) for flag in flags])
        if dice.random() < 0.08:  # a missing mate
            reads.remove(dice.choice(reads))
        if dice.random() < 0.15:  # alignments elsewhere, between or after the primary ones
            for _ in range(dice.randint(1, 3)):
                other = self.record(name, dice.choice(flags) | dice.choice([256, 2048]))
                reads.insert(dice.randint(0, len(reads)), other)
        if self.wild:
            self.break_rules(name, flags, reads)
        return reads

    def break_rules(self, name: str, flags: list[int], reads: list[pysam.AlignedSegment]) -> None:
        dice = self.dice
        if dice.random() < 0.2:  # more primary alignments than two, not all of them mates
            for _ in range(dice.randint(1, 3)):
                reads += dice.sample(self.mates(name, flags), dice.randint(1, 2))
            dice.shuffle(reads)
        if dice.random() < 0.1:
            dice.choice(reads).next_reference_start = dice.randrange(2900)
        if dice.random() < 0.05:
            dice.choice(reads).next_reference_id = -1


def write_groups(path: Path, dice: random.Random, groups: int, *, paired: bool, wild: bool) -> None:
    """Write a BAM file of read groups."""
    made = Groups(dice, wild)
    with pysam.AlignmentFile(str(path), "wb", header=made.header) as out:
        for number in range(groups):
            name = f"SRR1.{number}" if dice.random() < 0.95 else f"SRR1.{number}_{'x' * dice.randint(1, 12)}"
            for read in made.paired(name) if paired else made.single(name):
                out.write(read)


def features_of(exons: list[Exon], stranded: bool) -> dict:
    features = (
        HTSeq.GenomicFeature(
            exon.gene_id, "exon", HTSeq.GenomicInterval(exon.contig, exon.start, exon.end, exon.strand)
        )
        for exon in exons
    )

    def described():
        for feature in features:
            feature.attr = {"gene_id": feature.name}
            yield feature

    return HTSeq.make_feature_genomicarrayofsets(described(), "gene_id", feature_type=["exon"], stranded=stranded)


def count_with_htseq(
    path: Path, features: dict, genes: list[str], mode: str, strand: str, scoring: Scoring
) -> CellCounts | None:
    """Counts by htseq-count's own code; None where it stops with an error."""
    try:
        with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            result = count_reads_single_file(
                0, str(path), features["features"], genes, "name", 1000, STRANDS[strand], mode,
                scoring.nonunique, scoring.secondary_alignments, scoring.supplementary_alignments,
                ["exon"], ["gene_id"], [], True, scoring.min_quality, "SAM", None,
            )  # fmt: skip
    except Exception:  # any error of HTSeq's is one answer: it does not count this file
        return None
    tallies = [result[name] for name in ("empty", "ambiguous", "lowqual", "notaligned", "nonunique")]
    return CellCounts(np.array([result["counts"][gene] for gene in genes]), np.array(tallies))


class Compared:
    """What was compared: settings, fragments with other options than the defaults, settings in which HTSeq stopped."""

    def __init__(self) -> None:
        self.settings = self.fragments = self.stopped = 0


def compare(seed: int, path: Path, done: Compared, *, paired: bool, wild: bool, groups: int) -> None:
    """Compare the counts of a file; both must agree on each, also on whether they can be counted."""
    dice = random.Random(seed)
    exons = random_exons(dice)
    genes = sorted({exon.gene_id for exon in exons})
    steps = build_gene_intervals(exons, genes)
    write_groups(path, dice, groups, paired=paired, wild=wild)
    features = {stranded: features_of(exons, stranded) for stranded in (False, True)}
    settings = [(mode, strand, PLAIN) for mode, strand in SETTINGS]
    settings += [(*dice.choice(SETTINGS), scoring) for scoring in dice.sample(OPTIONS, OPTIONS_OF_FILE)]
    for mode, strand, scoring in settings:
        truth = count_with_htseq(path, features[strand != "none"], genes, mode, strand, scoring)
        if truth is None:
            done.stopped += 1
            with pytest.raises(BamError):
                count_native([path], steps, mode, strand, scoring=scoring)
            continue
        chunk_bytes = dice.choice([500, 3000, 1 << 20])  # chunks that end within a group, a record, a field
        ours = count_native([path], steps, mode, strand, chunk_bytes, scoring, "SRX1")
        where = f"seed {seed}, {mode}, {strand}, {scoring}"
        assert ours.tallies.tolist() == truth.tallies.tolist(), where
        expected = dict(zip(genes, truth.genes.tolist(), strict=True))
        found = dict(zip(genes, ours.genes.tolist(), strict=True))
        if scoring.nonunique == "fraction":  # HTSeq rounds at each read
            assert found == pytest.approx(expected, rel=1e-12), where
        elif scoring.nonunique == "random":
            assert sum(found.values()) == sum(expected.values()), where
            check_draws([path], steps, (mode, strand), scoring, found)
        else:
            assert found == expected, where
        done.settings += 1
        done.fragments += groups if scoring != PLAIN else 0


def check_draws(
    paths: list[Path], steps: GeneIntervals, setting: tuple[str, str], scoring: Scoring, found: dict[str, int]
) -> None:
    """Check that a gene has what is its own, and no more than all that it could have."""
    alone, most = (
        count_native(paths, steps, *setting, scoring=scoring._replace(nonunique=nonunique)).genes
        for nonunique in ("fraction", "all")
    )
    for gene, share, possible in zip(found, alone, most, strict=True):
        assert 0 <= found[gene] <= possible
        assert found[gene] == possible or share < possible


@pytest.mark.parametrize("paired", [False, True], ids=["single", "paired"])
@pytest.mark.parametrize("wild", [False, True], ids=["orderly", "wild"])
def test_counts_are_those_of_htseq(tmp_path: Path, paired: bool, wild: bool) -> None:
    done = Compared()
    for seed in range(28):
        compare(seed, tmp_path / f"{seed}.bam", done, paired=paired, wild=wild, groups=60)
    assert done.settings + done.stopped == 28 * (len(SETTINGS) + OPTIONS_OF_FILE)
    assert done.settings > 0.9 * (done.settings + done.stopped), f"HTSeq stopped in {done.stopped} cases"
    assert done.fragments > 7_000


ATTRIBUTES = [
    ("exon", "gene_name"),
    ("gene", "gene_id"),
    ("CDS", "gene_id"),
    ("CDS", "protein_id"),
    ("exon", "exon_id"),
]


def write_annotation(path: Path, exons: list[Exon], dice: random.Random) -> None:
    """Write genes, exons and coding parts in the styles of GTF; names and proteins are those of several genes."""
    lines = []
    for number, exon in enumerate(exons):
        gene = {"gene_id": exon.gene_id, "gene_name": f"name {int(exon.gene_id[-2:]) // 3}"}
        parts = [("exon", exon.start, exon.end, {**gene, "exon_id": f"e{number // 2}"})]
        if exon.gene_id not in {other.gene_id for other in exons[:number]}:
            parts.append(("gene", exon.start, exon.end + dice.randrange(300), gene))
        if exon.end - exon.start > 20:
            end = exon.end - dice.randrange(10)
            parts.append(("CDS", exon.start + dice.randrange(10), end, {**gene, "protein_id": f"p{number % 5}"}))
        for feature, start, end, attributes in parts:
            words = [
                f'{name} "{value}"' if dice.random() < 0.8 or " " in value else f"{name} {value}"
                for name, value in dice.sample(list(attributes.items()), len(attributes))
            ]
            columns = [exon.contig, "x", feature, start + 1, end, ".", exon.strand, ".", "; ".join(words) + ";"]
            lines.append("\t".join(map(str, columns)) + "\n")
    path.write_text("#!comment\n" + "".join(lines))


@pytest.mark.parametrize(("feature", "attribute"), ATTRIBUTES)
def test_features_of_an_annotation_are_those_of_htseq(tmp_path: Path, feature: str, attribute: str) -> None:
    compared = 0
    for seed in range(8):
        dice = random.Random(seed)
        exons = random_exons(dice)
        exons = [exon._replace(gene_id="g99") if exon.gene_id.startswith("ERCC") else exon for exon in exons]
        write_annotation(tmp_path / "a.gtf", exons, dice)
        write_genes(tmp_path / "genes.tsv", [])
        paths = [tmp_path / name for name in ("a.gtf", "genes.tsv", "index.npz", "exons.gtf", "features.tsv")]
        make_count_index(*paths, feature=feature, attribute=attribute)
        steps = read_gene_intervals(tmp_path / "index.npz")
        write_groups(tmp_path / "a.bam", dice, 60, paired=seed % 2 == 0, wild=False)
        for strand, scoring in itertools.product(STRANDS, (PLAIN, Scoring("all", "score", "ignore", 0))):
            features = HTSeq.make_feature_genomicarrayofsets(
                HTSeq.GFF_Reader(str(tmp_path / "a.gtf")),
                [attribute],
                feature_type=[feature],
                stranded=strand != "none",
            )
            truth = count_with_htseq(tmp_path / "a.bam", features, steps.genes, "union", strand, scoring)
            ours = count_native([tmp_path / "a.bam"], steps, "union", strand, scoring=scoring)
            assert truth is not None
            assert sorted(features["attributes"]) == steps.genes
            assert ours.genes.tolist() == truth.genes.tolist(), (seed, strand, scoring)
            assert ours.tallies.tolist() == truth.tallies.tolist(), (seed, strand, scoring)
            compared += 60
    assert compared == 8 * 6 * 60


if __name__ == "__main__":  # a long run by hand: python -m tests.plates.test_counting_differential FIRST LAST
    import sys
    import tempfile

    first, last = map(int, sys.argv[1:3])
    total = Compared()
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(first, last):
            for paired, wild in itertools.product((False, True), repeat=2):
                compare(seed, Path(folder) / "x.bam", total, paired=paired, wild=wild, groups=60)
    print(
        f"{total.settings} settings equal, {total.fragments} reads and pairs with other options than the defaults;"
        f" in {total.stopped} settings HTSeq stops and so does the native counter"
    )
