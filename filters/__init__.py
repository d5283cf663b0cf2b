"""Decisions and edits on Arrow columns: functions and values, without Beam and without files but models.

A new filter is a file in `rules/` and a name in `registry.py`. `base.py` is the contract that every
filter keeps and `batch.py` what a filter is given; `partition.py` applies filters to a batch. May import
`schemas`.
"""
