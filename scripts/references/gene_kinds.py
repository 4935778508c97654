"""What kind of gene a gene is, by name, biotype and contig: receptor segments, mitochondria, ribosomes, spike-ins."""

import json
import re
from collections.abc import Collection
from pathlib import Path

from scripts.references.genes_table import GeneRow

# HGNC and MGI name segments alike but for case; MGI also has Tcrg-C1. Biotypes: IG_C_gene, TR_V_pseudogene, …
_TR = re.compile(r"TR(?:A[VJ]|B[VDJC]|D[VDJ]|G[VJC])[\dABP]|TR[AD]C$|TCRG-[CJV]", re.IGNORECASE)
_IG = re.compile(r"IG(?:H[VDJ]|K[VJ]|L[VJC])[\dIVO(]|IGKC$|IGH(?:[DEM]|A\d?|G\d?[A-C]?P?|EP\d?)$", re.IGNORECASE)
_RIBOSOMAL = re.compile(r"RP[SL]\d+[ALXY]{0,2}\d?$|RPLP[012]$|RPSA$", re.IGNORECASE)
_MITOCHONDRIA = frozenset("chrm chrmt m mt nc_012920.1 nc_005089.1".split())
XIST = frozenset({"XIST"})
"""Transcribed from the inactive X chromosome, and so in cells with two; in capitals, of human and mouse."""
Y_GENES = frozenset("RPS4Y1 DDX3Y EIF1AY EIF2S3Y KDM5D USP9Y UTY ZFY".split())
"""Transcribed in most tissues, outside the regions that X has as well (Skaletsky et al. 2003)."""
_ERCC = re.compile(r"ERCC-\d+")


def kind_of_gene(name: str, biotype: str, contig: str) -> str:
    """Return ``tr``, ``ig``, ``mitochondrial`` or ``ribosomal``, empty for all other genes.

    Segments of receptors are known by the name, else by the biotype (GENCODE's IG_C_gene), mitochondrial genes by the
    contig, the name or the biotype, ribosomal ones (proteins and RNA) by the name or the biotype.
    """
    if _TR.match(name) or (biotype.startswith("TR_") and not _IG.match(name)):
        return "tr"
    if _IG.match(name) or biotype.startswith("IG_"):
        return "ig"
    if contig.lower() in _MITOCHONDRIA or name.lower().startswith("mt-") or biotype.startswith("Mt_"):
        return "mitochondrial"
    if _RIBOSOMAL.match(name) or biotype.startswith("rRNA"):
        return "ribosomal"
    return ""


def spike_in_contigs(reference: str | Path) -> frozenset[str]:
    """Return the contigs of the spike-ins that a reference.json names; none where it does not, or there is no file."""
    path = Path(reference)
    described = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return frozenset(described.get("spike_ins", {}).get("contigs", ()))


def kind_in_reference(gene: GeneRow, spike_ins: Collection[str]) -> str:
    """Return ``spike_in`` or the kind of a gene; ``spike_ins`` are their contigs, see :func:`spike_in_contigs`.

    Genes with the ids of the ERCC are spike-ins, too, since a genome may come with them.
    """
    contig = gene.contig.partition(";")[0]
    if contig in spike_ins or _ERCC.fullmatch(gene.gene_id):
        return "spike_in"
    return kind_of_gene(gene.gene_name, gene.biotype, contig)
