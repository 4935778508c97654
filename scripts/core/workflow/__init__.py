"""What is known of the workflow that runs: Snakemake, its line of progress and last words, the nodes of a cluster.

In: the running Snakemake and its files. Out: settings and sentences. Start with
:mod:`~scripts.core.workflow.snakemake`.
"""
