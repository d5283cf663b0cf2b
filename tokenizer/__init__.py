"""Text to ids to sequences to files, without Beam.

`encode.py` turns text columns into ids, `shards.py` writes and reads token shards. May import `schemas`.
"""
