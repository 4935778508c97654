"""A package of its own, by this file, since a distribution we test against installs another top-level ``tests``."""
