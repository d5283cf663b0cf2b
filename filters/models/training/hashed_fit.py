"""Fits one head of the hashed table: logistic regression on labels and on a teacher's scores, by Adagrad."""

from typing import Any, NamedTuple

import numpy as np
from scipy.special import expit

from sluice.filters.hashed.table import EMPTY_ROWS
from sluice.schemas.arrays import Array
from sluice.schemas.kernel import kernel, types

SCALE = 10.0
"""What means are multiplied by, so that one rate suits the weights of rows and the intercept."""
RATE, SHAPE_RATE = 0.1, 0.03
EPOCHS = 4
SEED = 3
_START = 1e-3  # of the sums of squared gradients

_F64 = types.float64[::1]


class Lesson(NamedTuple):
    """What a head is trained on: N texts.

    Attributes:
        rows_K: (K,) int32, the rows of all texts.
        starts_N1: (N + 1,) int64, where those of each text begin.
        shape_NS: (N, S) float64, shape features; S may be 0.
        target_N: (N,) float64 in [0, 1], the probability to learn.
        weight_N: (N,) float64, what each text weighs.
    """

    rows_K: Array
    starts_N1: Array
    shape_NS: Array
    target_N: Array
    weight_N: Array


class FittedHead(NamedTuple):
    """log odds = weights of a text's rows / (rows + EMPTY_ROWS) + shape_S @ features + intercept."""

    weights_R: Array
    shape_S: Array
    intercept: float


def fit_head(lesson: Lesson, *, bits: int) -> FittedHead:
    """Returns a head of 2**bits rows that has seen the texts EPOCHS times, in an order drawn by SEED.

    Source: Duchi, Hazan and Singer 2011 (Adagrad); Hinton, Vinyals and Dean 2015 (soft targets).
    """
    means_S, spread_S = lesson.shape_NS.mean(axis=0), lesson.shape_NS.std(axis=0) + 1e-9
    shape_NS = np.ascontiguousarray((lesson.shape_NS - means_S) / spread_S)
    order_N = np.random.default_rng(SEED).permutation(np.flatnonzero(lesson.weight_N > 0))
    weights_R, line_S1 = np.zeros(1 << bits, np.float32), np.zeros(shape_NS.shape[1] + 1)
    squares = np.full(1 << bits, _START, np.float32), np.full(len(line_S1), _START)
    rest = lesson.target_N.astype(np.float64), lesson.weight_N.astype(np.float64), order_N
    for _ in range(EPOCHS):
        _descend(lesson.rows_K, lesson.starts_N1, shape_NS, *rest, weights_R, line_S1, *squares)
    shape_S = line_S1[:-1] / spread_S
    return FittedHead(weights_R * SCALE, shape_S, float(line_S1[-1] - shape_S @ means_S))


@kernel(
    types.void(
        types.int32[::1],
        types.int64[::1],
        types.Array(types.float64, 2, "C"),
        _F64,
        _F64,
        types.int64[::1],
        types.float32[::1],
        _F64,
        types.float32[::1],
        _F64,
    )
)
def _descend(
    rows_K: Any,
    starts_N1: Any,
    shape_NS: Any,
    target_N: Any,
    weight_N: Any,
    order_N: Any,
    weights_R: Any,
    line_S1: Any,
    squares_R: Any,
    squares_S1: Any,
) -> Any:
    """Takes one step a text, in the order given; changes the weights, the line and the sums of squares."""
    last = line_S1.shape[0] - 1
    for i in order_N:
        begin, end = starts_N1[i], starts_N1[i + 1]
        scale = SCALE / (end - begin + EMPTY_ROWS)
        total = 0.0
        for k in range(begin, end):
            total += weights_R[rows_K[k]]
        z = total * scale + line_S1[last]
        for s in range(last):
            z += line_S1[s] * shape_NS[i, s]
        step = (1.0 / (1.0 + np.exp(-z)) - target_N[i]) * weight_N[i]
        own = np.float32(step * scale)
        for k in range(begin, end):
            row = rows_K[k]
            squares_R[row] += own * own
            weights_R[row] -= np.float32(RATE) * own / np.sqrt(squares_R[row])
        for s in range(last + 1):
            one = step if s == last else step * shape_NS[i, s]
            rate = RATE if s == last else SHAPE_RATE
            squares_S1[s] += one * one
            line_S1[s] -= rate * one / np.sqrt(squares_S1[s])


def soft_targets(logits_N: Array) -> Array:
    """Returns (N,) float64, the probabilities that a teacher gives."""
    return np.asarray(expit(logits_N.astype(np.float64)))
