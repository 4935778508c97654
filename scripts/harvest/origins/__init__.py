"""What results were made from and with: the facts of provenance.json, and the paragraph for a paper.

In: the ledger, the status tables of the units, the archives of droplet libraries, reference.json, the configuration.
Out: ``results/provenance.json`` (facts.py) and ``results/methods.txt`` (methods.py, from the former alone, with the
works of citations.py).
"""
