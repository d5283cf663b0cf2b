"""What all rooms share: posts, rejects, shards, counts, the report, errors, names, arrays, and kernels.

`payloads/` holds one file for each outside format. Imports pyarrow, NumPy, numba, msgspec and the
standard library, and nothing of ours.
"""
