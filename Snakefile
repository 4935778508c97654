"""From public single-cell RNA-seq archives to count matrices.

Targets: all (default), resolve (the plan, before any download), discover (series that are new), references,
multiqc.
"""

from snakemake.utils import min_version

min_version("9.14")


report: "rules/captions/workflow.rst"


include: "rules/common.smk"
include: "rules/records.smk"
include: "rules/references.smk"
include: "rules/reads.smk"
include: "rules/plates.smk"
include: "rules/droplets.smk"
include: "rules/harvest.smk"
include: "rules/atlas.smk"


localrules:
    all,
    resolve,
    discover,
    references,
    accept,
    wanted,
    ledger,
    evidence,


rule all:
    default_target: True
    input:
        "results/plan.tsv",
        "results/runs.tsv",
        "results/report.html",
        "results/provenance.json",
        "results/methods.txt",
        "units/evidence.jsonl",
        "results/SHA256SUMS",
        every(results.tables),
        archives,
        every(results.atlases),
        every(results.quality),


onerror:
    running.end_progress(failed=True)
    running.end_with(last_words(log))


onsuccess:
    running.end_progress(failed=False)
    running.end_with(outcome())


rule references:
    """Genomes, annotations and indices of every species."""
    input:
        reference_files,


running.refuse_targets()
if missing := running.missing_triggers():
    warn(f"--rerun-triggers lacks {' and '.join(missing)}: some changes will not be noticed.")
if fewer := running.fit_threads():
    warn(f"{', '.join(fewer)}: {running.node.cpus} threads, as the largest node has no more CPUs.")
