"""From runs to reads: archives that prove themselves, then FASTQ with every read that the archive has.

In: the plan. Out: work/download/{unit}/ and work/fastq/{unit}/, each with a status for every run of the unit.
The further a unit has come, the higher its priority: what it holds on disk is freed before another one is begun.
"""


rule retry:
    """Set aside what a unit has counted, so that only its failed runs are tried again (`--config retry=…`)."""
    input:
        plan=ancient("results/plan.tsv"),
    output:
        kept=directory("work/retry/{science}/{unit}"),
    log:
        "logs/retry/{unit}.{science}.log",
    conda:
        "../envs/python.yaml"
    params:
        shard_size=config["plates"]["shard_size"],
        count_by=config["count_by"],
        round=retry_round,
        reasons=lambda wildcards, threads: reasons_to_retry(wildcards.unit),
    shell:
        """
        python -m scripts retry --plan {input.plan:q} --unit {wildcards.unit:q} \
            --shard-size {params.shard_size} --count-by {params.count_by} --reasons {params.reasons} \
            --status work/status/{wildcards.unit:q}.tsv --counts work/count/{wildcards.unit:q}.h5ad \
            --output {output.kept:q} 2>{log:q}
        echo {params.round} >{output.kept:q}/round
        """


rule download:
    """Download the archives of a unit's runs and validate them."""
    input:
        plan=ancient("results/plan.tsv"),
        kept=kept,
        turn=turn,
    output:
        archives=temp(directory("work/download/{unit}")),
    log:
        "logs/download/{unit}.log",
    benchmark:
        "logs/benchmarks/download/{unit}.tsv"
    conda:
        "../envs/sra_tools.yaml"
    resources:
        mem_mb=mem_mb("download"),
        runtime=runtime("download"),
        scratch_mb=scratch_mb("download"),
        downloads=1,
    params:
        shard_size=config["plates"]["shard_size"],
        asking=download_options,
        rows=unit_digest,
        lite="--accept-lite" if config["archives"]["accept_lite"] else "",
    shell:
        """
        python -m scripts download --plan {input.plan:q} --unit {wildcards.unit:q} \
            --shard-size {params.shard_size} --records resources/records \
            {params.asking:q} {params.lite} --kept {input.kept:q} \
            --output {output.archives:q} 2>{log:q}
        """


rule fastq:
    """Convert the archives of a unit's runs and count what came out."""
    input:
        plan=ancient("results/plan.tsv"),
        archives="work/download/{unit}",
    output:
        fastq=temp(directory("work/fastq/{unit}")),
    log:
        "logs/fastq/{unit}.log",
    benchmark:
        "logs/benchmarks/fastq/{unit}.tsv"
    priority: 10
    conda:
        "../envs/sra_tools.yaml"
    resources:
        mem_mb=mem_mb("fastq"),
        runtime=runtime("fastq"),
        scratch_mb=scratch_mb("fastq"),
    params:
        shard_size=config["plates"]["shard_size"],
        limit_gb=setting("scratch", "limit_gb"),
    shell:
        """
        python -m scripts fastq --plan {input.plan:q} --unit {wildcards.unit:q} \
            --shard-size {params.shard_size} --archives {input.archives:q} \
            --limit-gb {params.limit_gb} --threads {threads} --output {output.fastq:q} 2>{log:q}
        """
