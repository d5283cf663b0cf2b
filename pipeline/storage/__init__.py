"""Files by path or URI, on a disk or in an object store: reading, writing, locks, checksums.

Imports no other room of pipeline.
"""
