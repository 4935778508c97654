"""The steps in which STAR counts a library in a folder: a probe of the strand, and the alignment that calls its cells.

What is aligned stays in the folder with a stamp of what it was made from, so that a later call for the same reads and
options does not align again.
"""

import json
import shutil
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from scripts.core.errors import RunFault
from scripts.core.files import hash_file, remove_folder, write_atomic
from scripts.core.subprocesses import raise_if_full
from scripts.droplets.barcodes.library_lists import lay_out_lists
from scripts.droplets.chemistries import Chemistry, InclusionList
from scripts.droplets.fastq_sample import SKIP, sample_lines
from scripts.droplets.library_figures import (
    READS_PER_GENE,
    LibraryFigures,
    check_figures,
    check_strand,
    measure,
    read_genes_of_index,
)
from scripts.droplets.library_reads import LibraryReads, link_into
from scripts.droplets.starsolo import (
    ALIGNMENTS,
    VALID_BARCODES,
    Settings,
    SkippedFilter,
    failing_filter,
    read_skipped_filters,
    read_summary,
    replaced_options,
    share_of,
    solo_arguments,
    solo_options,
)
from scripts.formats.matrix_market import read_matrix
from scripts.plan.matrices import GENE_FEATURES, matrix_names
from scripts.star import program
from scripts.star.log import INPUT_READS, read_star_log
from scripts.star.read_pipes import read_pipes
from scripts.star.strand import proved_strand

PROBE_READS = 50_000
"""Reads that are aligned to find the strand where the barcodes leave it open."""
STAMP = "aligned.json"
"""File in the folder that says from what the counts there were made."""


def run_star(arguments: Sequence[str], folder: Path) -> None:
    """Run STAR in a folder. Raises RunFault (ALIGN_FAILED) in STAR's words, and Interrupted where it was killed."""
    code, complaint = program.run_star(arguments, folder)
    program.raise_if_interrupted(code, complaint, folder)
    if code:
        raise RunFault("ALIGN_FAILED", complaint, program.failure_cause(code))


def choose_by_strand(candidates: Sequence[Chemistry], counts: Sequence[tuple[int, int]]) -> tuple[Chemistry, str]:
    """Return the kit whose strand the reads have, and the figures; ``counts`` are (same, other strand) of each gene.

    Raises RunFault (CHEMISTRY_UNKNOWN) where too few reads are in genes or neither strand has twice the other's.
    """
    forward, reverse = (sum(pair[strand] for pair in counts) for strand in (0, 1))
    strand = proved_strand(forward, reverse).capitalize()
    fitting = [kit for kit in candidates if kit.strand == strand]
    titles = " and ".join(kit.title for kit in candidates)
    figures = f"of the probed reads {forward} are on the genes' strand and {reverse} on the other"
    if not fitting:
        raise RunFault(
            "CHEMISTRY_UNKNOWN", f"{titles} share their barcodes, and the strand does not tell which: {figures}."
        )
    return fitting[0], f"{titles} share their barcodes; the strand tells {fitting[0].title}: {figures}."


def probe_strand(
    candidates: Sequence[Chemistry], cdna: Path, index: str, folder: Path, threads: int
) -> tuple[Chemistry, str]:
    """Align some of the cDNA reads to see on which strand of the genes they are; return the kit and the figures.

    There are no figures where all kits are of one strand.
    """
    if len({kit.strand for kit in candidates}) == 1:
        return candidates[0], ""
    sample = "reads/probe.fastq"
    with read_pipes(folder, {sample: partial(sample_lines, cdna, PROBE_READS, SKIP)}):
        run_star(
            [
                *("--runThreadN", str(threads), "--genomeDir", index, "--genomeLoad", "NoSharedMemory"),
                *("--readFilesIn", sample, "--outFilterMultimapNmax", "1"),
                *("--quantMode", "GeneCounts", "--outSAMtype", "None", "--outFileNamePrefix", "probe/"),
            ],
            folder,
        )
    counts = []
    for line in (folder / "probe" / "ReadsPerGene.out.tab").read_text(encoding="utf-8").splitlines():
        name, _, same, other = line.split("\t")
        if not name.startswith("N_"):
            counts.append((int(same), int(other)))
    return choose_by_strand(candidates, counts)


def copy_linked_features(folder: Path) -> None:
    """Replace the link by which STAR gives SJ its features, an absolute path to a file elsewhere, by a copy."""
    for path in folder.glob("Solo.out/*/*/features.tsv"):
        if path.is_symlink():
            content = path.resolve(strict=True)
            path.unlink()
            shutil.copyfile(content, path)


def check_outputs(folder: Path, features: Sequence[str], multireads: Sequence[str], spots: int) -> None:
    """Check that STAR read every spot and wrote every matrix. Raises RunFault (READS_MISSING, COUNT_FAILED)."""
    reads = read_star_log(folder / "Log.final.out").get(INPUT_READS, "")
    if reads != str(spots):
        raise_if_full(folder)
        raise RunFault("READS_MISSING", f"STAR read {reads} spots, but the runs of the library have {spots}.")
    for feature in features:
        raw = folder / "Solo.out" / feature / "raw"
        names = ["barcodes.tsv", "features.tsv", *matrix_names(feature, multireads)]
        if missing := [name for name in names if not (raw / name).is_file()]:
            raise_if_full(folder)
            raise RunFault("COUNT_FAILED", f"STAR left no {', '.join(missing)} of {feature}; was the disk full?")


def check_shares(folder: Path, features: Sequence[str], min_barcodes: float, min_genes: float) -> None:
    """Check the shares of reads with a valid barcode and of reads in genes against their floors.

    Raises RunFault (LOW_VALID_BARCODES, LOW_GENE_SHARE) with the figures.
    """
    genes = [feature for feature in features if feature in GENE_FEATURES]
    if not genes:
        return
    summaries = {feature: read_summary(folder / "Solo.out" / feature / "Summary.csv") for feature in genes}
    barcodes = share_of(summaries[genes[0]], VALID_BARCODES)
    if barcodes < min_barcodes:
        raise RunFault(
            "LOW_VALID_BARCODES",
            f"{barcodes:.1%} of the reads have a barcode of the inclusion list; the floor is {min_barcodes:.1%}.",
        )
    shares = {one: share_of(summary, f"Reads Mapped to {one}: Unique {one}") for one, summary in summaries.items()}
    best = max(shares, key=lambda feature: shares[feature])
    if shares[best] < min_genes:
        raise RunFault(
            "LOW_GENE_SHARE", f"{shares[best]:.1%} of the reads are in a gene ({best}); the floor is {min_genes:.1%}."
        )


def complete_cells(folder: Path, features: Sequence[str], cell_filter: str) -> None:
    """Check that STAR called the cells of each gene feature; where a feature has no counts, write that it has no cells.

    Raises RunFault (COUNT_FAILED) where a file is missing.
    """
    if cell_filter == "None":
        return
    for feature in features:
        if feature not in GENE_FEATURES:
            continue
        raw, cells = (folder / "Solo.out" / feature / name for name in ("raw", "filtered"))
        if not cells.is_dir():
            cells.mkdir()
            shutil.copyfile(raw / "features.tsv", cells / "features.tsv")
            (cells / "barcodes.tsv").touch()
            genes = (raw / "features.tsv").read_bytes().count(b"\n")
            (cells / "matrix.mtx").write_text(f"%%MatrixMarket matrix coordinate integer general\n%\n{genes} 0 0\n")
        missing = [name for name in ("barcodes.tsv", "features.tsv", "matrix.mtx") if not (cells / name).is_file()]
        if missing:
            raise_if_full(folder)
            raise RunFault("COUNT_FAILED", f"the cell filter of STAR left no {', '.join(missing)} of {feature}.")


def describe_filters(skipped: Mapping[str, SkippedFilter]) -> str:
    """Return which cell filter was in effect where STAR skipped EmptyDrops_CR; empty where it did not."""
    if not skipped:
        return ""
    most, instead = next((one.most, one.instead) for one in skipped.values())
    barcodes = ", ".join(f"{feature} has {skipped[feature].barcodes}" for feature in sorted(skipped))
    return f"EmptyDrops_CR was skipped, it needs more than {most} barcodes ({barcodes}): cells by {instead}."


def describe_cells(folder: Path) -> str:
    """Return the number of cells by their exonic reads, and their medians; empty where no cells were called."""
    path = folder / "Solo.out" / "Gene" / "filtered" / "matrix.mtx"
    if not path.is_file():
        return ""
    with path.open("rb") as handle:
        matrix = read_matrix(iter(partial(handle.read, 1 << 22), b""), path.stat().st_size)
    if not matrix.shape[1]:
        return "0 cells"
    umis, genes = np.median(np.asarray(matrix.sum(axis=0))), np.median(np.diff(matrix.indptr))
    return f"{matrix.shape[1]} cells, in the median {umis:g} UMIs of {genes:g} genes"


class LibraryCounter:
    """A library in the folder in which it is counted: links to its reads, lists and index, and a digest of each.

    ``candidates`` are its possible kits, which differ in strand only; ``lists`` is the folder of inclusion lists, and
    ``known`` what is known of them.
    Raises RunFault (CHEMISTRY_UNKNOWN, READS_MISSING) where a list or a file of reads is missing.
    """

    def __init__(
        self,
        library: LibraryReads,
        candidates: Sequence[Chemistry],
        spots: int,
        folder: Path,
        index: Path,
        lists: Path,
        known: Mapping[str, InclusionList],
        settings: Settings,
    ) -> None:
        self.library, self.candidates, self.folder, self.settings = library, candidates, folder, settings
        self.figures: LibraryFigures | None = None  # of the alignment
        self.index = link_into(folder, "index", index)
        self.cdna, barcodes = library.lay_out(candidates[0])
        laid = lay_out_lists(folder, candidates[0], library.offset, barcodes, lists, known, settings.join_wells)
        self.lists, self.notes, self.barcodes = laid.paths, laid.notes, laid.barcodes
        self.reads = ",".join(self.cdna), ",".join(self.barcodes)
        self.inputs: dict[str, Any] = {
            "spots": spots,
            "reads": library.identities(),
            "lists": laid.digests,
            "index": hash_file(index / "genomeParameters.txt"),
        }

    def options(self, kit: Chemistry, threads: int = 0) -> dict[str, str]:
        """Return STAR's options but those of the user, were the library made with this kit."""
        return solo_options(kit, self.library, self.reads, self.lists, self.index, self.settings, threads)

    def arguments(self, kit: Chemistry, threads: int) -> list[str]:
        """Return STAR's arguments, were the library made with this kit."""
        return solo_arguments(self.options(kit, threads), self.settings)

    def strand(self, kit: Chemistry) -> str:
        """Return the strand of the cDNA, which the user may have set."""
        return str(self.settings.star_options.get("soloStrand", kit.strand))

    def stamp(self, kit: Chemistry) -> dict[str, Any]:
        """Return what the counts are made from, were the library made with this kit."""
        return self.inputs | {"kit": kit.name, "arguments": self.arguments(kit, threads=0)}

    def align(self, threads: int) -> tuple[Chemistry, str]:
        """Align the library, unless it was aligned before; return its kit, and the figures of a probe of the strand.

        Raises RunFault where STAR fails or leaves less than it should.
        """
        path = self.folder / STAMP
        earlier = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        figures = earlier.pop("strand", "")
        if kit := next((kit for kit in self.candidates if self.stamp(kit) == earlier), None):
            print("the library was aligned by an earlier try.", file=sys.stderr)
            return kit, figures
        path.unlink(missing_ok=True)
        (self.folder / READS_PER_GENE).unlink(missing_ok=True)
        for name in ("Solo.out", "_STARtmp"):
            remove_folder(self.folder, name, ignore_errors=True)
        first = self.library.files(self.library.rows[0].run, "cdna")[0]
        kit, figures = probe_strand(self.candidates, first, self.index, self.folder, threads)
        try:
            with read_pipes(self.folder, self.cdna | self.barcodes):
                run_star(self.arguments(kit, threads), self.folder)
        except RunFault as fault:
            log = self.folder / "Log.out"
            if not (feature := failing_filter(log) if log.is_file() else ""):
                raise
            raise RunFault(
                "COUNT_FAILED",
                f"the cells of {feature} could not be called: {fault.detail} Give another droplets.cell_filter, e.g."
                " CellRanger2.2.",
                fault.cause,
            ) from fault
        copy_linked_features(self.folder)
        check_outputs(self.folder, self.settings.features, self.settings.multireads, self.inputs["spots"])
        if self.settings.keep_bam and not (self.folder / ALIGNMENTS).is_file():
            raise_if_full(self.folder)
            raise RunFault("ALIGN_FAILED", f"STAR left no {ALIGNMENTS}; was the disk full?")
        complete_cells(self.folder, self.settings.features, self.settings.cell_filter)
        write_atomic(path, json.dumps(self.stamp(kit) | {"strand": figures}))
        return kit, figures

    def check(self, kit: Chemistry) -> str:
        """Check what the counts show; return what a user should know of them, empty where there is nothing.

        Raises RunFault as :func:`check_shares` and the checks of :mod:`scripts.droplets.library_figures`.
        """
        settings = self.settings
        options = self.options(kit)
        replaced = replaced_options(options, settings)
        strand = str((options | dict(settings.star_options))["soloStrand"])
        self.figures = measure(self.folder / READS_PER_GENE, read_genes_of_index(self.folder / self.index), strand)
        words = [f"star_options replaces {name} {old} by {new}." for name, (old, new) in sorted(replaced.items())]
        if self.figures:
            words.append(check_strand(self.figures, kit.title, strand, "soloStrand" in replaced))
        check_shares(self.folder, settings.features, settings.min_valid_barcodes, settings.min_gene_share)
        if self.figures:
            check_figures(self.figures, settings.bounds)
        words.append(describe_filters(read_skipped_filters(self.folder / "Log.out")))
        if settings.cell_filter == "None":
            words.append("No cells were called (droplets.cell_filter: None); there are raw matrices only.")
        return " ".join(filter(None, words))

    def count(self, threads: int) -> tuple[Chemistry, str]:
        """Align the library and check what it shows; return its kit, and words on strand, lists, options and filter."""
        kit, figures = self.align(threads)
        return kit, " ".join(filter(None, [figures, *self.notes, self.check(kit)]))
