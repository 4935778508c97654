"""What the workflow decides before a job runs: the run table, units of work, disk footprint, sizes, cost.

In: the configuration and the run table. Out: units, their order and the resources of their jobs. Begin with
:mod:`~scripts.plan.run_table`, then :mod:`~scripts.plan.units`.
"""
