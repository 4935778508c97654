"""Stage 4b: from the reads of droplet libraries to matrices.

In: FASTQ of a library, inclusion lists and the reference. Out: STARsolo's matrices, MEX archives and h5ad. Begin with
the commands :mod:`~scripts.droplets.read_roles` and :mod:`~scripts.droplets.solo`.
"""
