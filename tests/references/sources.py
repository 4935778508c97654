"""Small references, made from sources that are written for a test."""

from pathlib import Path

import pytest

from scripts.core.errors import InputError
from scripts.references.reference import make_reference

FASTA = b">chr1 the first\nACGTNacgtn\nACG\n>chr2\n" + b"A" * 60 + b"\n"


def gtf_line(contig: str, start: int, end: int, attributes: str, feature: str = "exon", strand: str = "+") -> str:
    return f"{contig}\tsource\t{feature}\t{start}\t{end}\t.\t{strand}\t.\t{attributes}\n"


GTF = (
    "#!comment\n"
    + gtf_line("chr2", 1, 60, 'gene_id "b"; gene_name "B"; gene_type "lncRNA";', "gene")
    + gtf_line("chr2", 1, 20, 'gene_id "b"; transcript_id "b1"; gene_name "B"; gene_type "lncRNA";')
    + gtf_line("chr2", 11, 30, 'gene_id "b"; transcript_id "b2"; gene_name "B"; gene_type "lncRNA";')
    + gtf_line("chr2", 41, 60, 'gene_id "b"; transcript_id "b2"; gene_name "B"; gene_type "lncRNA";')
    + gtf_line("chr1", 2, 4, 'gene_id "a";')
)


def make(folder: Path, fasta: bytes = FASTA, gtf: str | bytes = GTF, **more: list) -> Path:
    """Make a reference of these sources into a new folder and return it."""
    (folder / "in.fa").write_bytes(fasta)
    (folder / "in.gtf").write_bytes(gtf if isinstance(gtf, bytes) else gtf.encode())
    output = folder / "made"
    targets = [output / name for name in ("genome.fa", "annotation.gtf", "genes.tsv", "reference.json")]
    fastas = [(str(folder / "in.fa"), None), *more.get("fastas", [])]
    gtfs = [(str(folder / "in.gtf"), None), *more.get("gtfs", [])]
    make_reference("toy", fastas, gtfs, *targets)
    return output


def faults(folder: Path, **sources: object) -> list[str]:
    """Return the sentences found of bad sources, without the title; nothing may be left of the reference."""
    with pytest.raises(InputError) as found:
        make(folder, **sources)
    title, *sentences = str(found.value).splitlines()
    assert title == f"The reference toy needs {len(sentences)} correction{'s' * (len(sentences) > 1)}:"
    assert list((folder / "made").iterdir()) == []
    return [sentence.replace(f"{folder}/", "") for sentence in sentences]
