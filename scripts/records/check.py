"""Say what is ready for a run, what is missing, and what to do: before anything is downloaded.

Looked at are the configuration of an analysis, the programs and their versions, references, inclusion lists, memory,
disk, the archives (without --offline) and what a cluster needs. Ends with status 2 where something is missing without
which nothing would be counted; a warning is what may do for small data.
"""

import contextlib
import shutil
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from scripts.core import http
from scripts.core.command import command_parser
from scripts.core.errors import InputError
from scripts.core.output import printable
from scripts.core.subprocesses import run_program
from scripts.core.yaml_text import load_yaml
from scripts.plan.configuration import SCHEMA, check_configuration, check_yaml, is_address, source_address
from scripts.plan.decisions.analysis import Analysis
from scripts.plan.sizes.footprint import format_gb
from scripts.plan.sizes.forecast import PROBE_SET, free_gb, kit_fault, machine_memory_gb, memory_fault
from scripts.plan.sizes.size_model import FILE, read_model, reference_sizes

READY, WARNING, MISSING = "ready", "warning", "missing"
_HOME = Path(__file__).parents[2]
_PROGRAMS = {
    "STAR": ("aligns", ["STAR", "--version"]),
    "samtools": ("sorts alignments", ["samtools", "--version"]),
    "prefetch": ("downloads archives", ["prefetch", "--version"]),
    "fastq-dump": ("converts archives", ["fastq-dump", "--version"]),
    "vdb-validate": ("checks archives", ["vdb-validate", "--version"]),
}
_THREADS = 8  # of the largest jobs, see profiles/


class Finding(NamedTuple):
    """A thing that a run needs: whether it is there, and what to do where it is not."""

    state: str
    subject: str
    words: str


def programs() -> Iterator[Finding]:
    """Yield the programs of the workflow with their versions."""
    for name, (use, command) in _PROGRAMS.items():
        if shutil.which(name) is None:
            yield Finding(MISSING, name, f"{use}; not on PATH. Type: make setup (or call snakemake with --sdm conda)")
            continue
        try:
            said = run_program(command).output.split()
        except InputError as error:
            yield Finding(MISSING, name, str(error))
            continue
        version = next((word for word in said if word[:1].isdigit()), "of an unknown version")
        yield Finding(READY, name, version)


def references(config: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield the reference of each species: made, on disk, or to be fetched."""
    for label, species in config["species"].items():
        name = species["reference"]
        facts = config["references"].get(name, {})
        subject = f"reference {name} ({label})"
        if Path("resources", name, "reference.json").exists():
            yield Finding(READY, subject, f"made, in resources/{name}")
            continue
        sources = [source_address(source) for source in (facts.get("fasta"), facts.get("gtf")) if source]
        fetched = [source for source in sources if source and is_address(source)]
        index = "the ready index is taken" if facts.get("index") else "indexed by STAR"
        words = f"is fetched by the first run from {fetched[0].rpartition('/')[0]}" if fetched else "is on this disk"
        yield Finding(READY, subject, f"{words} and {index}")


def lists(config: Mapping[str, Any], kits: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield whether droplet libraries can be counted."""
    droplets = config["droplets"]
    sources = [*droplets["inclusion_lists"], *([PROBE_SET] if droplets["probe_sets"] else [])]
    fault = kit_fault("" if droplets["chemistry"] == "auto" else droplets["chemistry"], sources, kits)
    named = ", ".join(sorted(droplets["inclusion_lists"])) or "by the kit's name"
    yield Finding(WARNING if fault else READY, "droplet libraries", fault or f"lists: {named}")


def machine(analysis: Analysis) -> Iterator[Finding]:
    """Yield memory and disk beside what the largest jobs and the limit of the scratch folder need."""
    model = read_model(FILE)
    memory = machine_memory_gb()
    for name in analysis.sources.references():
        sizes = reference_sizes(Path("resources", name), analysis.sources.local_fasta(name))
        sizes |= {"threads": _THREADS, "runs": 1, "mspots": 1}
        made = Path("resources", name, "star").exists() or analysis.config["references"][name].get("index")
        for stage in ("align",) if made else ("star_index", "align"):
            held = model.memory_mb(stage, sizes) / 1000
            subject = f"memory for {name}, {stage}"
            if held > memory:
                yield Finding(WARNING, subject, memory_fault(stage, held, memory))
            else:
                yield Finding(READY, subject, f"{held:,.0f} GB of {memory:,.0f}")
    scratch = analysis.config["scratch"]
    free, limit = free_gb(analysis.scratch), float(scratch["limit_gb"])
    state = READY if free >= limit else WARNING
    advice = "" if free >= limit else "; lower scratch.limit_gb, or set scratch.directory to another disk"
    words = f"{format_gb(free * 1e9)} free in {scratch['directory']}, scratch.limit_gb is {limit:g}{advice}"
    yield Finding(state, "disk", words)


def archives(config: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield whether each archive answers."""
    addresses = config["archives"]
    questions = {
        "GEO": f"{addresses['geo']}/series/GSE67nnn/GSE67835/soft/GSE67835_family.soft.gz",
        "E-utilities": f"{addresses['eutils']}/einfo.fcgi?db=sra",
        "ENA": f"{addresses['ena']}/portal/api/filereport?accession=SRR1974543&result=read_run&fields=run_accession",
        "SRA": addresses["sra"],
    }
    policy = http.RetryPolicy(retries=0, timeout=15)
    for name, address in questions.items():
        try:
            http.request(address, policy=policy)
        except http.RemoteError as error:
            words = str(error)
            if isinstance(error, http.UnreachableError):
                words += " Is there a proxy (HTTPS_PROXY)? Records that are kept need no network"
            if not error.final:
                yield Finding(WARNING, name, words)
                continue
        yield Finding(READY, name, "answers")  # if only that it does not know what was asked


def cluster() -> Iterator[Finding]:
    """Yield what a cluster needs, where there is one."""
    if shutil.which("sbatch"):
        account = load_yaml((_HOME / "profiles/slurm/config.yaml").read_text(encoding="utf-8"))
        named = "slurm_account" in str(account.get("default-resources", ""))
        words = "snakemake --workflow-profile profiles/slurm"
        words += "" if named else "; set your account in profiles/slurm/config.yaml if your cluster asks for one"
        yield Finding(READY, "Slurm", words)


def main(argv: Sequence[str] | None = None) -> None:
    parser = command_parser(__doc__)
    parser.add_argument("--directory", type=Path, default=Path(), help="the analysis; paths are relative to it")
    parser.add_argument("--config", type=Path, default=Path("config/config.yaml"), help="the configuration")
    parser.add_argument("--offline", action="store_true", help="ask no archive")
    options = parser.parse_args(argv)
    if not options.directory.is_dir():
        raise InputError(f"--directory {options.directory}: no such folder.")
    with contextlib.chdir(options.directory):
        findings = look(options.config, options.offline)
    for state, subject, words in findings:
        line = printable(f"{state:8} {subject}: {words.rstrip('.')}.")
        width = shutil.get_terminal_size().columns if sys.stdout.isatty() else len(line)
        print(textwrap.fill(line, max(60, width), subsequent_indent=9 * " ", break_on_hyphens=False))
    lacking = sum(state == MISSING for state, _, _ in findings)
    if lacking:
        raise InputError(f"{lacking} of {len(findings)} things are missing.")
    print("Next: snakemake resolve (the plan and its cost), snakemake -n, snakemake.")


def look(file: Path, offline: bool) -> list[Finding]:
    """Return what is ready and what is missing for the analysis in the current folder."""
    findings = list(programs())
    kits = load_yaml((_HOME / "config/chemistries.yaml").read_text(encoding="utf-8"))
    known = load_yaml((_HOME / "config/references.yaml").read_text(encoding="utf-8"))
    schema = load_yaml(SCHEMA.read_text(encoding="utf-8"))
    try:
        text = file.read_text(encoding="utf-8")
        check_yaml(file)
        values = load_yaml(text)
        config = check_configuration(values, schema, references=known, chemistries=kits, named=str(file))
    except FileNotFoundError:
        findings.append(Finding(MISSING, "configuration", f"no {file}; copy that of {_HOME}"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError, InputError) as error:
        findings.append(Finding(MISSING, "configuration", str(error)))
    else:
        series = [config["series"]] if isinstance(config["series"], str) else config["series"]
        asked = config["run_table"] or ", ".join(series) or "nothing yet: set series or run_table"
        findings.append(Finding(READY, "configuration", f"{file}: {asked}"))
        has_libraries = config["assay"] != "plate"
        findings += [*references(config), *(lists(config, kits) if has_libraries else ())]
        findings += machine(Analysis(config, kits, dict))
        findings += [] if offline else archives(config)
    return [*findings, *cluster()]
