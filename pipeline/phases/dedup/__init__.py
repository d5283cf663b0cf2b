"""Phase dedup: band keys -> candidates -> components -> verified duplicates -> what to drop.

Stages in order: buckets and join (`candidates.py`), `ship.py`, `settle.py`, `drop.py`. Reads what clean
wrote.
"""
