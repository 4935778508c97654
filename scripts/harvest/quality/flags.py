"""Flags: what needs a look before a matrix is trusted. The one table of them; a flag changes no count.

The tables of results/quality/ have them in their column ``flags``, joined by ``;``, in the order of this table.
docs/quality.md has the table that ``python -m scripts.harvest.quality.flags`` prints.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from scripts.core.outliers import OUTLIER_FOLD, OUTLIER_POINTS, OUTLIER_Z

SEVERITIES = ("error", "warning", "note")
"""From what makes counts wrong to what is worth knowing."""

LOW_MAPPED = 20.0
"""Percent of reads that map, below which a cell or library is flagged: good ones map more than half."""
FEW_READS = 10.0
"""Percent of the median number of reads of its series, below which a cell is flagged."""
EMPTY_READS = 1.0
"""The same, below which the well is taken for empty."""
EMPTY_SPIKE_INS = 90.0
"""Percent of the counts on spike-ins from which on the well is taken for empty."""
FEWEST_CELLS = 5
"""Cells of a series from which on their median number of reads says something."""
HIGH_AMBIGUOUS = 20.0
HIGH_NO_FEATURE = 80.0
HIGH_MISMATCH = 3.0
HIGH_MITOCHONDRIAL = 30.0
HIGH_RIBOSOMAL = 60.0
HIGH_TR, HIGH_IG, HIGH_TOP_GENE = 10.0, 50.0, 50.0
"""Percent above which a cell or library is flagged."""
FEWEST_COUNTS = 100
"""Counts from which on shares of a cell or library are flagged: of fewer they say nothing."""
LOW_VALID_BARCODES = 75.0
LOW_Q30 = 65.0
LOW_READS_IN_CELLS = 70.0
HIGH_ANTISENSE = 10.0
"""Percent at which the web summary of Cell Ranger warns, too."""
INTRONIC_RATIO = 2.0
"""Reads of GeneFull to those of Gene, above which most reads of a library are in introns."""
OWN_SPECIES = 50.0
"""Percent of the reads of one species that are of the declared one, below which the species is another one."""
OTHER_SPECIES = 10.0
"""Percent of them of another configured species, from which on a cell or library is mixed."""
FEWEST_KNOWN_READS = 50
"""Sampled reads of one species alone, from which on their shares are flagged."""
SAME_READS = 50.0
"""Percent of sampled sequences that two experiments share, from which on they are copies."""
SAME_READS_OF_RUNS = 90.0
"""The same of two runs of one experiment, which share copies made by PCR."""
FEWEST_SAME_READS = 20
"""Shared sequences from which on that is flagged."""
SAME_COUNTS = 80.0
"""Percent of genes with the same count, of those with a count of 10 or more, from which on cells are copies."""
FEWEST_SAME_COUNTS = 20
"""Such genes from which on that is flagged."""
MATES_AGREE = 50.0
"""Percent of pairs whose mates are of one gene, of those whose mates are both of a known one."""
FEWEST_PAIRS = 20
"""Such pairs from which on that is flagged."""
RUNS_AGREE = 50.0
"""Percent of Morisita's index of the loci of two runs of one experiment."""
RUNS_LENGTH = 20.0
"""Percent by which the mean read lengths of two runs of one experiment may differ."""
OVERLAP_FOLD = 2.0
"""Shared barcodes of two libraries, over those expected by chance."""
OVERLAP_SHARE = 5.0
"""Percent of the smaller library's cells whose barcodes the other one has as well."""
OVERLAP_P = 1e-6
"""Largest probability of as many shared barcodes by chance, times the pairs of libraries that were compared."""
FEWEST_SEX_COUNTS = 20
"""Counts on genes of the sexes from which on a sample is flagged."""
SEX_SHARE = 5.0
"""Percent of the counts on XIST and genes of Y on the one of the other sex, that chance and errors may leave."""


class Flag(NamedTuple):
    """A flag: of what it is, how bad that is, what it means and what can be done."""

    subjects: tuple[str, ...]
    """``cell`` (a row of cells.csv.gz), ``library`` (a row of libraries.csv), ``sample`` (all rows of a sample)."""
    severity: str
    meaning: str
    """A clause."""
    remedy: str
    """What to do, in sentences."""


_CELL, _LIBRARY, _BOTH, _SAMPLE = ("cell",), ("library",), ("cell", "library"), ("sample",)

FLAGS: Mapping[str, Flag] = {
    "SPECIES_MISMATCH": Flag(
        _BOTH,
        "error",
        f"fewer than {OWN_SPECIES:g} % of the reads of one species are of the declared one",
        "Look at `other_species`. Give the right species in a run table, or leave the sample out.",
    ),
    "DUPLICATE_READS": Flag(
        _BOTH,
        "error",
        f"{SAME_READS:g} % or more of the sampled reads are also those of another experiment, or"
        f" {SAME_READS_OF_RUNS:g} % those of another run of the same one (`same_reads_as`)",
        "Leave one of the two out, or ask the authors which is right.",
    ),
    "DUPLICATE_COUNTS": Flag(
        _BOTH,
        "error",
        f"{SAME_COUNTS:g} % or more of the genes of 10 or more counts (of a library: of the cells) have the same count"
        " in another one (`same_counts_as`), or all counts are the same, as only copies have",
        "Leave one of the two out, or ask the authors which is right.",
    ),
    "MATES_DIFFER": Flag(
        _CELL,
        "error",
        f"fewer than {MATES_AGREE:g} % of the pairs have both mates on one gene: mates of different origin",
        "Look at the files of its runs; give the right ones as `source: file:R1;R2` in a run table.",
    ),
    "LANES_DIFFER": Flag(
        _BOTH,
        "warning",
        f"runs of one experiment differ: in species, by more than {RUNS_LENGTH:g} % in mean read length, or their"
        f" genes are less than {RUNS_AGREE:g} % alike (Morisita's index)",
        "Count its runs one by one (`count_by: run`), or leave the wrong one out.",
    ),
    "SPECIES_MIXED": Flag(
        _BOTH,
        "warning",
        f"{OTHER_SPECIES:g} % or more of the reads of one species are of another configured one",
        "Expected of xenografts and mixtures of species; else the sample is contaminated.",
    ),
    "SEX_MISMATCH": Flag(
        _SAMPLE,
        "warning",
        "XIST and the genes of the Y chromosome show the other sex than the record",
        "Samples may be swapped: compare with the other samples of its series.",
    ),
    "BARCODE_OVERLAP": Flag(
        _LIBRARY,
        "warning",
        f"cells share barcodes with another library of the series (`barcodes_shared_with`), {OVERLAP_FOLD:g} times"
        f" as many as by chance and {OVERLAP_SHARE:g} % or more of them: index hopping, or parts of one library",
        "Whole copies first: where DUPLICATE_COUNTS is flagged too, leave one of the two out. Else remove the shared"
        " barcodes from the library where they have fewer counts.",
    ),
    "LOW_MAPPING": Flag(
        _BOTH,
        "warning",
        f"less than {LOW_MAPPED:g} % of the reads map to the genome: another species, adapters, or wrong mates",
        "Look where its reads went. `plates: {min_mapped: …}` leaves out what maps less.",
    ),
    "NO_CELLS": Flag(
        _LIBRARY,
        "warning",
        "no barcode was called a cell",
        "Look at its barcodes and reads; try another `droplets: {cell_filter: …}`.",
    ),
    "NO_GENES": Flag(
        _CELL, "warning", "reads, but none that counts for a gene", "Leave it out of the analysis of the counts."
    ),
    "EMPTY_WELL": Flag(
        _CELL,
        "note",
        f"no reads, less than {EMPTY_READS:g} % of the median number of reads of the series, or"
        f" {EMPTY_SPIKE_INS:g} % or more of the counts on spike-ins: a well without a cell",
        "Leave it out of the analysis of the counts; `plates: {min_reads: …}` does that for wells without reads.",
    ),
    "FEW_READS": Flag(
        _CELL,
        "note",
        f"less than {FEW_READS:g} % of the median number of reads of the series: sequenced little, or a dead cell",
        "Compare its genes with those of other cells before it is used.",
    ),
    "OUTLIER_COUNTS": Flag(
        _CELL,
        "note",
        f"log counts are {OUTLIER_Z:g} robust z-scores or more from the median of the series, and {OUTLIER_FOLD:g}"
        " times above or below it",
        "Too few: damaged or empty; too many: two cells in one well.",
    ),
    "OUTLIER_GENES": Flag(
        _CELL,
        "note",
        f"a log number of genes {OUTLIER_Z:g} robust z-scores or more from the median of the series, and"
        f" {OUTLIER_FOLD:g} times above or below it",
        "Too few: damaged or empty; too many: two cells in one well.",
    ),
    "OUTLIER_MITOCHONDRIAL": Flag(
        _CELL,
        "note",
        f"a mitochondrial share {OUTLIER_Z:g} robust z-scores or more and {OUTLIER_POINTS:g} points above the"
        " median of the series",
        "Often a broken cell; heart and muscle have many.",
    ),
    "OUTLIER_SPIKE_IN": Flag(
        _CELL,
        "note",
        f"a share of spike-ins {OUTLIER_Z:g} robust z-scores or more and {OUTLIER_POINTS:g} points above the"
        " median of the series",
        "Little RNA of its own: small, damaged or empty.",
    ),
    "HIGH_MITOCHONDRIAL": Flag(
        _BOTH,
        "note",
        f"more than {HIGH_MITOCHONDRIAL:g} % of the counts are of mitochondria",
        "Often broken cells; heart and muscle have many.",
    ),
    "HIGH_RIBOSOMAL": Flag(
        _BOTH,
        "note",
        f"more than {HIGH_RIBOSOMAL:g} % of the counts are of ribosomal proteins and RNA",
        "Resting lymphocytes have half; more is RNA that was not depleted.",
    ),
    "HIGH_AMBIGUOUS": Flag(
        _CELL,
        "note",
        f"more than {HIGH_AMBIGUOUS:g} % of the reads in genes are in several",
        "Give the strand of the library (`plates: {strand: …}`), if it has one.",
    ),
    "HIGH_NO_FEATURE": Flag(
        _CELL,
        "note",
        f"more than {HIGH_NO_FEATURE:g} % of the reads of one locus are in no gene: DNA, or nuclei",
        "Of nuclei count genes with their introns (`plates: {type: gene}`).",
    ),
    "HIGH_MISMATCH": Flag(
        _BOTH,
        "note",
        f"more than {HIGH_MISMATCH:g} % of the mapped bases differ from the genome",
        "Bad sequencing, or another species or strain.",
    ),
    "HIGH_TR": Flag(
        _LIBRARY,
        "note",
        f"more than {HIGH_TR:g} % of the reads in genes are on segments of T-cell receptors",
        "Expected of T cells only; else the library was enriched for them.",
    ),
    "HIGH_IG": Flag(
        _LIBRARY,
        "note",
        f"more than {HIGH_IG:g} % of the reads in genes are on segments of immunoglobulins",
        "Expected of plasma cells only; else the library was enriched for them.",
    ),
    "HIGH_TOP_GENE": Flag(
        _LIBRARY,
        "note",
        f"more than {HIGH_TOP_GENE:g} % of the reads in genes are on one (`top_gene`)",
        "Expected of red blood cells or islets; else the library was enriched for it.",
    ),
    "LOW_VALID_BARCODES": Flag(
        _LIBRARY,
        "note",
        f"less than {LOW_VALID_BARCODES:g} % of the reads have a barcode of the inclusion list",
        "Look at its chemistry, and at the quality of the barcode read.",
    ),
    "LOW_Q30": Flag(
        _LIBRARY,
        "note",
        f"less than {LOW_Q30:g} % of the bases of the cDNA have a quality of 30 or more",
        "Bad sequencing: fewer reads map.",
    ),
    "LOW_READS_IN_CELLS": Flag(
        _LIBRARY,
        "note",
        f"less than {LOW_READS_IN_CELLS:g} % of the reads in genes are in cells: RNA of broken cells, or cells that"
        " were not called",
        "Look at its barcodes; remove the ambient RNA.",
    ),
    "ANTISENSE_READS": Flag(
        _LIBRARY,
        "note",
        f"more than {HIGH_ANTISENSE:g} % of the reads in genes are on the other strand",
        "Look at its chemistry.",
    ),
    "INTRONIC_READS": Flag(
        _LIBRARY,
        "note",
        f"{INTRONIC_RATIO:g} times as many reads are in genes with introns as in exons, but X of the h5ad has those in"
        " exons",
        "If these are nuclei: `droplets: {counts: GeneFull}`.",
    ),
    "EMPTYDROPS_SKIPPED": Flag(
        _LIBRARY,
        "note",
        "too few barcodes for EmptyDrops_CR: cells by CellRanger2.2",
        "Nothing; compare its cells with the barcodes' counts.",
    ),
}
"""Code → flag, the worst first."""


def join_flags(found: Iterable[str]) -> str:
    """Return codes joined by ``;`` in the order of the table, each once. Raises KeyError for one that is unknown."""
    codes = set(found)
    if unknown := codes - FLAGS.keys():
        raise KeyError(*sorted(unknown))
    return ";".join(code for code in FLAGS if code in codes)


def flags_table() -> str:
    """Return the table in docs/quality.md."""
    lines = ["| flag | of | severity | meaning | what to do |", "|---|---|---|---|---|"]
    lines += [
        f"| `{code}` | {', '.join(flag.subjects)} | {flag.severity} | {flag.meaning} | {flag.remedy} |"
        for code, flag in FLAGS.items()
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(flags_table(), end="")
