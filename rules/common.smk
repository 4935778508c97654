"""What every room shares: the checked configuration, the plan and the units of work into which it is cut.

Functions here read the configuration and the plan; they write nothing and never reach for the network.
"""

import functools
import hashlib
import operator
import shlex
import shutil
import sys
from collections import Counter
from pathlib import Path

import scripts
import yaml
from snakemake.exceptions import WorkflowError

HOME = Path(workflow.current_basedir.get_path_or_uri(secret_free=True)).parent

# A workflow that uses this one as a module may have a package `scripts` of its own.
if str(HOME / "scripts") not in scripts.__path__:
    scripts.__path__.append(str(HOME / "scripts"))

from scripts.plan.accessions import ACCESSION
from scripts.plan.configuration import check_configuration, is_address, source_address, source_sha256
from scripts.core.errors import InputError
from scripts.plan.reasons import REASONS
from scripts.plan.run_table import iterate_runs
from scripts.plan.status import disk_was_full, read_statuses
from scripts.plan.schedule import take_turns
from scripts.plan.units import cut_into_units, is_shard, summarize_unit
from scripts.core.snakemake import incomplete_outputs, remove_stale_locks
from scripts.plan.choices import parse_choices, plan_from_table
from scripts.plan.cost import THREADS
from scripts.plan.size_model import FILE, read_model, reference_sizes, unit_sizes


@functools.cache
def shipped(name):
    """Return the content of a file in the workflow's own config/."""
    return yaml.safe_load((HOME / "config" / name).read_text(encoding="utf-8"))


try:
    config = check_configuration(
        config,
        shipped("config.schema.yaml"),
        references=shipped("references.yaml"),
        chemistries=shipped("chemistries.yaml"),
        named=", ".join(map(str, workflow.configfiles)) or "--config",
    )
    model = read_model(FILE)
except InputError as error:
    raise WorkflowError(str(error))

# Jobs find the commands (`python -m scripts.…`), and outside conda the Python that runs Snakemake.
# What lies in the analysis directory is not theirs. They end with the Snakemake that runs them, see scripts/core/command.py.
job_shell = f"set -euo pipefail; export PYTHONPATH={shlex.quote(str(HOME))} PYTHONSAFEPATH=1 PYTHONHASHSEED=0; "
job_shell += "export SRA2MATRIX_WORKFLOW=$PPID; "
if "conda" not in map(str, workflow.deployment_settings.deployment_method):
    job_shell += f'export PATH={shlex.quote(str(Path(sys.executable).parent))}:"$PATH"; '
if config["archives"]["api_key"]:
    job_shell += f"export NCBI_API_KEY={shlex.quote(config['archives']['api_key'])}; "
shell.prefix(job_shell)

# A workflow that was killed leaves locks: the same command goes on all the same.
if workflow.is_main_process:
    for lock in remove_stale_locks(".snakemake"):
        print(f"A workflow here was killed; its lock is removed: {lock}", file=sys.stderr)

workflow.register_resource("scratch_mb", max(1, int(config["scratch"]["limit_gb"] * 1000)))

# Units that download at the same time open no more than archives.per_host transfers to a host, together.
downloads = max(1, config["archives"]["per_host"] // config["archives"]["parallel"])
if "downloads" in workflow.global_resources:
    downloads = min(downloads, workflow.global_resources["downloads"].value)
workflow.register_resource("downloads", downloads)


wildcard_constraints:
    series=r"[A-Za-z][A-Za-z0-9_-]*",
    species="|".join(config["species"]),
    reference="|".join({species["reference"] for species in config["species"].values()}),
    unit=r"[A-Za-z][\w-]*\.[a-z][a-z0-9_]*\.[\w-]+",
    shard=r"[A-Za-z][\w-]*\.[a-z][a-z0-9_]*\.\d\d\d\d+",
    science="[0-9a-f]{16}",
    library=r"[A-Za-z][\w-]*\.[a-z][a-z0-9_]*\.[A-Za-z][\w-]*",
    archive=r"[A-Za-z][\w-]*(\.[a-z][a-z0-9_]*)?",
    label="[A-Za-z][A-Za-z0-9_]*",
    part=r"plates|droplets\.[A-Za-z][A-Za-z0-9_-]*",


def option(name, value):
    """Return an option and its value as words of a command line, none where there is no value."""
    return [name, value] if value else []


def setting(*keys):
    """Return a params function for a configured value that makes no other result: an address, a number of tries.

    Snakemake compares params of an earlier run only where they depend on nothing but wildcards: taking `threads`
    keeps a value out of the triggers.
    """
    return lambda wildcards, threads: functools.reduce(operator.getitem, keys, config)


def accession_files():
    """Return the files of accessions that `series` names, whose change makes a new plan."""
    words = [config["series"]] if isinstance(config["series"], str) else config["series"]
    return [word for word in words if not ACCESSION.fullmatch(word)]


def plan_choices():
    """Return the configured choices that decide what is planned, as options of `python -m scripts resolve`."""
    options = {
        "--series": [config["series"]] if isinstance(config["series"], str) else config["series"],
        "--species": [
            f"{label}={species['tax_id']}" for label, species in config["species"].items()
        ],
        "--assay": (
            [f"{accession}={assay}" for accession, assay in config["assay"].items()]
            if isinstance(config["assay"], dict)
            else [config["assay"]]
        ),
        "--leave-out": [
            f"{accession}={reason}" for accession, reason in config["leave_out"].items()
        ],
        "--chemistry": [config["droplets"]["chemistry"]],
        "--exp-id": [config["exp_id"]],
    }
    if config["run_table"]:
        options["--run-table"] = [config["run_table"]]
        del options["--series"]
    return [word for option, values in options.items() if values for word in (option, *values)]


@functools.cache
def units():
    """Return name → unit; the plan is made first, unless a run table is given."""
    if config["run_table"]:
        try:
            rows = plan_from_table(config["run_table"], parse_choices(plan_choices()))
        except InputError as error:
            raise WorkflowError(str(error))
    else:
        # A job on another node has its plan, but knows no checkpoint as finished.
        if workflow.is_main_process or not Path("results/plan.tsv").exists():
            checkpoints.resolve.get()
        rows = iterate_runs("results/plan.tsv")
        # Snakemake itself does not look behind a checkpoint for jobs that were cut off.
        if workflow.is_main_process:
            workflow.dag.forcefiles |= incomplete_outputs(".snakemake")
    planned = cut_into_units(rows, config["plates"]["shard_size"])
    return {name: summarize_unit(planned.pop(name)) for name in list(planned)}


if config["run_table"]:
    units()  # its faults are told before any job is thought of


def unit_name(wildcards):
    """Return the unit of a job, which a rule calls unit, or shard or library where it can only be that."""
    return wildcards.get("unit") or wildcards.get("shard") or wildcards.get("library")


def unit_of(wildcards):
    """Return what is known of the unit of a job."""
    try:
        return units()[unit_name(wildcards)]
    except KeyError:
        raise WorkflowError(f"The plan has no unit {unit_name(wildcards)!r}.")


def unit_digest(wildcards):
    """Return the digest of what is planned for a unit."""
    return unit_of(wildcards).digest


def unit_science(wildcards):
    """Return a digest of all that decides the counts of a unit: its rows, its options and its reference."""
    reference = config["species"][unit_of(wildcards).species]["reference"]
    science = {key: config["plates"][key] for key in ("preset", "mode", "strand")}
    identity = list(map(source_identity, source_files(reference).values()))
    words = [unit_digest(wildcards), config["count_by"], str(science), reference, *identity]
    return hashlib.sha256("\n".join(words).encode()).hexdigest()[:16]


@functools.cache
def reasons_to_retry(unit):
    """Return for which reasons failed runs of a unit are to be tried again, none where it has none of them.

    Those that are configured; and without a word a full disk, as soon as it has room for the unit.
    """
    status = Path(f"work/status/{unit}.tsv")
    if not status.exists() or (not config["retry"] and b"DISK_LIMIT" not in status.read_bytes()):
        return []
    failed = [row for row in read_statuses(status).values() if row.reason]
    reasons = set(REASONS if config["retry"] == "all" else config["retry"])
    if any(disk_was_full(row) for row in failed):
        place = next(folder for folder in map(Path, ("work/fastq", "work")) if folder.exists())
        if shutil.disk_usage(place).free > 1e6 * scratch_mb("fastq")({"unit": unit}, 1):
            reasons.add("DISK_LIMIT")
    return sorted(reasons & {row.reason for row in failed})


def to_retry(unit):
    """Whether a run of a unit has failed for a reason that is to be tried again."""
    return bool(reasons_to_retry(unit))


def kept(wildcards):
    """Return the folder of what a unit had counted before its failed runs were tried again, if ever they were."""
    unit = unit_name(wildcards)
    folder = f"work/retry/{unit_science(wildcards)}/{unit}"
    return [folder] if to_retry(unit) or Path(folder).exists() else []


def retry_round(wildcards):
    """Return what tells one round of trying again from another: the time of the status that calls for it.

    As a param of the job that counts, it makes that job anew; empty where nothing was ever tried again.
    """
    unit = unit_name(wildcards)
    if to_retry(unit):
        return str(Path(f"work/status/{unit}.tsv").stat().st_mtime_ns)
    round_file = Path(f"work/retry/{unit_science(wildcards)}/{unit}/round")
    return round_file.read_text(encoding="utf-8").strip() if round_file.exists() else ""


def units_of(species, series=None, shards=None):
    """Return the names of the units of a species, of one series or all, shards or libraries or both."""
    return [
        name
        for name, unit in units().items()
        if unit.species == species
        and series in (None, unit.series)
        and shards in (None, is_shard(name))
    ]


def reference_of(wildcards):
    """Return the folder with the links to the reference to which a unit, or a species, is aligned."""
    species = unit_of(wildcards).species if unit_name(wildcards) else wildcards.species
    return f"work/references/{config['species'][species]['reference']}"


@functools.cache
def archive_folders():
    """Return library → the folder of its archives: its experiment, and its species where it is counted for two."""
    libraries = {name: unit for name, unit in units().items() if not is_shard(name)}
    times = Counter(unit.experiment for unit in libraries.values())
    return {
        name: (
            unit.experiment if times[unit.experiment] == 1 else f"{unit.experiment}.{unit.species}"
        )
        for name, unit in libraries.items()
    }


@functools.cache
def libraries():
    """Return folder of archives → library."""
    return {folder: library for library, folder in archive_folders().items()}


def library_of(wildcards):
    """Return the library whose archives a folder holds."""
    try:
        return libraries()[wildcards.archive]
    except KeyError:
        raise WorkflowError(f"The plan has no droplet library {wildcards.archive!r}.")


def statuses(wildcards):
    """Return the final status table of every unit.

    A unit stands behind the one for which it waits: Snakemake looks for what makes a file, and what makes that, step
    into step, and would not come back from a lane of thousands that it enters at its end.
    """
    waiting = turns() if gives_turns() else {}
    ordered = [unit for unit in units() if unit not in waiting] + list(waiting)
    return [f"work/status/{unit}.tsv" for unit in ordered]


def shard_counts(wildcards):
    """Return the counts of every plate shard of a species."""
    return [f"work/count/{unit}.h5ad" for unit in units_of(wildcards.species, shards=True)]


def series_archives(wildcards):
    """Return the folders of the archives of every droplet library of a series and species."""
    names = units_of(wildcards.species, series=wildcards.series, shards=False)
    return [f"results/mex/{archive_folders()[name]}" for name in names]


def tables(wildcards):
    """Return the tables of every species that has something planned."""
    wanted = []
    for species in config["species"]:
        if units_of(species):
            wanted += [
                f"results/{species}_meta.tgz",
                f"results/{species}.metadata.samples.csv",
                f"results/{species}.metadata.series.csv",
            ]
        if units_of(species, shards=True):
            wanted += [
                f"results/{species}.htseq-count.csv.gz",
                f"results/{species}.log.csv.gz",
                f"results/{species}.h5ad",
            ]
        if config["plates"]["keep_bam"]:
            wanted += [f"results/bam/{shard}" for shard in units_of(species, shards=True)]
    return wanted


def archives(wildcards):
    """Return the MEX archives of every droplet library and the matrix of every droplet series."""
    matrices = {
        f"results/droplets/{library.rpartition('.')[0]}.h5ad" for library in archive_folders()
    }
    return [f"results/mex/{folder}" for folder in libraries()] + sorted(matrices)


def embedded_matrices(species):
    """Return part → the matrix whose cells are embedded in it: the plates of a species and each droplet series."""
    parts = {"plates": f"results/{species}.h5ad"} if units_of(species, shards=True) else {}
    for series in sorted({units()[name].series for name in units_of(species, shards=False)}):
        parts[f"droplets.{series}"] = f"results/droplets/{series}.{species}.h5ad"
    return parts


def species_matrices(wildcards):
    """Return every matrix of a species."""
    return list(embedded_matrices(wildcards.species).values())


def matrix_of_part(wildcards):
    """Return the matrix whose cells are embedded in a part of an atlas."""
    try:
        return embedded_matrices(wildcards.species)[wildcards.part]
    except KeyError:
        raise WorkflowError(f"The plan has no cells {wildcards.part!r} of {wildcards.species}.")


def embedded_parts(wildcards):
    """Return the embedded cells of every matrix of a species."""
    species = wildcards.species
    return [f"work/atlas/{species}/{part}" for part in embedded_matrices(species)]


def labelled_cells(wildcards):
    """Return the file of labelled cells of a species, if there is one."""
    return config["atlas"]["references"].get(wildcards.species, [])


def embedding_model(wildcards):
    """Return the weights with which the cells of a species are embedded."""
    atlas, species = config["atlas"], wildcards.species
    if atlas["backend"] == "scprint2":
        return atlas["checkpoint"]
    return atlas["models"].get(species, f"work/atlas/{species}/model.npz")


def basis(wildcards):
    """Return the weights that go with an atlas of svd-baseline; a checkpoint of scprint2 stays with its user."""
    return embedding_model(wildcards) if config["atlas"]["backend"] == "svd-baseline" else []


def atlases(wildcards):
    """Return the atlas of every species that has something planned, and what is told of its labels."""
    atlas, wanted = config["atlas"], []
    for species in filter(units_of, config["species"]) if atlas["enabled"] else ():
        folder = f"results/atlas/{species}"
        wanted += [folder, f"work/atlas/{species}.checked", f"{folder}.distribution"]
        if atlas["backend"] == "scprint2" or species in atlas["references"]:
            wanted.append(f"{folder}.agreement")
        wanted += [f"{folder}.train/{label}" for label in atlas["train"].get(species, {})]
    return wanted


def reference_files(wildcards):
    """Return what is made of the reference of every species."""
    folders = {f"work/references/{species['reference']}" for species in config["species"].values()}
    return [
        f"{folder}/{name}" for folder in sorted(folders) for name in ("star", "count_index.npz")
    ]


def source_files(reference):
    """Return the sources of a reference by role: fasta, gtf and, where configured, those of the spike-ins."""
    configured = config["references"][reference]
    sources = {role: configured[role] for role in ("fasta", "gtf")}
    for role, source in (configured.get("spike_ins") or {}).items():
        sources[f"spike_in_{role}"] = source
    return sources


def local_sources(wildcards):
    """Return those sources of a reference that are files here, whose change makes the reference anew."""
    addresses = map(source_address, source_files(wildcards.reference).values())
    return [address for address in addresses if not is_address(address)]


def source_options(wildcards, threads):
    """Return the sources of a reference as options of `python -m scripts reference`; no trigger, see `setting`."""
    options = []
    for role, source in source_files(wildcards.reference).items():
        options += [f"--{role.replace('_', '-')}", source_address(source)]
        if source_sha256(source):
            options += [f"--{role.replace('_', '-')}-sha256", source_sha256(source)]
    return options


def source_identity(source):
    """Return what tells one version of a source from another: its checksum, else the last part of its address."""
    return source_sha256(source) or source_address(source).rpartition("/")[2]


def inclusion_list_source(wildcards):
    """Return where an inclusion list comes from: the configuration, else config/chemistries.yaml."""
    name = wildcards.inclusion_list
    configured = config["droplets"]["inclusion_lists"].get(name)
    known = shipped("chemistries.yaml")["lists"][name]
    return configured or {key: known[key] for key in ("address", "sha256") if known.get(key)}


def inclusion_lists(wildcards):
    """Return every inclusion list that is to be had: those configured and those with an address of their own."""
    known = shipped("chemistries.yaml")["lists"]
    names = {name for name in known if known[name].get("address")} | set(
        config["droplets"]["inclusion_lists"]
    )
    return [f"work/inclusion_lists/{name}.txt" for name in sorted(names)]


def download_options(wildcards, threads):
    """Return how the archives are asked, as options of `python -m scripts download`; no trigger, see `setting`."""
    archives = config["archives"]
    return [
        *("--order", *archives["order"], "--resolver", archives["sra"], "--ena", archives["ena"]),
        *("--retries", archives["retries"], "--parallel", archives["parallel"]),
        *("--per-host", archives["per_host"], "--limit-gb", config["scratch"]["limit_gb"]),
    ]


def sizes_of(stage, wildcards, threads):
    """Return the sizes of a job on which a stage's terms of the size model depend."""
    needed = model.needed(stage)
    sizes = {"threads": threads}
    if needed & {"runs", "archive_mb", "fastq_mb", "mspots"}:
        name = library_of(wildcards) if wildcards.get("archive") else unit_name(wildcards)
        sizes |= unit_sizes(units()[name])
    if needed & {"genome_mb", "index_mb"}:
        name = wildcards.get("reference") or Path(reference_of(wildcards)).name
        sizes |= reference_sizes(f"resources/{name}")
    if "cells" in needed:
        sizes["cells"] = cells_of(wildcards.species)
    return sizes


def scratch_mb(stage):
    """Return a function that says how many MB a stage's job holds in the scratch folder."""
    return lambda wildcards, attempt: model.asked_scratch_mb(
        stage, unit_sizes(unit_of(wildcards)), attempt
    )


def mem_mb(stage):
    """Return a function that says how many MB of memory a stage's job needs, see the size model."""
    return lambda wildcards, threads, attempt: model.asked_mb(
        stage, sizes_of(stage, wildcards, threads), attempt
    )


def runtime(stage):
    """Return a function that says how many minutes a stage's job takes at most, see the size model."""
    return lambda wildcards, threads, attempt: model.asked_minutes(
        stage, sizes_of(stage, wildcards, threads), attempt
    )


def cost_options(wildcards, threads):
    """Return what the cost of the plan depends on beside the plan, as options; no trigger, see `setting`."""
    chosen = workflow.resource_settings.overwrite_threads
    most = workflow.resource_settings.cores if workflow.local_exec else None
    words = []
    for stage in THREADS:
        number = chosen.get("counts_table" if stage == "table" else stage, 1)
        number = int(getattr(number, "value", number))
        words.append(f"{stage}={min(number, most or number)}")
    references = [f"{label}={facts['reference']}" for label, facts in config["species"].items()]
    told = ["--references", *references, "--limit-gb", config["scratch"]["limit_gb"]]
    return [*told, "--threads", *words]


@functools.cache
def turns():
    """Return unit → the unit that frees its scratch before it, for all that is not done yet; see `take_turns`."""
    undone = [name for name in units() if not Path(f"work/status/{name}.tsv").exists()]
    folders = [f"work/{stage}" for stage in ("partial", "download", "fastq", "align", "solo")]
    begun = [name for name in undone if any(Path(folder, name).exists() for folder in folders)]
    peak = scratch_mb("fastq")
    sizes = {name: peak({"unit": name}, 1) for name in undone}
    return take_turns(sizes, config["scratch"]["limit_gb"] * 1000, begun)


def gives_turns():
    """Whether units are to wait for one another; in a dry run, which holds nothing, that costs time alone."""
    return workflow.is_main_process and not workflow.dryrun


def turn(wildcards):
    """Return the status of the unit for whose scratch a unit waits, if it has to wait.

    Only the workflow itself gives turns: a job of it on another machine has had its turn.
    """
    if not gives_turns() or unit_name(wildcards) not in turns():
        return []
    return [ancient(f"work/status/{turns()[unit_name(wildcards)]}.tsv")]


@functools.cache
def cells_of(species):
    """Return how many plate cells of a species are planned, at most: shards are taken as full."""
    return config["plates"]["shard_size"] * len(units_of(species, shards=True))
