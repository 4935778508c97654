"""Which read of a library is the barcode, and which kit made it: evidence on a sample of the reads, and the verdict.

In: a sample of each read, the kits and the inclusion lists. Out: the verdict on a run. Barcodes are searched on the
lists by :mod:`~scripts.droplets.roles.barcode_search`, judged by :mod:`~scripts.droplets.roles.role_evidence` (begin
there), and runs beside those of RNA are found by :mod:`~scripts.droplets.roles.feature_runs`.
"""
