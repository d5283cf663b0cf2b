"""Byte-pair merges from words and how often they occur, compiled, with a few bytes of state per symbol.

The rule is that of Hugging Face's `BpeTrainer`: merge the pair of neighbours that occurs most often, of
equally frequent ones the pair with the smaller ids; a word is merged from its left; stop when the
vocabulary is full or no pair occurs `min_frequency` times. The result follows from the words and their
counts alone, not from their order.

Every new pair holds the token just made, so a pair's count only falls once it is known. Hence:

- a pair that begins below `min_frequency` is never looked at again, and is not kept;
- the queue may hold counts that are too high, and corrects what comes to its top.

Symbols follow each other, one slot per byte: a token's first slot has its id, its last one (if it has
two bytes or more) its length as a negative number, so that both neighbours are one step away. Words are in
the order of their counts, so that a place alone says how often its word occurs: the groups of equally
frequent words are searched. Each pair has the list of its places, ascending; places that a merge has
changed since are passed over, and dropped when room is made.

No token is made twice. Merges of lower rank cut a token's bytes alike wherever they are, unless they
reach across its ends, and then it is no token there. So an id is one string, and a string one id.

Source: Sennrich et al. 2016, "Neural Machine Translation of Rare Words with Subword Units", section 3.2;
Gage 1994, "A New Algorithm for Data Compression". The layout is ours.

Shape suffixes: B bytes, W words, S slots, G groups of equally frequent words, V tokens, K pairs, H slots of
a hash table, A places, M merges.
"""

import numpy as np

from sluice.schemas.arrays import Array, Int32s, Int64s, Uint8s
from sluice.schemas.errors import LimitError
from sluice.tokenizer.training import kernels
from sluice.tokenizer.training.kernels import PAIRS, PLACES, Pairs, Queue, Side, Text

MAX_SLOTS = 2**31 - 1
"""Bytes of all distinct words, with one more for each: places are int32."""


def lay_out(
    data_B: Uint8s, offsets_W1: Int64s, counts_W: Int64s, id_of_byte: Int32s, vocabulary_size: int
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
    kernels.fill_text(data_B, offsets_W1.astype(np.int64), order_W, id_of_byte, symbol_S)
    count_W = counts_W[order_W].astype(np.int64)
    last = np.flatnonzero(np.diff(count_W, append=-1))
    length_V = np.ones(vocabulary_size, np.int32)
    return Text(symbol_S, length_V, np.ascontiguousarray(end_W[last]), count_W[last])


def empty_side(vocabulary_size: int) -> Side:
    """Returns the state of a side between merges."""
    return Side(np.zeros(vocabulary_size, np.int64), *np.zeros((2, vocabulary_size), np.int32))


def with_room(
    pairs: Pairs, queue: Queue, sizes: Int64s, *, crowded: bool = True
) -> tuple[Pairs, Queue]:
    """Returns the same with room for what the next merge may add, and for half as much again as there is.

    Room that is never written to takes no memory. Places get more room only where they are crowded.
    """
    pairs_used, places_used = int(sizes[PAIRS]), int(sizes[PLACES])
    capacity = pairs_used + max(1024, pairs_used // 2, int(sizes[kernels.MORE_PAIRS]))
    more_places = max(places_used // 4, int(sizes[kernels.MORE_PLACES])) if crowded else 0
    capacity = max(capacity, len(pairs.key_K))
    table = 1 << (2 * capacity - 1).bit_length()
    key_K, count_K, start_K, size_K = (longer(array, capacity) for array in pairs[:4])
    slot_H, place_A = longer(pairs.slot_H, table), longer(pairs.place_A, places_used + more_places)
    return Pairs(key_K, count_K, start_K, size_K, slot_H, place_A), Queue(
        *(longer(array, capacity) for array in queue)
    )


def longer(array: Array, size: int) -> Array:
    """Returns an array of at least `size`, the old one at its beginning."""
    if len(array) >= size:
        return array
    out = np.empty(size, array.dtype)
    out[: len(array)] = array
    return out


def learn_merges(
    data_B: Uint8s,
    offsets_W1: Int64s,
    counts_W: Int64s,
    *,
    id_of_byte: Int32s,
    vocabulary_size: int,
    min_frequency: int,
) -> Int32s:
    """Returns the merges that the words give, in the order in which they are learnt.

    Memory: 10 bytes for each byte of the words, 16 per word while they are laid out, and some 60 for each
    pair that occurs `min_frequency` times.

    Args:
        data_B: (B,) uint8, the words one after the other.
        offsets_W1: (W + 1,) int64, where they begin.
        counts_W: (W,) int64, how often each occurs, in any unit; their sum over all symbols must be
            below 2**63.
        id_of_byte: (256,) int32, ids of the single bytes; the highest is the last one before the merges.
        vocabulary_size: ids in all, those before the merges included.
        min_frequency: the least count of a pair that is merged, in the unit of the counts.

    Returns:
        (M, 2) int32, the left and right id of each merge; merge m makes id `max(id_of_byte) + 1 + m`.

    Raises:
        LimitError: the words need more than `MAX_SLOTS` slots.
    """
    first, least = int(id_of_byte.max()) + 1, max(1, min_frequency)
    merges_M2 = np.empty((max(0, vocabulary_size - first), 2), np.int32)
    text = lay_out(data_B, offsets_W1, counts_W, id_of_byte, first + len(merges_M2))
    sizes = np.zeros(kernels.NUM_SIZES, np.int64)
    sizes[kernels.TOKENS] = first
    left, right = empty_side(first + len(merges_M2)), empty_side(first + len(merges_M2))
    pairs, queue = _first_pairs(text, sizes, id_of_byte, least)
    while not kernels.merge_pairs(text, pairs, queue, left, right, sizes, merges_M2, least):
        crowded = bool(sizes[PLACES] + sizes[kernels.MORE_PLACES] > len(pairs.place_A))
        kernels.compact_pairs(text, pairs, queue, sizes, least, crowded)
        pairs, queue = with_room(pairs, queue, sizes, crowded=crowded)
        kernels.index_pairs(pairs, queue, sizes)
    return merges_M2[: sizes[kernels.TOKENS] - first]


def _first_pairs(
    text: Text, sizes: Int64s, id_of_byte: Int32s, min_frequency: int
) -> tuple[Pairs, Queue]:
    """Returns the pairs of single bytes and a queue of them."""
    base, num_ids = int(id_of_byte.min()), int(np.ptp(id_of_byte)) + 1
    count_P, number_P = np.zeros((2, num_ids * num_ids), np.int64)
    kernels.count_first(text, base, num_ids, count_P, number_P)
    kept = np.flatnonzero(count_P >= min_frequency)
    sizes[PAIRS], sizes[PLACES] = len(kept), int(number_P[kept].sum())
    left, right = np.add(np.divmod(kept, num_ids), base).astype(np.uint64)
    pairs = Pairs(
        key_K=(left << np.uint64(32)) | right,
        count_K=count_P[kept],
        start_K=np.cumsum(number_P[kept]) - number_P[kept],
        size_K=np.zeros(len(kept), np.int32),
        slot_H=np.zeros(1, np.int32),
        place_A=np.empty(int(1.5 * sizes[PLACES]), np.int32),
    )
    number_P[:] = -1
    number_P[kept] = np.arange(len(kept))
    kernels.place_first(text, pairs, base, num_ids, number_P)
    pairs, queue = with_room(pairs, Queue(np.empty(0, np.int64), np.empty(0, np.int32)), sizes)
    kernels.index_pairs(pairs, queue, sizes)
    return pairs, queue
