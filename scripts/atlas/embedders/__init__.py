"""Back ends that embed the cells of a matrix, each a program that may run in an environment of its own.

In: counts (h5ad) and a model. Out: an embedded part (docs/formats.md). Open README.md first.
"""

from scripts.core.numeric import one_thread

one_thread()  # before a back end imports numpy: the number of threads changes the last bits of a basis
