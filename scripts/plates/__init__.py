"""Stage 4a: from the reads of plate cells to counts.

In: FASTQ of a shard and the reference. Out: the counts and the status of each cell. Begin with the commands
:mod:`~scripts.plates.align` (cells → aligner) and :mod:`~scripts.plates.count` (cells → counting → shard_counts).
"""
