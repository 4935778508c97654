"""The facts of provenance.json, see docs/formats.md for each of them."""

import csv
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from scripts.core.disk.files import hash_file
from scripts.core.version import VERSION
from scripts.core.yaml_text import load_yaml
from scripts.droplets.mex.mex_reader import open_archive
from scripts.harvest.results import FINAL, counted_libraries
from scripts.plan.configuration import SCHEMA, leaves, with_defaults
from scripts.plan.decisions.analysis import STARSOLO
from scripts.plan.decisions.sources import public_name
from scripts.plan.matrices import archive_folders, archive_name
from scripts.plan.run_table import Run
from scripts.plan.status import read_statuses
from scripts.plan.units import is_shard, read_unit_rows, unit_names
from scripts.plates.shard_counts import ShardReader
from scripts.plates.smartseq import solo_options
from scripts.references.releases import read_release
from scripts.star.presets import as_arguments, plate_options

FORMAT = 1
"""Of provenance.json."""
COMMAND = "snakemake --cores all"
"""The call that makes the same results from the same configuration: other options change no byte."""
ARCHIVES = {
    "sra": "the Sequence Read Archive",
    "ncbi": "the Sequence Read Archive",
    "ena": "the European Nucleotide Archive (archives of the SRA)",
    "ena_fastq": "the European Nucleotide Archive (FASTQ)",
    "submitted": "the files that were submitted to the Sequence Read Archive",
    "bam": "BAM files that were submitted to the Sequence Read Archive",
    "file": "local files",
}
"""Source of a run (see the ledger) → where its reads are from."""
_MANY_SPOTS = 10**9  # beyond the sizes for which buffers of STAR are made smaller


class Asked(NamedTuple):
    """What was configured, as the options of the command ``provenance`` say."""

    accessions: Sequence[str]
    run_table: str
    """Path of the run table, empty without one."""
    species: Mapping[str, str]
    """Label → taxonomy id and name of the reference, ``9606:hg38``."""
    sources: Mapping[str, str]
    """Reference and role, ``hg38.gtf`` → address or name of the file."""
    promised: Mapping[str, str]
    """Likewise → sha256 in the configuration."""
    settings: Mapping[str, Any]
    """Key path → value."""


class Folders(NamedTuple):
    """Where what was recorded is."""

    results: Path
    units: Path
    """units/, of the analysis."""
    references: Sequence[str]
    """reference.json of each reference."""
    chemistries: Path


def gather(ledger: Sequence[Run], asked: Asked, folders: Folders) -> dict[str, Any]:
    """Return the facts of provenance.json."""
    counted = [row for row in ledger if row.status == "counted"]
    kits = load_yaml(folders.chemistries.read_text(encoding="utf-8"))
    libraries = list(_libraries(ledger, folders.results))
    plates = [row for row in counted if row.assay == "plate"]
    versions = {library.experiment: library.version for library in libraries}
    tools = [
        *_tools(counted, folders.units, versions),
        *_samtools(folders.units, {(row.series, row.species) for row in counted}, asked.settings),
    ]
    return {
        "format": FORMAT,
        "workflow": {"name": "sra2matrix", "harvested_with": VERSION, "command": COMMAND},
        "asked_for": sorted(asked.accessions),
        "run_table": _described_file(asked.run_table),
        "runs": {status: sum(row.status == status for row in ledger) for status in FINAL},
        "counted": count_by_assay(counted),
        "series": _series(counted, folders.results),
        "species": _species(asked.species, ledger),
        "references": [_reference(Path(path), asked) for path in folders.references],
        "reads": _sources(counted),
        "tools": tools,
        "star": [*(_plate_call(asked.settings) if plates else ()), *_droplet_calls(libraries)],
        "kits": _kits(counted, kits, folders.units),
        "cell_filters": _cell_filters(folders.results) if libraries else [],
        "settings": dict(sorted(asked.settings.items())),
        "options": _options(asked.settings),
    }


def _described_file(path: str) -> dict[str, str] | None:
    return {"name": public_name(path), "sha256": hash_file(path)} if path else None


def count_by_assay(counted: Iterable[Run]) -> list[dict[str, Any]]:
    """Return how much was counted of each assay and species: runs, columns or libraries, and series."""
    groups: dict[tuple[str, str], list[Run]] = defaultdict(list)
    for row in counted:
        groups[row.assay, row.species].append(row)
    return [
        {
            "assay": assay,
            "species": species,
            "series": len({row.series for row in rows}),
            "experiments": len({row.experiment for row in rows}),
            "runs": len(rows),
        }
        for (assay, species), rows in sorted(groups.items())
    ]


def _series(counted: Sequence[Run], results: Path) -> list[dict[str, Any]]:
    """Return each series with the PubMed ids of its record."""
    ids: dict[str, set[str]] = defaultdict(set)
    for species in sorted({row.species for row in counted}):
        table = results / f"{species}.metadata.series.csv"
        if not table.is_file():
            continue
        with table.open(encoding="utf-8", newline="") as lines:
            for row in csv.DictReader(lines):
                ids[row["doc_id"]].update(filter(str.isdecimal, row.get("pubmed_id", "").split(";")))
    names = dict(sorted({(row.series, row.exp_id or row.series) for row in counted}))
    return [{"series": series, "pubmed_ids": sorted(ids[exp_id], key=int)} for series, exp_id in names.items()]


def _species(species: Mapping[str, str], ledger: Iterable[Run]) -> list[dict[str, Any]]:
    organisms: dict[str, Counter[str]] = defaultdict(Counter)
    for row in ledger:
        organisms[row.tax_id][row.organism] += 1
    described = []
    for label, words in sorted(species.items()):
        tax_id, _, reference = words.partition(":")
        names = sorted(organisms[tax_id].items(), key=lambda pair: (-pair[1], pair[0]))
        organism = names[0][0] if names else ""
        described.append({"label": label, "tax_id": int(tax_id), "organism": organism, "reference": reference})
    return described


def _reference(path: Path, asked: Asked) -> dict[str, Any]:
    """Return what is known of a reference; of a source without a recorded sha256, the one that is configured."""
    described = json.loads(path.read_text(encoding="utf-8"))
    name, digests = described["name"], described.get("sources_sha256", {})
    sources = {key.partition(".")[2]: address for key, address in asked.sources.items() if key.startswith(f"{name}.")}
    return {
        "name": name,
        "release": read_release(path)._asdict() | {"words": str(read_release(path))},
        "sources": [
            {
                "role": role,
                "address": address,
                "sha256": digests.get(role) or asked.promised.get(f"{name}.{role}", ""),
            }
            for role, address in sources.items()
        ],
        **{key: described[key] for key in ("fingerprint", "genome_sha256", "annotation_sha256", "genes")},
        "sjdb_overhang": asked.settings.get(f"references.{name}.sjdb_overhang", 100),
    }


def _sources(counted: Iterable[Run]) -> list[dict[str, Any]]:
    """Return how many runs are from which archive."""
    found = Counter("file" if row.source.startswith("file:") else row.source for row in counted)
    return [{"source": name, "runs": runs, "from": ARCHIVES.get(name, name)} for name, runs in sorted(found.items())]


def _tools(counted: Iterable[Run], units: Path, of_star: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return the programs and versions that worked on runs, as the jobs recorded them, with what they made.

    ``of_star`` is droplet library → version of STAR, for status tables of an earlier version, which have no programs.
    """
    wanted = {(row.series, row.species, row.run) for row in counted}
    runs: dict[tuple[str, str], int] = Counter()
    series: dict[tuple[str, str], set[str]] = defaultdict(set)
    assays: dict[tuple[str, str], set[str]] = defaultdict(set)
    for unit in unit_names(units / "runs"):
        path = units / "status" / f"{unit}.tsv"
        if not path.is_file():
            continue
        of_series, species, _ = unit.split(".", 2)
        statuses = [row for row in read_statuses(path).values() if (of_series, species, row.run) in wanted]
        earlier = _earlier_tools(unit, units, of_star) if any(not row.tools for row in statuses) else []
        for row in statuses:
            for words in row.tools.split("; ") if row.tools else earlier:
                program, _, version = words.rpartition(" ")
                runs[program, version] += 1
                series[program, version].add(of_series)
                assays[program, version].add("plate" if is_shard(unit) else "droplet")
    return [
        {
            "program": program,
            "version": version,
            "assays": sorted(assays[program, version]),
            "series": sorted(series[program, version]),
            "runs": runs[program, version],
        }
        for program, version in sorted(runs, key=lambda key: (key[0].lower(), key))
    ]


def _earlier_tools(unit: str, units: Path, of_star: Mapping[str, str]) -> list[str]:
    """Return the programs of a unit whose status table has none, that of an earlier version, as ``STAR 2.7.10b``."""
    counts = units / "counts" / f"{unit}.h5ad"
    if counts.is_file():
        with ShardReader(counts) as reader:
            tools = reader.tools()
        return [
            f"{name} {version}" for name in sorted(tools) if name != "counter" for version in tools[name].split(", ")
        ]
    version = of_star.get(unit.split(".", 2)[2], "")
    return [f"STAR {version}"] if version else []


def _samtools(units: Path, counted: set[tuple[str, str]], settings: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the versions of samtools that sorted alignments, where those are among the results."""
    series: dict[str, set[str]] = defaultdict(set)
    assays: dict[str, set[str]] = defaultdict(set)
    runs: Counter[str] = Counter()
    for path in sorted((units / "tools").glob("*.json")):
        of_series, species, _ = path.stem.split(".", 2)
        table = units / "runs" / f"{path.stem}.tsv"
        is_kept = settings.get(f"{'plates' if is_shard(path.stem) else 'droplets'}.keep_bam", False)
        if is_kept and (of_series, species) in counted and table.is_file():
            for version in json.loads(path.read_text(encoding="utf-8")).values():
                series[version].add(of_series)
                assays[version].add("plate" if is_shard(path.stem) else "droplet")
                runs[version] += len(read_unit_rows(table))
    return [
        {
            "program": "samtools",
            "version": version,
            "assays": sorted(assays[version]),
            "series": sorted(series[version]),
            "runs": runs[version],
        }
        for version in sorted(series)
    ]


def star_options_of(settings: Mapping[str, Any], block: str) -> dict[str, str]:
    """Return the options of STAR that are configured for ``plates`` or ``droplets``."""
    prefix = f"{block}.star_options."
    return {key.removeprefix(prefix): str(value) for key, value in settings.items() if key.startswith(prefix)}


def _plate_call(settings: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the call of STAR for a plate cell, without what depends on its number of reads."""
    preset, options = settings["plates.preset"], star_options_of(settings, "plates")
    if settings["plates.counter"] == STARSOLO:
        chosen = solo_options(preset, settings["plates.strand"], options)
    else:
        chosen = plate_options(preset, _MANY_SPOTS, options)
    yield {
        "assay": "plate",
        "preset": preset,
        "arguments": " ".join(["STAR", *as_arguments(chosen)]),
        "experiments": [],
    }


class _PackedLibrary(NamedTuple):
    """A counted droplet library: its experiment, the version of STAR and its arguments without the reads."""

    experiment: str
    version: str
    arguments: str


def _libraries(ledger: Sequence[Run], results: Path) -> Iterator[_PackedLibrary]:
    """Yield every counted droplet library by the metadata of its archive."""
    libraries = counted_libraries(ledger)
    folders = archive_folders(libraries)
    for library in sorted(libraries):
        path = results / "mex" / folders[library] / archive_name("Gene", "Unique", "raw")
        if path.is_file():
            with open_archive(path) as archive:
                next(archive.members())
                metadata = archive.metadata
            yield _PackedLibrary(
                library[0], metadata.get("software_version", ""), shared_arguments(metadata.get("arguments", ""))
            )


def shared_arguments(arguments: str) -> str:
    """Return the arguments of an archive's metadata that other libraries of the kit have, too: without the reads."""
    kept, reads = [], False
    for word in arguments.partition(" ; ")[0].split():
        reads = word == "--readFilesIn" if word.startswith("--") else reads
        kept += [] if reads else [word]
    return " ".join(kept)


def _droplet_calls(libraries: Iterable[_PackedLibrary]) -> list[dict[str, Any]]:
    """Return the calls of STAR for droplet libraries, each with the experiments for which it was made."""
    calls: dict[str, list[str]] = defaultdict(list)
    for library in libraries:
        calls[library.arguments].append(library.experiment)
    return [
        {"assay": "droplet", "preset": "", "arguments": arguments, "experiments": sorted(experiments)}
        for arguments, experiments in sorted(calls.items(), key=lambda call: (sorted(call[1]), call[0]))
    ]


def _kits(counted: Iterable[Run], known: Mapping[str, Any], units: Path) -> list[dict[str, Any]]:
    """Return the kits of the counted droplet libraries, with their inclusion lists."""
    libraries: dict[str, set[str]] = defaultdict(set)
    for row in counted:
        if row.assay == "droplet" and row.chemistry:
            libraries[row.chemistry].add(row.experiment)
    kits = []
    for name, experiments in sorted(libraries.items()):
        kit = known["chemistries"].get(name, {})
        lists = sorted({part["list"] for part in kit.get("barcode", ()) if part.get("list")})
        paths = [(of_list, units / "inclusion_lists" / f"{of_list}.txt") for of_list in lists]
        kits.append(
            {
                "chemistry": name,
                "title": kit.get("title", name),
                "libraries": len(experiments),
                "inclusion_lists": [
                    {"name": of_list, "sha256": hash_file(path) if path.is_file() else ""} for of_list, path in paths
                ],
            }
        )
    return kits


def _cell_filters(results: Path) -> list[dict[str, Any]]:
    """Return the cell filters that were in effect, and for how many libraries."""
    path = results / "quality" / "libraries.csv"
    found: Counter[str] = Counter()
    if path.is_file():
        with path.open(encoding="utf-8", newline="") as lines:
            found.update(row.get("cell_filter") or "" for row in csv.DictReader(lines) if row["status"] == "counted")
    return [{"filter": name, "libraries": number} for name, number in sorted(found.items()) if name]


def _options(settings: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the settings that are not the defaults of the schema, with these."""
    schema = load_yaml(SCHEMA.read_text(encoding="utf-8"))
    defaults = dict(leaves(with_defaults({}, schema)))
    options = []
    for key, value in sorted(settings.items()):
        default = 100 if key.endswith(".sjdb_overhang") else defaults.get(key)
        if value != default:
            options.append({"key": key, "value": value, "default": default})
    return options
