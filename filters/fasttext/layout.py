"""Lays a fastText model out for the kernels: hash table, bitmap, aligned rows, tree."""

import numpy as np

from sluice.filters.fasttext.kernels.output import LOSSES, Output, sigmoid_table
from sluice.filters.fasttext.kernels.rows import LANES, HashBuckets, InputMatrix, WordIndex
from sluice.filters.fasttext.kernels.words import END_OF_LINE, fill_slots
from sluice.filters.fasttext.model import FastTextModel
from sluice.schemas.arrays import Array

CACHE_LINE = 64
HEAVY = 10**15  # the count of a tree node that is not built yet


def fixed(array: Array) -> Array:
    """Returns the array contiguous and read-only, as the kernels' signatures have it."""
    array = np.ascontiguousarray(array).view()
    array.flags.writeable = False
    return array


def aligned(count: int, dtype: str) -> Array:
    """Returns (count,) numbers, not set, the first at the start of a cache line."""
    size = count * np.dtype(dtype).itemsize
    memory = np.empty(size + CACHE_LINE, np.uint8)
    start = -memory.ctypes.data % CACHE_LINE
    return memory[start : start + size].view(dtype)


def words_of(model: FastTextModel) -> WordIndex:
    """Returns the dictionary as a hash table."""
    entries = model.words + model.label_names
    slots_S = np.zeros(1 << (2 * len(entries)).bit_length(), np.uint32)
    hashes_V = np.empty(len(entries), np.uint32)
    spelling = fixed(np.frombuffer(b"".join(entries), np.uint8))
    starts_V1 = fixed(np.cumsum([0, *map(len, entries)], dtype=np.int64))
    fill_slots(spelling, starts_V1, hashes_V, slots_S)
    return WordIndex(fixed(slots_S), fixed(hashes_V), spelling, starts_V1, len(model.words))


def buckets_of(model: FastTextModel) -> HashBuckets:
    """Returns the buckets as a bitmap with running counts; none, and no n-grams, if all are pruned."""
    none = HashBuckets(fixed(np.zeros(0, np.uint64)), model.num_buckets, model.min_subword, 0, 1)
    if not len(model.kept_B):
        return none
    return none._replace(
        records=records(model.kept_B, model.num_buckets, len(model.words)),
        longest=max(model.max_subword, 0),
        word_ngrams=max(model.word_ngrams, 1),
    )


def records(kept_B: Array, num_buckets: int, num_words: int) -> Array:
    """Returns (2 K,) uint64: for 64 buckets at a time their bits, and the row of the first that is set.

    Args:
        kept_B: (B,) integers, the buckets that have rows, which follow those of the words in the order of
            the buckets.
        num_buckets: kept or not.
        num_words: rows of words.
    """
    set_KB = np.zeros((-(-num_buckets // 64), 64), np.bool_)
    set_KB.reshape(-1)[kept_B] = True
    records_2K = aligned(2 * len(set_KB), "uint64")
    records_2K[0::2] = np.packbits(set_KB, bitorder="little").view("<u8")
    counts_K = set_KB.sum(axis=1)
    records_2K[1::2] = num_words + np.cumsum(counts_K) - counts_K
    return fixed(records_2K)


def table_of(model: FastTextModel) -> InputMatrix:
    """Returns the input matrix in rows that fill whole vectors."""
    num_rows, dim = model.input_RD.shape
    stride = -(-dim // LANES) * LANES
    rows = aligned(num_rows * stride, "float32")
    rows_RS = rows.reshape(num_rows, stride)
    rows_RS[:, :dim] = model.input_RD
    rows_RS[:, dim:] = 0
    end = END_OF_LINE.tobytes()
    return InputMatrix(
        fixed(rows),
        stride=stride,
        dim=dim,
        end_of_line=model.words.index(end) if end in model.words else -1,
    )


def output_of(model: FastTextModel) -> Output:
    """Returns the output layer, with the tree of `hs`."""
    left_T, right_T = _tree(model.label_counts_L.tolist()) if model.loss == "hs" else ([], [])
    return Output(
        loss=LOSSES[model.loss],
        rows_LD=fixed(model.output_LD),
        columns_DL=fixed(model.output_LD.T),
        norms_L=fixed(model.output_norms_L),
        left_T=integers(left_T),
        right_T=integers(right_T),
        sigmoid=fixed(sigmoid_table()),
    )


def integers(numbers: list[int]) -> Array:
    """Returns int32 as the kernels' signatures have them."""
    return fixed(np.array(numbers, np.int32))


def _tree(counts: list[int]) -> tuple[list[int], list[int]]:
    """Returns the children of each node of the library's Huffman tree, -1 at the leaves.

    Labels are in the order of falling counts, so the two lightest nodes are always among the last
    leaf not yet used and the first inner node not yet used.
    """
    num_leaves = len(counts)
    weights = counts + [HEAVY] * (num_leaves - 1)
    children: tuple[list[int], list[int]] = ([-1] * num_leaves, [-1] * num_leaves)
    leaf, inner = num_leaves - 1, num_leaves
    for node in range(num_leaves, 2 * num_leaves - 1):
        weight = 0
        for side in children:
            if leaf >= 0 and weights[leaf] < weights[inner]:
                lightest, leaf = leaf, leaf - 1
            else:
                lightest, inner = inner, inner + 1
            side.append(lightest)
            weight += weights[lightest]
        weights[node] = weight
    return children


def path_to(output: Output, target: int) -> tuple[Array, Array]:
    """Returns the inner nodes from the root to a leaf, and 1 where the way turns right, both int32."""
    sides = output.left_T.tolist(), output.right_T.tolist()
    num_leaves = (len(sides[0]) + 1) // 2
    above = {child: (n, turn) for turn, side in enumerate(sides) for n, child in enumerate(side)}
    way = []
    node = target if num_leaves else -1
    while 0 <= node < len(sides[0]) - 1:
        node, turn = above[node]
        way.append((node - num_leaves, turn))
    way.reverse()
    return integers([inner for inner, _ in way]), integers([turn for _, turn in way])
