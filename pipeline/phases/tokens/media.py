"""Where the media of posts are in the sequences: for each piece, those whose placeholder it holds.

Shape suffixes: N posts, P pieces, M media, K placeholders among the tokens.
"""

import numpy as np
import pyarrow as pa

from sluice.filters.text.media import kind_numbers
from sluice.schemas.arrays import Int64s
from sluice.tokenizer.packing.documents import Joined
from sluice.tokenizer.packing.plan import PackPlan

PIECE_MEDIA = pa.field(
    "media",
    pa.list_(pa.struct([("kind", pa.string()), ("key", pa.string()), ("position", pa.int32())])),
)
"""Of a piece of a post: its media, with the place of each one's special token in the sequence.

A medium of a kind that has no token is with the first piece of its post and has no position; nor has one
whose token was cut off."""


def media_of_pieces(
    planned: PackPlan, media: pa.ListArray, joined: Joined, ids: tuple[int, ...]
) -> pa.ListArray:
    """Returns (P,) the media of each piece, null where it has none.

    Args:
        planned: where the pieces of the posts are.
        media: (N,) MEDIA, in the order in which their placeholders stand in the posts.
        joined: the tokens of the posts.
        ids: of the placeholders.

    Raises:
        ValueError: the tokens do not have a placeholder for each medium.
    """
    items = media.flatten()
    owner_M = np.repeat(np.arange(len(media)), media.value_lengths().fill_null(0).to_numpy())
    has_M = kind_numbers(items.field("kind")) >= 0
    at_K = np.flatnonzero(np.isin(joined.tokens_T, ids))
    post_K = np.searchsorted(joined.starts_N, at_K, side="right") - 1
    if not np.array_equal(post_K, owner_M[has_M]):
        raise ValueError("the tokens of posts do not have a placeholder for each of their media")
    place_M = np.zeros(len(owner_M), np.int64)
    place_M[has_M] = at_K - joined.starts_N[post_K]
    piece_M = _pieces(planned, owner_M, place_M)
    inside_M = (piece_M >= 0) & has_M
    inside_M &= place_M < planned.start_P[piece_M] + planned.length_P[piece_M]
    position_M = planned.offset_P[piece_M] + place_M - planned.start_P[piece_M]
    cut_M = has_M & ~inside_M
    piece_M[cut_M] = _pieces(planned, owner_M[cut_M], np.zeros(int(cut_M.sum()), np.int64))
    order_M = np.argsort(piece_M, kind="stable")[int((piece_M < 0).sum()) :]
    rows = items.take(pa.array(order_M))
    positions = pa.array(position_M[order_M].astype(np.int32), mask=~inside_M[order_M])
    structs = pa.StructArray.from_arrays(
        [rows.field("kind"), rows.field("key"), positions], fields=list(PIECE_MEDIA.type.value_type)
    )
    offsets_P1 = np.searchsorted(piece_M[order_M], np.arange(len(planned.post_P) + 1))
    return pa.ListArray.from_arrays(
        pa.array(offsets_P1.astype(np.int32)),
        structs,
        type=PIECE_MEDIA.type,
        mask=pa.array(np.diff(offsets_P1) == 0),
    )


def _pieces(planned: PackPlan, post_M: Int64s, place_M: Int64s) -> Int64s:
    """Returns (M,) the last piece of a post that begins at or before a place in it; -1 where it has none."""
    if not len(planned.post_P):
        return np.full(len(post_M), -1, np.int64)
    order_P = np.lexsort((planned.start_P, planned.post_P))
    key_P = (planned.post_P.astype(np.int64) << 32 | planned.start_P)[order_P]
    found_M = np.searchsorted(key_P, post_M << 32 | place_M, side="right") - 1
    piece_M = order_P[found_M]
    return np.where((found_M >= 0) & (planned.post_P[piece_M] == post_M), piece_M, -1)
