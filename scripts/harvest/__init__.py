"""Stage 5: from counts to results.

In: counts and statuses of all units, and the archives' records. Out: the ledger, tables, metadata, report and checksums
in ``results/``. Begin with the commands :mod:`~scripts.harvest.ledger` and :mod:`~scripts.harvest.counts_table`;
:mod:`scripts.harvest.checks` has what ``verify`` checks.
"""
