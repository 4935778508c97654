"""What the labels of an atlas say: tables of labels, scores, models trained on labels.

In: an atlas and labels of cells. Out: tables, pages and models. Begin with :mod:`~scripts.atlas.labels.tables`.
"""
