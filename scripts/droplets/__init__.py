"""From the reads of droplet libraries to matrices: the stage droplets.

In: FASTQ of a library, inclusion lists and the reference. Out: STARsolo's matrices, MEX archives and h5ad.

Commands in their order: inclusion_list; :mod:`~scripts.droplets.read_roles` (which read is the barcode, and which kit,
by the package roles); :mod:`~scripts.droplets.solo` (solo_steps counts, starsolo has STAR's options and outputs; the
package barcodes gives it the lists, also where the reads decide what is on them); cells (calls cells and judges the
library, from what the package kept has of it); mex_archive (packs, by the package mex); droplets_h5ad.
Libraries of features (antibodies, sample tags, guides) are counted by the package features. The
kits are described in :mod:`~scripts.droplets.chemistries`. Begin with read_roles and solo.
"""
