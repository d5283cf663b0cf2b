"""Which language a post is in: scripts, the shipped identifier, its pooling rule, and language codes.

Imports the fastText engine and `batch`.
"""
