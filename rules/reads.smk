"""From runs to reads: archives that prove themselves, then FASTQ with every read that the archive has.

In: units/runs/{unit}.tsv. Out: work/download/{unit}/ and work/fastq/{unit}/, each with the status of every run of the
unit. Later stages have higher priority: the scratch of a unit is freed before another one starts.
"""


rule retry:
    """Set aside what a unit has counted and what is still right, so that only its other columns are done."""
    input:
        units=ancient("units/runs"),
    output:
        kept=directory("work/retry/{unit}"),
    log:
        "logs/retry/{unit}.log",
    conda:
        "../envs/python.yaml"
    params:
        round=of_unit(rounds.token),  # the trigger: what an earlier round has set aside is not what this one keeps
        # no trigger
        reasons=lambda wildcards, threads: ["--reasons", *rounds.reasons(wildcards.unit)],
        options=lambda wildcards, threads: rounds.kept_with(wildcards.unit),
    shell:
        """
        python -m scripts retry --runs {input.units:q}/{wildcards.unit:q}.tsv {params.reasons} \
            --counted units/counted/{wildcards.unit:q}.json --options {params.options} \
            --status units/status/{wildcards.unit:q}.tsv --counts units/counts/{wildcards.unit:q}.h5ad \
            --output {output.kept:q} 2>{log:q}
        """


rule download:
    """Download the archives of a unit's runs and validate them."""
    input:
        units=ancient("units/runs"),
        kept=of_unit(rounds.kept),
        before=status_before,
        # Nothing is fetched for a genome that cannot be indexed. The count index is not waited for: with other options
        # it is another one, and kept alignments are counted again.
        reference=lambda wildcards: ancient(reference_file("star")(wildcards)),
        lists=lambda wildcards: ancient(inclusion_lists(wildcards)),  # a library is in vain without
    output:
        archives=temp(directory(scratch("download/{unit}"))),
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
        asking=no_trigger(analysis.asking.download_options),
        round=of_unit(rounds.token),  # the trigger: rows are new, or failed runs are tried again
        lite=no_trigger("--accept-lite" if config["archives"]["accept_lite"] else ""),
        # no trigger
        fault=lambda wildcards, threads: option(
            "--chemistry-fault", of_unit(analysis.list_fault)(wildcards)
        ),
    shell:
        """
        python -m scripts download --runs {input.units:q}/{wildcards.unit:q}.tsv --records resources/records \
            --references resources/sra_references {params.asking:q} {params.lite} {params.fault:q} --kept {input.kept:q} \
            --output {output.archives:q} 2>{log:q}
        """


rule fastq:
    """Convert the archives of a unit's runs and count what came out; each archive is deleted when its reads are written."""
    input:
        units=ancient("units/runs"),
        archives=scratch("download/{unit}"),
        kmers=lambda wildcards: [ancient(path) for path in analysis.kmers().values()],
    output:
        fastq=temp(directory(scratch("fastq/{unit}"))),
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
        limit_gb=no_trigger(config["scratch"]["limit_gb"]),
        max_dropped=no_trigger(config["droplets"]["max_dropped"]),
        kmers=no_trigger(lambda: [f"{name}={path}" for name, path in analysis.kmers().items()]),
    shell:
        """
        python -m scripts fastq --runs {input.units:q}/{wildcards.unit:q}.tsv --archives {input.archives:q} \
            --delete-archives --limit-gb {params.limit_gb} --max-dropped {params.max_dropped} \
            --figures units/reads/{wildcards.unit:q}.json --kmers {params.kmers:q} \
            --threads {threads} --output {output.fastq:q} 2>{log:q}
        """
