"""From sequences and annotations to indices, shared by all series.

In: the FASTA and GTF of config/references.yaml or `references` of the configuration. Out: resources/{reference}/, made by
whichever analysis comes first, and this one's links to it in units/references/{reference}/.
"""


rule reference:
    """Fetch a genome and its annotation, join the spike-ins, check that they belong together."""
    input:
        of(analysis.sources.local_sources, "reference"),
    output:
        genome="units/references/{reference}/genome.fa",
        annotation="units/references/{reference}/annotation.gtf",
        genes="units/references/{reference}/genes.tsv",
        fingerprint="units/references/{reference}/reference.json",
    log:
        "logs/reference/{reference}.log",
    benchmark:
        "logs/benchmarks/reference/{reference}.tsv"
    conda:
        "../envs/sra_tools.yaml"
    resources:
        mem_mb=mem_mb("reference"),
        runtime=runtime("reference"),
    params:
        sources=lambda wildcards, threads: analysis.sources.options(wildcards.reference),  # no trigger
        identity=lambda wildcards: list(
            map(source_identity, analysis.sources.of_reference(wildcards.reference).values())
        ),
        content=lambda wildcards: analysis.sources.content(
            analysis.sources.local_sources(wildcards.reference)
        ),
    shell:
        """
        python -m scripts reference --name {wildcards.reference:q} {params.sources:q} \
            --genome resources/{wildcards.reference:q}/genome.fa \
            --annotation resources/{wildcards.reference:q}/annotation.gtf \
            --genes resources/{wildcards.reference:q}/genes.tsv \
            --fingerprint resources/{wildcards.reference:q}/reference.json \
            --links units/references/{wildcards.reference:q} 2>{log:q}
        """


rule star_index:
    """Build STAR's index of a reference, or link to a ready one."""
    input:
        genome="units/references/{reference}/genome.fa",
        annotation="units/references/{reference}/annotation.gtf",
    output:
        index=directory("units/references/{reference}/star"),
    log:
        "logs/star_index/{reference}.log",
    benchmark:
        "logs/benchmarks/star_index/{reference}.tsv"
    conda:
        "../envs/star.yaml"
    resources:
        mem_mb=mem_mb("star_index"),
        runtime=runtime("star_index"),
    params:
        overhang=lambda wildcards: config["references"][wildcards.reference].get(
            "sjdb_overhang", 100
        ),
        ready=lambda wildcards: option(
            "--ready", config["references"][wildcards.reference].get("index")
        ),
    shell:
        """
        python -m scripts star_index --genome {input.genome:q} --annotation {input.annotation:q} \
            --sjdb-overhang {params.overhang:q} {params.ready:q} \
            --threads {threads} --output resources/{wildcards.reference:q}/star \
            --links units/references/{wildcards.reference:q} 2>{log:q}
        """


rule kmers:
    """Index k-mers of the exons, by which reads are known to be of a species."""
    input:
        genome="units/references/{reference}/genome.fa",
        annotation="units/references/{reference}/annotation.gtf",
        fingerprint="units/references/{reference}/reference.json",
    output:
        index="units/references/{reference}/kmers.npz",
    log:
        "logs/kmers/{reference}.log",
    benchmark:
        "logs/benchmarks/kmers/{reference}.tsv"
    conda:
        "../envs/star.yaml"
    resources:
        mem_mb=mem_mb("kmers"),
        runtime=runtime("kmers"),
    shell:
        """
        python -m scripts kmers --genome {input.genome:q} --annotation {input.annotation:q} \
            --reference {input.fingerprint:q} --output resources/{wildcards.reference:q}/kmers.npz \
            --links units/references/{wildcards.reference:q} 2>{log:q}
        """


rule count_index:
    """Make the step function of gene sets from which plate reads are counted."""
    input:
        annotation="units/references/{reference}/annotation.gtf",
        genes="units/references/{reference}/genes.tsv",
    output:
        index="units/references/{reference}/count_index{counted}.npz",
        exons="units/references/{reference}/exons{counted}.gtf",
        features="units/references/{reference}/features{counted}.tsv",
    log:
        "logs/count_index/{reference}{counted}.log",
    benchmark:
        "logs/benchmarks/count_index/{reference}{counted}.tsv"
    conda:
        "../envs/star.yaml"
    resources:
        mem_mb=mem_mb("count_index"),
        runtime=runtime("count_index"),
    params:
        features=of(counted_features, "counted"),
    shell:
        """
        python -m scripts count_index --annotation {input.annotation:q} --genes {input.genes:q} \
            --type {params.features[0]:q} --id-attribute {params.features[1]:q} \
            --output resources/{wildcards.reference:q}/count_index{wildcards.counted:q}.npz \
            --exons resources/{wildcards.reference:q}/exons{wildcards.counted:q}.gtf \
            --features resources/{wildcards.reference:q}/features{wildcards.counted:q}.tsv \
            --links units/references/{wildcards.reference:q} 2>{log:q}
        """
