"""What is computed from the text of a post alone: cleaning, counts, the texts that models read.

Character classes, NFC, stable hashes, and the kernels that read posts as posts. Imports `schemas`, and
nothing else of ours.
"""
