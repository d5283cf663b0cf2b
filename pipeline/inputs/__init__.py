"""Input files: which there are, how they are cut into units, and how each format becomes batches of posts.

A new format is a reader here. Imports the storage room.
"""
