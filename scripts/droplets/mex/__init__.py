"""MEX archives: the matrices of a library as files of their own, always with the same bytes (docs/formats.md).

In: STARsolo's matrices, or archives of anyone. Out: archives (:mod:`~scripts.droplets.mex.mex_writer`), their content
(:mod:`~scripts.droplets.mex.mex_reader`, begin there), and one of several (:mod:`~scripts.droplets.mex.mex_merge`).
"""
