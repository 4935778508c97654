"""From accessions to the plan: one row a run, before any download.

In: `series` or `run_table` of the configuration. Out: results/plan.tsv, the run table of every unit in units/runs/,
and the archives' records as they came. Beside it, and asked for by name alone: `discover`, series that are new.
"""


checkpoint resolve:
    """Find the runs of every accession, or the reason why there is none."""
    input:
        lists=accession_files,
        run_table=config["run_table"] or [],
    output:
        units=directory("units/runs"),  # first: jobs with params that depend on the plan have it as input
        plan=update("results/plan.tsv"),  # of a look-up that fails the older one is put back
        index=INDEX,
        evidence="units/records.jsonl",
        own="units/own_metadata.tsv",
        cost="units/cost.tsv",
    log:
        "logs/resolve/resolve.log",
    conda:
        "../envs/sra_tools.yaml"
    params:
        geo=no_trigger(config["archives"]["geo"]),
        eutils=no_trigger(config["archives"]["eutils"]),
        ena=no_trigger(config["archives"]["ena"]),
        order=no_trigger(config["archives"]["order"]),
        retries=no_trigger(config["archives"]["retries"]),
        shard_size=config["plates"]["shard_size"],
        count_by=config["count_by"],
        choices=analysis.asking.plan_options(),
        asked=reported(lambda wildcards: analysis.asking.asked_digest()),  # a trigger: also by a file with an older time
        costs=no_trigger(lambda: resources.cost_options(running.threads, running.most_threads)),
        forecast=no_trigger(analysis.forecast_options(HOME / "config/chemistries.yaml")),
        machine=no_trigger(lambda: resources.machine_options()),
        refresh=no_trigger(analysis.asking.refresh_options()),  # see accession_files
    shell:
        """
        python -m scripts resolve {params.choices:q} {params.refresh:q} --records resources/records \
            --geo {params.geo:q} --eutils {params.eutils:q} \
            --ena {params.ena:q} --order {params.order:q} \
            --retries {params.retries:q} --shard-size {params.shard_size} --count-by {params.count_by} \
            --units {output.units:q} --index {output.index:q} --seats units/seats.tsv \
            --last-plan units/last_plan --changes results/changes.tsv \
            {params.costs:q} {params.forecast:q} {params.machine:q} --cost {output.cost:q} \
            --evidence {output.evidence:q} --own-metadata {output.own:q} --output {output.plan:q} 2>{log:q}
        """


rule discover:
    """Find series that are new in the archives, and judge them; it asks again whenever it is called."""
    output:
        table="results/discovered.tsv",
        page="results/discovered.html",
    log:
        "logs/discover/discover.log",
    conda:
        "../envs/sra_tools.yaml"
    params:
        geo=no_trigger(config["archives"]["geo"]),
        eutils=no_trigger(config["archives"]["eutils"]),
        ena=no_trigger(config["archives"]["ena"]),
        order=no_trigger(config["archives"]["order"]),
        retries=no_trigger(config["archives"]["retries"]),
        shard_size=config["plates"]["shard_size"],
        # The list of accepted accessions is among them, and no output: a plan that names it never asks for new series.
        discover=analysis.asking.discover_options(),
        costs=no_trigger(lambda: resources.cost_options(running.threads, running.most_threads)),
        call=lambda wildcards: str(time.time_ns()),  # a trigger: the answer depends on the day
    shell:
        """
        python -m scripts discover {params.discover:q} --records resources/records \
            --geo {params.geo:q} --eutils {params.eutils:q} \
            --ena {params.ena:q} --order {params.order:q} \
            --retries {params.retries:q} --shard-size {params.shard_size} \
            {params.costs:q} --page {output.page:q} --output {output.table:q} 2>{log:q}
        """
