"""A release of results: the folder of results, with what is needed to cite it and to compare it with the one before.

In: a folder of results that verify finds sound, the kept records, and the release before. Out: a folder or an archive.
Open :mod:`~scripts.harvest.releases.contents` first; the command is :mod:`scripts.harvest.release`.
"""
