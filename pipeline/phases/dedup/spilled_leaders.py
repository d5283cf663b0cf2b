"""Leaders of a component that was cut: they are spilled to disk between slices.

Shape suffixes: N rows of a slice, L leaders, K keys.
"""

import os
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from sluice.filters.dedup.sharing import KeySharing
from sluice.schemas.arrays import Array

SPILLED = pa.schema([("place", pa.int64()), ("post_id", pa.string()), ("text", pa.string())])
"""A row at its place in the order of its partition, as it is in a temporary file."""


class LeaderRows(NamedTuple):
    """Leaders of a component, the most preferred first; keys as in a slice."""

    place_L: Array
    key_LK1: Array
    post_id: pa.StringArray
    text: pa.StringArray


class Piece:
    """The leaders of one slice, in two files: their keys; their places, ids and texts."""

    def __init__(self, path: str, leaders: LeaderRows):
        self._paths, self._shape = (f"{path}.keys", f"{path}.texts"), leaders.key_LK1.shape
        leaders.key_LK1.tofile(self._paths[0])
        columns = [pa.array(leaders.place_L), leaders.post_id, leaders.text]
        with pa.ipc.new_file(self._paths[1], SPILLED) as file:
            file.write_batch(pa.RecordBatch.from_arrays(columns, schema=SPILLED))

    def sharing(self, key_NK: Array, columns: slice, *, limit: int) -> LeaderRows:
        """Returns the leaders that are among the first `limit` of any of these keys."""
        key_LK1: Array = np.memmap(self._paths[0], np.uint64, "r", shape=self._shape)
        if len(key_NK):
            taken_L = KeySharing(key_NK, limit=limit).take(key_LK1[:, columns])
        else:
            taken_L = np.zeros(len(key_LK1), np.bool_)
        with pa.memory_map(self._paths[1]) as file:
            rows = pa.ipc.open_file(file).get_batch(0).filter(pa.array(taken_L))
        columns_ = rows.column("post_id"), rows.column("text")
        return LeaderRows(np.asarray(rows.column("place")), np.asarray(key_LK1[taken_L]), *columns_)

    def remove(self) -> None:
        """Removes the files."""
        for path in self._paths:
            os.unlink(path)


class SpilledLeaders:
    """The leaders of a component that was cut, one piece per slice."""

    def __init__(self, path: str):
        self._path = path
        self._pieces: list[Piece] = []

    def add(self, leaders: LeaderRows) -> None:
        """Takes the leaders of a slice."""
        self._pieces.append(Piece(f"{self._path}-{len(self._pieces)}", leaders))

    def pieces(self) -> Iterator[Piece]:
        """Yields the pieces in the order of their slices."""
        yield from self._pieces

    def clear(self) -> None:
        """Removes all files."""
        for piece in self._pieces:
            piece.remove()
        self._pieces = []
