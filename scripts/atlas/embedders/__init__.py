"""Back ends that embed the cells of a matrix, each a program that may run in an environment of its own.

In: counts (h5ad) and a model. Out: an embedded part (docs/formats.md). Open README.md first.
"""
