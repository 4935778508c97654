"""One analysis as the rules see it: its checked configuration, its units of work, and how they are counted.

Nothing here asks the network or writes a file. What a rule needs of Snakemake itself stands in rules/common.smk.
"""

import functools
import hashlib
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from scripts.core.errors import InputError
from scripts.plan.choices import iterate_plan, parse_choices
from scripts.plan.decisions.asking import AskedFor
from scripts.plan.decisions.sources import ConfiguredSources, public_value
from scripts.plan.lists import is_run_list
from scripts.plan.local_files import FileDigests, is_unreadable_path, needs_sra_tools
from scripts.plan.run_table import Run, iterate_runs
from scripts.plan.sizes.forecast import PACKAGE, libraries_of
from scripts.plan.units import (
    Cut,
    Unit,
    check_count_by,
    column_digests,
    columns_of,
    cut_into_units,
    is_shard,
    read_seats,
    read_unit,
    summarize_by_series,
    summarize_units,
)

FIXED_BY = ("preset", "mode", "strand")
"""Keys of ``plates`` that the h5ad of a species names, beside its reference."""

NOT_COUNTED_BY = ("shard_size", "keep_bam", "keep_alignments", "min_mapped", "min_reads")
"""Keys of ``plates`` that do not change a count."""
STARSOLO = "starsolo"
"""The counter (``plates.counter``) that is not htseq-count's way."""
ALSO_FIXED_BY: Mapping[str, Any] = {
    "type": "exon",
    "id_attribute": "gene_id",
    "nonunique": "none",
    "seed": 0,
    "secondary_alignments": "ignore",
    "supplementary_alignments": "ignore",
    "min_quality": 10,
    "star_options": {},
}
"""Further ones with their defaults, which are not named in results."""
_COUNTED = re.compile(r"\.([^.]+)\.([^.]+)")


class Analysis:
    """The configuration with its units of work.

    ``config`` is the checked configuration, ``kits`` the content of config/chemistries.yaml. ``load_units`` is called
    once, when the units are first needed; it returns unit name → :class:`~scripts.plan.units.Unit`. ``part`` returns
    those shards, of all that are planned, which this call counts. ``files`` knows the digests of local files.
    """

    def __init__(
        self,
        config: Mapping[str, Any],
        kits: Mapping[str, Any],
        load_units: Callable[[], Mapping[str, Unit]],
        part: Callable[[Sequence[str]], Iterable[str]] = list,
        files: FileDigests | None = None,
    ) -> None:
        self.config = config
        self._load_units = load_units
        self._part = part
        self._files = files or FileDigests(None)
        self.sources = ConfiguredSources(config, kits, self._files)
        self.asking = AskedFor(config)

    # Units

    @functools.cached_property
    def units(self) -> Mapping[str, Unit]:
        """Unit name → unit, sorted by name."""
        return self._load_units()

    @functools.cached_property
    def has_run_table(self) -> bool:
        """Whether the plan is that of a run table, which needs no record: a table of runs of an archive is judged."""
        table = self.config["run_table"]
        return bool(table) and not is_run_list(table)

    @property
    def cut(self) -> Cut:
        """How new shards are cut."""
        return Cut(self.config["plates"]["shard_size"], self.config["scratch"]["limit_gb"])

    @property
    def cut_digest(self) -> str:
        """16 hex digits of the names of all units."""
        return hashlib.sha256("\n".join(sorted(self.units)).encode()).hexdigest()[:16]

    def units_of_run_table(self) -> dict[str, Unit]:
        """Return the units of the configured run table. Raises InputError, with every fault of the table."""
        is_new = not Path("results/runs.tsv").exists()  # a finished analysis does without the files
        choices = parse_choices(self.asking.plan_options())
        how = (self.cut, self.config["count_by"], read_seats(cut=self.cut))

        def rows() -> Iterator[Run]:
            return iterate_plan(self.config["run_table"], choices, check_files=is_new)

        units = summarize_by_series(rows(), *how)
        if units is None:  # the table is in another order: hold all of it
            units = summarize_units(rows(), *how)
        check_count_by({name: unit.runs for name, unit in units.items()}, self.config["count_by"])
        return units

    def check_folders(self) -> None:
        """Raise InputError where sra-tools cannot read an archive in the folders of this analysis."""
        folders = [folder for folder in (str(Path.cwd()), self.scratch) if is_unreadable_path(folder)]
        if not folders:
            return
        rows = (row for rows in self._rows_of_run_table.values() for row in rows)
        if not self.has_run_table or any(map(needs_sra_tools, rows)):
            raise InputError(
                f"The folder {folders[0]} has '%' in its path, where sra-tools do not read an archive; rename it."
            )

    def unit(self, name: str) -> Unit:
        """Return a unit. Raises InputError where the plan has none of this name."""
        if name not in self.units:
            raise InputError(f"The plan has no unit {name!r}.")
        return self.units[name]

    def digest(self, unit: str) -> str:
        """Return the digest of what is planned for a unit and, where it has local files, that of their content."""
        planned = self.unit(unit)
        paths = [path for path in planned.files.removeprefix("file:").split(";") if path]
        return f"{planned.digest}-{self._files.digest(paths)}" if paths else planned.digest

    def columns(self, unit: str) -> Mapping[str, str]:
        """Return column → digest of what is planned for it, see :func:`~scripts.plan.units.column_digests`."""
        if unit in self._rows_of_run_table:
            rows = columns_of(self._rows_of_run_table[unit], self.config["count_by"])
        else:
            rows = read_unit(f"units/runs/{unit}.tsv")
        return column_digests(rows, self._files.digest)

    @functools.cached_property
    def _rows_of_run_table(self) -> Mapping[str, Sequence[Run]]:
        """Unit → its rows, where the plan is that of a run table, which may be newer than the units' own tables."""
        if not self.has_run_table:
            return {}
        return cut_into_units(self._planned_rows(), self.cut, read_seats(cut=self.cut))

    def _planned_rows(self) -> Iterable[Run]:
        if self.has_run_table:
            return iterate_plan(self.config["run_table"], parse_choices(self.asking.plan_options()))
        return iterate_runs("results/plan.tsv")

    def shards(self, species: str) -> list[str]:
        """Return the plate shards of a species."""
        return [name for name, unit in self.units.items() if unit.species == species and is_shard(name)]

    @functools.cached_property
    def units_here(self) -> list[str]:
        """The units of this call, sorted: all libraries, and its part of the shards."""
        here = set(self._part([name for name in self.units if is_shard(name)]))
        return [name for name in self.units if name in here or not is_shard(name)]

    def shards_here(self, species: str) -> list[str]:
        """Return those plate shards of a species that this call counts."""
        return [name for name in self.units_here if is_shard(name) and self.units[name].species == species]

    def shard_counts(self, species: str) -> list[str]:
        """Return the counts of every plate shard of a species that this call counts."""
        return [f"units/counts/{shard}.h5ad" for shard in self.shards_here(species)]

    def all_shard_counts(self) -> list[str]:
        """Return the counts of every plate shard that this call counts, of all species."""
        return [path for species in self.planned_species for path in self.shard_counts(species)]

    def plate_genes(self) -> dict[str, str]:
        """Return species → the table of what is counted, of the species of which plates are planned."""
        species = [name for name in self.planned_species if self.shards(name)]
        folders = {name: f"units/references/{self.sources.reference_of_species(name)}" for name in species}
        return {name: f"{folder}/features{self.counted}.tsv" for name, folder in folders.items()}

    def libraries(self, species: str, series: str | None = None) -> list[str]:
        """Return the droplet libraries of a species, of one series or all."""
        return [
            name
            for name, unit in self.units.items()
            if unit.species == species and not is_shard(name) and series in (None, unit.series)
        ]

    @functools.cached_property
    def planned_species(self) -> list[str]:
        """The species of which something is planned, in the order of the configuration."""
        found = {unit.species for unit in self.units.values()}
        return [species for species in self.config["species"] if species in found]

    @functools.cached_property
    def scratch(self) -> str:
        """The folder of intermediate files.

        One outside the analysis directory may be shared: there every analysis has a folder of its own, named after its
        directory.
        """
        folder = Path(self.config["scratch"]["directory"])
        here = Path.cwd()
        if (here / folder).resolve().is_relative_to(here):
            return str(folder)
        return str(folder / f"{here.name}.{hashlib.sha256(os.fsencode(here)).hexdigest()[:8]}")

    # How units are counted

    def options_digest(self, unit: str) -> str:
        """Return 16 hex digits of what decides the counts of a shard beside its rows: options and reference."""
        options = {key: value for key, value in self.config["plates"].items() if key not in NOT_COUNTED_BY}
        if options["nonunique"] != "random":
            del options["seed"]
        words = [str(sorted((options | {"strand": self.strands(unit)}).items())), self.reference_identity(unit)]
        return hashlib.sha256("\n".join(words).encode()).hexdigest()[:16]

    def _fixed_by(self) -> dict[str, Any]:
        """Return the keys of ``plates`` that decide the counts of shards."""
        plates = self.config["plates"]
        if plates["counter"] == STARSOLO:
            keys = ["preset", "strand", "counter", *(["star_options"] if plates["star_options"] else [])]
            return {key: plates[key] for key in keys}
        further = {key: plates[key] for key in self._further_options()}
        return {key: plates[key] for key in FIXED_BY} | further

    def _further_options(self) -> list[str]:
        """Return those keys of ALSO_FIXED_BY that are not the default; a seed is one only where something is drawn."""
        plates = self.config["plates"]
        changed = [key for key, default in ALSO_FIXED_BY.items() if plates[key] != default]
        return [key for key in changed if key != "seed" or plates["nonunique"] == "random"]

    def parameters(self) -> list[str]:
        """Return what decides the counts of plates as name=value, for the notes in results."""
        options = self._fixed_by()
        for key in ("strand", "star_options"):
            if isinstance(options.get(key), Mapping):
                options[key] = ", ".join(
                    f"{name}: {public_value(value)}" for name, value in sorted(options[key].items())
                )
        return [f"{key}={value}" for key, value in options.items()] + [f"count_by={self.config['count_by']}"]

    def strands(self, unit: str) -> Any:
        """Return the strand of a shard's libraries: one word, or those entries of a map that are of its series."""
        strands = self.config["plates"]["strand"]
        if not isinstance(strands, Mapping):
            return strands
        series = self.unit(unit).series
        return {name: strand for name, strand in sorted(strands.items()) if series in self._series_of[name]}

    @functools.cached_property
    def _series_of(self) -> dict[str, set[str]]:
        """Accession in the map of strands → the series in which it is; one that is not planned is reported."""
        found: dict[str, set[str]] = {name: {name} for name in self.config["plates"]["strand"]}
        planned = set()
        for row in self._planned_rows():
            planned.add(row.series)
            for name in (row.experiment, row.sample, row.run):
                if name in found:
                    found[name].add(row.series)
        for name in sorted(name for name, series in found.items() if not series & planned):
            print(f"plates.strand: {name} is not in the plan.", file=sys.stderr)
        return found

    def star_options(self, stage: str) -> list[str]:
        """Return the options of STAR that are configured for plates or droplets, as options of a command."""
        return [f"--set={name}={value}" for name, value in sorted(self.config[stage]["star_options"].items())]

    def alignment_options(self, unit: str) -> list[str]:
        """Return the preset and the options with which STAR aligns a unit."""
        stage = "plates" if is_shard(unit) else "droplets"
        return [self.config[stage]["preset"], *self.star_options(stage)]

    def count_options(self, unit: str) -> list[str]:
        """Return how the cells of a shard are counted, as options of the command ``count``."""
        plates = self.config["plates"]
        if plates["counter"] == STARSOLO:
            return []
        strands = self.strands(unit)
        words = (
            ["none", *(f"{name}={strand}" for name, strand in strands.items())]
            if isinstance(strands, Mapping)
            else [strands]
        )
        scoring = [key for key in self._further_options() if key not in ("type", "id_attribute", "star_options")]
        further = [f"--{key.replace('_', '-')}={plates[key]}" for key in scoring]
        return ["--mode", plates["mode"], "--strand", *words, *further]

    def solo_options(self) -> list[str]:
        """Return the options of the command ``align`` where STARsolo counts, none where it does not."""
        plates = self.config["plates"]
        return ["--solo-strand", plates["strand"]] if plates["counter"] == STARSOLO else []

    @property
    def alignments(self) -> str:
        """Return the folder of the alignments of plates: kept ones are no scratch."""
        return "units/align" if self.config["plates"]["keep_alignments"] else f"{self.scratch}/align"

    @property
    def counted(self) -> str:
        """What names the count index of a reference: empty for exons by gene_id, else e.g. ``.gene.gene_name``."""
        chosen = [self.config["plates"][key] for key in ("type", "id_attribute")]
        return "" if chosen == ["exon", "gene_id"] else f".{'.'.join(chosen)}"

    # References and lists of units

    def reference(self, unit: str) -> str:
        """Return the name of the reference to which a unit is aligned."""
        return self.sources.reference_of_species(self.unit(unit).species)

    def reference_identity(self, unit: str) -> str:
        """Return 16 hex digits of the reference of a unit: its name, its sources, and how it is indexed."""
        return self.sources.identity(self.reference(unit))

    def reference_records(self) -> list[str]:
        """Return what is known of the reference of every species of which something is planned."""
        names = sorted({self.sources.reference_of_species(species) for species in self.planned_species})
        return [f"units/references/{name}/reference.json" for name in names]

    def kmers(self) -> dict[str, str]:
        """Return species → the index of k-mers of its reference, of those whose reads are looked for in all samples."""
        species = self.config["species"]
        looked_for = [name for name in species if name in self.planned_species or species[name].get("look_for")]
        return {name: f"units/references/{self.sources.reference_of_species(name)}/kmers.npz" for name in looked_for}

    def lists_of(self, unit: str) -> list[str]:
        """Return the inclusion lists that a unit needs: all that have a source for a library, none for a shard."""
        return [] if is_shard(unit) else self.sources.inclusion_lists()

    def list_fault(self, unit: str) -> str:
        """Return why a droplet library surely cannot be counted with these lists; empty where it may be."""
        if is_shard(unit):
            return ""
        return self.sources.fault_of_kit(self._pinned[self.unit(unit).experiment])

    @functools.cached_property
    def _pinned(self) -> dict[str, str]:
        return libraries_of(self._planned_rows())

    def probe_set(self, unit: str) -> list[str]:
        """Return the probe set of a library's species as a list; empty without one, and for a shard."""
        path = "" if is_shard(unit) else self.config["droplets"]["probe_sets"].get(self.unit(unit).species, "")
        return [path] if path else []

    def tables_content(self, unit: str) -> str:
        """Return the digest of the local files, beside its reads, that decide how a library is counted."""
        return self.sources.content([*self.sources.features_reference(), *self.probe_set(unit)])

    def forecast_options(self, chemistries: str | Path) -> list[Any]:
        """Return what tells that libraries will fail, as options of the command ``resolve``."""
        lists = self.sources.addresses_of_lists().items()
        words = [f"{name}={source}" if source == PACKAGE else name for name, source in lists]
        return [
            "--scratch",
            self.scratch,
            "--chemistries",
            chemistries,
            *(["--inclusion-lists", *words] if words else []),
        ]

    def settings(self) -> dict[str, str]:
        """Return what is configured on which it depends whether failed runs are tried again."""
        lists = [f"{name}={self.sources.list_identity(name)}" for name in self.sources.inclusion_lists()]
        return {
            "limit_gb": f"{self.config['scratch']['limit_gb']:g}",
            "accept_lite": f"{self.config['archives']['accept_lite']:d}",
            "max_dropped": f"{self.config['droplets']['max_dropped']:g}",
            "order": ",".join(self.config["archives"]["order"]),
            "lists": hashlib.sha256(" ".join(lists).encode()).hexdigest()[:16],
        }


def counted_features(counted: str) -> tuple[str, str]:
    """Return type and attribute of the features in a count index, whose name has ``counted``, see Analysis.counted."""
    found = _COUNTED.fullmatch(counted)
    return (found[1], found[2]) if found else ("exon", "gene_id")


def option(name: str, value: str | list[str] | None) -> list[str | list[str]]:
    """Return an option and its value as words of a command line, none where there is no value."""
    return [name, value] if value else []
