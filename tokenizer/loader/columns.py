"""What a training loop needs besides tokens, computed from where documents end.

A *segment* is a document, or a part of one, or the padding behind the last of a sequence: tokens that
attend to each other. The segments of a sequence fill it. All functions take (B, L) int32 tokens and the
ends as `Rows` has them, and return new arrays.
"""

from typing import Any, Final

import numpy as np
from numba import types

from sluice.schemas.arrays import Int32s, Int64s
from sluice.schemas.kernel import kernel
from sluice.tokenizer.loader.files import Rows

IGNORE_INDEX: Final = -100
"""The label of a token that has none; what torch's cross entropy leaves out."""
PADDING: Final = -1
"""The document of padding."""


def cu_seqlens(rows: Rows) -> tuple[Int32s, int]:
    """Returns where segments begin in the flattened batch, for attention of variable lengths.

    Returns:
        cu_seqlens_C1: (C + 1,) int32 from 0 to B * L: segment c is
            `tokens.reshape(-1)[cu_seqlens[c]:cu_seqlens[c + 1]]`.
        max_seqlen: tokens of the longest segment.
    """
    num_rows, length = rows.tokens_BL.shape
    starts_C1 = np.zeros(len(rows.ends_K) + num_rows + 1, np.int32)
    num_segments, longest = _cu_seqlens(rows.offsets_B1, rows.ends_K, length, starts_C1)
    return starts_C1[: num_segments + 1], int(longest)


def position_ids(rows: Rows) -> Int32s:
    """Returns (B, L) int32, each token's place in its segment, from 0."""
    return _filled(_position_ids, rows)


def document_ids(rows: Rows) -> Int32s:
    """Returns (B, L) int32, which document of its sequence a token belongs to, from 0; padding is -1."""
    return _filled(_document_ids, rows)


def labels(rows: Rows) -> Int64s:
    """Returns (B, L) int64, the next token of the same segment; IGNORE_INDEX where there is none.

    int64 is what torch's cross entropy takes, hence the one column that is wider than the shard.
    """
    labels_BL = np.empty(rows.tokens_BL.shape, np.int64)
    _labels(*rows, labels_BL)
    return labels_BL


def _filled(fill: Any, rows: Rows) -> Int32s:
    filled_BL = np.empty(rows.tokens_BL.shape, np.int32)
    fill(rows.offsets_B1, rows.ends_K, filled_BL)
    return filled_BL


_READ = types.Array(types.int32, 1, "C", readonly=True)
_TABLE = types.Array(types.int32, 2, "C", readonly=True)
_FILLS = types.void(_READ, _READ, types.int32[:, ::1])


@kernel(types.UniTuple(types.int64, 2)(_READ, _READ, types.int64, types.int32[::1]))
def _cu_seqlens(offsets_B1, ends_K, length, starts_C1):  # type: ignore[no-untyped-def]  # numba types it
    c, longest = 0, 0
    for b in range(len(offsets_B1) - 1):
        start = 0
        for k in range(offsets_B1[b], offsets_B1[b + 1] + 1):
            end = length if k == offsets_B1[b + 1] else ends_K[k]
            if end > start:  # no padding: nothing behind the last document
                c += 1
                starts_C1[c] = b * length + end
                longest = max(longest, end - start)
                start = end
    return c, longest


@kernel(_FILLS)
def _position_ids(offsets_B1, ends_K, ids_BL):  # type: ignore[no-untyped-def]  # numba types it
    length = ids_BL.shape[1]
    for b in range(len(ids_BL)):  # one pass of tokens: segments are too short for wide loops
        k, stop, position = offsets_B1[b], offsets_B1[b + 1], 0
        end = ends_K[k]
        for j in range(length):
            if j == end:
                k, position = k + 1, 0
                end = ends_K[k] if k < stop else length
            ids_BL[b, j] = position
            position += 1


@kernel(_FILLS)
def _document_ids(offsets_B1, ends_K, ids_BL):  # type: ignore[no-untyped-def]  # numba types it
    for b in range(len(ids_BL)):
        start = 0
        for k in range(offsets_B1[b], offsets_B1[b + 1]):
            ids_BL[b, start : ends_K[k]] = k - offsets_B1[b]
            start = ends_K[k]
        ids_BL[b, start:] = PADDING


@kernel(types.void(_TABLE, _READ, _READ, types.int64[:, ::1]))
def _labels(tokens_BL, offsets_B1, ends_K, labels_BL):  # type: ignore[no-untyped-def]  # numba types it
    length = labels_BL.shape[1]
    for b in range(len(labels_BL)):
        for j in range(length - 1):  # as if there were one document: this loop is wide
            labels_BL[b, j] = tokens_BL[b, j + 1]
        for k in range(offsets_B1[b], offsets_B1[b + 1]):
            labels_BL[b, ends_K[k] - 1] = IGNORE_INDEX
        labels_BL[b, ends_K[offsets_B1[b + 1] - 1] :] = IGNORE_INDEX
