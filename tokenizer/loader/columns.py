"""What a training loop needs besides tokens, computed from where documents end.

A *segment* is a document, or a part of one, or the padding behind the last of a sequence: tokens that
attend to each other. The segments of a sequence fill it. All functions take (B, L) int32 tokens and the
ends as `Rows` has them, and return new arrays.
"""

from collections.abc import Callable

import numpy as np

from sluice.schemas.arrays import Int32s, Int64s
from sluice.tokenizer.loader import kernels
from sluice.tokenizer.loader.files import Rows


def cu_seqlens(rows: Rows) -> tuple[Int32s, int]:
    """Returns where segments begin in the flattened batch, for attention of variable lengths.

    Returns:
        cu_seqlens_C1: (C + 1,) int32 from 0 to B * L: segment c is
            `tokens.reshape(-1)[cu_seqlens[c]:cu_seqlens[c + 1]]`.
        max_seqlen: tokens of the longest segment.
    """
    num_rows, length = rows.tokens_BL.shape
    starts_C1 = np.zeros(len(rows.ends_K) + num_rows + 1, np.int32)
    num_segments, longest = kernels.fill_cu_seqlens(rows.offsets_B1, rows.ends_K, length, starts_C1)
    return starts_C1[: num_segments + 1], int(longest)


def position_ids(rows: Rows) -> Int32s:
    """Returns (B, L) int32, each token's place in its segment, from 0."""
    return _filled(kernels.fill_position_ids, rows)


def document_ids(rows: Rows) -> Int32s:
    """Returns (B, L) int32, which document of its sequence a token belongs to, from 0; padding is -1."""
    return _filled(kernels.fill_document_ids, rows)


def labels(rows: Rows) -> Int64s:
    """Returns (B, L) int64, the next token of the same segment; `kernels.IGNORE_INDEX` where there is none.

    int64 is what torch's cross entropy takes, hence the one column that is wider than the shard.
    """
    labels_BL = np.empty(rows.tokens_BL.shape, np.int64)
    kernels.fill_labels(*rows, labels_BL)
    return labels_BL


def _filled(fill: Callable[[Int32s, Int32s, Int32s], None], rows: Rows) -> Int32s:
    filled_BL = np.empty(rows.tokens_BL.shape, np.int32)
    fill(rows.offsets_B1, rows.ends_K, filled_BL)
    return filled_BL
