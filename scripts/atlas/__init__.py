"""Stage 6: from matrices to an embedding atlas, every cell as a vector.

In: the h5ad files in ``results/``. Out: ``results/atlas/``. Open the command :mod:`~scripts.atlas.atlas_pack` first;
:mod:`~scripts.atlas.store` has the format of an atlas, :mod:`~scripts.atlas.labels` what the commands on labels share.
"""
