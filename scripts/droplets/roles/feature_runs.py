"""Runs of a droplet library that hold no cDNA, but tags of antibodies, guides or samples, or open chromatin.

Submitters load them into the experiment of the gene expression that was measured in the same cells. They are left out,
and the library is counted from its other runs. Their barcodes show most of them: those of another list, or of the oligo
that captures features. Where both kinds share the barcodes (10x 5′, and antibodies that are captured by their poly-A
tails), the other read shows them: its bases at one place are a tag of a panel, and so nearly the same in all reads.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from scripts.core.errors import RunFault
from scripts.droplets.fastq_sample import ReadSample
from scripts.droplets.roles.barcode_search import pack_windows

MIN_TAGS = 0.6
"""Share of reads of a few sequences, at some place, above which the reads may be tags."""
MAX_CDNA = 0.3
"""The same share of a run of cDNA, at most; another run beside which a run is one of tags."""
_PANEL = 300  # sequences: antibodies of the largest panels, with their errors
_READS_OF_TAG = 20  # as few sequences as that a sample shows them
_PLACES = (0, 10, 20, 30)  # tags begin with the read, behind ten random bases, or behind an adapter
_TAG = 12


class NoRna(RunFault):
    """The fault of a run of a kit that measures something else than RNA."""


def tag_share(sample: ReadSample) -> float:
    """Return the share of reads whose 12 bases at one place are of a few sequences; that of the place with most."""
    most = min(_PANEL, sample.lengths.size // _READS_OF_TAG)
    best = 0.0
    for start in _PLACES:
        long = sample.lengths >= start + _TAG
        if not most or 2 * np.count_nonzero(long) < sample.lengths.size:
            break
        packed, _ = pack_windows(sample.codes[long], start, _TAG, 1, reverse=False)
        _, counts = np.unique(packed, return_counts=True)
        best = max(best, float(np.sort(counts)[-most:].sum()) / sample.lengths.size)
    return best


def leave_out_features(runs: Mapping[str, dict[str, Any]], faults: Mapping[str, RunFault]) -> None:
    """Give runs without cDNA the fault NOT_RNA where another run of the library has cDNA.

    ``runs`` is run → verdict on it, as read_roles writes it, ``faults`` run → its fault.
    """
    cdna = [run for run, verdict in runs.items() if run not in faults and verdict["tag_share"] <= MAX_CDNA]
    if not cdna:
        return
    counted = f"the library is counted from {', '.join(cdna)}"
    for run, verdict in runs.items():
        fault = faults.get(run)
        words = fault.detail.rstrip(".") if isinstance(fault, NoRna) else ""
        if not words and verdict.get("tag_share", 0.0) >= MIN_TAGS:
            words = (
                "its reads beside the barcodes are tags of antibodies, guides or samples:"
                f" {verdict['tag_share']:.0%} of them have one of a few sequences at one place, of {cdna[0]}"
                f" {runs[cdna[0]]['tag_share']:.0%}"
            )
        if words:
            verdict["fault"] = {"reason": "NOT_RNA", "detail": f"{words}; {counted}."}
