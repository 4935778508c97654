"""Count a library of features (antibodies, sample tags, guides) with STARsolo, on a feature reference."""

import csv
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from scripts.core.disk.files import atomic_path, hash_file, remove_folder
from scripts.droplets.barcodes.probe_set import index_probes
from scripts.droplets.chemistries import Chemistry, InclusionList
from scripts.droplets.fastq_sample import SKIP, sample_reads
from scripts.droplets.features.feature_reference import MIN_SHARE, TAGS, FeatureMatcher, read_matcher
from scripts.droplets.library_reads import LibraryReads
from scripts.droplets.solo_steps import LibraryCounter
from scripts.droplets.starsolo import Settings, read_summary, share_of
from scripts.formats.fastq_files import find_reads

_UMI = 12  # bases of the UMI behind the barcode, of every kit of 10x that has features
_LEAST_UMI = 10
_SAMPLE = 20_000


def as_feature_kit(kit: Chemistry) -> Chemistry:
    """Return a kit as its library of features is counted: both oligos of a bead, and what is refused without them."""
    if not kit.features:
        return kit._replace(oligo=None)
    start = kit.layout.end + 1
    return kit._replace(refused="", strand="Forward", umi_start=start, umi_length=_UMI, umi_least=_LEAST_UMI)


def feature_share(runs: Sequence[str], fastq: Path, matcher: FeatureMatcher) -> float:
    """Return the share of reads with a feature, of the read with most; the least of the runs, 0 without any."""
    shares = []
    for run in runs:
        paths = [find_reads(fastq, name) for name in (run, *(f"{run}_{number}" for number in range(1, 5)))]
        samples = (sample_reads(path, _SAMPLE, SKIP) for path in paths if path is not None)
        shares.append(max((matcher.share(sample) for sample in samples), default=0.0))
    return min(shares, default=0.0)


def is_of_features(share: float) -> bool:
    """Whether a library with such a share of reads is one of features."""
    return share >= MIN_SHARE


class FeatureCounter(LibraryCounter):
    """A library of features in the folder in which it is counted; see :class:`LibraryCounter`."""

    def __init__(
        self,
        library: LibraryReads,
        kit: Chemistry,
        spots: int,
        folder: Path,
        reference: Path,
        lists: Path,
        known: Mapping[str, InclusionList],
        settings: Settings,
    ) -> None:
        self.matcher = read_matcher(reference)
        self.reference = reference
        index = index_probes(self.matcher.probes(), f"features-{hash_file(reference)[:16]}", folder, 1)
        plain = settings._replace(features=["Gene"], multireads=["Unique"], keep_bam=False)
        super().__init__(library, [as_feature_kit(kit)], spots, folder, index, lists, known, plain)
        self.cdna = {name: partial(self.matcher.stand_ins, source) for name, source in self.cdna.items()}

    def count(self, threads: int) -> tuple[Chemistry, str]:
        """Count the features; return the kit, and a sentence with the share of reads with one.

        Raises what :meth:`align` raises.
        """
        kit, _ = self.align(threads)
        counted = self.folder / "Solo.out" / TAGS
        if (self.folder / "Solo.out" / "Gene").is_dir():
            if counted.is_dir():
                remove_folder(counted.parent, counted.name)
            (self.folder / "Solo.out" / "Gene").rename(counted)
            self._name_features(counted / "raw" / "features.tsv")
        share = share_of(read_summary(counted / "Summary.csv"), "Reads Mapped to Gene: Unique Gene")
        features = f"the {len(self.matcher.features)} features of {self.reference.name}"
        words = f"Counted on {features}, which {share:.1%} of the reads have."
        return kit, " ".join([words, *self.notes])

    @property
    def features(self) -> Sequence[str]:
        """The features that are counted."""
        return [TAGS]

    def _name_features(self, path: Path) -> None:
        """Write the features with their types, in the order in which STAR has them."""
        known = {feature.feature_id: feature for feature in self.matcher.features}
        ids = [line.split("\t")[0] for line in path.read_text(encoding="utf-8").splitlines()]
        with atomic_path(path) as partial_path, partial_path.open("w", encoding="utf-8", newline="") as handle:
            table = csv.writer(handle, delimiter="\t", lineterminator="\n", quoting=csv.QUOTE_NONE, escapechar="\\")
            table.writerows((one, known[one].name, known[one].kind) for one in ids)
