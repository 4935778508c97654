"""Stage 2: from sequences and annotations to indices.

In: FASTA and GTF. Out: genome, annotation, table of genes, STAR index and count index in ``resources/{reference}/``.
Start with the command :mod:`~scripts.references.reference`.
"""
