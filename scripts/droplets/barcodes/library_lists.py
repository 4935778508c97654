"""The inclusion lists of a library as STAR is given them.

They are the configured ones, those that come with the workflow, or, for a kit without any, the barcodes of the reads.
Where wells have two primers, the reads get one barcode a well (:mod:`scripts.droplets.barcodes.wells`).
"""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import NamedTuple

from scripts.core.errors import RunFault
from scripts.droplets.barcodes.found_barcodes import write_found
from scripts.droplets.barcodes.wells import TABLE, WellJoiner, well_order
from scripts.droplets.chemistries import BarcodeSegment, Chemistry, InclusionList
from scripts.droplets.library_reads import link_into
from scripts.star.read_pipes import Source

PROBE_BARCODE = 0.005
"""Least share of the reads that a probe barcode has where no list says which there are."""


class LibraryLists(NamedTuple):
    """Lists by name → path for STAR; the barcode reads to use; and what a reader should know of it."""

    paths: dict[str, str]
    barcodes: dict[str, Source]
    notes: list[str]


def list_path(name: str, folder: Path, known: Mapping[str, InclusionList]) -> Path | None:
    """Return the file of a list: the configured one, else the public one of the workflow, None without either."""
    shipped = known[name].file if name in known else ""
    files = [folder / f"{name}.txt", *([Path(shipped)] if shipped else [])]
    return next((path for path in files if path.is_file()), None)


def lay_out_lists(
    folder: Path,
    kit: Chemistry,
    offset: int,
    barcodes: dict[str, Source],
    lists: Path,
    known: Mapping[str, InclusionList],
    join_wells: bool,
) -> LibraryLists:
    """Put the lists of a library into the folder in which STAR runs.

    ``barcodes`` is name → barcode reads. Raises RunFault (CHEMISTRY_UNKNOWN) where a list is missing.
    """
    (folder / TABLE).unlink(missing_ok=True)
    laid = LibraryLists({}, barcodes, [])
    for segment in kit.barcode:
        name = segment.list
        path = list_path(name, lists, known) if name else None
        if name in laid.paths:
            continue
        if path is None and kit.found:
            laid = _find_list(folder, segment, offset, laid, 0.0)
        elif path is None and kit.probes and name == kit.probes.list:
            laid = _find_list(folder, segment, offset, laid, PROBE_BARCODE)
        elif path is None and name:
            raise RunFault(
                "CHEMISTRY_UNKNOWN",
                f"{kit.title} needs the inclusion list {name}; give it under droplets.inclusion_lists.",
            )
        elif path is not None:
            laid.paths[name] = link_into(folder, f"{name}.txt", path)
            if known[name].wells and join_wells:
                laid = _join_wells(folder, segment, offset, laid, path, known[name])
    return laid


def _find_list(folder: Path, segment: BarcodeSegment, offset: int, laid: LibraryLists, least: float) -> LibraryLists:
    """Make the list of the barcodes of the reads; each has at least that share of them."""
    target = folder / ("reads/found_probe_barcodes.txt" if least else "reads/found_barcodes.txt")
    target.parent.mkdir(exist_ok=True)
    words = write_found(laid.barcodes.values(), offset + segment.start - 1, segment.length, target, least)
    laid.paths[segment.list] = f"reads/{target.name}"
    return laid._replace(notes=[*laid.notes, words])


def _join_wells(
    folder: Path, segment: BarcodeSegment, offset: int, laid: LibraryLists, path: Path, known: InclusionList
) -> LibraryLists:
    """Give the two barcodes of each well one, in the reads and in the list."""
    public = Path(known.file).read_text(encoding="utf-8").split() if known.file else []
    order = well_order(path.read_text(encoding="utf-8").upper().split(), public)
    if not order:
        words = (
            f"The two primers of a well are kept apart: {known.name} is not in the order of its maker, which says which"
            " two barcodes are of one well."
        )
        return laid._replace(notes=[*laid.notes, words])
    joiner = WellJoiner(order)
    first = offset + segment.start - 1
    barcodes: dict[str, Source] = {
        name: partial(joiner.joined, source, first) for name, source in laid.barcodes.items()
    }
    joiner.write_table(folder / TABLE)
    target = folder / f"reads/{segment.list}_joined_wells.txt"
    target.parent.mkdir(exist_ok=True)
    joiner.write_list(target)
    laid.paths[segment.list] = f"reads/{target.name}"
    words = f"The oligo-dT and the hexamer barcode of each of the {len(joiner.kept)} wells are joined."
    return laid._replace(barcodes=barcodes, notes=[*laid.notes, words])
