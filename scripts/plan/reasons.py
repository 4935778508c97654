"""Reason codes of the ledger: why a run is left out or failed, and what can be done about it.

The one table of them. docs/reasons.md is made from it (``make docs``), and the report takes its words from here.
"""

from collections.abc import Iterable
from typing import NamedTuple


class Reason(NamedTuple):
    """A reason code."""

    stage: str
    """Where it is given: a package of scripts/."""
    meaning: str
    """A clause, for the report."""
    remedy: str
    """What can be done, in sentences."""
    retry: bool = False
    """Whether another try may count the run, without a change of the configuration or the run table."""
    put_right: bool = False
    """Whether the detail says what to write into the configuration or the run table, so that the run is counted."""
    bound: str = ""
    """The key of the configuration by which it failed for what its counts show: another value lets it count."""


_RETRY = "Run again with --config retry='[{code}]'."

REASONS = {
    "OTHER_SPECIES": Reason(
        "records",
        "of a species that is not configured",
        "To count it, add the species to `species:` and its genome to `references:`.",
    ),
    "SPECIES_UNKNOWN": Reason(
        "records",
        "of a species that its record does not name",
        "Give its `species` or `tax_id` in a run table (`run_table:`), or its organism in the table of runs.",
    ),
    "NOT_RNA": Reason(
        "records, droplets",
        "not RNA-seq",
        "Nothing, if the record is right: antibody tags, V(D)J, guides, ATAC and genomic libraries are not counted. If "
        "only its name misleads, name the run, experiment or sample itself: `assay: {ACCESSION: droplet}` (or plate).",
    ),
    "NOT_SINGLE_CELL": Reason(
        "records",
        "not shown to be of single cells",
        "If it is of single cells, say so: `assay: {ACCESSION: plate}` (or droplet).",
    ),
    "NO_RUN": Reason(
        "records",
        "no run in the archive",
        "Look the sample up in GEO. Its reads may be elsewhere or not public yet: `refresh: [ACCESSION]` asks again.",
    ),
    "WITHDRAWN": Reason(
        "records",
        "not found any more, though it was on an earlier look-up",
        "Nothing, if its authors withdrew it. Where it is hidden for a time, `--config refresh=all` finds it later. "
        "What was counted of it is kept with `withdrawn: keep`, the default, unless other runs stand in for it.",
    ),
    "INDEX_READS_ONLY": Reason(
        "records, reads, droplets",
        "only index reads, of another run's spots",
        "Nothing: its experiment is counted from the other runs. Where there are none, ask the authors for the reads.",
    ),
    "LEFT_OUT_BY_USER": Reason(
        "records", "left out in the configuration", "Take the accession out of `leave_out:` to count it."
    ),
    "CONTROLLED_ACCESS": Reason(
        "records",
        "access is controlled (dbGaP, EGA)",
        "Apply for access; count the reads as local files with a run table.",
    ),
    "BARCODE_LOST": Reason(
        "records, reads",
        "the barcode read is not in the archive",
        "Ask the authors for the original FASTQ or BAM files and count those with a run table.",
    ),
    "LAYOUT_AMBIGUOUS": Reason(
        "records, reads, droplets",
        "no evidence decides which read is which",
        "Give `read_roles` in a run table, or the kit's inclusion list under `droplets: {inclusion_lists: …}`. Reads "
        "that are joined in one, or two runs of which no spot's name shows that they belong together: give the reads "
        "as files (`file:R1.fastq.gz;R2.fastq.gz`) in a run table.",
        put_right=True,
    ),
    "CHEMISTRY_UNKNOWN": Reason(
        "records, reads, droplets",
        "of a kit that is not known, or not counted",
        "Libraries of pooled cells (CEL-Seq2, MARS-seq, …) are counted with a run table that names kit and roles. "
        "Configure the kit's inclusion list under `droplets: {inclusion_lists: …}`, or name the kit as "
        "`droplets: {chemistry: …}`; kits are listed in config/chemistries.yaml. "
        "Probes (10x Flex) need `droplets: {probe_sets: …}` and `assay: {ACCESSION: droplet}`. Long reads are not "
        "counted; if the record misleads: `assay: {ACCESSION: droplet}`.",
        put_right=True,
    ),
    "BARCODE_TRIMMED": Reason(
        "droplets",
        "the barcode read was trimmed",
        "Ask the authors for the untrimmed reads; barcodes that were cut cannot be recovered.",
    ),
    "BAM_TAGS_STRIPPED": Reason(
        "records, reads",
        "the BAM file has no barcodes",
        "Ask the authors for the BAM file with its CB, CR and UR tags, or for the FASTQ files.",
    ),
    "DOWNLOAD_FAILED": Reason(
        "reads", "could not be downloaded", f"{_RETRY} The detail names each source that failed.", retry=True
    ),
    "CHECKSUM_MISMATCH": Reason(
        "reads",
        "the download is not what the archive promised",
        f"{_RETRY} If it stays, report it to the archive.",
        retry=True,
    ),
    "ARCHIVE_CORRUPT": Reason(
        "reads",
        "the file is damaged, or no file of reads",
        "Another archive may have a good copy: see `archives: {order: …}`. Of a local file the detail names the path. "
        f"{_RETRY}",
        retry=True,
    ),
    "REFERENCE_MISSING": Reason(
        "reads",
        "aligned to a sequence that cannot be had",
        "The detail names the references. Put their files from NCBI beside a local archive (`file:`), or convert it "
        f"where they are and give the FASTQ files in a run table. Where the resolver was not reached: {_RETRY}",
        retry=True,
    ),
    "QUALITY_LITE": Reason(
        "reads",
        "only with simplified qualities",
        "Accept it with `archives: {accept_lite: true}`; counts hardly depend on qualities.",
    ),
    "READS_MISSING": Reason(
        "records, reads, droplets",
        "fewer reads than the record says, or a read of each spot is missing",
        f"{_RETRY} Then the files that were submitted are asked for first, if anybody may fetch them. If it stays, the "
        "archive lost reads; ask the authors. A run that has one of two reads of its spots "
        "is counted together with the run that has the other one: ask for both.",
        retry=True,
    ),
    "MATES_DISAGREE": Reason(
        "reads",
        "the files of a run are not the reads of the same spots",
        "The detail names the first pair that differs. Give the files of one sample, once each and in one order; leave "
        f"the layout of a file with both mates of each pair empty, it is split then. {_RETRY}",
        retry=True,
    ),
    "EMPTY_READS": Reason(
        "records, reads, harvest",
        "no reads, or fewer than `plates: {min_reads: …}`",
        "Nothing: the run, well or library is empty. An experiment with other runs is counted from those.",
    ),
    "ALIGN_FAILED": Reason(
        "plates, droplets", "STAR failed", f"The detail has STAR's own words. Fix the cause. {_RETRY}", retry=True
    ),
    "COUNT_FAILED": Reason(
        "plates, droplets", "counting failed", f"The detail names the cause; fix it. {_RETRY}", retry=True
    ),
    "LOW_VALID_BARCODES": Reason(
        "droplets",
        "too few reads with a valid barcode",
        "Check kit and inclusion list. To count it anyway, lower `droplets: {min_valid_barcodes: …}`; nothing is "
        "aligned again.",
        bound="droplets.min_valid_barcodes",
    ),
    "LOW_GENE_SHARE": Reason(
        "droplets",
        "too few reads in genes",
        "Check species and strand. To count it anyway, lower `droplets: {min_gene_share: …}`; nothing is aligned "
        "again.",
        bound="droplets.min_gene_share",
    ),
    "ENRICHED_LIBRARY": Reason(
        "droplets",
        "enriched for some genes (V(D)J segments, mitochondria, one gene), so that it is no gene expression",
        "Nothing, if it is so: such libraries are not counted. To count it anyway, say a sort of plasma cells, "
        "raise the bound that the detail has: `droplets: {bounds: {max_ig_share: …}}`.",
        bound="droplets.bounds",
    ),
    "LOW_COMPLEXITY": Reason(
        "droplets",
        "reads of too few genes",
        "Check that it is gene expression of this species. To count it anyway, lower "
        "`droplets: {bounds: {min_genes_per_1000: …}}`.",
        bound="droplets.bounds",
    ),
    "LOW_MAPPING": Reason(
        "harvest",
        "too few reads map to the genome",
        "Check species, reference and files: reads of another species, of primers alone, or one file given as both "
        "mates do not map. To count the cell anyway, lower `plates: {min_mapped: …}`; nothing is aligned again. "
        "Ledgers of version 0.1 have it for droplet libraries, too: see LOW_GENE_SHARE.",
        bound="plates.min_mapped",
    ),
    "INCOMPLETE_EXPERIMENT": Reason(
        "reads, plates",
        "another run of the same experiment failed",
        "Mend that run, or leave it out (`leave_out:`), or count runs by themselves (`count_by: run`).",
    ),
    "DISK_LIMIT": Reason(
        "reads",
        "no room on the disk",
        f"Raise `scratch: {{limit_gb: …}}` as the detail says. {_RETRY} "
        "After a full disk the same command tries again as soon as there is room.",
        retry=True,
    ),
}


def worth_retry(codes: Iterable[str]) -> list[str]:
    """Return those of some reason codes for which another try may count the run, sorted."""
    return sorted({code for code in codes if code in REASONS and REASONS[code].retry})


def reasons_page() -> str:
    """Return docs/reasons.md."""
    lines = [
        "# Reason codes",
        "",
        "Every run that is not counted has one of these codes in the column `reason` of `results/runs.tsv`, and a",
        "sentence on its own case in `detail`. This page is made from `scripts/plan/reasons.py` by `make docs`.",
        "",
        "| code | given by | means | what to do |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| `{code}` | {reason.stage} | {reason.meaning} | {reason.remedy.replace('{code}', code)} |"
        for code, reason in REASONS.items()
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(reasons_page(), end="")
