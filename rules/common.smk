"""What all stages share: the checked configuration, the units of work, and what only Snakemake can say.

Decisions are plain Python in scripts/plan/ (Analysis, WantedResults, JobResources, Rounds); here they become functions
of wildcards. Nothing here asks the network, or writes a file but the record of local files.
"""

import functools
import json
import shlex
import shutil
import sys
import time
from pathlib import Path

import scripts
from snakemake.exceptions import IncompleteCheckpointException, WorkflowError

# A workflow that uses this one as a module may have a package `scripts` of its own.
_home = str(Path(workflow.current_basedir.get_path_or_uri(secret_free=True)).parent / "scripts")
if _home not in scripts.__path__:
    scripts.__path__.append(_home)

from scripts.core.disk.rights import unwritable
from scripts.core.errors import InputError
from scripts.core.output import printable
from scripts.core.secrets import mask, readable_secrets, take_secrets
from scripts.core.workflow.endings import last_words, remember_command
from scripts.core.workflow.job_memory import hold_less
from scripts.core.workflow.many_jobs import repeat_less
from scripts.core.workflow.snakemake import (
    Running,
    incomplete_outputs,
    note_temporary,
    remove_broken_folders,
    remove_stale_locks,
    remove_unneeded,
)
from scripts.core.workflow.termination import end_beside
from scripts.core.yaml_text import load_yaml
from scripts.harvest.results import broken_folders
from scripts.plan.decisions.analysis import Analysis, counted_features, option
from scripts.plan.configuration import (
    check_configuration,
    check_yaml,
    source_address,
    source_sha256,
)
from scripts.plan.local_files import RECORD, FileDigests
from scripts.plan.decisions.rounds import Rounds
from scripts.plan.run_table import iterate_runs
from scripts.plan.sizes import forecast
from scripts.plan.sizes.jobs import JobResources, unit_name
from scripts.plan.sizes.size_model import FILE, read_model
from scripts.plan.decisions.sources import source_identity
from scripts.plan.summary import format_failed, format_finished, format_made
from scripts.plan.units import is_shard, moves_seats, read_index
from scripts.plan.decisions.wanted_results import WantedResults
from scripts.reads.unit_folders import spent_downloads
from scripts.star.program import require_options

running = Running(workflow)
running.look_behind_ancient()
repeat_less(running.is_dry_run)
end_beside()
if running.is_dry_run:
    hold_less()
HOME = running.home
INDEX = "units/index.tsv"
LAST_PLAN = "units/last_plan"
WRITTEN = (
    "." if not Path(".snakemake").exists() else ".snakemake",
    "logs",
    "results",
    "units",
    "work",
)
UNIT = r"[A-Za-z][\w-]*\.[a-z][a-z0-9_]*\.\w[\w.-]*"
LEFT = r"\..+\.(old|part)"  # folders that were about to replace another one, or to be replaced
OURS = r"SHA256SUMS|.+\.(tsv|csv|csv\.gz|h5ad|tgz|tar\.gz|json|txt|html)"  # files of results/
PART = r"plates|droplets\.[A-Za-z][A-Za-z0-9_-]*"


def reported(function):
    """End with the words of an InputError: Snakemake passes over errors where the file that it plans is there already."""

    @functools.wraps(function)
    def checked(*arguments, **named):
        try:
            return function(*arguments, **named)
        except InputError as error:
            running.refuse(str(error))

    return checked


if running.prefix:
    running.refuse(
        "prefix: this workflow cannot have one as a module; its jobs write to units/, work/, resources/ and results/ of"
        " the analysis directory. Leave `prefix` out, and name another analysis directory by --directory."
    )
running.refuse_profile()
if not (running.is_module or running.config_files or Path("config/config.yaml").exists()):
    running.refuse(
        f"{Path.cwd()}: there is no config/config.yaml. Name the folder of your analysis by --directory; a new one"
        f" begins with a copy of {HOME}/config/config.yaml."
    )
if running.is_main:
    running.refuse(*unwritable(WRITTEN[:1] if running.is_dry_run else WRITTEN))
    # A workflow that was killed leaves locks: the same command goes on all the same. As early as can be, as what a
    # workflow leaves that is killed before this line is not removed.
    for lock in remove_stale_locks(".snakemake"):
        print(f"A workflow here was killed; its lock is removed: {lock}", file=sys.stderr)
    note_temporary(".snakemake", running.temporary_folders)
with running.refusing():
    check_yaml(
        "config/config.yaml"
    )  # Snakemake names no line, and would walk through all that aliases stand for


configfile: "config/config.yaml"


def shipped(name):
    """Return the content of a file in the workflow's own config/."""
    return load_yaml((HOME / "config" / name).read_text(encoding="utf-8"))


def load_units():
    """Return unit name → unit; ``resolve`` runs first, unless a run table is given."""
    if running.is_main or not Path(INDEX).exists():
        if analysis.has_run_table:
            return analysis.units_of_run_table()
        # Of a checkpoint's outputs Snakemake itself asks for the first alone.
        running.redo({path for path in rules.resolve.output if not Path(path).exists()})
        if not all(Path(path).exists() for path in last_state().get("files", ())):
            running.redo(set(rules.resolve.output))  # tables are made from the records, too
        checkpoints.resolve.get()
        running.redo(incomplete_outputs(".snakemake"))
    return read_index(INDEX)


def accession_files(wildcards):
    """Return the lists of accessions.

    The plan is made by each call with ``refresh``, and where shards that have not begun are cut otherwise now.
    """
    if running.is_main and (analysis.asking.refresh_options() or moves_seats(analysis.cut)):
        running.redo(set(rules.resolve.output))
    return analysis.asking.accession_files()


def outcome():
    """Return the last words of a run: what was made, what came of the runs, and which failed; none in a dry run."""
    ledger, sums = Path("results/runs.tsv"), Path("results/SHA256SUMS")
    if running.is_dry_run or not running.is_main or not ledger.exists():
        return ""
    words = [format_failed(iterate_runs(ledger), running.shown_path(ledger))]
    if sums.exists() and sums.stat().st_mtime >= running.started:
        place = running.shown_path("results")
        words = [format_made("results", place), format_finished(iterate_runs(ledger)), *words]
        words.append(f"Open {place}/report.html.")
    return mask(printable("\n".join(filter(None, words))))


@functools.cache
def machine():
    """Return name and GB of memory of where jobs run: this machine, on which they share it, or a node of Slurm."""
    if running.node:
        return forecast.NODE, running.node.memory_mb / 1000
    if not running.is_main or running.cores is None:
        return None
    memory_gb = forecast.machine_memory_gb()
    if not running.is_dry_run:
        running.limit("mem_mb", int(1000 * memory_gb))
    return forecast.THIS, memory_gb


def warn(sentence):
    """Say what will not fit, before any job; as the last words where there are none."""
    if running.is_dry_run:
        running.end_with(sentence)
    else:
        running.say(sentence)


@functools.cache
def warn_of_disk():
    """Say once what the scratch folder has no room for."""
    resources.warn_of_disk(analysis.units_here)


def part_of_shards(shards):
    """Return the shards of this call: all, or those whose status tables `--batch ledger=…` takes."""
    tables = {f"units/status/{shard}.tsv": shard for shard in shards}
    inputs = [f"units/status/{unit}.tsv" for unit in analysis.units]
    others = ["results/plan.tsv", "units/runs", *analysis.reference_records()]
    batch = running.batch("ledger", [*others, *inputs])
    return shards if batch is None else [tables[path] for path in batch if path in tables]


if running.is_main:
    remember_command(sys.argv)
    for sentence in readable_secrets(config, running.config_files):
        print(sentence, file=sys.stderr)
kits = shipped("chemistries.yaml")
with running.refusing():
    config = check_configuration(
        # What Snakemake prints and records of its jobs has no secret.
        take_secrets(config, running.command_line_config),
        shipped("config.schema.yaml"),
        references=shipped("references.yaml"),
        chemistries=kits,
        named=", ".join(running.config_files) or "--config",
    )
star_options = [*config["plates"]["star_options"], *config["droplets"]["star_options"]]
if running.is_main and star_options and shutil.which("STAR") and not running.uses_conda:
    with running.refusing():
        require_options(star_options)  # said here, not when everything is downloaded
analysis = Analysis(
    config,
    kits,
    load_units,
    part_of_shards,
    FileDigests(RECORD, keep=running.is_main and not running.is_dry_run),
)
with running.refusing():
    # Of a run, the summary of the plan says it with the size of the file that will be fetched.
    resources = JobResources(analysis, read_model(FILE), machine, warn, guesses=running.is_dry_run)
    if analysis.has_run_table:
        analysis.units  # faults of the table are reported before any job is planned
    analysis.check_folders()
rounds = Rounds(analysis, resources)
results = WantedResults(analysis)
running.calm_output(resources.expected_minutes, speaking=("resolve", "discover", "ledger"))


def scratch(path):
    """Return a path below the folder of intermediate files (`scratch: {directory: …}`)."""
    return f"{analysis.scratch}/{path}"


# Jobs find the commands (`python -m scripts`) and, outside conda, the Python that runs Snakemake; files of the analysis
# directory do not shadow them. They end with the Snakemake that runs them, see scripts/core/command.py.
job_shell = (
    'set -euo pipefail; export PYTHONSAFEPATH=1 PYTHONHASHSEED=0 SRA2MATRIX_WORKFLOW="$PPID $$"; '
)
job_shell += f"export PYTHONPATH={shlex.quote(str(HOME))}; "
if not running.uses_conda:
    job_shell += f'export PATH={shlex.quote(str(Path(sys.executable).parent))}:"$PATH"; '
shell.prefix(job_shell)

if running.is_main and Path("work/plan").exists() and not Path("units").exists():
    running.refuse(
        "work/: an earlier version has counted here, and its counts are not read. Begin in a new folder, with a link to"
        " resources/; or delete work/ to fetch and count everything again."
    )

if running.is_main:
    # Temporary folders whose removal, or whose job, was cut off: the jobs that make them run again where they are needed.
    temporary = dict.fromkeys(
        (*map(scratch, ("download", "fastq", "solo")), analysis.alignments), f"{UNIT}|{LEFT}"
    )
    temporary |= dict.fromkeys(
        (f"work/atlas/{species}" for species in config["species"]), f"{PART}|{LEFT}"
    )
    # Half-written files, too: their jobs may not run again where the configuration has changed.
    half_written = {"units": ".+", "results": OURS}
    spent = functools.partial(spent_downloads, Path(scratch("download")), Path(scratch("fastq")))
    for folder in (
        []
        if running.is_dry_run
        else remove_broken_folders(".snakemake", temporary, half_written, spent)
    ):
        print(f"A job or a removal was cut off; what it left is removed: {folder}", file=sys.stderr)
    # When everything is made, nothing of what a killed call has left is resumed any more.
    unneeded = temporary | {
        scratch("partial"): UNIT,
        scratch("fastq"): rf"{UNIT}|{LEFT}|\..+\.(reads|lock)",
        scratch("solo"): rf"{UNIT}|{LEFT}|\..+\.solo",
        scratch("align"): rf"{UNIT}|{LEFT}|\..+\.(align|solo)",
        "work/retry": UNIT,
        "units/align": rf"{LEFT}|\..+\.(align|solo)",  # whole ones stay, also where none are kept any more
    }
    running.when_finished(lambda: remove_unneeded(".snakemake", unneeded))

workflow.register_resource("scratch_mb", max(1, int(config["scratch"]["limit_gb"] * 1000)))
running.limit("downloads", resources.downloads_at_once())


wildcard_constraints:
    series=r"[A-Za-z][A-Za-z0-9_-]*",
    species="|".join(config["species"]),
    reference="|".join(analysis.sources.references()),
    counted=r"|\.[A-Za-z0-9_]+\.[A-Za-z0-9_]+",
    unit=UNIT,
    shard=r"[A-Za-z][\w-]*\.[a-z][a-z0-9_]*\.\d\d\d\d+",
    library=r"[A-Za-z][\w-]*\.[a-z][a-z0-9_]*\.[A-Za-z][\w.-]*",
    label="[A-Za-z][A-Za-z0-9_]*",
    part=PART,


def no_trigger(value):
    """Return a params function for a value that changes no result: an address, a number of tries.

    Snakemake compares params of an earlier run only where they depend on nothing but wildcards: taking `threads`
    keeps a value out of the triggers.
    """
    return lambda wildcards, threads: value() if callable(value) else value


def cut_units(wildcards):
    """Return the run tables of the units, of a plan that is made first."""
    analysis.units
    return ancient("units/runs")


def last_state():
    """Return what `resolve` has noted of the plan: what changes with it (token), the records it rests on (files)."""
    state = Path(LAST_PLAN, "state.json")
    return json.loads(state.read_text(encoding="utf-8")) if state.exists() else {}


def planned(wildcards):
    """Return what changes with the rows of the plan or with the records: a trigger, unlike the time of the plan."""
    return last_state().get("token", "")


settings = no_trigger([f"{name}={value}" for name, value in analysis.settings().items()])


def of_unit(answer):
    """Return a function of wildcards that passes the unit of the job to ``answer``."""
    return reported(lambda wildcards: answer(unit_name(wildcards)))


def no_trigger_of_unit(answer):
    """Return a params function that passes the unit of the job to ``answer``, for a value that changes no result."""
    return reported(lambda wildcards, threads: answer(unit_name(wildcards)))


def of(answer, *names):
    """Return a function of wildcards that passes the values of these wildcards to ``answer``."""
    return reported(lambda wildcards: answer(*(wildcards[name] for name in names)))


def every(answer):
    """Return an input function for files that depend on no wildcard."""
    return reported(lambda wildcards: list(answer()))


def reference_file(name):
    """Return an input function for a file of the reference of a unit or species."""

    def path(wildcards):
        unit = unit_name(wildcards)
        reference = (
            analysis.reference(unit)
            if unit
            else analysis.sources.reference_of_species(wildcards.species)
        )
        return f"units/references/{reference}/{name}"

    return reported(path)


def passing(path):
    """Return a folder of alignments that is removed when it is counted, unless alignments are kept."""
    return directory(path) if config["plates"]["keep_alignments"] else temp(directory(path))


def named_genes(wildcards):
    """Return the table of genes of a species where the tables of counts have their names, else none."""
    named = config["harvest"]["gene_name"]
    return reference_file(f"features{analysis.counted}.tsv")(wildcards) if named else []


def reference_files(wildcards):
    """Return what is made of the reference of every species."""
    folders = [f"units/references/{reference}" for reference in analysis.sources.references()]
    names = ("star", f"count_index{analysis.counted}.npz", "kmers.npz")
    return [f"{folder}/{name}" for folder in folders for name in names]


@reported
def inclusion_lists(wildcards):
    """Return every inclusion list that has a source, for a droplet library; none for a shard."""
    lists = analysis.lists_of(unit_name(wildcards))
    return [f"units/inclusion_lists/{name}.txt" for name in lists]


@reported
def probe_set(wildcards):
    """Return the probe set of a library's species, where one is configured."""
    return analysis.probe_set(unit_name(wildcards))


def once_known(answer):
    """Return a resources function that gives 1 until the units are known, where Snakemake takes no exception for that."""

    def amount(wildcards, threads, attempt):
        try:
            return answer(wildcards, threads, attempt)
        except IncompleteCheckpointException:
            return 1

    return amount


def archives(wildcards):
    """Return the archives and cells of every droplet library.

    Archives of a list that are not there, and folders of results from which a file was deleted, are made again.
    """
    if running.is_main:
        running.redo(results.broken_archives | broken_folders("results"))
    return results.archives()


def mem_mb(stage):
    """Return a resources function for the MB of memory of a stage's jobs."""
    return once_known(
        lambda wildcards, threads, attempt: running.within(
            "mem_mb", resources.memory_mb(stage, wildcards, threads, attempt)
        )
    )


def runtime(stage):
    """Return a resources function for the minutes of a stage's jobs."""
    return once_known(functools.partial(resources.minutes, stage))


def scratch_mb(stage):
    """Return a resources function for the MB that a stage's jobs hold in the scratch folder."""
    return once_known(
        lambda wildcards, threads, attempt: resources.scratch_mb(
            stage, unit_name(wildcards), attempt
        )
    )


@functools.cache
def waits_for():
    """Return unit → the unit that must end before it starts; none in a dry run, nor in a job that runs elsewhere."""
    return (
        resources.waits_for(analysis.units_here, rounds.is_new)
        if running.is_main and not running.is_dry_run
        else {}
    )


def status_before(wildcards):
    """Return the status of the unit whose scratch this one waits for, if it has to wait."""
    before = waits_for().get(unit_name(wildcards))
    return [ancient(f"units/status/{before}.tsv")] if before else []


@reported
def statuses(wildcards):
    """Return the status table of every unit, or fail where they are too many for one call.

    Snakemake recurses along dependencies: units come in the order in which they wait for each other, so that the
    recursion limit is not hit.
    """
    if running.is_main and (
        fault := forecast.graph_fault(analysis.units_here, len(analysis.units))
    ):
        raise InputError(fault)
    if running.is_main:
        warn_of_disk()
        if not Path("units/status").exists():
            running.redo({"results/runs.tsv"})  # units/ was deleted, and results do not ask for it
    waiting = waits_for()
    ordered = [unit for unit in analysis.units if unit not in waiting] + list(waiting)
    return [f"units/status/{unit}.tsv" for unit in ordered]
