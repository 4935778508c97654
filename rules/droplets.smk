"""From reads to matrices for droplet libraries: the barcode read is proved, STARsolo counts, archives are packed.

In: work/fastq/{library}/ and the reference. Out: units/solo/, from which cells, results/mex/ and results/droplets/ are
made without a read.
"""

FEATURES = (
    {"features": "results/droplets/features/{series}.{species}.h5ad"}
    if analysis.sources.features_reference()
    else {}
)
ALIGNMENTS = (
    {"alignments": temp(directory(scratch("solo/{library}")))}
    if config["droplets"]["keep_bam"]
    else {}
)


rule inclusion_list:
    """Fetch the list of barcodes of a kit."""
    input:
        of(analysis.sources.local_list, "inclusion_list"),
    output:
        barcodes="units/inclusion_lists/{inclusion_list}.txt",
    log:
        "logs/inclusion_list/{inclusion_list}.log",
    conda:
        "../envs/sra_tools.yaml"
    params:
        source=lambda wildcards, threads: source_address(
            analysis.sources.inclusion_list_source(wildcards.inclusion_list)
        ),
        # no trigger, but the identity is
        sha256=lambda wildcards: option(
            "--sha256",
            source_sha256(analysis.sources.inclusion_list_source(wildcards.inclusion_list)),
        ),
        identity=of(analysis.sources.list_identity, "inclusion_list"),
        chemistries=no_trigger(HOME / "config/chemistries.yaml"),
    shell:
        """
        python -m scripts inclusion_list --source {params.source:q} {params.sha256:q} \
            --list {wildcards.inclusion_list:q} --chemistries {params.chemistries:q} \
            --output resources/inclusion_lists/{wildcards.inclusion_list:q}.txt \
            --links units/inclusion_lists 2>{log:q}
        """


rule read_roles:
    """Find the barcode read and the kit from a sample of the reads."""
    input:
        units=ancient("units/runs"),
        fastq=scratch("fastq/{library}"),
        lists=inclusion_lists,
        probe_set=probe_set,
        features=analysis.sources.features_reference(),
    output:
        roles="units/read_roles/{library}.json",
    log:
        "logs/read_roles/{library}.log",
    benchmark:
        "logs/benchmarks/read_roles/{library}.tsv"
    priority: 20
    conda:
        "../envs/star.yaml"
    resources:
        mem_mb=mem_mb("read_roles"),
        runtime=runtime("read_roles"),
    params:
        chemistries=HOME / "config/chemistries.yaml",
        chemistry=config["droplets"]["chemistry"],
        content=of_unit(analysis.tables_content),  # a trigger: also by a file with an older time
        probe_set=of_unit(lambda unit: "--probe-set" if analysis.probe_set(unit) else ""),
        features=option("--features-reference", "".join(analysis.sources.features_reference())),
    shell:
        """
        python -m scripts read_roles --runs {input.units:q}/{wildcards.library:q}.tsv --fastq {input.fastq:q} \
            --chemistries {params.chemistries:q} --inclusion-lists units/inclusion_lists \
            --chemistry {params.chemistry:q} {params.probe_set} {params.features:q} --output {output.roles:q} 2>{log:q}
        """


rule solo:
    """Align and count a library with STARsolo, all its runs in one call."""
    input:
        units=ancient("units/runs"),
        fastq=scratch("fastq/{library}"),
        roles="units/read_roles/{library}.json",
        lists=inclusion_lists,
        probe_set=probe_set,
        features=analysis.sources.features_reference(),
        index=reference_file("star"),
    output:
        **ALIGNMENTS,
        solo=directory("units/solo/{library}"),
        figures="units/figures/{library}.json",
    log:
        "logs/solo/{library}.log",
    benchmark:
        "logs/benchmarks/solo/{library}.tsv"
    priority: 30
    conda:
        "../envs/star.yaml"
    resources:
        mem_mb=mem_mb("solo"),
        runtime=runtime("solo"),
        scratch_mb=scratch_mb("solo"),
    params:
        round=of_unit(rounds.token),  # a trigger: rows are new, or failed runs are tried again
        planned=no_trigger_of_unit(analysis.digest),
        settings=settings,
        built_from=of_unit(analysis.reference_identity),  # a trigger
        probe_set=of_unit(lambda unit: option("--probe-set", "".join(analysis.probe_set(unit)))),
        reference=option("--features-reference", "".join(analysis.sources.features_reference())),
        chemistries=HOME / "config/chemistries.yaml",
        features=of_unit(rounds.features),
        multireads=of_unit(rounds.multireads),
        preset=config["droplets"]["preset"],
        wells="" if config["droplets"]["join_wells"] else "--no-join-wells",
        star_options=analysis.star_options("droplets"),
        scratch=no_trigger(scratch("solo")),
        # no trigger: where alignments are wanted, their folder is missing
        alignments=lambda wildcards, output: option("--alignments", output.get("alignments")),
    shell:
        """
        python -m scripts solo --runs {input.units:q}/{wildcards.library:q}.tsv --fastq {input.fastq:q} \
            --roles {input.roles:q} --index {input.index:q} --chemistries {params.chemistries:q} \
            --inclusion-lists units/inclusion_lists --features {params.features} \
            --multireads {params.multireads} --preset {params.preset} {params.wells} {params.probe_set:q} \
            {params.reference:q} {params.star_options:q} \
            --round {params.round} --planned {params.planned} --settings {params.settings} \
            --counted units/counted/{wildcards.library:q}.json \
            --threads {threads} --scratch {params.scratch:q} {params.alignments:q} \
            --figures {output.figures:q} --output {output.solo:q} 2>{log:q}
        """


rule cells:
    """Call the cells of a library from its matrices, and judge it by its floors."""
    input:
        solo="units/solo/{library}",
        figures="units/figures/{library}.json",
    output:
        cells=directory("units/cells/{library}"),
        status="units/status/{library}.tsv",
    log:
        "logs/cells/{library}.log",
    benchmark:
        "logs/benchmarks/cells/{library}.tsv"
    priority: 35
    conda:
        "../envs/star.yaml"
    resources:
        mem_mb=mem_mb("cells"),
        runtime=runtime("cells"),
    params:
        features=config["droplets"]["features"],
        cell_filter=config["droplets"]["cell_filter"],
        # with their names, since Snakemake does not see two values that change places
        floors=[
            f"--{name.replace('_', '-')}={config['droplets'][name]}"
            for name in ("min_valid_barcodes", "min_gene_share")
        ],
        bounds=[f"{name}={value}" for name, value in sorted(config["droplets"]["bounds"].items())],
    shell:
        """
        python -m scripts cells --solo {input.solo:q} --figures {input.figures:q} \
            --features {params.features} --cell-filter {params.cell_filter:q} \
            {params.floors} --bounds {params.bounds} \
            --counted units/counted/{wildcards.library:q}.json \
            --output {output.cells:q} --status {output.status:q} 2>{log:q}
        """


rule mex_archive:
    """Pack every matrix of a library into a MEX archive, always with the same bytes, and list the archives.

    A library that failed has none: the list is what Snakemake knows of, see `archives` in common.smk.
    """
    input:
        units=ancient("units/runs"),
        solo="units/solo/{library}",
        cells="units/cells/{library}",
        status="units/status/{library}.tsv",
        wanted=ancient("units/wanted.txt"),
    output:
        archives="units/archives/{library}.tsv",
    log:
        "logs/mex_archive/{library}.log",
    benchmark:
        "logs/benchmarks/mex_archive/{library}.tsv"
    priority: 40
    conda:
        "../envs/star.yaml"
    resources:
        mem_mb=mem_mb("mex_archive"),
        runtime=runtime("mex_archive"),
    params:
        folder=of_unit(results.archive_folder),
        features=config["droplets"]["features"],
        multireads=config["droplets"]["multireads"],
        metadata_name=config["mex"]["metadata_name"],
    shell:
        """
        python -m scripts mex_archive pack --runs {input.units:q}/{wildcards.library:q}.tsv \
            --solo {input.solo:q} --cells {input.cells:q} --status {input.status:q} \
            --records resources/records --features {params.features} \
            --multireads {params.multireads} --metadata-name {params.metadata_name} \
            --output {params.folder:q} --list {output.archives:q} 2>{log:q}
        """


rule droplets_h5ad:
    """Gather the filtered cells of a series' libraries."""
    input:
        units=ancient("units/runs"),
        accepted="work/accepted",
        archives=of(results.series_archives, "series", "species"),
        genes=reference_file("genes.tsv"),
        reference=reference_file("reference.json"),
        own=ancient("units/own_metadata.tsv"),
        wanted=ancient("units/wanted.txt"),
    output:
        **FEATURES,
        matrix="results/droplets/{series}.{species}.h5ad",
    log:
        "logs/droplets_h5ad/{series}.{species}.log",
    benchmark:
        "logs/benchmarks/droplets_h5ad/{series}.{species}.tsv"
    conda:
        "../envs/star.yaml"
    resources:
        mem_mb=mem_mb("droplets_h5ad"),
        runtime=runtime("droplets_h5ad"),
    params:
        layers=results.layers(),
        counts=config["droplets"]["counts"],
        features=config["droplets"]["features"],
        sources=of(results.source_names, "species"),
        tags=lambda wildcards, output: option("--features-output", output.get("features")),
    shell:
        """
        python -m scripts droplets_h5ad --units {input.units:q} --series {wildcards.series:q} \
            --species {wildcards.species:q} --records resources/records --archives 'results/mex/{{experiment}}' \
            --statuses 'units/status/{{unit}}.tsv' --layers {params.layers} --counts {params.counts} \
            --features {params.features} --genes {input.genes:q} --reference {input.reference:q} \
            --sources {params.sources:q} --own-metadata {input.own:q} {params.tags:q} --output {output.matrix:q} 2>{log:q}
        """
