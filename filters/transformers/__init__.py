"""Transformers that score posts: where their files are, how they are read, batched and run.

Loads torch when a model is loaded, never at import. Imports the contract (`base`, `batch`).
"""
