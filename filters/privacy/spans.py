"""Where personal data stands in the texts of a column."""

from collections.abc import Collection, Iterable
from typing import NamedTuple

import numpy as np

from sluice.filters.privacy.kinds import KINDS, NUMBER_OF_KIND
from sluice.schemas.arrays import Bools, Int32s, Int64s, Uint8s


class ValueSpan(NamedTuple):
    """One value of a text: the bytes [start, end) of the text in `row`, and the number of its kind."""

    row: int
    start: int
    end: int
    kind: int


class Spans(NamedTuple):
    """Values of a column of texts, sorted by row and place; none overlaps another.

    Attributes:
        row_M: (M,) int32, the row of the text.
        start_M: (M,) int32, its first byte within the UTF-8 text.
        end_M: (M,) int32, the byte after its last one; more than the first.
        kind_M: (M,) uint8, its place in `KINDS`.
    """

    row_M: Int32s
    start_M: Int32s
    end_M: Int32s
    kind_M: Uint8s

    @classmethod
    def of(cls, spans: Iterable[ValueSpan]) -> "Spans":
        """Returns single spans as arrays, sorted."""
        rows = np.array(sorted(spans), np.int32).reshape(-1, 4)
        row_M, start_M, end_M, kind_M = (np.ascontiguousarray(column) for column in rows.T)
        return cls(row_M, start_M, end_M, kind_M.astype(np.uint8))

    @property
    def num_spans(self) -> int:
        """How many there are."""
        return len(self.row_M)

    def of_kinds(self, kinds: Collection[str]) -> "Spans":
        """Returns those of some kinds."""
        return self.where(np.isin(self.kind_M, [NUMBER_OF_KIND[kind] for kind in kinds]))

    def where(self, mask_M: Bools) -> "Spans":
        """Returns those where the mask is true."""
        return Spans(
            self.row_M[mask_M], self.start_M[mask_M], self.end_M[mask_M], self.kind_M[mask_M]
        )

    def of_rows(self, mask_N: Bools) -> "Spans":
        """Returns those of the rows where the mask is true, as of a column of these rows alone."""
        spans = self.where(mask_N[self.row_M])
        place_N = (np.cumsum(mask_N) - 1).astype(np.int32)
        return spans._replace(row_M=place_N[spans.row_M])

    def counts(self) -> dict[str, int]:
        """Returns how many there are by kind, of those kinds that there are."""
        numbers = np.bincount(self.kind_M, minlength=len(KINDS)).tolist()
        return {kind: n for kind, n in zip(KINDS, numbers, strict=True) if n}


def joined(first: Spans, others: Spans) -> Spans:
    """Returns both, sorted; of `others` those that overlap none of the first."""
    free = others.where(~_overlapping(others, first))
    row_M = np.concatenate([first.row_M, free.row_M])
    start_M = np.concatenate([first.start_M, free.start_M])
    end_M = np.concatenate([first.end_M, free.end_M])
    kind_M = np.concatenate([first.kind_M, free.kind_M])
    order_M = np.lexsort((start_M, row_M))
    return Spans(row_M[order_M], start_M[order_M], end_M[order_M], kind_M[order_M])


def _overlapping(spans: Spans, others: Spans) -> Bools:
    """Returns (M,) bool: which of the spans share a byte with one of the others."""
    starts, ends = _places(others.row_M, others.start_M), _places(others.row_M, others.end_M)
    first = np.searchsorted(ends, _places(spans.row_M, spans.start_M), side="right")
    last = np.searchsorted(starts, _places(spans.row_M, spans.end_M), side="left")
    return np.asarray(last > first)


def _places(row_M: Int32s, byte_M: Int32s) -> Int64s:
    return np.asarray(row_M.astype(np.int64) << 32 | byte_M)
