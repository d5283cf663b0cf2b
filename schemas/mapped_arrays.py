"""Arrays in one file, which the processes of a machine map instead of reading: they share its pages.

The file is a line of JSON, which says where each array stands, then the arrays, each at a multiple of 64
bytes.

    >>> import numpy as np
    >>> data = packed({"a": np.arange(3), "b": np.zeros((2, 2), np.uint8)})
    >>> {name: array.tolist() for name, array in unpacked_arrays(data).items()}
    {'a': [0, 1, 2], 'b': [[0, 0], [0, 0]]}
"""

from collections.abc import Mapping
from typing import Final

import msgspec
import numpy as np
import pyarrow as pa

from sluice.schemas.arrays import Array

_ALIGNMENT: Final = 64
_MAX_LINE: Final = 1 << 16
"""Bytes that the first line has at most: some hundred arrays."""


class _Place(msgspec.Struct, frozen=True):
    """Where an array stands, counted from the end of the padded first line."""

    dtype: str
    shape: tuple[int, ...]
    offset: int


def packed(arrays: Mapping[str, Array]) -> bytes:
    """Returns the bytes of a file of arrays, in their order; the same arrays give the same bytes.

    Args:
        arrays: some hundred at most, of any shape, of dtypes that hold no objects.
    """
    places, parts, offset = {}, [], 0
    for name, array in arrays.items():
        content = np.ascontiguousarray(array).tobytes()
        places[name] = _Place(array.dtype.str, array.shape, offset)
        parts.append(content + bytes(-len(content) % _ALIGNMENT))
        offset += len(parts[-1])
    head = msgspec.json.encode(places) + b"\n"
    return b"".join([head, bytes(-len(head) % _ALIGNMENT), *parts])


def map_arrays(path: str) -> dict[str, Array]:
    """Returns the arrays of a local file, read-only; the mapping lasts as long as one of them."""
    with pa.memory_map(path) as file:
        return unpacked_arrays(file.read_buffer())


def unpacked_arrays(data: "bytes | pa.Buffer") -> dict[str, Array]:
    """Returns the arrays of what `packed` made, read-only views of it; only the first line is read.

    Raises:
        ValueError: the data are cut, or of another kind.
    """
    line, has_end, _ = bytes(memoryview(data)[:_MAX_LINE]).partition(b"\n")
    try:
        places = msgspec.json.decode(line if has_end else b"", type=dict[str, _Place])
    except msgspec.DecodeError:
        raise ValueError(
            "is no file of arrays: its first line does not say where they are"
        ) from None
    begin = len(line) + 1 + -(len(line) + 1) % _ALIGNMENT
    return {name: _view(data, begin, place) for name, place in places.items()}


def _view(data: "bytes | pa.Buffer", begin: int, place: _Place) -> Array:
    """Returns an array that stands so many bytes behind the padded first line.

    Raises:
        ValueError: the data end before it does.
    """
    number = int(np.prod(place.shape, dtype=np.int64))
    flat: Array = np.frombuffer(data, place.dtype, number, begin + place.offset)
    flat = flat.reshape(place.shape)
    flat.flags.writeable = False
    return flat
