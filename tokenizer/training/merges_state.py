"""What `merges` holds while it learns: the words, the pairs, the queue, and room for more of them.

Shape suffixes: as there.
"""

from typing import Any, NamedTuple

import numpy as np
from numba import types

from sluice.schemas.errors import LimitError
from sluice.schemas.kernel import kernel

Array = np.ndarray[Any, Any]

TOKENS, PAIRS, PLACES, QUEUED, MORE_PAIRS, MORE_PLACES, NUM_SIZES = range(7)
"""In the array of sizes: ids so far, pairs, places, pairs in the queue, and what the next merge wants."""

MAX_SLOTS = 2**31 - 1
"""Bytes of all distinct words, with one more for each: places are int32."""

END = np.int32(-(2**31))
"""Between words."""


class Text(NamedTuple):
    """The words as they are cut so far.

    Attributes:
        symbol_S: ids, lengths and ends of words; see the module.
        length_V: bytes of each token.
        end_G: the slot behind a group's last word, ascending.
        count_G: how often each word of the group occurs, descending.
    """

    symbol_S: Array  # int32
    length_V: Array  # int32
    end_G: Array  # int64
    count_G: Array  # int64


class Pairs(NamedTuple):
    """Pairs of neighbours that occur often enough.

    Attributes:
        key_K: left id << 32 | right id.
        count_K: how often it occurs, 0 when it was merged.
        start_K: where its places begin in `place_A`, ascending.
        size_K: how many they are.
        slot_H: hash table: number of a pair + 1, or 0.
        place_A: first slots of the left symbols; some may have changed.
    """

    key_K: Array  # uint64
    count_K: Array  # int64
    start_K: Array  # int64
    size_K: Array  # int32
    slot_H: Array  # int32
    place_A: Array  # int32


class Queue(NamedTuple):
    """A binary heap of pairs: the most frequent first, then the smaller key."""

    count_K: Array  # int64, what the pair's count was when it was put in
    pair_K: Array  # int32


class Side(NamedTuple):
    """What one merge met on one side, by the neighbour's id; all zero between merges.

    Attributes:
        weight_V: how often the neighbour stands there.
        number_V: in how many places; then the number of the new pair, or -1.
        met_V: the ids that were met.
    """

    weight_V: Array  # int64
    number_V: Array  # int32
    met_V: Array  # int32


def lay_out(
    data_B: Array, offsets_W1: Array, counts_W: Array, id_of_byte: Array, vocabulary_size: int
) -> Text:
    """Returns the words as single bytes, the most frequent first; those without a pair are left out."""
    size_W = np.diff(offsets_W1)
    order_W = np.argsort(-counts_W, kind="stable")
    order_W = order_W[(size_W[order_W] > 1) & (counts_W[order_W] > 0)]
    end_W = 1 + np.cumsum(size_W[order_W] + 1)
    num_slots = int(end_W[-1]) if len(end_W) else 1
    if num_slots > MAX_SLOTS:
        raise LimitError(
            f"vocabulary: the words need {num_slots} slots, {MAX_SLOTS} at most; lower max_words"
        )
    symbol_S = np.empty(num_slots, np.int32)
    data_B = np.ascontiguousarray(data_B)
    _fill(data_B, offsets_W1.astype(np.int64), order_W, id_of_byte.astype(np.int32), symbol_S)
    count_W = counts_W[order_W].astype(np.int64)
    last = np.flatnonzero(np.diff(count_W, append=-1))
    length_V = np.ones(vocabulary_size, np.int32)
    return Text(symbol_S, length_V, np.ascontiguousarray(end_W[last]), count_W[last])


@kernel(
    types.void(
        types.Array(types.uint8, 1, "C", readonly=True),
        types.Array(types.int64, 1, "C", readonly=True),
        types.Array(types.int64, 1, "C", readonly=True),
        types.int32[::1],
        types.int32[::1],
    )
)
def _fill(data_B, offsets_W1, order_W, id_of_byte, symbol_S):  # type: ignore[no-untyped-def]  # numba types it
    symbol_S[0] = END
    s = 1
    for k in range(len(order_W)):
        for j in range(offsets_W1[order_W[k]], offsets_W1[order_W[k] + 1]):
            symbol_S[s] = id_of_byte[data_B[j]]
            s += 1
        symbol_S[s] = END
        s += 1


def empty_side(vocabulary_size: int) -> Side:
    """Returns the state of a side between merges."""
    return Side(
        np.zeros(vocabulary_size, np.int64),
        np.zeros(vocabulary_size, np.int32),
        np.zeros(vocabulary_size, np.int32),
    )


def with_room(
    pairs: Pairs, queue: Queue, sizes: Array, *, crowded: bool = True
) -> tuple[Pairs, Queue]:
    """Returns the same with room for what the next merge may add, and for half as much again as there is.

    Room that is never written to takes no memory. Places get more room only where they are crowded.
    """
    pairs_used, places_used = int(sizes[PAIRS]), int(sizes[PLACES])
    capacity = pairs_used + max(1024, pairs_used // 2, int(sizes[MORE_PAIRS]))
    places = places_used + max(places_used // 4, int(sizes[MORE_PLACES])) if crowded else 0
    capacity, places = max(capacity, len(pairs.key_K)), max(places, len(pairs.place_A))
    table = 1 << (2 * capacity - 1).bit_length()
    roomy = Pairs(
        longer(pairs.key_K, capacity),
        longer(pairs.count_K, capacity),
        longer(pairs.start_K, capacity),
        longer(pairs.size_K, capacity),
        longer(pairs.slot_H, table),
        longer(pairs.place_A, places),
    )
    return roomy, Queue(*(longer(a, capacity) for a in queue))


def longer(array: Array, size: int) -> Array:
    """Returns an array of at least `size`, the old one at its beginning."""
    if len(array) >= size:
        return array
    out = np.empty(size, array.dtype)
    out[: len(array)] = array
    return out
