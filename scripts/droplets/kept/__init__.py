"""What a library was counted to: kept in ``units/``, so that cells and archives are made again without a read.

In: what STARsolo wrote. Out: ``units/solo/{library}`` (:mod:`~scripts.droplets.kept.kept_library`, begin there), the
cells called from its matrices (:mod:`~scripts.droplets.kept.cell_calls`), and whether the library passes its floors
(:mod:`~scripts.droplets.kept.floors`).
"""
