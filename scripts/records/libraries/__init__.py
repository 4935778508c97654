"""What a library is, as its records show it: single cells or not, one cell or many, which molecules, which reads.

In: experiments with their texts (:mod:`~scripts.records.libraries.texts`). Out: judgements with the evidence that they
rest on. Start with :mod:`~scripts.records.libraries.assay`.
"""
