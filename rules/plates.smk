"""From reads to counts for plate cells: one genome load a shard, counts as htseq-count gives them.

In: work/fastq/{shard}/ and the reference. Out: work/count/{shard}.h5ad and work/status/{shard}.tsv.
"""


rule align:
    """Align the cells of a shard under one genome load."""
    input:
        plan=ancient("results/plan.tsv"),
        fastq="work/fastq/{shard}",
        index=lambda wildcards: f"{reference_of(wildcards)}/star",
    output:
        alignments=temp(directory("work/align/{shard}")),
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
        shard_size=config["plates"]["shard_size"],
        count_by=config["count_by"],
        preset=config["plates"]["preset"],
    shell:
        """
        python -m scripts align --plan {input.plan:q} --unit {wildcards.shard:q} \
            --shard-size {params.shard_size} --count-by {params.count_by} \
            --fastq {input.fastq:q} --index {input.index:q} --preset {params.preset} \
            --threads {threads} --output {output.alignments:q} 2>{log:q}
        """


rule count:
    """Count the cells of a shard."""
    input:
        plan=ancient("results/plan.tsv"),
        alignments="work/align/{shard}",
        index=lambda wildcards: f"{reference_of(wildcards)}/count_index.npz",
        exons=lambda wildcards: f"{reference_of(wildcards)}/exons.gtf",
        genes=lambda wildcards: f"{reference_of(wildcards)}/genes.tsv",
        reference=lambda wildcards: f"{reference_of(wildcards)}/reference.json",
        kept=kept,
    output:
        counts="work/count/{shard}.h5ad",
        status="work/status/{shard}.tsv",
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
        shard_size=config["plates"]["shard_size"],
        rows=unit_digest,
        round=retry_round,
        count_by=config["count_by"],
        mode=config["plates"]["mode"],
        strand=config["plates"]["strand"],
        counter=config["plates"]["counter"],
    shell:
        """
        python -m scripts count --plan {input.plan:q} --unit {wildcards.shard:q} \
            --shard-size {params.shard_size} --count-by {params.count_by} \
            --alignments {input.alignments:q} --count-index {input.index:q} \
            --exons {input.exons:q} --genes {input.genes:q} --reference {input.reference:q} \
            --mode {params.mode} --strand {params.strand} --counter {params.counter} \
            --kept {input.kept:q} --threads {threads} --counts {output.counts:q} --status {output.status:q} 2>{log:q}
        """


rule bam:
    """Keep a shard's alignments, sorted by coordinate (`plates: {keep_bam: true}`)."""
    input:
        plan=ancient("results/plan.tsv"),
        alignments="work/align/{shard}",
        reference=lambda wildcards: f"{reference_of(wildcards)}/reference.json",
    output:
        alignments=directory("results/bam/{shard}"),
    log:
        "logs/bam/{shard}.log",
    benchmark:
        "logs/benchmarks/bam/{shard}.tsv"
    priority: 30
    conda:
        "../envs/star.yaml"
    params:
        shard_size=config["plates"]["shard_size"],
        count_by=config["count_by"],
    shell:
        """
        python -m scripts bam --plan {input.plan:q} --unit {wildcards.shard:q} \
            --shard-size {params.shard_size} --count-by {params.count_by} \
            --alignments {input.alignments:q} --reference {input.reference:q} \
            --threads {threads} --output {output.alignments:q} 2>{log:q}
        """
