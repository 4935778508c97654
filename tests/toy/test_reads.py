"""The rules by which the toy's truth is made, on a genome small enough to judge by eye."""

import random
from collections import Counter

import pytest

from tests.toy import reads
from tests.toy.genomes import Gene, Genome, Transcript, joined, make_genome, make_spike_ins
from tests.toy.reads import AMBIGUOUS, DROPPED, KITS, NO_FEATURE, NOT_UNIQUE, TALLIES, CountModel, Origin


def _gene(gene_id: str, strand: str, *transcripts: tuple[tuple[int, int], ...]) -> Gene:
    made = tuple(Transcript(f"{gene_id}-{number}", exons) for number, exons in enumerate(transcripts))
    return Gene(gene_id, gene_id, "protein_coding", "chr1", strand, made, "multi_exon")


@pytest.fixture
def model() -> CountModel:
    """A on + with exons 100-200, 300-400, 500-600; B on + from 550; C on - inside A's first intron."""
    genes = (
        _gene("A", "+", ((100, 200), (300, 400), (500, 600)), ((100, 200), (500, 600))),
        _gene("B", "+", ((550, 700),)),
        _gene("C", "-", ((220, 280),)),
    )
    return CountModel(Genome("small", {"chr1": "A" * 1000}, genes))


@pytest.mark.parametrize(
    ("blocks", "fate"),
    [
        ([(110, 160)], "A"),
        ([(190, 200), (300, 340)], "A"),
        ([(180, 230)], NO_FEATURE),  # A's exon and then C's: nothing in common
        ([(180, 215)], "A"),  # an intron at the end is set aside
        ([(205, 218)], NO_FEATURE),
        ([(400, 450)], NO_FEATURE),
        ([(399, 450)], "A"),
        ([(550, 600)], AMBIGUOUS),
        ([(549, 600)], "A"),
        ([(550, 601)], "B"),
        ([(549, 601)], NO_FEATURE),
        ([(110, 160), (560, 590)], "A"),  # mates: one in A alone, one where both are
        ([(110, 160), (610, 650)], NO_FEATURE),
        ([(720, 760)], NO_FEATURE),
        ([(720, 760), (690, 720)], "B"),
    ],
)
def test_a_fragment_goes_where_intersection_nonempty_puts_it(model: CountModel, blocks, fate):
    assert model.plate_fate("chr1", blocks) == fate


@pytest.mark.parametrize(
    ("blocks", "strand", "gene", "full", "ex50pas"),
    [
        ([(110, 160)], "+", {"A"}, {"A"}, {"A"}),
        ([(110, 160)], "-", set(), set(), set()),
        ([(190, 200), (300, 340)], "+", {"A"}, {"A"}, {"A"}),
        ([(190, 200), (500, 540)], "+", {"A"}, {"A"}, {"A"}),  # the second transcript
        ([(190, 200), (310, 340)], "+", set(), {"A"}, {"A"}),  # no transcript splices so
        ([(180, 215)], "+", set(), {"A"}, {"A"}),
        ([(225, 275)], "-", {"C"}, {"C"}, {"C"}),
        ([(225, 275)], "+", set(), {"A"}, set()),  # against C's exon
        ([(230, 290)], "+", set(), {"A"}, {"A"}),  # no more than most of it is
        ([(405, 455)], "+", set(), {"A"}, {"A"}),
        ([(560, 590)], "+", {"A", "B"}, {"A", "B"}, {"A", "B"}),
        ([(540, 600)], "+", {"A"}, {"A", "B"}, {"A"}),
        ([(720, 760)], "+", set(), set(), set()),
    ],
)
def test_a_cdna_read_fits_the_genes_of_starsolo_features(model: CountModel, blocks, strand, gene, full, ex50pas):
    origin = Origin("chr1", strand, tuple(blocks))
    assert model.solo_genes(origin, "Gene") == gene
    assert model.solo_genes(origin, "GeneFull") == full
    assert model.solo_genes(origin, "GeneFull_Ex50pAS") == ex50pas


@pytest.mark.parametrize(
    ("start", "length", "blocks"),
    [
        (0, 10, ((100, 110),)),
        (95, 10, ((195, 200), (300, 305))),
        (100, 10, ((300, 310),)),
        (95, 110, ((195, 200), (300, 400), (500, 505))),
        (290, 10, ((590, 600),)),
    ],
)
def test_a_stretch_of_a_transcript_is_blocks_of_the_genome(start, length, blocks):
    assert reads.blocks_of(((100, 200), (300, 400), (500, 600)), start, length) == blocks


@pytest.fixture(scope="module")
def mouse() -> CountModel:
    return CountModel(joined(make_genome("mm10", 1), make_spike_ins(1)))


@pytest.mark.parametrize(("ends", "length"), [(1, 76), (2, 75)])
def test_a_plate_cell_meets_every_fate(mouse: CountModel, ends, length):
    cell = reads.plate_cell(mouse, 1500, ends, length, random.Random(1))
    assert {len(fragment.reads) for fragment in cell} == {ends}
    assert {len(read.sequence) for fragment in cell for read in fragment.reads} == {length}
    assert all(len(read.sequence) == len(read.quality) for fragment in cell for read in fragment.reads)
    counts = reads.tally(cell, mouse.genome.genes)
    assert sum(counts.values()) == 1500
    assert all(counts[fate] > 0 for fate in (AMBIGUOUS, NO_FEATURE, NOT_UNIQUE, DROPPED, "ERCC-00002"))
    assert all(counts[gene.gene_id] == 0 for gene in mouse.genome.of("duplicate"))
    assert sum(counts[gene.gene_id] > 0 for gene in mouse.genome.genes) > 30
    assert set(counts) == {gene.gene_id for gene in mouse.genome.genes} | set(TALLIES) | {DROPPED}


def test_a_seed_makes_one_cell(mouse: CountModel):
    first, again = (reads.plate_cell(mouse, 50, 2, 75, random.Random("x")) for _ in range(2))
    assert first == again


def test_barcodes_of_all_lists_are_three_bases_apart():
    lists = reads.inclusion_lists({"a": 200, "b": 100}, random.Random(1))
    assert [len(barcodes) for barcodes in lists.values()] == [200, 100]
    together = [barcode for barcodes in lists.values() for barcode in barcodes]
    near = Counter(near for barcode in together for near in (barcode, *reads.neighbours(barcode)))
    assert max(near.values()) == 1


@pytest.mark.parametrize("name", ["v2", "v3"])
def test_a_library_holds_what_its_truth_says(name):
    human = CountModel(joined(make_genome("hg38", 1), make_spike_ins(1)))
    kit = KITS[name]
    barcodes = reads.inclusion_lists({"list": 400}, random.Random(2))["list"]
    library = reads.droplet_library(human, kit, barcodes, 2, 5, random.Random(3))
    spots = [spot for run in library.spots for spot in run]
    assert all(len(spot.barcode.sequence) == 16 + kit.umi for spot in spots)
    assert {len(spot.cdna.sequence) for spot in spots} == {kit.cdna}
    assert {len(spot.index.sequence) for spot in spots} == {kit.index}
    written = Counter(spot.barcode.sequence[:16] for spot in spots)
    corrected = {near: barcode for barcode in barcodes for near in reads.neighbours(barcode)}
    lost = [barcode for barcode in written if barcode not in barcodes and barcode not in corrected]
    assert lost and any(barcode in corrected for barcode in written)
    assert len(library.cells) == 5 and all(written[barcode] > 100 for barcode in library.cells)
    # no more UMIs are promised for a droplet than are written in its reads, errors in UMIs apart
    umis: dict[str, set[str]] = {}
    for spot in spots:
        barcode = spot.barcode.sequence[:16]
        umis.setdefault(corrected.get(barcode, barcode), set()).add(spot.barcode.sequence[16:])
    for feature, counts in library.truth.items():
        promised: Counter[str] = Counter()
        for (barcode, gene_id), count in counts.items():
            assert count > 0 and human.genome.gene(gene_id).arrangement not in ("duplicate", "spike_in")
            promised[barcode] += count
        assert all(promised[barcode] >= 60 for barcode in library.cells), feature
        assert all(promised[barcode] <= len(umis[barcode]) for barcode in promised)
        assert sum(barcode not in library.cells for barcode in promised) > 100
        assert sum(library.shared[feature].values()) >= 5
    assert sum(library.truth["Gene"].values()) < sum(library.truth["GeneFull"].values())


def test_umis_of_a_cell_are_three_bases_apart():
    umis = reads._Umis(6, random.Random(1))
    drawn = [umis.draw() for _ in range(40)]
    for number, first in enumerate(drawn):
        assert len(set(first)) > 2
        for second in drawn[:number]:
            assert sum(a != b for a, b in zip(first, second, strict=True)) >= 3
