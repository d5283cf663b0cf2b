"""Outside formats: how the columns or fields of an input become those of POST.

A new format is one file here. May import the other schemas.
"""
