"""Lists of authors, ids, domains, URLs and phrases: which posts they name, and what follows from it.

The entries of all lists become one immutable table (`table.py`), which a compiled pass over a column of
texts searches (`search.py`); `decide.py` applies the lists in their order. Imports the text room.
"""
