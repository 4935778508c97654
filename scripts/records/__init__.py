"""Stage 1: from accessions to the plan.

In: GEO and SRA accessions. Out: ``results/plan.tsv``, and what the archives answered in ``resources/records/``. Start
with the command :mod:`~scripts.records.resolve`, which calls :mod:`~scripts.records.lookup`. What a library is, as its
records show it: :mod:`~scripts.records.libraries`.
"""
