"""Exon lines near the alignments of a cell: htseq-count gives the same numbers with them as with all."""

from pathlib import Path

import numpy as np
import pytest

from scripts.plates.counting import Counting, _count_near, count_htseq
from scripts.plates.near_exons import NEAR, aligned_regions, write_near_exons
from scripts.references.genes_table import read_genes
from tests.plates.shards import CHOSEN, EMPTY
from tests.plates.test_bam_groups import write


def line(start: int, end: int, gene: str = "g", contig: str = "chr1") -> str:
    return f'{contig}\t.\texon\t{start}\t{end}\t.\t+\t.\tgene_id "{gene}";\n'


def near(folder: Path, *lines: str) -> list[str]:
    bam = write(folder / "a.bam", 0, 4)  # bases 6 to 15 of chr1, and a read that is not mapped
    (folder / "all.gtf").write_text("".join(lines))
    write_near_exons([bam], folder / "all.gtf", folder / "near.gtf")
    return (folder / "near.gtf").read_text().splitlines(keepends=True)


def test_exons_that_alignments_touch_are_near_and_others_are_not(tmp_path: Path) -> None:
    last = 15 + NEAR
    kept = [line(1, 5), line(10, 12), line(1, 10**9), line(last, last + 9)]
    assert near(tmp_path, *kept, line(last + 1, last + 9), line(7, 9, contig="chr2")) == kept


def test_there_is_always_a_line(tmp_path: Path) -> None:
    far = [line(10**6, 10**6 + 9, gene) for gene in "ab"]
    assert near(tmp_path, *far) == far[:1]


def test_regions_of_neighbours_are_one(tmp_path: Path) -> None:
    bam = write(tmp_path / "a.bam", 0, cigartuples=[(0, 10), (3, 2 * NEAR), (0, 10), (3, 2 * NEAR + 1), (0, 5)])
    second = 5 + 10 + 2 * NEAR + 10 + 2 * NEAR + 1
    starts, ends = aligned_regions([bam])["chr1"]
    assert starts == [5 - NEAR, second - NEAR]
    assert ends == [5 + 20 + 2 * NEAR + NEAR, second + 5 + NEAR]


@pytest.mark.tools
def test_numbers_are_those_of_the_whole_annotation(mm10: Path, shard: Path) -> None:
    genes = [gene.gene_id for gene in read_genes(mm10 / "genes.tsv")]
    counting = Counting(mm10 / "count_index.npz", mm10 / "exons.gtf", genes, "intersection-nonempty", "none")
    for column in CHOSEN:
        if column != EMPTY:
            paths = sorted((shard / "aligned").glob(f"{column}*.bam"))
            (whole,), (some,) = count_htseq([paths], counting), _count_near(paths, counting)
            assert np.array_equal(whole.genes, some.genes) and whole.genes.sum()
            assert np.array_equal(whole.tallies, some.tallies)
