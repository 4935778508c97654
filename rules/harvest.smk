"""From counts to what a scientist takes away: ledger, tables, metadata, report and checksums.

In: units/counts/, units/status/, resources/records/. Out: results/.
"""


rule ledger:
    """Report the final status of every run that entered."""
    input:
        # where the units are known before the plan is made anew, all that follows waits for it
        plan="results/plan.tsv" if analysis.has_run_table else ancient("results/plan.tsv"),
        units=ancient("units/runs"),
        statuses=statuses,
        references=every(analysis.reference_records),
    output:
        ledger=report("results/runs.tsv", caption="captions/ledger.rst", category="Runs"),
    log:
        "logs/ledger/ledger.log",
    conda:
        "../envs/python.yaml"
    params:
        planned=planned,  # a trigger
        min_mapped=config["plates"]["min_mapped"],
        min_reads=config["plates"]["min_reads"],
        scratch=no_trigger(analysis.scratch),
    shell:
        """
        python -m scripts ledger --plan {input.plan:q} --units {input.units:q} \
            --statuses 'units/status/{{unit}}.tsv' \
            --min-mapped {params.min_mapped} --min-reads {params.min_reads} \
            --references {input.references:q} \
            --output {output.ledger:q} 2>{log:q}
        # every unit is done; unfinished downloads and conversions of other plans are not resumed
        rm -rf {params.scratch:q}/partial/*/ {params.scratch:q}/fastq/.*.reads work/retry
        """


rule evidence:
    """Join what the records say of each run, what its reads prove, and its final status."""
    input:
        ledger="results/runs.tsv",
        records="units/records.jsonl",
    output:
        evidence="units/evidence.jsonl",
    log:
        "logs/evidence/evidence.log",
    conda:
        "../envs/python.yaml"
    params:
        chemistries=HOME / "config/chemistries.yaml",
    shell:
        """
        python -m scripts evidence --ledger {input.ledger:q} --records {input.records:q} \
            --roles 'units/read_roles/{{unit}}.json' --chemistries {params.chemistries:q} \
            --output {output.evidence:q} 2>{log:q}
        """


rule accept:
    """Stop before the harvest where too many runs of a series have failed."""
    input:
        ledger="results/runs.tsv",
        units=cut_units,  # it accepts no ledger of the plan before
    output:
        touch("work/accepted"),
    log:
        "logs/accept/accept.log",
    conda:
        "../envs/python.yaml"
    params:
        max_failed=config["max_failed"],
    shell:
        """
        python -m scripts accept --ledger {input.ledger:q} --max-failed {params.max_failed} \
            --output {output:q} 2>{log:q}
        """


rule wanted:
    """List the results that are asked for, and remove those of an earlier configuration that are not.

    What makes results waits for the list: a result that no list names would stay for ever where a workflow is killed and
    goes on with another configuration.
    """
    input:
        plan=ancient("results/plan.tsv"),
        units=cut_units,
    output:
        results=update("units/wanted.txt"),
    log:
        "logs/wanted/wanted.log",
    conda:
        "../envs/python.yaml"
    params:
        planned=planned,  # a trigger
        cut=reported(lambda wildcards: analysis.cut_digest),  # a trigger: of the same rows
        named=every(results.named_results),
        kinds=results.result_kinds(),
    shell:
        """
        python -m scripts wanted --units {input.units:q} --named {params.named:q} --kinds {params.kinds:q} \
            --output {output.results:q} 2>{log:q}
        """


rule counts_table:
    """Gather the counts of every plate cell of a species."""
    input:
        units=ancient("units/runs"),
        ledger="results/runs.tsv",
        accepted="work/accepted",
        counts=of(analysis.shard_counts, "species"),
        names=named_genes,
        wanted=ancient("units/wanted.txt"),
    output:
        table="results/{species}.htseq-count.csv.gz",
    log:
        "logs/counts_table/{species}.log",
    benchmark:
        "logs/benchmarks/counts_table/{species}.tsv"
    conda:
        "../envs/python.yaml"
    resources:
        mem_mb=mem_mb("table"),
        runtime=runtime("table"),
    params:
        gene_name=config["harvest"]["gene_name"],  # a trigger
    shell:
        """
        python -m scripts counts_table --units {input.units:q} --ledger {input.ledger:q} \
            --species {wildcards.species:q} --counts 'units/counts/{{unit}}.h5ad' \
            --gene-names {input.names:q} --workers {threads} --output {output.table:q} 2>{log:q}
        """


rule tpm_table:
    """Gather the transcripts per million of every plate cell of a species (`harvest: {tpm: true}`)."""
    input:
        units=ancient("units/runs"),
        ledger="results/runs.tsv",
        accepted="work/accepted",
        counts=of(analysis.shard_counts, "species"),
        genes=reference_file(f"features{analysis.counted}.tsv"),
        names=named_genes,
        wanted=ancient("units/wanted.txt"),
    output:
        table="results/{species}.tpm.csv.gz",
    log:
        "logs/tpm_table/{species}.log",
    benchmark:
        "logs/benchmarks/tpm_table/{species}.tsv"
    conda:
        "../envs/python.yaml"
    resources:
        mem_mb=mem_mb("table"),
        runtime=runtime("table"),
    params:
        gene_name=config["harvest"]["gene_name"],  # a trigger
    shell:
        """
        python -m scripts tpm_table --units {input.units:q} --ledger {input.ledger:q} \
            --species {wildcards.species:q} --counts 'units/counts/{{unit}}.h5ad' \
            --genes {input.genes:q} --gene-names {input.names:q} \
            --workers {threads} --output {output.table:q} 2>{log:q}
        """


rule log_table:
    """Gather STAR's log of every plate cell of a species."""
    input:
        units=ancient("units/runs"),
        ledger="results/runs.tsv",
        accepted="work/accepted",
        counts=of(analysis.shard_counts, "species"),
        wanted=ancient("units/wanted.txt"),
    output:
        table="results/{species}.log.csv.gz",
    log:
        "logs/log_table/{species}.log",
    conda:
        "../envs/python.yaml"
    resources:
        mem_mb=mem_mb("table"),
        runtime=runtime("table"),
    params:
        clock=config["harvest"]["clock"],
    shell:
        """
        python -m scripts log_table --units {input.units:q} --ledger {input.ledger:q} \
            --species {wildcards.species:q} --counts 'units/counts/{{unit}}.h5ad' \
            --clock {params.clock} --output {output.table:q} 2>{log:q}
        """


rule counts_h5ad:
    """Gather the counts of every plate cell of a species as AnnData."""
    input:
        units=ancient("units/runs"),
        ledger="results/runs.tsv",
        accepted="work/accepted",
        counts=of(analysis.shard_counts, "species"),
        genes=reference_file(f"features{analysis.counted}.tsv"),
        own=ancient("units/own_metadata.tsv"),
        quality="results/quality/cells.csv.gz",
        reference=reference_file("reference.json"),
        wanted=ancient("units/wanted.txt"),
    output:
        matrix="results/{species}.h5ad",
    log:
        "logs/counts_h5ad/{species}.log",
    benchmark:
        "logs/benchmarks/counts_h5ad/{species}.tsv"
    conda:
        "../envs/python.yaml"
    resources:
        mem_mb=mem_mb("table"),
        runtime=runtime("table"),
    params:
        parameters=analysis.parameters(),
        tpm="--tpm" if config["harvest"]["tpm"] else [],
    shell:
        """
        python -m scripts counts_h5ad --units {input.units:q} --ledger {input.ledger:q} \
            --species {wildcards.species:q} --counts 'units/counts/{{unit}}.h5ad' \
            --genes {input.genes:q} --reference {input.reference:q} --records resources/records \
            --own-metadata {input.own:q} --parameters {params.parameters:q} {params.tpm} --quality {input.quality:q} \
            --output {output.matrix:q} 2>{log:q}
        """


rule cells_table:
    """Gather the quality of every plate cell, and flag what needs a look."""
    input:
        units=ancient("units/runs"),
        ledger="results/runs.tsv",
        accepted="work/accepted",
        counts=every(analysis.all_shard_counts),
        genes=every(lambda: analysis.plate_genes().values()),
        own=ancient("units/own_metadata.tsv"),
        references=every(analysis.reference_records),
        wanted=ancient("units/wanted.txt"),
    output:
        table=report(
            "results/quality/cells.csv.gz", caption="captions/cells.rst", category="Quality"
        ),
    log:
        "logs/cells_table/cells_table.log",
    benchmark:
        "logs/benchmarks/cells_table/cells_table.tsv"
    conda:
        "../envs/python.yaml"
    resources:
        mem_mb=mem_mb("report"),
        runtime=runtime("report"),
    params:
        genes=lambda wildcards: [f"{name}={path}" for name, path in analysis.plate_genes().items()],
    shell:
        """
        python -m scripts cells_table --units {input.units:q} --ledger {input.ledger:q} \
            --counts 'units/counts/{{unit}}.h5ad' --genes {params.genes:q} --reads 'units/reads/{{unit}}.json' \
            --records resources/records --own-metadata {input.own:q} --output {output.table:q} 2>{log:q}
        """


rule metadata:
    """Gather the metadata of GEO for the samples and series that were counted."""
    input:
        ledger="results/runs.tsv",
        accepted="work/accepted",
        own=ancient("units/own_metadata.tsv"),
        wanted=ancient("units/wanted.txt"),
    output:
        archive="results/{species}_meta.tgz",
        samples="results/{species}.metadata.samples.csv",
        series="results/{species}.metadata.series.csv",
    log:
        "logs/metadata/{species}.log",
    conda:
        "../envs/sra_tools.yaml"
    shell:
        """
        python -m scripts metadata --ledger {input.ledger:q} --records resources/records \
            --species {wildcards.species:q} --own-metadata {input.own:q} --archive {output.archive:q} \
            --samples {output.samples:q} --series {output.series:q} 2>{log:q}
        """


rule libraries_table:
    """Gather what every droplet library shows of itself, and flag what needs a look."""
    input:
        units=ancient("units/runs"),
        ledger="results/runs.tsv",
        matrices=every(results.droplet_matrices),
        own=ancient("units/own_metadata.tsv"),
        wanted=ancient("units/wanted.txt"),
    output:
        table=report(
            "results/quality/libraries.csv", caption="captions/libraries.rst", category="Quality"
        ),
    log:
        "logs/libraries_table/libraries_table.log",
    conda:
        "../envs/python.yaml"
    resources:
        mem_mb=mem_mb("report"),
        runtime=runtime("report"),
    params:
        chemistries=HOME / "config/chemistries.yaml",
        floors=[
            f"--{name.replace('_', '-')}={config['droplets'][name]}"
            for name in ("min_valid_barcodes", "min_gene_share")
        ],
    shell:
        """
        python -m scripts libraries_table --ledger {input.ledger:q} --figures 'units/figures/{{unit}}.json' \
            --kept 'units/solo/{{unit}}' --cells 'units/cells/{{unit}}' \
            --roles 'units/read_roles/{{unit}}.json' --chemistries {params.chemistries:q} \
            --units {input.units:q} --reads 'units/reads/{{unit}}.json' \
            --matrices {input.matrices:q} --records resources/records --own-metadata {input.own:q} \
            {params.floors} --output {output.table:q} 2>{log:q}
        """


rule report:
    """Draw the quality report, one page."""
    input:
        plan=ancient("results/plan.tsv"),
        ledger="results/runs.tsv",
        tables=every(results.tables),
        archives=archives,
        quality=every(results.quality),
        atlases=every(results.atlases),
        references=every(analysis.reference_records),
        wanted="units/wanted.txt",  # no page shows what is no longer asked for
        provenance="results/provenance.json",
        methods="results/methods.txt",
    output:
        page=report("results/report.html", caption="captions/page.rst", category="Quality"),
    log:
        "logs/report/report.log",
    conda:
        "../envs/star.yaml"
    resources:
        mem_mb=mem_mb("report"),
        runtime=runtime("report"),
    shell:
        """
        python -m scripts report --plan {input.plan:q} --ledger {input.ledger:q} \
            --results results --kept 'units/solo/{{unit}}' --references {input.references:q} --output {output.page:q} 2>{log:q}
        """


rule provenance:
    """Write what the results were made from and with, and the paragraph for a paper."""
    input:
        lists=analysis.asking.accession_files(),
        run_table=config["run_table"] or [],
        ledger="results/runs.tsv",
        tables=every(results.tables),
        archives=archives,
        quality=every(results.quality),
        references=every(analysis.reference_records),
        wanted="units/wanted.txt",
    output:
        facts=report(
            "results/provenance.json", caption="captions/provenance.rst", category="What was used"
        ),
        methods=report(
            "results/methods.txt", caption="captions/methods.rst", category="What was used"
        ),
    log:
        "logs/provenance/provenance.log",
    conda:
        "../envs/python.yaml"
    params:
        made_from=lambda wildcards: results.provenance_options(),
        chemistries=HOME / "config/chemistries.yaml",
    shell:
        """
        python -m scripts provenance --ledger {input.ledger:q} --results results --units units \
            --references {input.references:q} --chemistries {params.chemistries:q} {params.made_from:q} \
            --output {output.facts:q} --methods {output.methods:q} 2>{log:q}
        """


rule checksums:
    """Check that nothing was lost, and write the checksum of every result."""
    input:
        plan=ancient("results/plan.tsv"),
        ledger="results/runs.tsv",
        tables=every(results.tables),
        archives=archives,
        atlases=every(results.atlases),
        quality=every(results.quality),
        provenance="results/provenance.json",
        methods="results/methods.txt",
        report="results/report.html",
        wanted="units/wanted.txt",
    output:
        sums="results/SHA256SUMS",
    log:
        "logs/checksums/checksums.log",
    conda:
        "../envs/python.yaml"
    shell:
        "python -m scripts checksums --results results --output {output.sums:q} 2>{log:q}"


rule multiqc:
    """Make MultiQC's report of the results, for those who are used to it (target `multiqc`)."""
    input:
        sums="results/SHA256SUMS",
    output:
        page=report(
            "results/multiqc/multiqc_report.html",
            caption="captions/multiqc.rst",
            category="Quality",
        ),
    log:
        "logs/multiqc/multiqc.log",
    conda:
        "../envs/multiqc.yaml"
    shell:
        """
        python -m scripts multiqc --results results --solo units/solo --output results/multiqc 2>{log:q}
        """
