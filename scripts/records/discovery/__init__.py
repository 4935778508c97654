"""Find series that are new in GEO, and single-cell studies outside it, and judge them as the look-up does.

In: a date or a query. Out: ``results/discovered.tsv``, its page and the list of accepted accessions. The command is
:mod:`scripts.records.discover`; start with :mod:`~scripts.records.discovery.found`, which asks what there is, and
:mod:`~scripts.records.discovery.judged`, which judges it.
"""
