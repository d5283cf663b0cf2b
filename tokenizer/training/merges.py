"""Byte-pair merges from words and how often they occur, by compiled code with a few bytes of state a symbol.

The rule is that of Hugging Face's `BpeTrainer`: merge the pair of neighbours that occurs most often, of
equally frequent ones the pair with the smaller ids; a word is merged from its left; stop when the
vocabulary is full or no pair occurs `min_frequency` times. The result follows from the words and their
counts alone, not from their order.

Every new pair holds the token just made, so a pair's count only falls once it is known. Hence:

- a pair that begins below `min_frequency` is never looked at again, and is not kept;
- the queue may hold counts that are too high, and corrects what comes to its top.

Symbols lie one behind the other, a slot a byte: a token's first slot has its id, its last one (if it has
two bytes or more) its length as a negative number, so that both neighbours are one step away. Words lie in
the order of their counts, so that a place alone says how often its word occurs: the groups of equally
frequent words are searched. Each pair has the list of its places, ascending; places that a merge has
changed since are passed over, and dropped when room is made.

No token is made twice. Merges of lower rank cut a token's bytes alike wherever they stand, unless they
reach across its ends, and then it is no token there. So an id is one string, and a string one id.

Source: Sennrich et al. 2016, "Neural Machine Translation of Rare Words with Subword Units", section 3.2;
Gage 1994, "A New Algorithm for Data Compression". The layout is ours.

Shape suffixes: B bytes, W words, S slots, G groups of equally frequent words, V tokens, K pairs, H slots of
a hash table, A places, M merges.
"""

from typing import NamedTuple

import numpy as np
from numba import types

from sluice.schemas.arrays import Array
from sluice.schemas.errors import LimitError
from sluice.schemas.kernel import kernel

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


_INSIDE = np.int32(-1)
_MIX = np.uint64(0x9E3779B97F4A7C15)
_LOW = np.uint64(0xFFFFFFFF)

_DONE, _FULL = 0, 1


_I32, _I64, _U64 = types.int32[::1], types.int64[::1], types.uint64[::1]
_TEXT = types.NamedTuple((_I32, _I32, _I64, _I64), Text)
_PAIRS_T = types.NamedTuple((_U64, _I64, _I64, _I32, _I32, _I32), Pairs)
_QUEUE = types.NamedTuple((_I64, _I32), Queue)
_SIDE = types.NamedTuple((_I64, _I32, _I32), Side)


def learn_merges(
    data_B: Array,
    offsets_W1: Array,
    counts_W: Array,
    *,
    id_of_byte: Array,
    vocabulary_size: int,
    min_frequency: int,
) -> Array:
    """Returns the merges that the words give, in the order in which they are learnt.

    Memory: 10 bytes for each byte of the words, 16 a word while they are laid out, and some 60 for each
    pair that occurs `min_frequency` times.

    Args:
        data_B: (B,) uint8, the words one after the other.
        offsets_W1: (W + 1,) int64, where they begin.
        counts_W: (W,) int64, how often each occurs, in any unit; their sum over all symbols must be
            below 2**63.
        id_of_byte: (256,) ids of the single bytes; the highest is the last one before the merges.
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
    sizes = np.zeros(NUM_SIZES, np.int64)
    sizes[TOKENS] = first
    left, right = empty_side(first + len(merges_M2)), empty_side(first + len(merges_M2))
    pairs, queue = _first_pairs(text, sizes, id_of_byte, least)
    while _merge(text, pairs, queue, left, right, sizes, merges_M2, least) == _FULL:
        crowded = bool(sizes[PLACES] + sizes[MORE_PLACES] > len(pairs.place_A))
        _compact(text, pairs, queue, sizes, least, crowded)
        pairs, queue = with_room(pairs, queue, sizes, crowded=crowded)
        _index(pairs, queue, sizes)
    return merges_M2[: sizes[TOKENS] - first]


def _first_pairs(
    text: Text, sizes: Array, id_of_byte: Array, min_frequency: int
) -> tuple[Pairs, Queue]:
    """Returns the pairs of single bytes and a queue of them."""
    base, num_ids = int(id_of_byte.min()), int(np.ptp(id_of_byte)) + 1
    count_P = np.zeros(num_ids * num_ids, np.int64)
    number_P = np.zeros(num_ids * num_ids, np.int64)
    _count_first(text, base, num_ids, count_P, number_P)
    kept = np.flatnonzero(count_P >= min_frequency)
    sizes[PAIRS], sizes[PLACES] = len(kept), int(number_P[kept].sum())
    left, right = (
        part.astype(np.uint64) for part in (kept // num_ids + base, kept % num_ids + base)
    )
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
    _place_first(text, pairs, base, num_ids, number_P)
    pairs, queue = with_room(pairs, Queue(np.empty(0, np.int64), np.empty(0, np.int32)), sizes)
    _index(pairs, queue, sizes)
    return pairs, queue


@kernel(types.void(_TEXT, types.int64, types.int64, _I64, _I64))
def _count_first(text, base, num_ids, count_P, number_P):  # type: ignore[no-untyped-def]  # numba types it
    g = 0
    for s in range(1, len(text.symbol_S) - 1):
        a, b = text.symbol_S[s], text.symbol_S[s + 1]
        if a != END and b != END:
            while s >= text.end_G[g]:
                g += 1
            count_P[(a - base) * num_ids + b - base] += text.count_G[g]
            number_P[(a - base) * num_ids + b - base] += 1


@kernel(types.void(_TEXT, _PAIRS_T, types.int64, types.int64, _I64))
def _place_first(text, pairs, base, num_ids, number_P):  # type: ignore[no-untyped-def]  # numba types it
    for s in range(1, len(text.symbol_S) - 1):
        a, b = text.symbol_S[s], text.symbol_S[s + 1]
        if a != END and b != END:
            k = number_P[(a - base) * num_ids + b - base]
            if k >= 0:
                pairs.place_A[pairs.start_K[k] + pairs.size_K[k]] = s
                pairs.size_K[k] += 1


@kernel()
def _comes_before(count, key, other_count, other_key):  # type: ignore[no-untyped-def]  # numba types it
    return count > other_count or (count == other_count and key < other_key)


@kernel()
def _sink(queue, key_K, n, i):  # type: ignore[no-untyped-def]  # numba types it
    """Moves entry i of n down to its place in the heap."""
    count, pair = queue.count_K[i], queue.pair_K[i]
    key = key_K[pair]
    child = 2 * i + 1
    while child < n:
        other = child + 1
        if other < n and _comes_before(
            queue.count_K[other],
            key_K[queue.pair_K[other]],
            queue.count_K[child],
            key_K[queue.pair_K[child]],
        ):
            child = other
        if not _comes_before(queue.count_K[child], key_K[queue.pair_K[child]], count, key):
            break
        queue.count_K[i], queue.pair_K[i] = queue.count_K[child], queue.pair_K[child]
        i = child
        child = 2 * i + 1
    queue.count_K[i], queue.pair_K[i] = count, pair


@kernel()
def _rise(queue, key_K, i):  # type: ignore[no-untyped-def]  # numba types it
    """Moves entry i up to its place in the heap."""
    count, pair = queue.count_K[i], queue.pair_K[i]
    key = key_K[pair]
    while i > 0:
        parent = (i - 1) >> 1
        if not _comes_before(count, key, queue.count_K[parent], key_K[queue.pair_K[parent]]):
            break
        queue.count_K[i], queue.pair_K[i] = queue.count_K[parent], queue.pair_K[parent]
        i = parent
    queue.count_K[i], queue.pair_K[i] = count, pair


@kernel()
def _slot_of(pairs, key):  # type: ignore[no-untyped-def]  # numba types it
    """Returns the slot of a pair in the hash table, or the empty one where it would stand."""
    mask = np.uint64(len(pairs.slot_H) - 1)
    slot = ((key * _MIX) >> np.uint64(32)) & mask
    while pairs.slot_H[slot] != 0 and pairs.key_K[pairs.slot_H[slot] - 1] != key:
        slot = (slot + np.uint64(1)) & mask
    return slot


@kernel()
def _key(left, right):  # type: ignore[no-untyped-def]  # numba types it
    return (np.uint64(left) << np.uint64(32)) | np.uint64(right)


@kernel(types.void(_PAIRS_T, _QUEUE, _I64))
def _index(pairs, queue, sizes):  # type: ignore[no-untyped-def]  # numba types it
    """Builds the hash table and the queue from the list of pairs."""
    n = sizes[PAIRS]
    pairs.slot_H[:] = 0
    for k in range(n):
        pairs.slot_H[_slot_of(pairs, pairs.key_K[k])] = k + 1
        queue.count_K[k], queue.pair_K[k] = pairs.count_K[k], k
    for i in range(n // 2 - 1, -1, -1):
        _sink(queue, pairs.key_K, n, i)
    sizes[QUEUED] = n


@kernel()
def _stands(text, key, s):  # type: ignore[no-untyped-def]  # numba types it
    """Returns whether the pair still stands at a place."""
    left, right = np.int32(key >> np.uint64(32)), np.int32(key & _LOW)
    return text.symbol_S[s] == left and text.symbol_S[s + text.length_V[left]] == right


@kernel(types.void(_TEXT, _PAIRS_T, _QUEUE, _I64, types.int64, types.boolean))
def _compact(text, pairs, queue, sizes, min_frequency, drop_places):  # type: ignore[no-untyped-def]  # numba types it
    """Drops pairs that cannot be merged any more, and if it is said so places that have changed."""
    num_pairs = num_places = first = 0
    alive = np.zeros(sizes[PAIRS], np.bool_)
    for i in range(sizes[QUEUED]):
        alive[queue.pair_K[i]] = True
    for k in range(sizes[PAIRS]):
        if alive[k] and pairs.count_K[k] >= min_frequency:
            start, size = pairs.start_K[k], pairs.size_K[k]
            if drop_places:
                for j in range(start, start + size):
                    if _stands(text, pairs.key_K[k], pairs.place_A[j]):
                        pairs.place_A[num_places] = pairs.place_A[j]
                        num_places += 1
                size = num_places - first
                start, first = first, num_places
            pairs.key_K[num_pairs], pairs.count_K[num_pairs] = pairs.key_K[k], pairs.count_K[k]
            pairs.start_K[num_pairs], pairs.size_K[num_pairs] = start, size
            num_pairs += 1
    sizes[PAIRS] = num_pairs
    if drop_places:
        sizes[PLACES] = num_places


@kernel()
def _correct_top(pairs, queue, sizes, min_frequency):  # type: ignore[no-untyped-def]  # numba types it
    """Leaves a pair with its true count on top of the queue; drops those that became too rare."""
    while sizes[QUEUED] > 0:
        count = pairs.count_K[queue.pair_K[0]]
        if count == queue.count_K[0]:
            break
        if count < min_frequency:
            _drop_top(pairs, queue, sizes)
        else:
            queue.count_K[0] = count
            _sink(queue, pairs.key_K, sizes[QUEUED], 0)


@kernel()
def _drop_top(pairs, queue, sizes):  # type: ignore[no-untyped-def]  # numba types it
    sizes[QUEUED] -= 1
    n = sizes[QUEUED]
    if n > 0:
        queue.count_K[0], queue.pair_K[0] = queue.count_K[n], queue.pair_K[n]
        _sink(queue, pairs.key_K, n, 0)


@kernel()
def _group_of(end_G, g, s):  # type: ignore[no-untyped-def]  # numba types it
    """Returns the group of a slot; it is g or a later one, by doubling steps."""
    if s >= end_G[g]:
        step, low = 1, g
        while low + step < len(end_G) and s >= end_G[low + step]:
            low += step
            step *= 2
        high = min(low + step, len(end_G) - 1)
        while low + 1 < high:
            middle = (low + high) >> 1
            if s >= end_G[middle]:
                low = middle
            else:
                high = middle
        g = high
    return g


@kernel()
def _before(symbol_S, s):  # type: ignore[no-untyped-def]  # numba types it
    """Returns the first slot of the token before the one at s, or -1 at the start of a word."""
    last = symbol_S[s - 1]
    before = s - 1
    if last == END:
        before = -1
    elif last < 0:
        before = s + last
    return before


@kernel()
def _meet(side, token, weight, num_met):  # type: ignore[no-untyped-def]  # numba types it
    if side.number_V[token] == 0:
        side.met_V[num_met] = token
        num_met += 1
    side.weight_V[token] += weight
    side.number_V[token] += 1
    return num_met


@kernel()
def _rewrite(text, pairs, k, token, left, right):  # type: ignore[no-untyped-def]  # numba types it
    """Writes the token wherever the pair stands.

    Leaves the places where it stood at the front of the pair's list. Returns (places, ids met on the
    left, ids met on the right).
    """
    symbol_S, length_V = text.symbol_S, text.length_V
    key, start = pairs.key_K[k], pairs.start_K[k]
    first = length_V[np.int32(key >> np.uint64(32))]
    size = length_V[token]
    g = num_places = num_left = num_right = 0
    for j in range(start, start + pairs.size_K[k]):
        s = np.int64(pairs.place_A[j])
        if _stands(text, key, s):
            g = _group_of(text.end_G, g, s)
            weight = text.count_G[g]
            before, after = _before(symbol_S, s), symbol_S[s + size]
            if before >= 0:
                num_left = _meet(left, symbol_S[before], weight, num_left)
            if after != END:
                num_right = _meet(right, after, weight, num_right)
            symbol_S[s + first] = _INSIDE
            symbol_S[s + size - 1] = -size
            symbol_S[s] = token
            pairs.place_A[start + num_places] = s
            num_places += 1
    return num_places, num_left, num_right


@kernel()
def _lower(pairs, key, weight):  # type: ignore[no-untyped-def]  # numba types it
    """Takes from the count of a pair, if it is one that is kept."""
    k = pairs.slot_H[_slot_of(pairs, key)] - 1
    if k >= 0:
        pairs.count_K[k] = max(0, pairs.count_K[k] - weight)


@kernel()
def _enter(pairs, queue, sizes, key, weight, num_places):  # type: ignore[no-untyped-def]  # numba types it
    """Adds a pair that was not there before, with room for its places; returns its number."""
    k = sizes[PAIRS]
    pairs.key_K[k], pairs.count_K[k] = key, weight
    pairs.start_K[k], pairs.size_K[k] = sizes[PLACES], 0
    pairs.slot_H[_slot_of(pairs, key)] = k + 1
    n = sizes[QUEUED]
    queue.count_K[n], queue.pair_K[n] = weight, k
    _rise(queue, pairs.key_K, n)
    sizes[PAIRS] += 1
    sizes[QUEUED] += 1
    sizes[PLACES] += num_places
    return k


@kernel()
def _settle(pairs, queue, sizes, side, num_met, old, new, min_frequency, is_left, again, undone):  # type: ignore[no-untyped-def]  # numba types it
    """Lowers the counts of one side's old pairs and enters its new ones.

    `old` is the merged pair's own symbol on that side, `new` the token. The new pair with the id `again`
    is taken back `undone` times. Leaves in `number_V` the numbers of the new pairs, or -1.
    """
    for i in range(num_met):
        other = side.met_V[i]
        weight, number = side.weight_V[other], side.number_V[other]
        side.weight_V[other], side.number_V[other] = 0, -1
        if is_left:
            old_key, new_key = _key(other, old), _key(other, new)
        else:
            old_key, new_key = _key(old, other), _key(new, other)
        _lower(pairs, old_key, weight)
        if other == again:
            weight -= undone
        if weight >= min_frequency:
            side.number_V[other] = _enter(pairs, queue, sizes, new_key, weight, number)


@kernel()
def _note(pairs, k, s):  # type: ignore[no-untyped-def]  # numba types it
    if k >= 0:
        pairs.place_A[pairs.start_K[k] + pairs.size_K[k]] = s
        pairs.size_K[k] += 1


@kernel()
def _note_all(text, pairs, start, num_places, token, left, right):  # type: ignore[no-untyped-def]  # numba types it
    """Lists the places of the new pairs; two new tokens side by side are listed by the right one."""
    symbol_S, size = text.symbol_S, text.length_V[token]
    for j in range(start, start + num_places):
        s = np.int64(pairs.place_A[j])
        before, after = _before(symbol_S, s), symbol_S[s + size]
        if before >= 0:
            _note(pairs, left.number_V[symbol_S[before]], before)
        if after != END and after != token:
            _note(pairs, right.number_V[after], s)


@kernel()
def _forget(side, num_met):  # type: ignore[no-untyped-def]  # numba types it
    for i in range(num_met):
        side.number_V[side.met_V[i]] = 0


@kernel(types.int64(_TEXT, _PAIRS_T, _QUEUE, _SIDE, _SIDE, _I64, types.int32[:, ::1], types.int64))
def _merge(text, pairs, queue, left, right, sizes, merges_M2, min_frequency):  # type: ignore[no-untyped-def]  # numba types it
    """Merges until the vocabulary is full or pairs are too rare (_DONE), or room is needed (_FULL)."""
    num_ids = len(left.weight_V)
    first_id = num_ids - len(merges_M2)
    while sizes[TOKENS] < num_ids:
        _correct_top(pairs, queue, sizes, min_frequency)
        if sizes[QUEUED] == 0:
            break
        k, token = queue.pair_K[0], np.int32(sizes[TOKENS])
        sizes[MORE_PLACES] = 2 * pairs.size_K[k]  # one on either side of each place
        sizes[MORE_PAIRS] = min(sizes[MORE_PLACES], 2 * np.int64(token) + 2)
        pairs_left = len(pairs.key_K) - sizes[PAIRS]
        places_left = len(pairs.place_A) - sizes[PLACES]
        if sizes[MORE_PAIRS] > pairs_left or sizes[MORE_PLACES] > places_left:
            return _FULL
        _drop_top(pairs, queue, sizes)
        key = pairs.key_K[k]
        a, b = np.int32(key >> np.uint64(32)), np.int32(key & _LOW)
        merges_M2[token - first_id, 0], merges_M2[token - first_id, 1] = a, b
        text.length_V[token] = text.length_V[a] + text.length_V[b]
        num_places, num_left, num_right = _rewrite(text, pairs, k, token, left, right)
        pairs.count_K[k] = 0
        # Where the token stands twice in a row, the second place undoes a pair that the first one made.
        undone = left.weight_V[token]
        sizes[TOKENS] += 1
        _settle(pairs, queue, sizes, left, num_left, a, token, min_frequency, True, -1, 0)
        _settle(pairs, queue, sizes, right, num_right, b, token, min_frequency, False, a, undone)
        _note_all(text, pairs, pairs.start_K[k], num_places, token, left, right)
        _forget(left, num_left)
        _forget(right, num_right)
    return _DONE
