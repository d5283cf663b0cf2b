"""Phase conversations: survivors -> who answers whom -> trees -> the document of each post.

Stages in order: `links.py`, `match.py`, `resolve.py`, `names.py`, `places.py`. Reads what clean, dedup and
classify left.
"""
