"""The algebra of duplicates: hashes, MinHash, shared keys, components, clusters. No files, no Beam.

Imports the text room for stable hashes.
"""
