"""Which texts go through a transformer together: batches of like lengths under a budget of tokens."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from sluice.schemas.arrays import Array

PAD_MULTIPLE = 8
"""On a GPU widths of batches with padding are multiples of it: attention wants its mask aligned."""


class BatchPlan(NamedTuple):
    """N texts assigned to K batches.

    Attributes:
        order_N: (N,) int64, the texts from the longest to the shortest; of equal length, in their order.
        ends_K: (K,) int64, where each batch ends in `order_N`; it begins where the one before ends.
        widths_K: (K,) int64, the tokens that each text of the batch is padded to.
    """

    order_N: Array
    ends_K: Array
    widths_K: Array

    def batches(self) -> Iterator[tuple[Array, int]]:
        """Yields the rows of each batch, (B,) int64, and the width that they are padded to."""
        begin = 0
        for end, width in zip(self.ends_K.tolist(), self.widths_K.tolist(), strict=True):
            yield self.order_N[begin:end], width
            begin = end


def padded(length: int, multiple: int = PAD_MULTIPLE) -> int:
    """Returns the least multiple that is not below a length."""
    return -(-length // multiple) * multiple


def plan_batches(
    lengths_N: Array, *, batch_tokens: int, multiple: int | None = PAD_MULTIPLE
) -> BatchPlan:
    """Assigns texts to batches of at most `batch_tokens` tokens, padding counted.

    Texts of one length that fill half of the budget are a batch of their own: without padding attention
    needs no mask. Others share a batch with the next shorter ones, which ends, once it is half full, where
    a narrower one would do. Longest first, so that memory runs out at the start if it does.

    Args:
        lengths_N: (N,) tokens in each text, at least 1.
        batch_tokens: at least the longest length, padded.
        multiple: widths of batches with padding are multiples of it; None for batches of one length each.

    Raises:
        ValueError: a text does not fit into the budget.

    Source: ours; sorting by length as in fairseq (Ott et al. 2019, arXiv:1904.01038, section 3).
    """
    order_N = np.argsort(-lengths_N.astype(np.int64), kind="stable")
    sorted_N = lengths_N[order_N].astype(np.int64)
    if len(sorted_N) and padded(int(sorted_N[0]), multiple or 1) > batch_tokens:
        raise ValueError(f"batch_tokens = {batch_tokens} holds no text of {sorted_N[0]} tokens")
    ends, widths, begin = [], [], 0
    while begin < len(sorted_N):
        end, width = _batch(sorted_N, begin, batch_tokens=batch_tokens, multiple=multiple)
        ends.append(end)
        widths.append(width)
        begin = end
    return BatchPlan(order_N, np.array(ends, np.int64), np.array(widths, np.int64))


def _batch(
    sorted_N: Array, begin: int, *, batch_tokens: int, multiple: int | None
) -> tuple[int, int]:
    """Returns where the batch that begins there ends, and its width."""

    def first_shorter_than(length: int) -> int:
        return int(np.searchsorted(-sorted_N, -length, side="right"))

    longest = int(sorted_N[begin])
    alike = min(first_shorter_than(longest), begin + batch_tokens // longest)
    if multiple is None or alike == len(sorted_N):
        return alike, longest
    if 2 * (alike - begin) * longest >= batch_tokens:
        return alike, longest
    width = padded(longest, multiple)
    full = min(len(sorted_N), begin + batch_tokens // width)
    half = min(full, begin + -(-batch_tokens // (2 * width)))
    return min(full, max(half, first_shorter_than(width - multiple + 1))), width


def pad_rows(ids_T: Array, starts_B: Array, lengths_B: Array, *, width: int, pad_id: int) -> Array:
    """Returns (B, width) int64, rows of a flat array of tokens, padded on the right.

    Args:
        ids_T: (T,) the tokens of all texts, one after the other; T is at least 1.
        starts_B: (B,) where each row starts in it.
        lengths_B: (B,) its length, at most `width`.
        width: of the result.
        pad_id: what fills the rows.
    """
    columns_W = np.arange(width)
    places_BW = np.minimum(starts_B[:, None] + columns_W, len(ids_T) - 1)
    real_BW = columns_W < lengths_B[:, None]
    return np.where(real_BW, ids_T[places_BW], pad_id).astype(np.int64)
