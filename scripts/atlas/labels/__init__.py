"""Counts, scores and models of the labels of an atlas.

In: an atlas, and labels of cells. Out: tables, pages and models. Open :mod:`~scripts.atlas.labels.tables` first.
"""
