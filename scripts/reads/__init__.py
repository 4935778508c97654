"""Stage 3: from runs to reads.

In: the run table of a unit. Out: validated archives, then FASTQ with every read of the archive. Begin with the commands
:mod:`~scripts.reads.download` and :mod:`~scripts.reads.fastq`.
"""
