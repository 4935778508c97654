"""What `verify` checks in the files of a folder of results, a kind of files a module.

In: the folder, which somebody else may have made, and the rows of its ledger. Out: a sentence for each fault. Every
file is read in bounded memory, and nothing in it is believed. Open folder.py first.
"""
