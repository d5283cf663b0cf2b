"""Phase tokens: survivors -> ids -> partitions by seeded hash -> packed sequences -> shards.

Stages in order: `encode.py`, `pack.py`, `deal.py`, `shard.py`. Reads the tokenizer that vocabulary made.
"""
