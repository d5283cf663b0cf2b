"""What a training loop needs besides tokens, computed from where documents end.

A *segment* is a document, or a part of one, or the padding behind the last of a sequence: tokens that
attend to each other. The segments of a sequence fill it. All functions take (B, L) int32 tokens and the
ends as `Rows` has them, and return new arrays.
"""

from typing import Final

import numpy as np

from sluice.schemas.arrays import Bools, Int32s, Int64s
from sluice.tokenizer.loader.files import Rows

IGNORE_INDEX: Final = -100
"""The label of a token that has none; what torch's cross entropy leaves out."""
PADDING: Final = -1
"""The document of padding."""


def segment_starts(rows: Rows) -> Int32s:
    """Returns (C + 1,) int32: where segments begin in the flattened batch, and B * L at the end."""
    num_rows, length = rows.tokens_BL.shape
    first_B = np.arange(0, num_rows * length, length, dtype=np.int32)
    ends_K = rows.ends_K + np.repeat(first_B, np.diff(rows.offsets_B1))
    padding_Q = first_B[_is_padded(rows)] + np.int32(length)
    starts_C1 = np.concatenate([np.zeros(1, np.int32), ends_K, padding_Q])
    starts_C1.sort()
    return starts_C1


def cu_seqlens(starts_C1: Int32s) -> tuple[Int32s, int]:
    """Returns where segments begin in the flattened batch, for attention of variable lengths.

    Args:
        starts_C1: of `segment_starts`, as below; computed once for all columns of a batch.

    Returns:
        cu_seqlens_C1: (C + 1,) int32 from 0 to B * L: segment c is
            `tokens.reshape(-1)[cu_seqlens[c]:cu_seqlens[c + 1]]`.
        max_seqlen: tokens of the longest segment.
    """
    return starts_C1, int(np.diff(starts_C1).max())


def position_ids(rows: Rows, starts_C1: Int32s) -> Int32s:
    """Returns (B, L) int32, each token's place in its segment, from 0."""
    ids_T = np.arange(starts_C1[-1], dtype=np.int32)
    ids_T -= np.repeat(starts_C1[:-1], np.diff(starts_C1))
    return ids_T.reshape(rows.tokens_BL.shape)


def document_ids(rows: Rows, starts_C1: Int32s) -> Int32s:
    """Returns (B, L) int32, which document of its sequence a token belongs to, from 0; padding is -1."""
    padded_B = _is_padded(rows)
    segments_B = np.diff(rows.offsets_B1) + padded_B
    stop_B = np.cumsum(segments_B)
    number_C = np.arange(stop_B[-1], dtype=np.int32)
    number_C -= np.repeat(stop_B - segments_B, segments_B).astype(np.int32)
    number_C[stop_B[padded_B] - 1] = PADDING
    return np.repeat(number_C, np.diff(starts_C1)).reshape(rows.tokens_BL.shape)


def labels(rows: Rows, *, pad_id: int) -> Int64s:
    """Returns (B, L) int64, the next token of the same segment; `IGNORE_INDEX` where there is none.

    Posts that were forgotten are padding inside their documents: nothing is learned of their places, so that
    neither they nor what stands behind the last of them has a label there.

    int64 is what torch's cross entropy takes, hence the one column that is wider than the shard.
    """
    length = rows.tokens_BL.shape[1]
    labels_BL = np.empty(rows.tokens_BL.shape, np.int64)
    labels_BL[:, :-1] = rows.tokens_BL[:, 1:]
    labels_BL[:, -1] = IGNORE_INDEX
    row_K = np.repeat(np.arange(len(labels_BL)), np.diff(rows.offsets_B1))
    labels_BL.reshape(-1)[row_K * length + rows.ends_K - 1] = IGNORE_INDEX
    pad_BL = rows.tokens_BL == pad_id
    if pad_BL.any():
        labels_BL[pad_BL] = IGNORE_INDEX
        labels_BL[:, :-1][pad_BL[:, 1:]] = IGNORE_INDEX
    return labels_BL


def _is_padded(rows: Rows) -> Bools:
    """Returns (B,) bool, whether there is padding behind the last document."""
    return np.asarray(rows.ends_K[rows.offsets_B1[1:] - 1] < rows.tokens_BL.shape[1])
