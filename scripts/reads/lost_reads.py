"""Whether an archive, or ENA's FASTQ, has lost reads of a run: by the record's statistics, and by counts.

That is asked where the submitted files are on offer, which may have them; else the conversion finds it out.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from scripts.core.errors import RunFault
from scripts.formats import fastq_files
from scripts.plan.run_table import Run
from scripts.reads import fastq_check
from scripts.reads.sources import sra_archive
from scripts.records.answers.sra_xml import Read

_INDEX = 12  # bases; shorter reads hold a sample's index
_MATES = 0.5  # the least share of spots that have a mate


def find_loss(row: Run, reads: Sequence[Read], files: Sequence[Path], offline: Mapping[str, str]) -> RunFault | None:
    """Return what is lost: READS_MISSING or BARCODE_LOST; None where nothing shows that.

    ``reads`` are the statistics of the run in its record, ``files`` what a download left of it. Raises RunFault for
    FASTQ that is broken, or whose mates disagree.
    """
    kept = [read for read in reads if read.spots and read.length > _INDEX]
    if reads and row.assay == "droplet" and len(kept) < 2:
        return RunFault("BARCODE_LOST", f"a spot has {len(kept)} read of more than {_INDEX} bases, by the record.")
    if kept and row.layout == "paired" and row.assay == "plate":
        most, second = max(read.spots for read in kept), min(read.spots for read in kept) if len(kept) > 1 else 0
        if second < most * _MATES:
            return RunFault("READS_MISSING", f"{second:,} of {most:,} spots are pairs, by the record.")
    spots, what = _count_spots(row, files, offline)
    if row.spots and spots < int(row.spots):
        return RunFault("READS_MISSING", f"the record has {int(row.spots):,} spots, {what} {spots:,}.")
    return None


def _count_spots(row: Run, files: Sequence[Path], offline: Mapping[str, str]) -> tuple[int, str]:
    """Return the number of spots in what was downloaded, and what that is."""
    for path in files:
        if path.suffix == ".sra":
            return sra_archive.count_spots(path, dict(offline)), "the archive"
    mates = [path for path in files if path.name != f"{row.run}.fastq.gz"]
    unpaired = [path for path in files if path not in mates]
    checked = fastq_check.check_files(mates, [path.name for path in mates]) if mates else ()
    return sum([one.reads for one in checked][:1]) + sum(map(fastq_files.count_reads, unpaired)), "ENA's FASTQ"
