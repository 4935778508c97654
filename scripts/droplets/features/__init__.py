"""Libraries of features: antibodies, sample tags and guides that were captured beside the RNA of the same cells.

In: their reads and a feature reference. Out: an archive of their counts, and those of the cells of gene expression.
Start with :mod:`~scripts.droplets.features.feature_counter`.
"""
