"""File formats that two or more stages read or write: gzipped CSV, h5ad, npz, Matrix Market, FASTQ, HTML pages.

In and out: files. Begin with :mod:`~scripts.formats.h5ad`. The formats are described in docs/formats.md; pages and
charts are Jinja2 templates, see :mod:`~scripts.formats.pages`.
"""
