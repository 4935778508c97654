"""What has nothing to do with biology: errors, commands, processes, locks, files, HTTP, progress.

In and out: values and paths. Start with :mod:`~scripts.core.errors` (what a user reads when something is wrong) and
:mod:`~scripts.core.command` (how a command runs as a job). What concerns files, folders and locks is in
:mod:`~scripts.core.disk`, what concerns Snakemake and the cluster in :mod:`~scripts.core.workflow`.
"""
