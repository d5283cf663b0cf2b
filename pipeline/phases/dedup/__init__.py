"""Phase dedup: band keys -> candidates -> components -> verified duplicates -> what to drop.

Stages in order: buckets and join (`candidates.py`), `send.py`, `resolve.py`, `drop.py`. Reads what clean
wrote.
"""
