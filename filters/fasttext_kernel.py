r"""Evaluates a supervised fastText model over the UTF-8 buffer of an Arrow column.

Label for label what the fastText library says, at a fifth to an eighth of its time, without its GIL and
without a Python object a post. Three things buy the speed: the quantised input matrix is put together
once, not a row at a time; the hash buckets, 2 million of which a pruned model keeps a few thousand, are
a bitmap with running counts (250 KB) in place of a hash map; subwords are hashed where they stand, each
from the one before it. Every addition, product, logarithm and comparison is the library's, in its order
and precision, so that labels are the library's by construction.

A text is one line: `\n` parts words like any blank, and the end of the text stands for the library's
`</s>`. The library reads a literal `</s>` as the end of the line, and so does this.

Source: fastText 0.9.3, `Dictionary::getLine`, `computeSubwords`, `addWordNgrams`, `loss.cc` (MIT).
"""

from typing import NamedTuple

import numpy as np
from numba import types

from filters.fasttext_model import LABEL_PREFIX, Array
from schemas.kernel import BYTES, OFFSETS, kernel

END_OF_LINE = np.frombuffer(b"</s>", np.uint8)
PREFIX = np.frombuffer(LABEL_PREFIX, np.uint8)
FNV_OFFSET = np.uint32(2166136261)
FNV_PRIME = np.uint32(16777619)
NGRAM_PRIME = np.uint64(116049371)
EPSILON = 1e-5  # the library adds it to every probability before the logarithm
FLOOR = np.float32(np.log(EPSILON))  # the library drops leaves of the tree below it
NO_LABEL = -1
TREE, SOFTMAX, SIGMOID = 0, 1, 2
SIGMOID_STEPS, SIGMOID_END = 512, 8

_int32 = types.Array(types.int32, 1, "C", readonly=True)
_int64 = types.Array(types.int64, 1, "C", readonly=True)
_uint32 = types.Array(types.uint32, 1, "C", readonly=True)
_uint64 = types.Array(types.uint64, 1, "C", readonly=True)
_float32 = types.Array(types.float32, 1, "C", readonly=True)
_matrix = types.Array(types.float32, 2, "C", readonly=True)


class Words(NamedTuple):
    """The dictionary, words then labels, as a hash table of S slots (a power of two) over V entries."""

    slots_S: Array  # int32, entry or -1
    hashes_V: Array  # uint32
    spelling: Array  # uint8, the entries one after the other
    starts_V1: Array  # int64 into `spelling`
    num_words: int  # entries from here on are labels
    end_of_line: int  # the entry of `</s>`, or -1


class Buckets(NamedTuple):
    """Which hash buckets have a row: bucket b has one if its bit is set, and its rank is the row."""

    bits_K: Array  # uint64
    before_K: Array  # int32, bits set in the words of `bits_K` before this one
    modulus: int
    first_row: int
    shortest: int
    longest: int
    word_ngrams: int


class Layers(NamedTuple):
    """The two matrices."""

    input_RD: Array
    output_LD: Array
    norms_L: Array


class Output(NamedTuple):
    """How the output layer is read: the loss, and the tree of 2 L - 1 nodes (L leaves, root last)."""

    loss: int
    left_T: Array  # int32, -1 at a leaf
    right_T: Array
    sigmoid: Array  # float32, the library's table
    path_P: Array  # int32, inner nodes from the root to the target, where one is asked for
    turns_P: Array  # int32, 1 where the path turns right


_WORDS = types.NamedTuple((_int32, _uint32, BYTES, _int64, types.int64, types.int64), Words)
_BUCKETS = types.NamedTuple(
    (_uint64, _int32, types.int64, types.int64, types.int64, types.int64, types.int64), Buckets
)
_LAYERS = types.NamedTuple((_matrix, _matrix, _float32), Layers)
_OUTPUT = types.NamedTuple((types.int64, _int32, _int32, _float32, _int32, _int32), Output)


@kernel()
def _is_blank(c):  # type: ignore[no-untyped-def]
    return c == 32 or (9 <= c <= 13) or c == 0


@kernel()
def _starts(data_B, start, end, prefix):  # type: ignore[no-untyped-def]
    """Returns whether data_B[start:end] begins with the prefix."""
    size = prefix.shape[0]
    same = end - start >= size
    k = 0
    while same and k < size:
        same = data_B[start + k] == prefix[k]
        k += 1
    return same


@kernel()
def _fnv(h, c):  # type: ignore[no-untyped-def]
    """Returns the hash one byte on; the library's bytes are signed, so those above 127 sign-extend."""
    wide = np.uint32(c) if c < 128 else np.uint32(c) | np.uint32(0xFFFFFF00)
    return np.uint32(np.uint32(h ^ wide) * FNV_PRIME)


@kernel()
def _entry(words, data_B, start, end, h):  # type: ignore[no-untyped-def]
    """Returns the dictionary entry spelt data_B[start:end], whose hash is `h`, or -1."""
    mask = np.int64(words.slots_S.shape[0] - 1)
    slot = np.int64(h) & mask
    found = np.int64(NO_LABEL)
    while words.slots_S[slot] >= 0:
        entry = np.int64(words.slots_S[slot])
        if words.hashes_V[entry] == h:
            first = words.starts_V1[entry]
            size = words.starts_V1[entry + 1] - first
            same = size == end - start
            k = 0
            while same and k < size:
                same = words.spelling[first + k] == data_B[start + k]
                k += 1
            if same:
                found = entry
                break
        slot = (slot + 1) & mask
    return found


@kernel(types.void(BYTES, _int64, types.uint32[::1], types.int32[::1]))
def fill_slots(spelling, starts_V1, hashes_V, slots_S):  # type: ignore[no-untyped-def]
    """Writes the hash of every dictionary entry, and the entry into the first free slot from there."""
    mask = np.int64(slots_S.shape[0] - 1)
    for entry in range(hashes_V.shape[0]):
        h = FNV_OFFSET
        for k in range(starts_V1[entry], starts_V1[entry + 1]):
            h = _fnv(h, spelling[k])
        hashes_V[entry] = h
        slot = np.int64(h) & mask
        while slots_S[slot] >= 0:
            slot = (slot + 1) & mask
        slots_S[slot] = entry


@kernel()
def _popcount(x):  # type: ignore[no-untyped-def]
    x = x - ((x >> np.uint64(1)) & np.uint64(0x5555555555555555))
    x = (x & np.uint64(0x3333333333333333)) + ((x >> np.uint64(2)) & np.uint64(0x3333333333333333))
    x = (x + (x >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return np.int64((x * np.uint64(0x0101010101010101)) >> np.uint64(56))


@kernel()
def _push_bucket(buckets, b, rows_R, num_rows):  # type: ignore[no-untyped-def]
    """Writes the row of bucket `b` behind the rows so far; returns how many there are now.

    The row is written either way and counted only if the bucket has one: which buckets were pruned no
    branch predictor can learn, and branching costs 1.3 us a post of 90 bytes.
    """
    k = b >> np.uint64(6)
    bits = buckets.bits_K[k]
    bit = b & np.uint64(63)
    below = bits & ((np.uint64(1) << bit) - np.uint64(1))
    rows_R[num_rows] = buckets.first_row + np.int64(buckets.before_K[k]) + _popcount(below)
    return num_rows + np.int64((bits >> bit) & np.uint64(1))


@kernel()
def _push_subwords(data_B, start, end, buckets, rows_R, num_rows):  # type: ignore[no-untyped-def]
    """Writes the rows of the subwords of `<word>`; returns how many rows there are now.

    The brackets are not in the buffer: a subword that starts at `start - 1` begins with `<`, and one
    that reaches past `end` ends with `>`.
    """
    size = np.uint64(buckets.modulus)
    for first in range(start - 1, end):
        if first >= start and (data_B[first] & 0xC0) == 0x80:
            continue
        h = FNV_OFFSET
        length = 0
        at = first
        if first < start:
            h = _fnv(h, np.uint8(60))
            length = 1
            at = start
        while length < buckets.longest and at <= end:
            if at == end:
                h = _fnv(h, np.uint8(62))
                at += 1
            else:
                h = _fnv(h, data_B[at])
                at += 1
                while at < end and (data_B[at] & 0xC0) == 0x80:
                    h = _fnv(h, data_B[at])
                    at += 1
            length += 1
            if length >= buckets.shortest:
                num_rows = _push_bucket(buckets, np.uint64(h) % size, rows_R, num_rows)
    return num_rows


@kernel()
def _push_ngrams(hashes_W, num_hashes, buckets, rows_R, num_rows):  # type: ignore[no-untyped-def]
    """Writes the rows of the word n-grams (2 words or more); returns how many rows there are now."""
    size = np.uint64(buckets.modulus)
    for i in range(num_hashes):
        h = np.uint64(np.int64(hashes_W[i]))
        for j in range(i + 1, min(i + buckets.word_ngrams, num_hashes)):
            h = h * NGRAM_PRIME + np.uint64(np.int64(hashes_W[j]))
            num_rows = _push_bucket(buckets, h % size, rows_R, num_rows)
    return num_rows


@kernel()
def _rows_of(data_B, start, end, words, buckets, rows_R, hashes_W):  # type: ignore[no-untyped-def]
    """Writes the input rows of a text (words, subwords, n-grams), as the library orders them.

    Returns how many there are.
    """
    num_rows = np.int64(0)
    num_hashes = 0
    has_buckets = buckets.bits_K.shape[0] > 0
    at = start
    ended = False
    while at < end and not ended:
        while at < end and _is_blank(data_B[at]):
            at += 1
        word = at
        h = FNV_OFFSET
        while at < end and not _is_blank(data_B[at]):
            h = _fnv(h, data_B[at])
            at += 1
        if at == word:
            continue
        if at - word == END_OF_LINE.shape[0] and _starts(data_B, word, at, END_OF_LINE):
            ended = True
            continue
        entry = _entry(words, data_B, word, at, h)
        if entry >= words.num_words or (entry < 0 and _starts(data_B, word, at, PREFIX)):
            continue
        if entry >= 0:
            rows_R[num_rows] = entry
            num_rows += 1
        if has_buckets:
            num_rows = _push_subwords(data_B, word, at, buckets, rows_R, num_rows)
        hashes_W[num_hashes] = np.int32(h)
        num_hashes += 1
    if words.end_of_line >= 0:
        rows_R[num_rows] = words.end_of_line
        num_rows += 1
    if has_buckets and buckets.word_ngrams > 1:
        h = FNV_OFFSET
        for c in END_OF_LINE:
            h = _fnv(h, c)
        hashes_W[num_hashes] = np.int32(h)
        num_rows = _push_ngrams(hashes_W, num_hashes + 1, buckets, rows_R, num_rows)
    return num_rows


@kernel()
def _average(input_RD, rows_R, num_rows, hidden_D):  # type: ignore[no-untyped-def]
    """Writes the mean of the rows, added in their order."""
    hidden_D[:] = np.float32(0)
    for r in range(num_rows):
        for d in range(hidden_D.shape[0]):
            hidden_D[d] += input_RD[rows_R[r], d]
    share = np.float32(1.0 / num_rows)
    for d in range(hidden_D.shape[0]):
        hidden_D[d] *= share


@kernel()
def _dot(layers, row, hidden_D):  # type: ignore[no-untyped-def]
    """Returns the product of an output row and the hidden layer, summed in the library's order."""
    total = np.float32(0)
    for d in range(hidden_D.shape[0]):
        total += layers.output_LD[row, d] * hidden_D[d]
    return total * layers.norms_L[row]


@kernel()
def _log(p):  # type: ignore[no-untyped-def]
    """Returns the library's logarithm of a float32 probability."""
    return np.float32(np.log(np.float64(p) + EPSILON))


@kernel()
def _turn_right(layers, inner, hidden_D):  # type: ignore[no-untyped-def]
    """Returns the probability of turning right at an inner node."""
    return np.float32(1.0 / np.float64(np.float32(1) + np.exp(-_dot(layers, inner, hidden_D))))


@kernel()
def _best_leaf(layers, output, hidden_D, nodes_S, scores_S):  # type: ignore[no-untyped-def]
    """Returns (leaf, log probability), depth first and left before right, as the library goes.

    A branch is left where its own score is below the best leaf's; of equal leaves the last one stays.
    Taking the likelier branch first would save 0.3 us a post, but a logarithm with EPSILON in it can
    rise on the way down, so that near a tie the order of the visits decides the label.
    """
    num_leaves = (output.left_T.shape[0] + 1) // 2
    best, best_score = np.int64(NO_LABEL), FLOOR
    nodes_S[0] = 2 * num_leaves - 2
    scores_S[0] = np.float32(0)
    size = 1
    while size > 0:
        size -= 1
        node = np.int64(nodes_S[size])
        score = scores_S[size]
        if score < best_score:
            continue
        if node < num_leaves:
            best, best_score = node, score
            continue
        f = _turn_right(layers, node - num_leaves, hidden_D)
        nodes_S[size], scores_S[size] = output.right_T[node], score + _log(f)
        left = np.float32(1.0 - np.float64(f))
        nodes_S[size + 1], scores_S[size + 1] = output.left_T[node], score + _log(left)
        size += 2
    return best, best_score


@kernel()
def _leaf_score(layers, output, hidden_D):  # type: ignore[no-untyped-def]
    """Returns the log probability of the leaf at the end of `output.path_P`."""
    score = np.float32(0)
    for p in range(output.path_P.shape[0]):
        f = _turn_right(layers, np.int64(output.path_P[p]), hidden_D)
        turn = f if output.turns_P[p] == 1 else np.float32(1.0 - np.float64(f))
        score += _log(turn)
    return score


@kernel()
def _sigmoid(table, x):  # type: ignore[no-untyped-def]
    """Returns the library's sigmoid: a table between -8 and 8, 0 and 1 beyond it."""
    p = np.float32(0)
    if x > SIGMOID_END:
        p = np.float32(1)
    elif x >= -SIGMOID_END:
        step = (x + np.float32(SIGMOID_END)) * np.float32(SIGMOID_STEPS)
        p = table[np.int64(step / np.float32(SIGMOID_END) / np.float32(2))]
    return p


@kernel()
def _fill_outputs(layers, output, hidden_D, output_L):  # type: ignore[no-untyped-def]
    """Writes the probability of every label."""
    num_labels = output_L.shape[0]
    for label in range(num_labels):
        output_L[label] = _dot(layers, label, hidden_D)
    if output.loss == SIGMOID:
        for label in range(num_labels):
            output_L[label] = _sigmoid(output.sigmoid, output_L[label])
    else:
        highest = output_L[0]
        for label in range(num_labels):
            highest = max(highest, output_L[label])
        total = np.float32(0)
        for label in range(num_labels):
            output_L[label] = np.exp(np.float64(output_L[label] - highest))
            total += output_L[label]
        for label in range(num_labels):
            output_L[label] /= total


@kernel()
def _best_output(output_L):  # type: ignore[no-untyped-def]
    """Returns (label, log probability); of equal ones the library keeps the last."""
    best = 0
    best_score = _log(output_L[0])
    for label in range(1, output_L.shape[0]):
        score = _log(output_L[label])
        if score >= best_score:
            best, best_score = label, score
    return best, best_score


@kernel(
    types.void(
        BYTES,
        OFFSETS,
        _WORDS,
        _BUCKETS,
        _LAYERS,
        _OUTPUT,
        types.int64,
        types.int32[::1],
        types.float32[::1],
    )
)
def classify(  # type: ignore[no-untyped-def]
    data_B, offsets_N1, words, buckets, layers, output, target, label_N, probability_N
):
    """Writes the label and probability of each text: of the best label, or of `target` if it is >= 0."""
    num_labels = layers.output_LD.shape[0]
    hidden_D = np.empty(layers.input_RD.shape[1], np.float32)
    output_L = np.empty(num_labels, np.float32)
    nodes_S = np.empty(2 * num_labels + 2, np.int32)
    scores_S = np.empty(2 * num_labels + 2, np.float32)
    longest = np.int64(0)
    for i in range(label_N.shape[0]):
        longest = max(longest, np.int64(offsets_N1[i + 1] - offsets_N1[i]))
    most_words = longest // 2 + 2  # a word and its blank, and `</s>`
    hashes_W = np.empty(most_words, np.int32)
    most_rows = (longest + most_words) * max(1, buckets.longest)  # subwords, `<` a start too
    most_rows += most_words * (1 + buckets.word_ngrams) + 1
    rows_R = np.empty(most_rows, np.int32)
    for i in range(label_N.shape[0]):
        start, end = np.int64(offsets_N1[i]), np.int64(offsets_N1[i + 1])
        num_rows = _rows_of(data_B, start, end, words, buckets, rows_R, hashes_W)
        label_N[i] = NO_LABEL
        probability_N[i] = np.float32(0)
        if num_rows == 0:
            continue
        _average(layers.input_RD, rows_R, num_rows, hidden_D)
        label = np.int64(target)
        if output.loss == TREE:
            if target >= 0:
                score = _leaf_score(layers, output, hidden_D)
            else:
                label, score = _best_leaf(layers, output, hidden_D, nodes_S, scores_S)
        else:
            _fill_outputs(layers, output, hidden_D, output_L)
            if target >= 0:
                score = _log(output_L[target])
            else:
                label, score = _best_output(output_L)
        if label >= 0:
            label_N[i] = label
            probability_N[i] = min(np.exp(score), np.float32(1))
