"""How a vocabulary is trained: words are cut and counted, and merges learned from the counts.

Imports the vocabulary room.
"""
