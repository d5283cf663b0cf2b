"""Files by path or URI, on a disk or in an object store: reading, writing, locks, checksums.

Of the rooms of pipeline it imports processes, for signals.
"""
