"""sra2matrix: from public single-cell RNA-seq archives to count matrices.

Data flow one way: records → references → reads → plates and droplets → harvest → atlas. A stage is a package here, a
rule file in ``rules/`` and a test folder in ``tests/``; each rule calls the command of its name. Below the stages stand
:mod:`scripts.core` (nothing about biology), :mod:`scripts.formats`, :mod:`scripts.plan` and :mod:`scripts.star`.
"""

__version__ = "0.2.0"
