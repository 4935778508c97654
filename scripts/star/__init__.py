"""How STAR is called and its logs are read; plates, droplets and references share it.

In: an index and reads. Out: STAR's outputs and logs. Begin with :mod:`~scripts.star.presets` (which options STAR gets)
and :mod:`~scripts.star.program` (how it is run); :mod:`~scripts.star.genome_memory` loads a genome once for many STARs.
"""
