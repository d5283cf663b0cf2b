"""Writes Megatron's indexed dataset: PREFIX.bin and PREFIX.idx, which `--data-path PREFIX` names.

PREFIX.bin is the tokens of all items, int32, one after the other. PREFIX.idx, little-endian:

    9 bytes        MMIDIDX, two zero bytes
    uint64         version, 1
    uint8          type of the tokens, 4: int32
    uint64         I, the number of items ("sequences" there)
    uint64         I + 1
    int32  (I,)    tokens of each item
    int64  (I,)    byte in PREFIX.bin where each begins
    int64  (I+1,)  numbers of the items with which documents begin, I at the end

Here each item is a document. Memory does not grow with the number of items: their lengths are in a
temporary file until the end.

Source: `megatron.core.datasets.indexed_dataset` of megatron-core 0.16.1; files are equal, byte for
byte, to those of its `IndexedDatasetBuilder`.
"""

import os
import struct
from pathlib import Path
from typing import IO

import numpy as np

from sluice.schemas.arrays import Int32s, Int64s

_MAGIC = b"MMIDIDX\x00\x00"
_VERSION = 1
_INT32 = 4
_ITEMS_AT_ONCE = 1 << 20


class MegatronWriter:
    """Writes a dataset; PREFIX.idx is written when the `with` block ends without an error.

    Attributes:
        num_items: written so far.
    """

    def __init__(self, prefix: str | os.PathLike[str]):
        self._index = Path(f"{os.fspath(prefix)}.idx")
        self._waiting = self._index.with_suffix(".lengths.tmp")
        self._tokens = self._index.with_suffix(".bin").open("wb")
        self._lengths = self._waiting.open("w+b")
        self.num_items = 0

    def write(self, tokens_T: Int32s, lengths_I: Int32s | Int64s) -> None:
        """Appends items: (T,) int32 tokens, one item after the other, and (I,) lengths.

        Raises:
            ValueError: a length is below 1, or the lengths do not add up to T.
        """
        if int(lengths_I.sum()) != len(tokens_T) or (len(lengths_I) and lengths_I.min() < 1):
            raise ValueError("lengths must be at least 1 and add up to the number of tokens")
        self._tokens.write(np.ascontiguousarray(tokens_T, "<i4").data)
        self._lengths.write(np.ascontiguousarray(lengths_I, "<i4").data)
        self.num_items += len(lengths_I)

    def __enter__(self) -> "MegatronWriter":
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        try:
            if kind is None:
                with open(self._index, "wb") as file:
                    self._write_index(file)
        finally:
            self._tokens.close()
            self._lengths.close()
            self._waiting.unlink(missing_ok=True)

    def _write_index(self, file: IO[bytes]) -> None:
        file.write(_MAGIC)
        file.write(struct.pack("<QBQQ", _VERSION, _INT32, self.num_items, self.num_items + 1))
        starts = range(0, self.num_items, _ITEMS_AT_ONCE)
        for start in starts:
            file.write(self._lengths_from(start).data)
        first = 0
        for start in starts:
            ends_I = first + np.cumsum(self._lengths_from(start).astype(np.int64) * 4)
            file.write(np.concatenate([[first], ends_I[:-1]]).astype("<i8").data)
            first = int(ends_I[-1])
        for start in range(0, self.num_items + 1, _ITEMS_AT_ONCE):
            stop = min(start + _ITEMS_AT_ONCE, self.num_items + 1)
            file.write(np.arange(start, stop, dtype="<i8").data)

    def _lengths_from(self, start: int) -> Int32s:
        self._lengths.seek(4 * start)
        return np.frombuffer(self._lengths.read(4 * _ITEMS_AT_ONCE), "<i4")
