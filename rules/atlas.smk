"""From matrices to an embedding atlas of each species, where it is asked for (`atlas: {enabled: true}`).

In: results/{species}.h5ad and results/droplets/. Out: results/atlas/.
"""


rule atlas_model:
    """Fit the basis of svd-baseline to a sample of a species' cells."""
    input:
        matrices=of(lambda species: list(results.matrices(species).values()), "species"),
        reference=of(lambda species: config["atlas"]["references"].get(species, []), "species"),
    output:
        model="work/atlas/{species}/model.npz",
    log:
        "logs/atlas_model/{species}.log",
    benchmark:
        "logs/benchmarks/atlas_model/{species}.tsv"
    conda:
        "../envs/python.yaml"
    resources:
        mem_mb=mem_mb("atlas"),
        runtime=runtime("atlas"),
    params:
        content=of(results.labels_content, "species"),  # a trigger: also by a file with an older time
        components=config["atlas"]["components"],
        cells=config["atlas"]["fit_cells"],
        seed=config["atlas"]["seed"],
        labels=config["atlas"]["labels"],
    shell:
        """
        python -m scripts atlas_model --matrices {input.matrices:q} \
            --components {params.components} --cells {params.cells} --seed {params.seed} \
            --reference {input.reference:q} --labels {params.labels:q} \
            --output {output.model:q} 2>{log:q}
        """


rule atlas_embed:
    """Embed the cells of a matrix. The back end is a separate program, and its output is checked."""
    input:
        matrix=of(results.matrix, "species", "part"),
        model=of(results.embedding_model, "species"),
    output:
        part=temp(directory("work/atlas/{species}/{part}")),
    log:
        "logs/atlas_embed/{species}.{part}.log",
    benchmark:
        "logs/benchmarks/atlas_embed/{species}.{part}.tsv"
    conda:
        "../envs/scprint2.yaml"
        if config["atlas"]["backend"] == "scprint2"
        else "../envs/python.yaml"
    resources:
        mem_mb=mem_mb("atlas"),
        runtime=runtime("atlas"),
    params:
        content=of(results.model_content, "species"),  # a trigger: also by a file with an older time
        backend=config["atlas"]["backend"],
        python=lambda wildcards, threads: option("--python", config["atlas"]["python"]),
        tax_id=lambda wildcards: config["species"][wildcards.species]["tax_id"],
        seed=config["atlas"]["seed"],
    shell:
        """
        python -m scripts atlas_embed --backend {params.backend} {params.python:q} \
            --matrix {input.matrix:q} --species {wildcards.species:q} --tax-id {params.tax_id} \
            --model {input.model:q} --seed {params.seed} --output {output.part:q} 2>{log:q}
        """


rule atlas_pack:
    """Pack the embedded cells of a species into shards, with the map from each row to its cell."""
    input:
        parts=of(
            lambda species: [f"work/atlas/{species}/{part}" for part in results.matrices(species)],
            "species",
        ),
        basis=lambda wildcards: (
            results.embedding_model(wildcards.species)
            if config["atlas"]["backend"] == "svd-baseline"
            else []  # checkpoints are the user's, never copied
        ),
        wanted=ancient("units/wanted.txt"),
    output:
        atlas=directory("results/atlas/{species}"),
    log:
        "logs/atlas_pack/{species}.log",
    benchmark:
        "logs/benchmarks/atlas_pack/{species}.tsv"
    conda:
        "../envs/python.yaml"
    params:
        shard_rows=config["atlas"]["shard_rows"],
        basis=lambda wildcards, input: option("--model", input.basis),
    shell:
        """
        python -m scripts atlas_pack --parts {input.parts:q} --shard-rows {params.shard_rows} \
            {params.basis:q} --output {output.atlas:q} 2>{log:q}
        """


rule atlas_check:
    """Check an atlas in one read: checksums, widths, finite values, a cell for every row."""
    input:
        atlas="results/atlas/{species}",
    output:
        touch("units/atlas/{species}.checked"),
    log:
        "logs/atlas_check/{species}.log",
    conda:
        "../envs/python.yaml"
    shell:
        "python -m scripts atlas_check {input.atlas:q} >{log:q} 2>&1"


rule atlas_distribution:
    """Count pairs of labels of an atlas, and what is missing."""
    input:
        atlas="results/atlas/{species}",
        checked="units/atlas/{species}.checked",
        wanted=ancient("units/wanted.txt"),
    output:
        tables=directory("results/atlas/{species}.distribution"),
    log:
        "logs/atlas_distribution/{species}.log",
    conda:
        "../envs/python.yaml"
    shell:
        "python -m scripts atlas_distribution {input.atlas:q} --output {output.tables:q} 2>{log:q}"


rule atlas_agreement:
    """Show how far the first, second and third label of a cell agree."""
    input:
        atlas="results/atlas/{species}",
        checked="units/atlas/{species}.checked",
        wanted=ancient("units/wanted.txt"),
    output:
        tables=directory("results/atlas/{species}.agreement"),
    log:
        "logs/atlas_agreement/{species}.log",
    conda:
        "../envs/python.yaml"
    shell:
        "python -m scripts atlas_agreement {input.atlas:q} --output {output.tables:q} 2>{log:q}"


rule atlas_train:
    """Train a classifier of a label on embeddings, tested on series that it has not seen."""
    input:
        atlas="results/atlas/{species}",
        checked="units/atlas/{species}.checked",
        labels=lambda wildcards: config["atlas"]["train"][wildcards.species][wildcards.label],
        wanted=ancient("units/wanted.txt"),
    output:
        model=directory("results/atlas/{species}.train/{label}"),
    log:
        "logs/atlas_train/{species}.{label}.log",
    conda:
        "../envs/python.yaml"
    params:
        content=of(results.table_content, "species", "label"),  # a trigger: also by a file with an older time
        seed=config["atlas"]["seed"],
    shell:
        """
        python -m scripts atlas_train {input.atlas:q} --label {wildcards.label:q} \
            --labels {input.labels:q} --seed {params.seed} --output {output.model:q} 2>{log:q}
        """
