"""How an atlas is stored: shards, the map from rows to cells, embedded parts, decoders of labels.

In and out: files, described in docs/formats.md. Begin with :mod:`~scripts.atlas.store.shards`.
"""
