"""Items of evaluation sets in texts: normalised words, the n-grams of the items, and which posts hold one.

A table of the items is built once (`table.py`), written as one file and mapped by all workers
(`table_file.py`); `match.py` tells in one compiled pass over a column which texts hold an item. No I/O but
that file. Imports the text room.
"""
