"""How STAR is called and its logs are read; plates, droplets and references share it.

In: an index and reads. Out: STAR's outputs and logs. Begin with :mod:`~scripts.star.program`.
"""
