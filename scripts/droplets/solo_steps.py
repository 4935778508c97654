"""The steps in which STAR counts a library in a folder: a probe of the strand, and the alignment."""

import shutil
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from scripts.core.errors import RunFault
from scripts.core.subprocesses import raise_if_full
from scripts.droplets.barcodes.library_lists import lay_out_lists
from scripts.droplets.chemistries import Chemistry, InclusionList
from scripts.droplets.fastq_sample import SKIP, sample_lines
from scripts.droplets.library_figures import (
    READS_PER_GENE,
    LibraryFigures,
    check_strand,
    measure,
    read_genes_of_index,
)
from scripts.droplets.library_reads import LibraryReads, link_into
from scripts.droplets.starsolo import (
    ALIGNMENTS,
    Settings,
    replaced_options,
    solo_arguments,
    solo_options,
)
from scripts.plan.matrices import matrix_names
from scripts.star import program
from scripts.star.log import INPUT_READS, read_star_log
from scripts.star.read_pipes import read_pipes
from scripts.star.strand import proved_strand

PROBE_READS = 50_000
"""Reads that are aligned to find the strand where the barcodes leave it open."""


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


class LibraryCounter:
    """A library in the folder in which it is counted, with links to its reads, lists and index.

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
        self.spots = spots

    def options(self, kit: Chemistry, threads: int = 0) -> dict[str, str]:
        """Return STAR's options but those of the user, were the library made with this kit."""
        return solo_options(kit, self.library, self.reads, self.lists, self.index, self.settings, threads)

    def arguments(self, kit: Chemistry, threads: int) -> list[str]:
        """Return STAR's arguments, were the library made with this kit."""
        return solo_arguments(self.options(kit, threads), self.settings)

    def strand(self, kit: Chemistry) -> str:
        """Return the strand of the cDNA, which the user may have set."""
        return str(self.settings.star_options.get("soloStrand", kit.strand))

    def align(self, threads: int) -> tuple[Chemistry, str]:
        """Align the library; return its kit, and the figures of a probe of the strand.

        Raises RunFault where STAR fails or leaves less than it should.
        """
        first = self.library.files(self.library.rows[0].run, "cdna")[0]
        kit, figures = probe_strand(self.candidates, first, self.index, self.folder, threads)
        with read_pipes(self.folder, self.cdna | self.barcodes):
            run_star(self.arguments(kit, threads), self.folder)
        copy_linked_features(self.folder)
        check_outputs(self.folder, self.settings.features, self.settings.multireads, self.spots)
        if self.settings.keep_bam and not (self.folder / ALIGNMENTS).is_file():
            raise_if_full(self.folder)
            raise RunFault("ALIGN_FAILED", f"STAR left no {ALIGNMENTS}; was the disk full?")
        return kit, figures

    def archive_options(self, kit: Chemistry) -> dict[str, str]:
        """Return STAR's options as archives name them: those that change no count are as if they were not set."""
        plain = self.settings._replace(keep_bam=False)
        options = solo_options(kit, self.library, self.reads, self.lists, self.index, plain, threads=0)
        return options | dict(plain.star_options)

    @property
    def features(self) -> Sequence[str]:
        """The features that are counted."""
        return self.settings.features

    def check(self, kit: Chemistry) -> str:
        """Check what the counts show; return what a user should know of them, empty where there is nothing.

        Raises RunFault (CHEMISTRY_UNKNOWN) where the reads are on the other strand.
        """
        settings = self.settings
        options = self.options(kit)
        replaced = replaced_options(options, settings)
        strand = str((options | dict(settings.star_options))["soloStrand"])
        self.figures = measure(self.folder / READS_PER_GENE, read_genes_of_index(self.folder / self.index), strand)
        words = [f"star_options replaces {name} {old} by {new}." for name, (old, new) in sorted(replaced.items())]
        if self.figures:
            words.append(check_strand(self.figures, kit.title, strand, "soloStrand" in replaced))
        return " ".join(filter(None, words))

    def count(self, threads: int) -> tuple[Chemistry, str]:
        """Align the library and check what it shows; return its kit, and words on strand, lists and options."""
        kit, figures = self.align(threads)
        return kit, " ".join(filter(None, [figures, *self.notes, self.check(kit)]))
