"""Whether a library that was counted passes: its shares of reads against their floors, its figures against bounds."""

from collections.abc import Sequence

from scripts.core.errors import RunFault
from scripts.droplets.features.feature_reference import TAGS
from scripts.droplets.kept.kept_library import KeptLibrary
from scripts.droplets.library_figures import Bounds, LibraryFigures, check_figures
from scripts.droplets.starsolo import VALID_BARCODES, read_summary, share_of
from scripts.plan.matrices import GENE_FEATURES


def check_library(
    library: KeptLibrary,
    features: Sequence[str],
    figures: LibraryFigures | None,
    min_barcodes: float,
    min_genes: float,
    bounds: Bounds,
) -> None:
    """Check a library against its floors and bounds; one of features has its share of barcodes alone.

    Raises RunFault (LOW_VALID_BARCODES, LOW_GENE_SHARE, ENRICHED_LIBRARY, LOW_COMPLEXITY) with the figures.
    """
    if library.has(TAGS):
        _check_barcodes(read_summary(library.of(TAGS) / "Summary.csv"), min_barcodes)
        return
    genes = [feature for feature in features if feature in GENE_FEATURES]
    summaries = {feature: read_summary(library.of(feature) / "Summary.csv") for feature in genes}
    if genes:
        _check_barcodes(summaries[genes[0]], min_barcodes)
        shares = {one: share_of(summary, f"Reads Mapped to {one}: Unique {one}") for one, summary in summaries.items()}
        best = max(shares, key=lambda feature: shares[feature])
        if shares[best] < min_genes:
            raise RunFault(
                "LOW_GENE_SHARE",
                f"{shares[best]:.1%} of the reads are in a gene ({best}); the floor is {min_genes:.1%}.",
            )
    if figures:
        check_figures(figures, bounds)


def _check_barcodes(summary: dict[str, str], floor: float) -> None:
    barcodes = share_of(summary, VALID_BARCODES)
    if barcodes < floor:
        raise RunFault(
            "LOW_VALID_BARCODES",
            f"{barcodes:.1%} of the reads have a barcode of the inclusion list; the floor is {floor:.1%}.",
        )
