"""The output layer of fastText models: from hidden layers to labels and probabilities.

Every product, logarithm and comparison that decides a label is the library's, in its order and
precision. Where an order of visits decides between equal labels (the tree of `hs`, the heap of the best
k), it is the library's too, with the heap of libstdc++, which the library's Linux builds use.

Source: fastText 0.9.3, `loss.cc` (MIT); libstdc++, `bits/stl_heap.h`, for the order of equal scores.
"""

from typing import NamedTuple

import numpy as np

from sluice.schemas.arrays import Array
from sluice.schemas.kernel import kernel, read_only, types

EPSILON = 1e-5  # the library adds it to every probability before the logarithm
SLACK = np.float32(1e-3)  # more than any rounding, and than what EPSILON adds to a logarithm
NO_LABEL = -1
TREE, SOFTMAX, SIGMOID = 0, 1, 2
LOSSES = {"hs": TREE, "softmax": SOFTMAX, "ns": SIGMOID, "ova": SIGMOID}
SIGMOID_STEPS, SIGMOID_END = 512, 8
LOG2_E, LN_2 = 1 / np.log(2), np.log(2)
NO_FRACTION = 1.5 * 2.0**52
LEAST_EXPONENT = -200.0  # e to it is 0 in float32
TAYLOR_TERMS = 11

_int32 = read_only(types.int32)
_float32 = read_only(types.float32)
_matrix = read_only(types.float32, 2)


class Hidden(NamedTuple):
    """What a model makes of N texts, before its output layer.

    Attributes:
        mean_NS: (N, S) float32, the mean of the input rows of each text, zeros behind it up to a whole
            number of vectors.
        num_rows_N: (N,) int64, how many rows those were; of none, the model says nothing.
    """

    mean_NS: Array
    num_rows_N: Array


class Output(NamedTuple):
    """The output matrix, by rows and by columns, and how it is read.

    The tree of `hs` has 2 L - 1 nodes: L leaves, then L - 1 inner nodes, the root last.
    """

    loss: int
    rows_LD: Array  # float32, of the inner nodes for `hs`
    columns_DL: Array  # float32
    norms_L: Array  # float32, what a product is multiplied by
    left_T: Array  # int32, -1 at a leaf
    right_T: Array
    sigmoid: Array  # float32, the library's table


_HIDDEN = types.NamedTuple((types.float32[:, ::1], types.int64[::1]), Hidden)
_OUTPUT = types.NamedTuple(
    (types.int64, _matrix, _matrix, _float32, _int32, _int32, _float32), Output
)


def sigmoid_table() -> Array:
    """Returns (SIGMOID_STEPS + 1,) float32, the library's sigmoid from -SIGMOID_END to SIGMOID_END."""
    steps = np.arange(SIGMOID_STEPS + 1, dtype=np.float32)
    x = steps * np.float32(2 * SIGMOID_END) / np.float32(SIGMOID_STEPS) - np.float32(SIGMOID_END)
    return np.asarray((1.0 / (1.0 + np.exp(-x).astype(np.float64))).astype(np.float32))


@kernel()
def _log(p):
    """Returns the library's logarithm of a float32 probability."""
    return np.float32(np.log(np.float64(p) + EPSILON))


@kernel()
def _probability(score):
    return min(np.exp(score), np.float32(1))


@kernel()
def _turn_right(output, inner, mean_NS, i):
    """Returns the probability of turning right at an inner node."""
    x = np.float32(0)
    for d in range(output.rows_LD.shape[1]):
        x += output.rows_LD[inner, d] * mean_NS[i, d]
    x *= output.norms_L[inner]
    return np.float32(1.0 / np.float64(np.float32(1) + np.exp(-x)))


@kernel()
def _sigmoid(table, x):
    """Returns the library's sigmoid: a table between -8 and 8, 0 and 1 beyond it."""
    p = np.float32(0)
    if x > SIGMOID_END:
        p = np.float32(1)
    elif x >= -SIGMOID_END:
        step = (x + np.float32(SIGMOID_END)) * np.float32(SIGMOID_STEPS)
        p = table[np.int64(step / np.float32(SIGMOID_END) / np.float32(2))]
    return p


@kernel()
def _fill_products(output, mean_NS, i, output_L):
    """Writes the products of all output rows and a hidden layer, each summed in the library's order."""
    output_L[:] = np.float32(0)
    for d in range(output.columns_DL.shape[0]):
        x = mean_NS[i, d]
        for label in range(output_L.shape[0]):
            output_L[label] += output.columns_DL[d, label] * x
    for label in range(output_L.shape[0]):
        output_L[label] *= output.norms_L[label]


@kernel()
def _exp(x):
    """Returns e^x of a float64 x of at most 0, to 1e-12 of it; the C library's cannot run in vectors.

    That is far below what is left when it is rounded to float32. It is 2^n e^r, where n is the whole number
    next to x / ln 2, read from the low bits of a sum that has no room for a fraction, and e^r the Taylor
    polynomial.
    """
    x = max(x, LEAST_EXPONENT)
    shifted = x * LOG2_E + NO_FRACTION
    r = x - (shifted - NO_FRACTION) * LN_2
    power = np.float64(1)
    for k in range(TAYLOR_TERMS, 0, -1):
        power = power * r * (1.0 / k) + 1.0
    bits = (np.float64(shifted).view(np.int64) + np.int64(1023)) << np.int64(52)
    return power * np.int64(bits).view(np.float64)


@kernel()
def _fill_softmax(output_L):
    """Turns products into probabilities."""
    highest = output_L[0]
    for label in range(output_L.shape[0]):
        highest = max(highest, output_L[label])
    total = np.float32(0)
    for label in range(output_L.shape[0]):
        output_L[label] = _exp(np.float64(output_L[label] - highest))
    for label in range(output_L.shape[0]):
        total += output_L[label]
    for label in range(output_L.shape[0]):
        output_L[label] /= total


@kernel()
def _fill_tree(output, mean_NS, i, node_T, output_L):
    """Writes the probability of every leaf: the product of the turns to it."""
    num_leaves = output_L.shape[0]
    node_T[2 * num_leaves - 2] = np.float32(1)
    for inner in range(num_leaves - 2, -1, -1):
        node = num_leaves + inner
        right = _turn_right(output, inner, mean_NS, i)
        node_T[output.right_T[node]] = node_T[node] * right
        node_T[output.left_T[node]] = node_T[node] * (np.float32(1) - right)
    output_L[:] = node_T[:num_leaves]


@kernel()
def _fill_outputs(output, mean_NS, i, output_L):
    """Writes the probability of every label of a model without a tree."""
    _fill_products(output, mean_NS, i, output_L)
    if output.loss == SIGMOID:
        for label in range(output_L.shape[0]):
            output_L[label] = _sigmoid(output.sigmoid, output_L[label])
    else:
        _fill_softmax(output_L)


@kernel(types.void(_HIDDEN, _OUTPUT, types.int64, _int32, _int32, types.float32[::1]))
def fill_one(hidden, output, target, path_P, turns_P, probability_N):
    """Writes the probability of one label.

    `path_P` has the inner nodes from the root of the tree to the label, `turns_P` 1 where the path
    turns right.
    """
    output_L = np.empty(output.rows_LD.shape[0], np.float32)
    for i in range(probability_N.shape[0]):
        probability_N[i] = np.float32(0)
        if hidden.num_rows_N[i] == 0:
            continue
        score = np.float32(0)
        if output.loss == TREE:
            for p in range(path_P.shape[0]):
                right = _turn_right(output, np.int64(path_P[p]), hidden.mean_NS, i)
                turn = right if turns_P[p] == 1 else np.float32(1.0 - np.float64(right))
                score += _log(turn)
        else:
            _fill_outputs(output, hidden.mean_NS, i, output_L)
            score = _log(output_L[target])
        probability_N[i] = _probability(score)


@kernel(types.void(_HIDDEN, _OUTPUT, types.float32[:, ::1]))
def fill_all(hidden, output, probability_NL):
    """Writes the probability of every label, without the library's EPSILON; 0 where nothing is known."""
    num_labels = probability_NL.shape[1]
    node_T = np.empty(2 * num_labels, np.float32)
    output_L = np.empty(num_labels, np.float32)
    for i in range(probability_NL.shape[0]):
        output_L[:] = np.float32(0)
        if hidden.num_rows_N[i] > 0:
            if output.loss == TREE:
                _fill_tree(output, hidden.mean_NS, i, node_T, output_L)
            else:
                _fill_outputs(output, hidden.mean_NS, i, output_L)
        probability_NL[i] = output_L


@kernel()
def _rise(score_K, label_K, hole, score, label):
    """Puts a pair into the heap at `hole` or above it (`std::__push_heap`)."""
    while hole > 0 and score_K[(hole - 1) // 2] > score:
        parent = (hole - 1) // 2
        score_K[hole], label_K[hole] = score_K[parent], label_K[parent]
        hole = parent
    score_K[hole], label_K[hole] = score, label


@kernel()
def _pop(score_K, label_K, size):
    """Moves the lowest pair of a heap to its end (`std::pop_heap`): a heap of size - 1 is left."""
    last = size - 1
    score, label = score_K[last], label_K[last]
    score_K[last], label_K[last] = score_K[0], label_K[0]
    hole, child = 0, 0
    while child < (last - 1) // 2:
        child = 2 * (child + 1)
        if score_K[child] > score_K[child - 1]:
            child -= 1
        score_K[hole], label_K[hole] = score_K[child], label_K[child]
        hole = child
    if last % 2 == 0 and child == (last - 2) // 2:
        child = 2 * (child + 1)
        score_K[hole], label_K[hole] = score_K[child - 1], label_K[child - 1]
        hole = child - 1
    _rise(score_K, label_K, hole, score, label)


@kernel()
def _push(score_K, label_K, size, most, score, label):
    """Adds a pair to the heap of the best `most`, of which the lowest is first; returns its size."""
    _rise(score_K, label_K, size, score, label)
    size += 1
    if size > most:
        _pop(score_K, label_K, size)
        size = most
    return size


@kernel()
def _push_leaves(output, mean_NS, i, most, threshold, nodes_S, above_S, turns_S, score_K, label_K):
    """Pushes the best leaves of the tree, depth first and left before right; returns how many there are.

    A branch is left where its own score is below the lowest of the best. Taking the likelier branch first
    would save visits, but a logarithm with EPSILON in it can rise on the way down, so that near a tie the
    order of the visits decides the label. A branch's logarithm is taken only where log(p) <= p - 1 does not
    rule the branch out.
    """
    num_leaves = (output.left_T.shape[0] + 1) // 2
    least = _log(threshold)
    nodes_S[0], above_S[0], turns_S[0] = 2 * num_leaves - 2, np.float32(0), np.float32(2)
    stacked, size = 1, 0
    while stacked > 0:
        stacked -= 1
        node, above, turn = np.int64(nodes_S[stacked]), above_S[stacked], turns_S[stacked]
        if above + turn - np.float32(1) + SLACK < least:
            continue
        score = above + _log(turn) if turn <= 1 else np.float32(0)
        if score < least:
            continue
        if node < num_leaves:
            size = _push(score_K, label_K, size, most, score, node)
            if size == most:
                least = score_K[0]
            continue
        right = _turn_right(output, node - num_leaves, mean_NS, i)
        left = np.float32(1.0 - np.float64(right))
        nodes_S[stacked], above_S[stacked], turns_S[stacked] = output.right_T[node], score, right
        stacked += 1
        nodes_S[stacked], above_S[stacked], turns_S[stacked] = output.left_T[node], score, left
        stacked += 1
    return size


@kernel()
def _push_outputs(output_L, most, threshold, score_K, label_K):
    """Pushes the best labels, of equal ones the last; returns how many there are.

    Once there are enough, only probabilities within a thousandth of the lowest can have its logarithm, or a
    higher one.
    """
    size, least = 0, np.float64(threshold)
    for label in range(output_L.shape[0]):
        if output_L[label] < least:
            continue
        score = _log(output_L[label])
        if size == most and score < score_K[0]:
            continue
        size = _push(score_K, label_K, size, most, score, label)
        if size == most:
            lowest = np.exp(np.float64(score_K[0])) * (1.0 - np.float64(SLACK)) - EPSILON
            least = max(np.float64(threshold), lowest)
    return size


@kernel(types.void(_HIDDEN, _OUTPUT, types.float32, types.int32[:, ::1], types.float32[:, ::1]))
def fill_top(hidden, output, threshold, label_NK, probability_NK):
    """Writes the best K labels that reach the threshold, best first, then -1 and 0."""
    num_labels, most = output.rows_LD.shape[0], label_NK.shape[1]
    output_L = np.empty(num_labels, np.float32)
    nodes_S = np.empty(2 * num_labels + 2, np.int32)
    above_S = np.empty(2 * num_labels + 2, np.float32)
    turns_S = np.empty(2 * num_labels + 2, np.float32)
    score_K = np.empty(most + 1, np.float32)
    label_K = np.empty(most + 1, np.int32)
    for i in range(label_NK.shape[0]):
        label_NK[i], probability_NK[i] = NO_LABEL, np.float32(0)
        if hidden.num_rows_N[i] == 0:
            continue
        if output.loss == TREE:
            mean_NS = hidden.mean_NS
            size = _push_leaves(
                output, mean_NS, i, most, threshold, nodes_S, above_S, turns_S, score_K, label_K
            )
        else:
            _fill_outputs(output, hidden.mean_NS, i, output_L)
            size = _push_outputs(output_L, most, threshold, score_K, label_K)
        for left in range(size, 1, -1):
            _pop(score_K, label_K, left)
        for k in range(size):
            label_NK[i, k], probability_NK[i, k] = label_K[k], _probability(score_K[k])
