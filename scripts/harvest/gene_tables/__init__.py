"""Tables of genes by cells: their columns, rows and texts, and transcripts per million.

In: counts of shards and a table of genes, or texts of other workflows. Out: text of CSV. Begin with
:mod:`~scripts.harvest.gene_tables.columns`.
"""
