"""Quality: figures of every plate cell and droplet library, and flags for what needs a look.

In: the ledger, units/ (counts of shards, figures and logs of libraries, figures of reads), results/droplets/. Out:
results/quality/. Open flags.py first: the one table of flags, with their limits.
"""
