"""From reads to counts for plate cells: one genome load a shard, counts as htseq-count gives them.

In: work/fastq/{shard}/ and the reference. Out: units/counts/{shard}.h5ad and units/status/{shard}.tsv.
"""


rule align:
    """Align the cells of a shard under one genome load, or count them with STARsolo."""
    input:
        units=ancient("units/runs"),
        fastq=scratch("fastq/{shard}"),
        index=reference_file("star"),
    output:
        alignments=passing(f"{analysis.alignments}/{{shard}}"),
    log:
        "logs/align/{shard}.log",
    benchmark:
        "logs/benchmarks/align/{shard}.tsv"
    priority: 20
    conda:
        "../envs/star.yaml"
    resources:
        mem_mb=mem_mb("align"),
        runtime=runtime("align"),
        scratch_mb=scratch_mb("align"),
    params:
        built_from=of_unit(analysis.reference_identity),  # a trigger
        round=of_unit(rounds.token),  # a trigger: rows are new, or failed runs are tried again
        preset=config["plates"]["preset"],
        star_options=analysis.star_options("plates"),
        solo=analysis.solo_options(),  # where STARsolo counts as it aligns
    shell:
        """
        python -m scripts align --runs {input.units:q}/{wildcards.shard:q}.tsv \
            --fastq {input.fastq:q} --index {input.index:q} --preset {params.preset} {params.star_options:q} {params.solo} \
            --threads {threads} --output {output.alignments:q} 2>{log:q}
        """


rule count:
    """Count the cells of a shard."""
    input:
        units=ancient("units/runs"),
        alignments=f"{analysis.alignments}/{{shard}}",
        index=reference_file(f"count_index{analysis.counted}.npz"),
        exons=reference_file(f"exons{analysis.counted}.gtf"),
        genes=reference_file(f"features{analysis.counted}.tsv"),
        reference=reference_file("reference.json"),
        kept=of_unit(rounds.kept),
    output:
        counts="units/counts/{shard}.h5ad",
        status="units/status/{shard}.tsv",
    log:
        "logs/count/{shard}.log",
    benchmark:
        "logs/benchmarks/count/{shard}.tsv"
    priority: 30
    conda:
        "../envs/star.yaml"
    resources:
        mem_mb=mem_mb("count"),
        runtime=runtime("count"),
    params:
        round=of_unit(rounds.token),  # a trigger: rows are new, or failed runs are tried again
        built_from=of_unit(analysis.reference_identity),  # a trigger
        options=of_unit(analysis.count_options),
        planned=no_trigger_of_unit(analysis.digest),
        settings=settings,
        digest=no_trigger_of_unit(analysis.options_digest),
        counter=config["plates"]["counter"],
    shell:
        """
        python -m scripts count --runs {input.units:q}/{wildcards.shard:q}.tsv \
            --alignments {input.alignments:q} --count-index {input.index:q} \
            --exons {input.exons:q} --genes {input.genes:q} --reference {input.reference:q} \
            {params.options:q} --counter {params.counter} \
            --kept {input.kept:q} --round {params.round} --planned {params.planned} --options {params.digest} \
            --settings {params.settings} --counted units/counted/{wildcards.shard:q}.json \
            --threads {threads} --counts {output.counts:q} --status {output.status:q} 2>{log:q}
        """


rule bam:
    """Keep the alignments of a shard or library, sorted by coordinate (`keep_bam: true`)."""
    input:
        units=ancient("units/runs"),
        alignments=of_unit(
            lambda unit: f"{analysis.alignments if is_shard(unit) else scratch('solo')}/{unit}"
        ),
        reference=reference_file("reference.json"),
    output:
        alignments=directory("units/bam/{unit}"),
    log:
        "logs/bam/{unit}.log",
    benchmark:
        "logs/benchmarks/bam/{unit}.tsv"
    priority: 40
    conda:
        "../envs/star.yaml"
    params:
        # triggers: the unit may have been aligned anew while no alignments were wanted
        round=of_unit(rounds.token),
        built_from=of_unit(analysis.reference_identity),
        options=of_unit(analysis.alignment_options),
    shell:
        """
        python -m scripts bam --runs {input.units:q}/{wildcards.unit:q}.tsv \
            --alignments {input.alignments:q} --reference {input.reference:q} \
            --tools units/tools/{wildcards.unit:q}.json \
            --threads {threads} --output {output.alignments:q} 2>{log:q}
        """


rule bam_files:
    """Put the kept alignments of those cells of a unit that are planned into the results."""
    input:
        units=ancient("units/runs"),
        alignments="units/bam/{unit}",
        wanted=ancient("units/wanted.txt"),
    output:
        alignments=directory("results/bam/{unit}"),
    log:
        "logs/bam_files/{unit}.log",
    priority: 40
    conda:
        "../envs/python.yaml"
    params:
        planned=of_unit(analysis.digest),  # a trigger: a cell is left out, or comes back
    shell:
        """
        python -m scripts bam_files --runs {input.units:q}/{wildcards.unit:q}.tsv \
            --alignments {input.alignments:q} --output {output.alignments:q} 2>{log:q}
        """
