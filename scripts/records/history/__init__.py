"""What changed since the last plan: runs that are new, changed, gone or back, and what becomes of those that are gone.

In: the rows of the plan and what the records say of their samples. Out: ``units/last_plan/``, the plan as it was,
and ``results/changes.tsv``. Open :mod:`~scripts.records.history.last_plan` first.
"""
