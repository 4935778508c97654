"""What is cited for the tools, annotations and methods of an analysis."""

from typing import NamedTuple


class Work(NamedTuple):
    """A publication: its entry in a list of references, and its DOI."""

    entry: str
    doi: str


WORKS = {
    "STAR": Work(
        "Dobin A, Davis CA, Schlesinger F, et al. STAR: ultrafast universal RNA-seq aligner. Bioinformatics"
        " 2013;29:15-21.",
        "10.1093/bioinformatics/bts635",
    ),
    "STARsolo": Work(
        "Kaminow B, Yunusov D, Dobin A. STARsolo: accurate, fast and versatile mapping/quantification of single-cell"
        " and single-nucleus RNA-seq data. bioRxiv 2021.",
        "10.1101/2021.05.05.442755",
    ),
    "HTSeq": Work(
        "Putri GH, Anders S, Pyl PT, Pimanda JE, Zanini F. Analysing high-throughput sequencing data in Python with"
        " HTSeq 2.0. Bioinformatics 2022;38:2943-2945.",
        "10.1093/bioinformatics/btac166",
    ),
    "SRA": Work(
        "Leinonen R, Sugawara H, Shumway M; International Nucleotide Sequence Database Collaboration. The Sequence Read"
        " Archive. Nucleic Acids Res 2011;39:D19-D21.",
        "10.1093/nar/gkq1019",
    ),
    "ENA": Work(
        "Leinonen R, Akhtar R, Birney E, et al. The European Nucleotide Archive. Nucleic Acids Res 2011;39:D28-D31.",
        "10.1093/nar/gkq967",
    ),
    "GEO": Work(
        "Barrett T, Wilhite SE, Ledoux P, et al. NCBI GEO: archive for functional genomics data sets - update. Nucleic"
        " Acids Res 2013;41:D991-D995.",
        "10.1093/nar/gks1193",
    ),
    "samtools": Work(
        "Danecek P, Bonfield JK, Liddle J, et al. Twelve years of SAMtools and BCFtools. GigaScience 2021;10:giab008.",
        "10.1093/gigascience/giab008",
    ),
    "Snakemake": Work(
        "Mölder F, Jablonski KP, Letcher B, et al. Sustainable data analysis with Snakemake. F1000Research 2021;10:33.",
        "10.12688/f1000research.29032.2",
    ),
    "GENCODE": Work(
        "Frankish A, Diekhans M, Jungreis I, et al. GENCODE 2021. Nucleic Acids Res 2021;49:D916-D923.",
        "10.1093/nar/gkaa1087",
    ),
    "Ensembl": Work(
        "Howe KL, Achuthan P, Allen J, et al. Ensembl 2021. Nucleic Acids Res 2021;49:D884-D891.",
        "10.1093/nar/gkaa942",
    ),
    "RefSeq": Work(
        "O'Leary NA, Wright MW, Brister JR, et al. Reference sequence (RefSeq) database at NCBI: current status,"
        " taxonomic expansion, and functional annotation. Nucleic Acids Res 2016;44:D733-D745.",
        "10.1093/nar/gkv1189",
    ),
    "EmptyDrops": Work(
        "Lun ATL, Riesenfeld S, Andrews T, et al. EmptyDrops: distinguishing cells from empty droplets in droplet-based"
        " single-cell RNA sequencing data. Genome Biol 2019;20:63.",
        "10.1186/s13059-019-1662-y",
    ),
    "velocyto": Work(
        "La Manno G, Soldatov R, Zeisel A, et al. RNA velocity of single cells. Nature 2018;560:494-498.",
        "10.1038/s41586-018-0414-6",
    ),
    "TPM": Work(
        "Li B, Ruotti V, Stewart RM, Thomson JA, Dewey CN. RNA-Seq gene expression estimation with read mapping"
        " uncertainty. Bioinformatics 2010;26:493-500.",
        "10.1093/bioinformatics/btp692",
    ),
    "anndata": Work(
        "Virshup I, Rybakov S, Theis FJ, Angerer P, Wolf FA. anndata: Access and store annotated data matrices. J Open"
        " Source Softw 2024;9:4371.",
        "10.21105/joss.04371",
    ),
}
"""What is cited → its publication."""
