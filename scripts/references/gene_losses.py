"""What of an annotation is not counted on a genome: kept with the reference, shown when a run ends and on the report.

The record is ``annotation`` in reference.json; a reference of an earlier version has none.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

MOST_LOST = 0.2
"""Share of the genes that may be on contigs which the genome lacks; beyond it no reference is made."""
_MOST_BARE = 0.1  # share of the bases that may be on contigs without a gene
_NAMED = 5  # contigs that are named
_MITOCHONDRION = ("m", "mt", "mtdna", "mito", "mitochondrion", "mitochondrion_genome")


class GeneLosses(NamedTuple):
    """The genes of an annotation that are counted wrong or not at all."""

    genes: int = 0
    """All that have exons."""
    lost_genes: int = 0
    """Those with all exons on contigs that the genome lacks."""
    lost_contigs: int = 0
    lost_names: tuple[str, ...] = ()
    """The first of these contigs."""
    loose_genes: int = 0
    """Those with exons that no transcript joins."""
    bare_bases: int = 0
    """Bases of the genome on contigs without a gene."""
    bare_names: tuple[str, ...] = ()
    """The largest of these contigs."""
    bases: int = 0
    """Of the whole genome."""
    bare_mitochondrion: str = ""
    """The mitochondrion, where it has no gene."""

    def and_of(self, other: "GeneLosses") -> "GeneLosses":
        """Return the losses of two annotations of one genome."""
        return self._replace(
            genes=self.genes + other.genes,
            lost_genes=self.lost_genes + other.lost_genes,
            lost_contigs=self.lost_contigs + other.lost_contigs,
            lost_names=(*self.lost_names, *other.lost_names)[:_NAMED],
            loose_genes=self.loose_genes + other.loose_genes,
        )

    def sentences(self) -> Iterator[str]:
        """Yield what a person has to know, a sentence each."""
        if self.lost_genes:
            more = ", …" if self.lost_contigs > len(self.lost_names) else ""
            yield (
                f"{self.lost_genes:,} of {self.genes:,} genes ({self.lost_genes / self.genes:.2%}) are not counted:"
                f" the genome lacks their contigs ({', '.join(self.lost_names)}{more})."
            )
        if self.loose_genes:
            yield (
                f"{self.loose_genes:,} of {self.genes:,} genes ({self.loose_genes / self.genes:.2%}) have exons without"
                " a transcript_id: STAR knows no splice junction between them."
            )
        if self.bare_mitochondrion:
            yield (
                f"the annotation has no gene on the mitochondrion ({self.bare_mitochondrion}), so that no cell has"
                " mitochondrial counts."
            )
        if self.bases and self.bare_bases > _MOST_BARE * self.bases:
            yield (
                f"{self.bare_bases / self.bases:.0%} of the genome are on contigs without a gene in the annotation"
                f" ({', '.join(self.bare_names)})."
            )


def plain_name(contig: str) -> str:
    """Return a contig's name without what differs between conventions: chr1 of UCSC and GENCODE, 1 of Ensembl."""
    bare = contig.lower().removeprefix("chr")
    return "mt" if bare in _MITOCHONDRION else bare


def bare_contigs(lengths: Mapping[str, int], with_genes: Iterable[str]) -> GeneLosses:
    """Return what of a genome has no gene; ``lengths`` is contig → bases, ``with_genes`` the contigs that have some."""
    bare = {name: lengths[name] for name in lengths.keys() - set(with_genes)}
    largest = sorted(bare, key=lambda name: (-bare[name], name))[:_NAMED]
    mitochondrion = next((name for name in sorted(bare) if plain_name(name) == "mt"), "")
    return GeneLosses(
        bare_bases=sum(bare.values()),
        bare_names=tuple(largest),
        bases=sum(lengths.values()),
        bare_mitochondrion=mitochondrion,
    )


def warnings_of(references: Iterable[str | Path]) -> list[str]:
    """Return a sentence for each thing to know of references, by their reference.json, with their names."""
    found = []
    for path in references:
        described: Mapping[str, Any] = json.loads(Path(path).read_text(encoding="utf-8"))
        recorded = described.get("annotation") or {}
        losses = GeneLosses(**{name: recorded[name] for name in GeneLosses._fields if name in recorded})
        found += [f"Reference {described['name']}: {sentence}" for sentence in losses.sentences()]
    return found
