"""What all rooms share: posts, rejects, token shards, errors, names, arrays, and how kernels are declared.

`payloads/` holds one file for each outside format. Imports pyarrow, NumPy, numba and the standard
library, and nothing of ours.
"""
