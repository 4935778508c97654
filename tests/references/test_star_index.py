"""STAR's index: made with options that fit the genome, or linked where a ready one fits."""

import random
import shutil
from pathlib import Path

import pytest

from scripts.core.errors import InputError
from scripts.references import star_index
from scripts.references.genes_table import read_genes
from tests.references.sources import gtf_line, make


@pytest.mark.tools
def test_a_ready_index_is_linked_when_it_fits(mm10: Path, tmp_path: Path) -> None:
    inputs = [f"--genome={mm10 / 'genome.fa'}", f"--annotation={mm10 / 'annotation.gtf'}", "--sjdb-overhang=75"]
    star_index.main([*inputs, f"--ready={mm10 / 'star'}", f"--output={tmp_path / 'star'}"])
    assert (tmp_path / "star" / "SA").resolve() == (mm10 / "star" / "SA").resolve()
    old = tmp_path / "old"
    shutil.copytree(mm10 / "star", old)
    parameters = old / "genomeParameters.txt"
    parameters.write_text(parameters.read_text().replace("versionGenome\t2.7.4a", "versionGenome\t20201"))
    bases = bytearray((old / "Genome").read_bytes())
    bases[100] = (bases[100] + 1) % 4
    (old / "Genome").write_bytes(bases)
    genes = old / "geneInfo.tab"
    genes.write_text(genes.read_text().replace("ENSMUSG", "GENE", 1))
    with pytest.raises(InputError) as caught:
        star_index.main([*inputs, f"--ready={old}", f"--output={tmp_path / 'other'}"])
    assert "needs 3 corrections" in str(caught.value)
    assert "exon(s) of 2 gene(s) are not those of the reference's annotation" in str(caught.value)
    assert "its version is 20201, but the installed STAR reads 2.7.4a" in str(caught.value)
    assert "1 contig(s) are not those of the reference's genome" in str(caught.value)
    (old / "SA").unlink()
    with pytest.raises(InputError, match="SA is missing"):
        star_index.main([*inputs, f"--ready={old}", f"--output={tmp_path / 'other'}"])


@pytest.mark.tools
def test_a_failed_index_leaves_nothing_and_an_index_no_log_in_the_way(mm10: Path, tmp_path: Path) -> None:
    (tmp_path / "genome.fa").write_text(">chr1\nACGT\n")
    (tmp_path / "annotation.gtf").write_text('chrX\t.\texon\t1\t4\t.\t+\t.\tgene_id "a"; transcript_id "a";\n')
    with pytest.raises(InputError, match="STAR could not make the index"):
        star_index.make_index(tmp_path / "genome.fa", tmp_path / "annotation.gtf", 75, 1, tmp_path / "star")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["annotation.gtf", "genome.fa"]
    assert (mm10 / "star").stat().st_mode & 0o055 == 0o055
    assert not Path("Log.out").exists()


@pytest.mark.tools
def test_star_reads_the_same_genes_from_attributes_in_any_shape(tmp_path: Path) -> None:
    """The index is compared with the annotation when it is made: see index_check."""
    bases = random.Random(1).choices("ACGT", k=20_000)
    shapes = [
        'transcript_id "t1"; gene_id "g1";',
        'gene_id "other"; gene_id "g2"; transcript_id "t2";',
        'note "not gene_id x; transcript_id y"; gene_id "g3"; transcript_id "t3";',
        'gene_id "g4"; transcript_id ""; gene_name "n4"; level 1;',
        'gene_id "g5"; transcript_id ""; gene_name "n5"; level 1;',
        "gene_id g6; transcript_id t6",
        "gene_id=g7;transcript_id=t7",
    ]
    gtf = "".join(gtf_line("chr1", 1000 * n + 1, 1000 * n + 99, shape) for n, shape in enumerate(shapes))
    gtf += gtf_line("chr1", 9001, 9100, 'gene_id "g8"; transcript_id "t8";').replace("source", "two words")
    gtf += gtf_line("elsewhere", 1, 100, 'gene_id "g9"; transcript_id "t9";')
    made = make(tmp_path, fasta=f">chr1\n{''.join(bases)}\n".encode(), gtf=gtf)
    star_index.make_index(made / "genome.fa", made / "annotation.gtf", 75, 1, tmp_path / "star")
    known = [line.split("\t")[0] for line in (tmp_path / "star" / "geneInfo.tab").read_text().splitlines()[1:]]
    assert known == [gene.gene_id for gene in read_genes(made / "genes.tsv")] == [f"g{n}" for n in range(1, 9)]


@pytest.mark.tools
def test_a_ready_index_without_an_annotation_is_refused(mm10: Path, tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    shutil.copytree(mm10 / "star", bare)
    (bare / "exonGeTrInfo.tab").unlink()
    with pytest.raises(InputError, match="it was made without an annotation, so that STAR knows no splice junctions"):
        star_index.link_index(bare, mm10 / "genome.fa", mm10 / "annotation.gtf", 75, tmp_path / "star")
