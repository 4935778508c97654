"""The format of an atlas: shards, the map from rows to cells, embedded parts, label decoders.

In and out: files, described in docs/formats.md. Open :mod:`~scripts.atlas.store.shards` first.
"""
