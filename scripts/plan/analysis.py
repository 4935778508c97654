"""One analysis as the rules see it: its checked configuration, its units of work and the files that are wanted of it.

Nothing here asks the network or writes a file. What a rule needs of Snakemake itself stands in rules/common.smk.
"""

import functools
import hashlib
import json
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from scripts.core.disk.files import hash_file
from scripts.core.errors import InputError
from scripts.plan.choices import iterate_plan, parse_choices
from scripts.plan.configuration import is_address, leaves, source_address, source_sha256
from scripts.plan.lists import is_empty_list, is_path, is_run_list
from scripts.plan.local_files import FileDigests, is_unreadable_path, needs_sra_tools
from scripts.plan.matrices import VELOCYTO, VELOCYTO_NAMES, archive_folders, are_listed
from scripts.plan.run_table import Run, iterate_runs
from scripts.plan.sizes.forecast import PACKAGE, PROBE_SET, kit_fault, libraries_of
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
CELLS_TABLE = "results/quality/cells.csv.gz"
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
_NOT_IN_RESULTS = ("plates.shard_size", "plates.keep_alignments", "harvest.clock", "atlas.python", "atlas.enabled")
"""Keys that change no result, or, as ``clock``, only what it says of the time."""
_COUNTED = re.compile(r"\.([^.]+)\.([^.]+)")


def _as_words(options: Mapping[str, Sequence[str]]) -> list[str]:
    """Return options that have values as words of a command line."""
    return [word for option, values in options.items() if values for word in (option, *values)]


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
        self.kits = kits
        self._load_units = load_units
        self._part = part
        self._files = files or FileDigests(None)

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
        choices = parse_choices(self.plan_options())
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

    def options_digest(self, unit: str) -> str:
        """Return 16 hex digits of what decides the counts of a shard beside its rows: options and reference."""
        options = {key: value for key, value in self.config["plates"].items() if key not in NOT_COUNTED_BY}
        if options["nonunique"] != "random":
            del options["seed"]
        words = [str(sorted((options | {"strand": self.strands(unit)}).items())), self.reference_identity(unit)]
        return hashlib.sha256("\n".join(words).encode()).hexdigest()[:16]

    def reference_identity(self, unit: str) -> str:
        """Return 16 hex digits of the reference of a unit: its name, its sources, and how it is indexed."""
        return self._identities[self.reference(unit)]

    @functools.cached_property
    def _identities(self) -> dict[str, str]:
        """Reference → its identity, taken once: it is asked for by every job of every unit."""
        identities = {}
        for reference in self.references():
            facts = self.config["references"][reference]
            words = [reference, str(facts.get("sjdb_overhang", 100)), Path(facts.get("index") or "").name]
            words += map(source_identity, self.sources(reference).values())
            words.append(self._files.digest(self.local_sources(reference)))
            identities[reference] = hashlib.sha256("\n".join(words).encode()).hexdigest()[:16]
        return identities

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
        folders = {name: f"units/references/{self.reference_of_species(name)}" for name in species}
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

    # References

    def reference(self, unit: str) -> str:
        """Return the name of the reference to which a unit is aligned."""
        return self.reference_of_species(self.unit(unit).species)

    def reference_of_species(self, species: str) -> str:
        """Return the name of the reference of a species."""
        return str(self.config["species"][species]["reference"])

    def references(self) -> list[str]:
        """Return the names of the references of all species, sorted."""
        return sorted({species["reference"] for species in self.config["species"].values()})

    def reference_records(self) -> list[str]:
        """Return what is known of the reference of every species of which something is planned."""
        names = sorted({self.reference_of_species(species) for species in self.planned_species})
        return [f"units/references/{name}/reference.json" for name in names]

    def kmers(self) -> dict[str, str]:
        """Return species → the index of k-mers of its reference, of those whose reads are looked for in all samples."""
        species = self.config["species"]
        looked_for = [name for name in species if name in self.planned_species or species[name].get("look_for")]
        return {name: f"units/references/{self.reference_of_species(name)}/kmers.npz" for name in looked_for}

    def sources(self, reference: str) -> dict[str, Any]:
        """Return the sources of a reference by role: fasta, gtf and, where configured, those of the spike-ins."""
        configured = self.config["references"][reference]
        sources = {role: configured[role] for role in ("fasta", "gtf")}
        for role, source in (configured.get("spike_ins") or {}).items():
            sources[f"spike_in_{role}"] = source
        return sources

    def local_sources(self, reference: str) -> list[str]:
        """Return those sources of a reference that are local files, whose change rebuilds the reference."""
        addresses = [source_address(source) or "" for source in self.sources(reference).values()]
        return [address for address in addresses if not is_address(address)]

    def local_fasta(self, reference: str) -> str:
        """Return the path of the sequence of a reference, empty where it is fetched."""
        address = self.fasta(reference)
        return "" if is_address(address) else address

    def fasta(self, reference: str) -> str:
        """Return the path or address of the sequence of a reference."""
        return source_address(self.sources(reference)["fasta"]) or ""

    def source_options(self, reference: str) -> list[str]:
        """Return the sources of a reference as options of the command ``reference``."""
        options = []
        for role, source in self.sources(reference).items():
            options += [f"--{role.replace('_', '-')}", source_address(source) or ""]
            if checksum := source_sha256(source):
                options += [f"--{role.replace('_', '-')}-sha256", checksum]
        return options

    def inclusion_list_source(self, name: str) -> Any:
        """Return where an inclusion list comes from: the configuration, else config/chemistries.yaml."""
        known = self.kits["lists"][name]
        configured = self.config["droplets"]["inclusion_lists"].get(name)
        return configured or {key: known[key] for key in ("address", "sha256") if known.get(key)}

    def list_identity(self, name: str) -> str:
        """Return what identifies the content of an inclusion list: checksum or name, and of a local file the digest."""
        source = self.inclusion_list_source(name)
        return " ".join(filter(None, [source_identity(source), self.content(self.local_list(name))]))

    def local_list(self, name: str) -> list[str]:
        """Return the path of an inclusion list that is a local file; none of an address or a package."""
        address = source_address(self.inclusion_list_source(name)) or ""
        return [] if is_address(address) or address.partition(":")[0] == PACKAGE else [address]

    def content(self, paths: Sequence[str]) -> str:
        """Return the digest of the content of local files, which is noticed whatever their time; empty of none."""
        return self._files.digest(paths) if paths else ""

    def inclusion_lists(self) -> list[str]:
        """Return the names of the inclusion lists that have a source, sorted."""
        shipped = {name for name, known in self.kits["lists"].items() if known.get("address")}
        return sorted(shipped | set(self.config["droplets"]["inclusion_lists"]))

    def lists_of(self, unit: str) -> list[str]:
        """Return the inclusion lists that a unit needs: all that have a source for a library, none for a shard."""
        return [] if is_shard(unit) else self.inclusion_lists()

    def list_fault(self, unit: str) -> str:
        """Return why a droplet library surely cannot be counted with these lists; empty where it may be."""
        if is_shard(unit):
            return ""
        return self._fault_of_kit(self._pinned[self.unit(unit).experiment])

    @functools.cached_property
    def _fault_of_kit(self) -> Callable[[str], str]:
        """A function that returns why libraries of a kit surely cannot be counted, which it finds once for each kit."""
        sources = self._list_sources()
        return functools.cache(lambda kit: kit_fault(kit, sources, self.kits))

    @functools.cached_property
    def _pinned(self) -> dict[str, str]:
        return libraries_of(self._planned_rows())

    def _planned_rows(self) -> Iterable[Run]:
        if self.has_run_table:
            return iterate_plan(self.config["run_table"], parse_choices(self.plan_options()))
        return iterate_runs("results/plan.tsv")

    def features_reference(self) -> list[str]:
        """Return the table of features as a list; empty without one."""
        path = self.config["droplets"]["features_reference"]
        return [path] if path else []

    def probe_set(self, unit: str) -> list[str]:
        """Return the probe set of a library's species as a list; empty without one, and for a shard."""
        path = "" if is_shard(unit) else self.config["droplets"]["probe_sets"].get(self.unit(unit).species, "")
        return [path] if path else []

    def tables_content(self, unit: str) -> str:
        """Return the digest of the local files, beside its reads, that decide how a library is counted."""
        return self.content([*self.features_reference(), *self.probe_set(unit)])

    def _list_sources(self) -> dict[str, str]:
        probe_sets = self.config["droplets"]["probe_sets"]
        return ({PROBE_SET: next(iter(probe_sets.values()))} if probe_sets else {}) | {
            name: source_address(self.inclusion_list_source(name)) or "" for name in self.inclusion_lists()
        }

    # Options of commands

    def forecast_options(self, chemistries: str | Path) -> list[Any]:
        """Return what tells that libraries will fail, as options of the command ``resolve``."""
        words = [f"{name}={source}" if source == PACKAGE else name for name, source in self._list_sources().items()]
        return [
            "--scratch",
            self.scratch,
            "--chemistries",
            chemistries,
            *(["--inclusion-lists", *words] if words else []),
        ]

    def accession_files(self) -> list[str]:
        """Return the files of accessions that ``series`` names, whose change makes a new plan."""
        return [word for word in self._asked() if is_path(word)]

    def asked_digest(self) -> str:
        """Return the digest of the files that say what is asked for: the run table or the lists of accessions.

        Raises InputError where nothing is asked for.
        """
        table = self.config["run_table"]
        if not table and not self._asked():
            listed = f"{self.config['discover']['accept']} is empty yet: `snakemake discover` fills it; or " * bool(
                self._words("series")
            )
            raise InputError(f"series: nothing is asked for; {listed}name at least one accession, e.g. GSE67835.")
        return " ".join(map(hash_file, [table] if table else self.accession_files()))

    def _asked(self) -> list[str]:
        """Return the words of ``series``; the list that ``discover`` writes is one of them when it has an accession."""
        accepted = self.config["discover"]["accept"]
        return [word for word in self._words("series") if word != accepted or not is_empty_list(word)]

    def _words(self, key: str) -> Sequence[str]:
        value = self.config[key]
        return [value] if isinstance(value, str) else value

    def plan_options(self) -> list[str]:
        """Return the choices that decide what is planned, as options of the command ``resolve``."""
        config = self.config
        options = {
            "--series": [] if config["run_table"] else self._asked(),
            "--run-table": [config["run_table"]] if config["run_table"] else [],
        }
        withdrawn = [] if config["run_table"] or config["withdrawn"] == "keep" else [config["withdrawn"]]
        return [*_as_words(options), *self._choices(config["species"]), *_as_words({"--withdrawn": withdrawn})]

    def discover_options(self) -> list[str]:
        """Return what is looked for and how it is judged, as options of the command ``discover``."""
        wanted = self.config["discover"]
        options = {f"--{name}": [wanted[name]] if wanted[name] else [] for name in ("since", "until", "query")}
        options |= {
            "--date": [wanted["date"]],
            "--types": wanted["types"],
            "--limit": [str(wanted["limit"])],
            "--accept": [wanted["accept"]] if wanted["accept"] else [],
            "--accept-gb": [f"{wanted['accept_gb']:g}"],
            "--series": [] if self.config["run_table"] else [*self._words("series")],
        }
        outside = [] if wanted["sra"] else ["--no-sra"]
        return [*_as_words(options), *outside, *self._choices(wanted["species"] or self.config["species"])]

    def _choices(self, species: Iterable[str]) -> list[str]:
        """Return how runs are judged, with these species, as options of a command."""
        config = self.config
        pairs = config["assay"].items() if isinstance(config["assay"], Mapping) else ()
        options = {
            "--species": [f"{label}={config['species'][label]['tax_id']}" for label in species],
            "--assay": [f"{name}={assay}" for name, assay in pairs] or [config["assay"] or "auto"],
            "--leave-out": [f"{accession}={reason}" for accession, reason in config["leave_out"].items()],
            "--chemistry": [config["droplets"]["chemistry"]],
            "--exp-id": [config["exp_id"]],
        }
        return _as_words(options)

    def refresh_options(self) -> list[str]:
        """Return which kept records are asked for again, as options of the command ``resolve``."""
        words = [] if self.config["run_table"] else self._words("refresh")
        return ["--refresh", *words] if words else []

    def settings(self) -> dict[str, str]:
        """Return what is configured on which it depends whether failed runs are tried again."""
        lists = [f"{name}={self.list_identity(name)}" for name in self.inclusion_lists()]
        return {
            "limit_gb": f"{self.config['scratch']['limit_gb']:g}",
            "accept_lite": f"{self.config['archives']['accept_lite']:d}",
            "max_dropped": f"{self.config['droplets']['max_dropped']:g}",
            "order": ",".join(self.config["archives"]["order"]),
            "lists": hashlib.sha256(" ".join(lists).encode()).hexdigest()[:16],
        }

    def download_options(self) -> list[Any]:
        """Return how the archives are asked, as options of the command ``download``."""
        archives = self.config["archives"]
        return [
            *("--order", *archives["order"], "--resolver", archives["sra"], "--ena", archives["ena"]),
            *("--more-passes", archives["retries"], "--parallel", archives["parallel"]),
            *("--per-host", archives["per_host"], "--limit-gb", self.config["scratch"]["limit_gb"]),
        ]

    # Results

    @functools.cached_property
    def folders(self) -> dict[str, str]:
        """Library → the folder of its archives below results/mex."""
        libraries = {name: unit for name, unit in self.units.items() if not is_shard(name)}
        folders = archive_folders((unit.experiment, unit.species) for unit in libraries.values())
        return {name: folders[unit.experiment, unit.species] for name, unit in libraries.items()}

    def archive_folder(self, library: str) -> str:
        """Return the folder of the archives of a library."""
        return f"results/mex/{self.folders[library]}"

    @functools.cached_property
    def broken_archives(self) -> set[str]:
        """The lists of archives that are not what their folder has: a file was deleted."""
        lists = {f"units/archives/{library}.tsv": self.archive_folder(library) for library in self.folders}
        return {path for path, folder in lists.items() if not are_listed(Path(path), Path(folder))}

    @property
    def calls_cells(self) -> bool:
        """Whether cells of droplet libraries are called; without there are raw archives only."""
        return bool(self.config["droplets"]["cell_filter"] != "None")

    def series_archives(self, series: str, species: str) -> list[str]:
        """Return the lists of the archives of every droplet library of a series and species.

        Raises InputError where the plan has none.
        """
        lists = [f"units/archives/{name}.tsv" for name in self.libraries(species, series)]
        if not lists:
            raise InputError(f"The plan has no droplet library of {series} of species {species!r}.")
        return lists

    def layers(self) -> list[str]:
        """Return the matrices that are layers of the cells of a series: those asked for, and all of Velocyto's."""
        droplets = self.config["droplets"]
        velocyto = [f"{VELOCYTO}_{kind}" for kind in VELOCYTO_NAMES] if VELOCYTO in droplets["features"] else []
        return list(dict.fromkeys([*droplets["layers"], *velocyto]))

    def source_names(self, species: str) -> list[str]:
        """Return where the reference of a species is from, as words ROLE=ADDRESS.

        Local files are left out, and of an address on this machine all but the name of the file: others have neither.
        """
        sources = self.sources(self.reference_of_species(species)).items()
        addresses = {role: source_address(source) or "" for role, source in sources}
        return [f"{role}={public_name(address)}" for role, address in addresses.items() if is_address(address)]

    def provenance_options(self) -> list[str]:
        """Return what the results were made from, as options of the command ``provenance``.

        Left out is what changes no result: addresses of archives, folders, numbers of tries; and options of plates or
        droplets where none are planned.
        """
        config, table = self.config, self.config["run_table"]
        species = {name: config["species"][name] for name in self.planned_species}
        references = sorted({str(facts["reference"]) for facts in species.values()})
        sources = [
            f"{name}.{role}={public_name(source_address(source) or '')}"
            for name in references
            for role, source in self.sources(name).items()
        ]
        promised = [
            f"{name}.{role}={checksum}"
            for name in references
            for role, source in self.sources(name).items()
            if (checksum := source_sha256(source))
        ]
        options = {
            "--run-table": [table] if table else [],
            "--asked": [] if table else self._asked(),
            "--species": [f"{name}={facts['tax_id']}:{facts['reference']}" for name, facts in species.items()],
            "--sources": sources,
            "--promised": promised,
            "--settings": list(self._settings_of_results(references)),
        }
        return [word for option, values in options.items() if values for word in (option, *values)]

    def _settings_of_results(self, references: Sequence[str]) -> Iterator[str]:
        """Yield key=value (JSON) of the configuration that decides what is in results, sorted."""
        config = self.config
        blocks = ["leave_out", "withdrawn", "max_failed", "count_by", "exp_id", "assay", "harvest"]
        blocks += ["plates"] if any(map(is_shard, self.units)) else []
        blocks += ["droplets", "mex"] if self.folders else []
        blocks += ["atlas"] if config["atlas"]["enabled"] else []
        kept = {block: config[block] for block in blocks}
        kept["references"] = {
            name: {key: facts[key] for key in ("sjdb_overhang", "index") if facts.get(key) is not None}
            for name in references
            for facts in [config["references"][name]]
        }
        for key, value in sorted(leaves(kept)):
            if key not in _NOT_IN_RESULTS:
                yield f"{key}={json.dumps(public_value(value), ensure_ascii=False)}"

    def tables(self) -> Iterator[str]:
        """Yield the tables of every species of which something is planned."""
        for species in self.planned_species:
            yield from (f"results/{species}_meta.tgz", f"results/{species}.metadata.samples.csv")
            yield f"results/{species}.metadata.series.csv"
            shards = self.shards(species)
            if shards:
                yield from (f"results/{species}.htseq-count.csv.gz", f"results/{species}.log.csv.gz")
                yield f"results/{species}.h5ad"
                if self.config["harvest"]["tpm"]:
                    yield f"results/{species}.tpm.csv.gz"
            if self.config["plates"]["keep_bam"]:
                yield from (f"results/bam/{shard}" for shard in self.shards_here(species))
        if any(map(is_shard, self.units)):
            yield CELLS_TABLE

    def archives(self) -> list[str]:
        """Return the lists of archives of droplet libraries, kept alignments, and the called cells of each series."""
        alignments = (
            [f"results/bam/{library}" for library in self.folders] if self.config["droplets"]["keep_bam"] else []
        )
        matrices = self.droplet_matrices()
        tags = [path.replace("droplets/", "droplets/features/") for path in matrices if self.features_reference()]
        return [*(f"units/archives/{name}.tsv" for name in self.folders), *alignments, *matrices, *tags]

    def named_results(self) -> list[str]:
        """Return the results that are asked for and of which no unit has its own."""
        paths = [*self.tables(), *self.atlases(), *self.quality()]
        return [path for path in paths if path.startswith("results/") and not path.startswith("results/bam/")]

    def result_kinds(self) -> list[str]:
        """Return which results units and series have of their own, in the words of the command ``wanted``."""
        droplets = self.config["droplets"]
        asked = {
            "cells": self.calls_cells,
            "features": self.calls_cells and bool(self.features_reference()),
            "plate_bam": self.config["plates"]["keep_bam"],
            "droplet_bam": droplets["keep_bam"],
        }
        return [kind for kind, wanted in asked.items() if wanted]

    def droplet_matrices(self) -> list[str]:
        """Return the called cells of each droplet series."""
        libraries = [self.units[library] for library in self.folders] if self.calls_cells else []
        return sorted({f"results/droplets/{unit.series}.{unit.species}.h5ad" for unit in libraries})

    def quality(self) -> list[str]:
        """Return the tables of quality."""
        return ["results/quality/libraries.csv"] if self.folders else []

    # Atlas

    def matrices(self, species: str) -> dict[str, str]:
        """Return part of an atlas → the matrix whose cells it embeds: the plates, and each droplet series."""
        parts = {"plates": f"results/{species}.h5ad"} if self.shards(species) else {}
        libraries = self.libraries(species) if self.calls_cells else []
        for series in sorted({self.units[name].series for name in libraries}):
            parts[f"droplets.{series}"] = f"results/droplets/{series}.{species}.h5ad"
        return parts

    def matrix(self, species: str, part: str) -> str:
        """Return the matrix of a part of an atlas. Raises InputError where the plan has no such cells."""
        matrices = self.matrices(species)
        if part not in matrices:
            raise InputError(f"The plan has no cells {part!r} of {species}.")
        return matrices[part]

    def embedding_model(self, species: str) -> str:
        """Return the weights with which the cells of a species are embedded."""
        atlas = self.config["atlas"]
        if atlas["backend"] == "scprint2":
            return str(atlas["checkpoint"])
        return str(atlas["models"].get(species, f"work/atlas/{species}/model.npz"))

    def model_content(self, species: str) -> str:
        """Return the digest of the weights that are given for the cells of a species; empty where they are fitted."""
        atlas = self.config["atlas"]
        given = atlas["backend"] == "scprint2" or species in atlas["models"]
        return self.content([self.embedding_model(species)] if given else [])

    def labels_content(self, species: str) -> str:
        """Return the digest of the labelled cells of a species; empty where there are none."""
        references = self.config["atlas"]["references"]
        return self.content([references[species]] if species in references else [])

    def table_content(self, species: str, label: str) -> str:
        """Return the digest of the table from which a classifier of a label is trained."""
        return self.content([self.config["atlas"]["train"][species][label]])

    def atlases(self) -> Iterator[str]:
        """Yield the atlas of every species of which something is planned, with the reports on its labels."""
        atlas = self.config["atlas"]
        for species in self.planned_species if atlas["enabled"] else ():
            folder = f"results/atlas/{species}"
            yield from (folder, f"units/atlas/{species}.checked", f"{folder}.distribution")
            if atlas["backend"] == "scprint2" or species in atlas["references"]:
                yield f"{folder}.agreement"
            yield from (f"{folder}.train/{label}" for label in atlas["train"].get(species, {}))


def public_name(address: str) -> str:
    """Return what results call a file or an address: others have neither the folders nor the servers of a machine.

    An address on this machine and an absolute path become the name of the file.
    """
    if is_address(address):
        here = urlsplit(address).hostname in ("localhost", "127.0.0.1", "::1")
        return address.rpartition("/")[2] if here else address
    return Path(address).name if Path(address).is_absolute() else address


def public_value(value: Any) -> Any:
    """Return a value of the configuration with the paths and addresses in it as results have them."""
    if isinstance(value, list):
        return [public_value(part) for part in value]
    return " ".join(map(public_name, value.split(" "))) if isinstance(value, str) else value


def source_identity(source: str | Mapping[str, str]) -> str:
    """Return what identifies a version of a source: its checksum, else the last part of its address."""
    return source_sha256(source) or (source_address(source) or "").rpartition("/")[2]


def counted_features(counted: str) -> tuple[str, str]:
    """Return type and attribute of the features in a count index, whose name has ``counted``, see Analysis.counted."""
    found = _COUNTED.fullmatch(counted)
    return (found[1], found[2]) if found else ("exon", "gene_id")


def option(name: str, value: str | list[str] | None) -> list[str | list[str]]:
    """Return an option and its value as words of a command line, none where there is no value."""
    return [name, value] if value else []
