"""Outside formats: how the columns or fields of an input become those of POST.

A new format is one file here, and its name in `known_formats.py`. May import the other schemas.
"""
