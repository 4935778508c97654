"""Files and folders that several processes and users share: writing, reading, locks, rights, what is built once.

In and out: paths. Start with :mod:`~scripts.core.disk.files` (paths below a folder, atomic writing) and
:mod:`~scripts.core.disk.shared_cache` (what all analyses share is built by the first that needs it).
"""
