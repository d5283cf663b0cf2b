"""The types of NumPy arrays, by dtype; how many dimensions one has is in the suffix of its name.

`tokens_SL: Int32s` is an int32 array of S rows and L columns.
"""

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
"""Of any dtype."""
Bools = np.ndarray[Any, np.dtype[np.bool_]]
Uint8s = np.ndarray[Any, np.dtype[np.uint8]]
Uint32s = np.ndarray[Any, np.dtype[np.uint32]]
Uint64s = np.ndarray[Any, np.dtype[np.uint64]]
Int8s = np.ndarray[Any, np.dtype[np.int8]]
Int16s = np.ndarray[Any, np.dtype[np.int16]]
Int32s = np.ndarray[Any, np.dtype[np.int32]]
Int64s = np.ndarray[Any, np.dtype[np.int64]]
Float32s = np.ndarray[Any, np.dtype[np.float32]]
Float64s = np.ndarray[Any, np.dtype[np.float64]]
