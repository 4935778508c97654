"""Stage 3: from runs to reads.

In: the run table of a unit. Out: checked archives in ``work/download/{unit}``, then gzipped FASTQ with every read of
the archive in ``work/fastq/{unit}``, for which the archives are deleted one by one. Begin with the commands
:mod:`~scripts.reads.download` (policy in :mod:`~scripts.reads.sources.source_order`, transport in
:mod:`~scripts.reads.sources.transfer`) and :mod:`~scripts.reads.fastq` (:mod:`~scripts.reads.conversion` of a run).

Four things are done again after a failure, each with its own word:

* a *try* is one HTTP request for a file or an answer; :mod:`scripts.core.http` makes several of them in one call;
* a *pass* asks every source of a run once (:mod:`~scripts.reads.sources.source_order`); ``archives.retries`` is the
  number of passes after the first;
* a *round* takes up the failed runs of a unit in a later call: by ``--config retry=…``, or by itself after a full disk
  (:mod:`scripts.plan.sizes.jobs`; the command :mod:`~scripts.reads.retry` sets aside what was counted);
* a *restart* is Snakemake's: a job that was killed, or failed as a whole, starts again (``retries`` of the profile).
"""
