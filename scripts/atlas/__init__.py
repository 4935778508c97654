"""Stage 6: from matrices to an embedding atlas, every cell as a vector.

In: the h5ad files in ``results/``. Out: ``results/atlas/``. Begin with the command :mod:`~scripts.atlas.atlas_pack`;
:mod:`~scripts.atlas.store` is how an atlas lies on disk.
"""
