"""Results unfolded into the logs that MultiQC knows, for the command ``multiqc``.

In: ``results/*.log.csv.gz``, ``results/quality/``, ``results/provenance.json`` and ``units/solo/``. Out: a folder of
files: STAR's Log.final.out and the tallies of htseq-count of each sample (logs.py), and what STARsolo says of libraries
as MultiQC's custom content (custom_content.py).
"""
