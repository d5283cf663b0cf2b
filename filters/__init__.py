"""Decisions and edits on Arrow columns. A new filter is a file in `rules/` and a name in `registry.py`."""
