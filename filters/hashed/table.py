"""The hashed table: its file, and what it makes of texts."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa

from sluice.filters.batch import Mask
from sluice.filters.hashed.kernels import LONGEST, SHORTEST, SLOTS, list_rows, sum_rows
from sluice.schemas.arrays import Array, Float32s, Float64s, Int8s, Int32s, Int64s
from sluice.schemas.errors import InputError
from sluice.schemas.kernel import utf8_view
from sluice.schemas.mapped_arrays import map_arrays, packed

HEADS: Final = ("toxicity", "spam", "quality", "")
"""The column of each head; the last one is not used yet."""
MOST_BITS: Final = 28
EMPTY_ROWS: Final = 20
"""Rows of zeros that a text has besides its own: the less of a text there is, the less its words decide."""
_LARGEST = 127


class Sums(NamedTuple):
    """What the table makes of N texts.

    Attributes:
        sums_NC: (N, C) int32, the sums of the rows of each text.
        num_N: (N,) int32, how many rows that were.
    """

    sums_NC: Int32s
    num_N: Int32s

    def filter(self, mask_N: Mask) -> "Sums":
        """Returns the rows where the mask is true."""
        return Sums(self.sums_NC[mask_N], self.num_N[mask_N])


class HashedTable:
    """Rows of int8, one column a head, that words and n-grams are hashed into; holds no GIL while it reads.

    Attributes:
        rows_RC: (R, C) int8; R is a power of two, C is that of HEADS.
        scales_C: (C,) float32, what a unit of a column is worth.
    """

    def __init__(self, rows_RC: Int8s, scales_C: Float32s):
        self.rows_RC, self.scales_C = rows_RC, scales_C
        self._bits = np.uint64(len(rows_RC).bit_length() - 1)

    def read(self, texts: pa.StringArray) -> Sums:
        """Returns the sums of classifier texts; row i depends on text i alone."""
        data_B, offsets_N1 = utf8_view(texts)
        columns, longest = self.rows_RC.shape[1], int(np.diff(offsets_N1).max(initial=0))
        sums = Sums(np.zeros((len(texts), columns), np.int32), np.empty(len(texts), np.int32))
        known_S3, kept_SC = np.zeros((SLOTS, 3), np.int64), np.empty((SLOTS, columns), np.int32)
        room_K = np.empty(most_rows(longest), np.int32)
        sum_rows(data_B, offsets_N1, self.rows_RC, self._bits, room_K, known_S3, kept_SC, *sums)
        return sums

    def means(self, sums: Sums, *, head: str) -> Float64s:
        """Returns (N,) float64, the mean of a head's column over each text's rows and EMPTY_ROWS."""
        column = HEADS.index(head)
        scale = float(self.scales_C[column])
        return np.asarray(scale * sums.sums_NC[:, column] / (sums.num_N + EMPTY_ROWS), np.float64)


def most_rows(num_bytes: int) -> int:
    """Returns a bound on the rows of texts of so many bytes: there are 3 a byte at most."""
    return (num_bytes + 2) * (LONGEST - SHORTEST + 2) + 2


def rows_of(texts: pa.StringArray, *, bits: int) -> tuple[Int32s, Int64s]:
    """Returns the rows of each text, for training: text i has rows_K[starts_N1[i] : starts_N1[i + 1]].

    Args:
        texts: (N,) classifier texts.
        bits: the table has 2**bits rows.
    """
    data_B, offsets_N1 = utf8_view(texts)
    size = int(offsets_N1[-1] - offsets_N1[0])
    rows_K, starts_N1 = np.empty(most_rows(size), np.int32), np.zeros(len(texts) + 1, np.int64)
    num = list_rows(data_B, offsets_N1, np.uint64(bits), rows_K, starts_N1)
    return rows_K[:num].copy(), starts_N1


def quantised(weights: Mapping[str, Array]) -> HashedTable:
    """Returns the table of weights by head, each (R,) float, as int8 of the largest weight's 127th."""
    size = len(next(iter(weights.values())))
    rows_RC, scales_C = np.zeros((size, len(HEADS)), np.int8), np.ones(len(HEADS), np.float32)
    for head, weights_R in weights.items():
        column = HEADS.index(head)
        scales_C[column] = float(np.abs(weights_R).max(initial=1e-9)) / _LARGEST
        rows_RC[:, column] = np.rint(weights_R / scales_C[column]).clip(-_LARGEST, _LARGEST)
    rows_RC.flags.writeable = False
    return HashedTable(rows_RC, scales_C)


def write_table(table: HashedTable, path: Path) -> None:
    """Writes the file of a table: the same table gives the same bytes."""
    path.write_bytes(packed({"rows": table.rows_RC, "scales": table.scales_C}))


@cache
def read_table(path: Path) -> HashedTable:
    """Returns the table of a file, which is mapped: processes share its pages.

    Raises:
        InputError: the file cannot be read, or is no such table.
    """
    try:
        arrays = map_arrays(str(path))
        rows_RC, scales_C = arrays["rows"], arrays["scales"]
    except (OSError, ValueError, KeyError) as error:
        raise InputError(
            f"{path}: is not a table of screens ({error}); install the package again"
        ) from error
    power = rows_RC.ndim == 2 and len(rows_RC).bit_count() == 1 and len(rows_RC) <= 1 << MOST_BITS
    kinds = rows_RC.dtype, rows_RC.shape[1:], scales_C.dtype, scales_C.shape
    want = np.int8, (len(HEADS),), np.float32, (len(HEADS),)
    if not power or kinds != want or not np.isfinite(scales_C).all():
        raise InputError(
            f"{path}: is not a table of screens: must have a power of two of rows of "
            f"{len(HEADS)} int8, and as many scales; install the package again"
        )
    return HashedTable(rows_RC, scales_C)
