"""Feeds finished shards to a training loop: order, ranks and workers, columns beside the tokens.

`dataset.py` has `TokenDataset` and `TokenLoader` and needs torch to make one; the other files do not.
Imports `schemas`.
"""
