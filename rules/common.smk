"""What every room shares: the checked configuration, the plan and the units of work into which it is cut.

Functions here read the configuration and the plan; they write nothing and never reach for the network.
"""

import functools
import hashlib
import operator
import shlex
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

from scripts.formats.configuration import (
    ACCESSION,
    check_configuration,
    is_address,
    source_address,
    source_sha256,
)
from scripts.formats.errors import InputError
from scripts.formats.run_table import REASONS, iterate_runs
from scripts.formats.status import read_statuses
from scripts.formats.units import (
    cut_into_units,
    fastq_bytes,
    is_shard,
    summarize_unit,
    take_turns,
)
from scripts.formats.workflow_lock import hold_directory, incomplete_outputs
from scripts.inference.plan import parse_choices, plan_from_table


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
except InputError as error:
    raise WorkflowError(str(error))

# Jobs find the commands (`python -m scripts.…`), and outside conda the Python that runs Snakemake.
# What lies in the analysis directory is not theirs. They end with the Snakemake that runs them, see scripts/formats/job.py.
job_shell = f"set -euo pipefail; export PYTHONPATH={shlex.quote(str(HOME))} PYTHONSAFEPATH=1 PYTHONHASHSEED=0; "
job_shell += "export SRA2MATRIX_WORKFLOW=$PPID; "
if "conda" not in map(str, workflow.deployment_settings.deployment_method):
    job_shell += f'export PATH={shlex.quote(str(Path(sys.executable).parent))}:"$PATH"; '
if config["archives"]["api_key"]:
    job_shell += f"export NCBI_API_KEY={shlex.quote(config['archives']['api_key'])}; "
shell.prefix(job_shell)

# A workflow that was killed leaves locks: the same command goes on all the same.
if workflow.is_main_process:
    for lock in hold_directory(".snakemake"):
        print(f"A workflow here was killed; its lock is removed: {lock}", file=sys.stderr)

workflow.register_resource("scratch_mb", int(config["scratch"]["limit_gb"] * 1000))


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
    """Return the configured choices that decide what is planned, as options of `python -m scripts.resolve`."""
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


def to_retry(unit):
    """Whether a run of a unit has failed for a reason that is to be tried again."""
    reasons = REASONS if config["retry"] == "all" else config["retry"]
    status = Path(f"work/status/{unit}.tsv")
    return (
        bool(reasons)
        and status.exists()
        and any(row.reason in reasons for row in read_statuses(status).values())
    )


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
    """Return the folder of the reference to which a unit, or a species, is aligned."""
    species = unit_of(wildcards).species if unit_name(wildcards) else wildcards.species
    return f"resources/{config['species'][species]['reference']}"


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
    """Return the final status table of every unit."""
    return [f"work/status/{unit}.tsv" for unit in units()]


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


def atlases(wildcards):
    """Return the atlas of every species that has something planned, and what is told of its labels."""
    atlas, wanted = config["atlas"], []
    for species in filter(units_of, config["species"]) if atlas["enabled"] else ():
        folder = f"results/atlas/{species}"
        wanted += [folder, f"work/atlas/{species}.checked"]
        if atlas["backend"] == "scprint2" or species in atlas["references"]:
            wanted += [f"{folder}.distribution", f"{folder}.agreement"]
        wanted += [f"{folder}.train/{label}" for label in atlas["train"].get(species, {})]
    return wanted


def reference_files(wildcards):
    """Return what is made of the reference of every species."""
    folders = {f"resources/{species['reference']}" for species in config["species"].values()}
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
    """Return the sources of a reference as options of `python -m scripts.reference`; no trigger, see `setting`."""
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
    return [f"resources/inclusion_lists/{name}.txt" for name in sorted(names)]


def size_of(wildcards):
    """Return the MB of a unit's archives and of its FASTQ, and its millions of spots, as the plan knows them."""
    unit = unit_of(wildcards)
    return unit.bytes / 1e6, fastq_bytes(unit.bases, unit.spots) / 1e6, unit.spots / 1e6


def size_in_mb(path, otherwise):
    """Return the MB of a file, or of the files in a folder; ``otherwise`` where it is not there yet."""
    path = Path(path)
    files = path.iterdir() if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files) / 1e6 if path.exists() else otherwise


def genome_mb(wildcards):
    """Return the MB of a reference's sequence; of a human one while it is not there."""
    name = wildcards.get("reference")
    folder = f"resources/{name}" if name else reference_of(wildcards)
    return size_in_mb(f"{folder}/genome.fa", HUMAN_GENOME_MB)


def index_mb(wildcards):
    """Return the MB of STAR's index of a reference; of a human one while it is not there."""
    return size_in_mb(f"{reference_of(wildcards)}/star", HUMAN_INDEX_MB)


HUMAN_GENOME_MB = 3200
HUMAN_INDEX_MB = 29_000


def scratch_mb(stage):
    """Return a function that says how many MB a stage's job holds in the scratch folder.

    The model, from the plan's bytes, bases and spots: a download holds the archives; a conversion also the FASTQ
    and as much again while it sorts, which is the peak of a unit; an alignment the FASTQ and BAM of half its size;
    STARsolo the FASTQ and as much again. A second attempt is given half as much more, and so on.
    """

    def estimate(wildcards, attempt):
        archive, fastq, _ = size_of(wildcards)
        held = {
            "download": archive,
            "fastq": archive + 2 * fastq,
            "align": 1.5 * fastq,
            "solo": 2 * fastq,
        }[stage]
        return max(1, int(held * grown(attempt)))

    return estimate


@functools.cache
def turns():
    """Return unit → the unit that frees its scratch before it, for all that is not done yet; see `take_turns`."""
    undone = [name for name in units() if not Path(f"work/status/{name}.tsv").exists()]
    folders = [f"work/{stage}" for stage in ("partial", "download", "fastq", "align", "solo")]
    begun = [name for name in undone if any(Path(folder, name).exists() for folder in folders)]
    peak = scratch_mb("fastq")
    sizes = {name: peak({"unit": name}, 1) for name in undone}
    return take_turns(sizes, config["scratch"]["limit_gb"] * 1000, begun)


def turn(wildcards):
    """Return the status of the unit for whose scratch a unit waits, if it has to wait.

    Only the workflow itself gives turns: a job of it on another machine has had its turn.
    """
    if not workflow.is_main_process or unit_name(wildcards) not in turns():
        return []
    return [ancient(f"work/status/{turns()[unit_name(wildcards)]}.tsv")]


def mem_mb(stage):
    """Return a function that says how many MB of memory a stage's job needs.

    The model: STAR holds the index (one for all cells of a shard) and a few hundred MB a thread, STARsolo also some
    100 bytes a read while it counts; an index is made in eleven times the sequence's size; a conversion has buffers
    for each thread, a counting the annotation and the cells at work. A table is gathered in blocks of cells.
    """

    def estimate(wildcards, threads, attempt):
        held = {
            "download": lambda: 1000 + 200 * threads,
            "fastq": lambda: 1000 + 500 * threads,
            "reference": lambda: 2000 + genome_mb(wildcards),
            "star_index": lambda: 2000 + 11 * genome_mb(wildcards),
            "count_index": lambda: 4000,
            "align": lambda: 1000 + 1.1 * index_mb(wildcards) + 400 * threads,
            "count": lambda: 1500 + 500 * threads,
            "read_roles": lambda: 4000,
            "solo": lambda: (
                2000 + 1.1 * index_mb(wildcards) + 400 * threads + 100 * size_of(wildcards)[2]
            ),
            "mex_archive": lambda: 3000 + 2000 * threads,
            "table": lambda: 4000 + 0.1 * cells_of(wildcards.species),
            "droplets_h5ad": lambda: 8000,
            "report": lambda: 8000,
        }[stage]()
        return int(held * grown(attempt))

    return estimate


def runtime(stage):
    """Return a function that says how many minutes a stage's job takes at most.

    The model: some 5 MB a second from an archive; 10 MB of FASTQ a second and thread; 0.2 million spots aligned a
    minute and thread, and a quarter of an hour to load a genome from a slow disk; 2 million spots counted a minute.
    """

    def estimate(wildcards, threads, attempt):
        minutes = {
            "download": lambda: size_of(wildcards)[0] / 5 / 60,
            "fastq": lambda: size_of(wildcards)[1] / 10 / 60 / threads,
            "reference": lambda: 90,
            "star_index": lambda: 15 + genome_mb(wildcards) / 2 / threads,
            "count_index": lambda: 30,
            "align": lambda: 15 + size_of(wildcards)[2] / 0.2 / threads,
            "count": lambda: size_of(wildcards)[2] / 2 / threads,
            "read_roles": lambda: 30,
            "solo": lambda: 15 + size_of(wildcards)[2] / 0.2 / threads,
            "mex_archive": lambda: 60,
            "table": lambda: 10 + cells_of(wildcards.species) / 200,
            "droplets_h5ad": lambda: 60,
            "report": lambda: 60,
        }[stage]()
        return int((30 + minutes) * grown(attempt))

    return estimate


def grown(attempt):
    """Return by how much an attempt is given more than the first: half as much again each time."""
    return 1 + (attempt - 1) / 2


@functools.cache
def cells_of(species):
    """Return how many plate cells of a species are planned, at most: shards are taken as full."""
    return config["plates"]["shard_size"] * len(units_of(species, shards=True))
