"""Genes by kind: receptor segments, mitochondria, ribosomes and spike-ins."""

import json

import pytest

from scripts.references.gene_kinds import kind_in_reference, kind_of_gene, spike_in_contigs
from scripts.references.genes_table import GeneRow


@pytest.mark.parametrize(
    "names, biotype, contig, kind",
    [
        ("TRAC TRAV1-2 TRAJ53 TRBC2 TRBVA TRBV20OR9-2 TRGVB TRGJP1 TRDC", "", "chr14", "tr"),
        ("Trac Trbc1 Trav7-3 Tcrg-C1 Tcrg-V4", "", "chr6", "tr"),
        ("IGKC IGKV1-5 IGHM IGHG2 IGHD IGHD3-10 IGHEP1 IGLC7 IGHV1OR15-1", "", "chr2", "ig"),
        ("Ighm Ighg2b Ighg2c Igha Igkv4-55 Iglc1 Ighe", "", "chr12", "ig"),
        ("TRADD TRAF3 TRDN TRDMT1 IGHMBP2 IGLL5 IGLON5 IGF1 Trp53 MTOR", "protein_coding", "chr1", ""),
        ("Gm1", "TR_V_pseudogene", "chr14", "tr"),
        ("Gm2", "IG_C_gene", "chr12", "ig"),
        ("TRBV3-1", "IG_TR", "vdj", "tr"),
        ("ND1", "protein_coding", "NC_012920.1", "mitochondrial"),
        ("mt-Co1", "protein_coding", "x", "mitochondrial"),
        ("A", "Mt_tRNA", "x", "mitochondrial"),
        ("RPS4Y1 RPL36AL Rplp0 RPSA Rps27l", "protein_coding", "1", "ribosomal"),
        ("RPS6KA1 MRPL3 RPRM", "protein_coding", "1", ""),
        ("RNA18S", "rRNA", "1", "ribosomal"),
    ],
)
def test_genes_are_of_their_kind(names, biotype, contig, kind):
    assert {name: kind_of_gene(name, biotype, contig) for name in names.split()} == dict.fromkeys(names.split(), kind)


def test_spike_ins_are_those_of_the_reference_or_of_the_ercc(tmp_path):
    path = tmp_path / "reference.json"
    path.write_text(json.dumps({"spike_ins": {"contigs": ["phiX"]}}))
    contigs = spike_in_contigs(path)
    genes = {
        "G1": GeneRow("G1", "x", "", 9, "phiX"),
        "ERCC-00002": GeneRow("ERCC-00002", "", "", 9, "chrE"),
        "ERCC1": GeneRow("ERCC1", "ERCC1", "protein_coding", 9, "chr19"),
        "G2": GeneRow("G2", "ND1", "", 9, "chrM"),
    }
    assert {name: kind_in_reference(gene, contigs) for name, gene in genes.items()} == {
        "G1": "spike_in",
        "ERCC-00002": "spike_in",
        "ERCC1": "",
        "G2": "mitochondrial",
    }
    path.write_text("{}")
    assert spike_in_contigs(path) == frozenset()
