"""The barcodes of a library as STAR is given them, where the configured inclusion lists are not all there is.

In: the kit, its lists and the reads. Out: the lists and the barcode reads that STAR takes
(:mod:`~scripts.droplets.barcodes.library_lists`, begin there): public lists, barcodes that are found in the reads,
wells with two barcodes, and the probes and probe barcodes of 10x Flex.
"""
