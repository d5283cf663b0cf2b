"""The order of several outputs that are read at once, each as often as its weight says.

The streams of the outputs are dealt into one. Which output a position is of repeats after at most PERIOD
positions, so that the sequence at any position costs a look at a table and what its own order costs: a
checkpoint is one number, as for a single output.

In a period an output comes as often as its quota says, and the quotas add up to the period. Which is next is
the one whose turn is over first, of those that are behind: after any number n of positions each has had n
times its share, to within 1 - 1 / (2 m - 2) of a sequence for m outputs, and no method does better.

Source: R. Tijdeman, The chairman assignment problem, Discrete Mathematics 32(3), 1980.
"""

from collections.abc import Sequence
from fractions import Fraction
from math import gcd, lcm
from typing import Final

import numpy as np

from sluice.schemas.arrays import Int64s
from sluice.tokenizer.loader.order import Order

PERIOD: Final = 65_536
"""Positions after which the outputs repeat, at most: weights that need more are rounded to 1/65,536."""


class MixedOrder:
    """Which sequence is at which position, the sequences of all outputs being numbered one after the other.

    Attributes:
        orders: of the outputs.
        quotas: positions of a period that are each output's.
        num_sequences: of all outputs together.
        first_sequences: (m,) int64, the number of each output's first sequence.
    """

    def __init__(self, orders: Sequence[Order], quotas: Sequence[int]):
        self.orders, self.quotas = tuple(orders), tuple(quotas)
        sizes = [order.num_sequences for order in orders]
        self.num_sequences = sum(sizes)
        self.first_sequences = np.cumsum([0, *sizes], dtype=np.int64)[:-1]
        self._output_Q = turns(quotas)
        self._earlier_Q = np.empty(len(self._output_Q), np.int64)
        for output, quota in enumerate(quotas):
            self._earlier_Q[self._output_Q == output] = np.arange(quota)

    def sequences(self, positions_P: Int64s) -> Int64s:
        """Returns the numbers of the sequences at (P,) int64 positions of at least 0: (P,) int64."""
        period_P, place_P = np.divmod(positions_P, len(self._output_Q))
        output_P, numbers_P = self._output_Q[place_P], np.empty(len(positions_P), np.int64)
        for output, (order, quota) in enumerate(zip(self.orders, self.quotas, strict=True)):
            own_O = np.flatnonzero(output_P == output)
            of_output_O = period_P[own_O] * quota + self._earlier_Q[place_P[own_O]]
            numbers_P[own_O] = order.sequences(of_output_O) + self.first_sequences[output]
        return numbers_P

    def outputs(self, numbers_P: Int64s) -> Int64s:
        """Returns (P,) int64, which output each sequence is of, by its number."""
        found_P = np.searchsorted(self.first_sequences, numbers_P, side="right") - 1
        return np.asarray(found_P, np.int64)

    def end(self, epochs: int) -> int:
        """Returns the first position that begins an epoch of any output after so many."""
        return min(
            self._position(output, epochs * order.num_sequences)
            for output, order in enumerate(self.orders)
        )

    def _position(self, output: int, times: int) -> int:
        """Returns the position at which an output comes after it came so many times."""
        period, place = divmod(times, self.quotas[output])
        own_O = np.flatnonzero(self._output_Q == output)
        return period * len(self._output_Q) + int(own_O[place])


def quotas_of(weights: Sequence[float]) -> tuple[int, ...]:
    """Returns how many positions of a period each output gets, in proportion to its weight.

    Exact where a period of at most PERIOD positions is enough, else rounded, and at least 1.

    >>> quotas_of([0.7, 0.3]), quotas_of([2, 1])
    ((7, 3), (2, 1))

    Raises:
        ValueError: a weight is not a number above 0.
    """
    for weight in weights:
        if not 0 < weight < float("inf"):
            raise ValueError(f"a weight must be a number above 0, got {weight!r}")
    exact = [Fraction(repr(float(weight))) for weight in weights]
    shares = [weight / sum(exact) for weight in exact]
    period = lcm(*(share.denominator for share in shares))
    if period > PERIOD:
        return _rounded(shares)
    return tuple(int(share * period) for share in shares)


def _rounded(shares: Sequence[Fraction]) -> tuple[int, ...]:
    """Returns quotas of a whole period; what rounding leaves goes to those that lost the most."""
    quotas = [max(int(share * PERIOD), 1) for share in shares]
    by_loss = sorted(range(len(shares)), key=lambda k: quotas[k] - shares[k] * PERIOD)
    for k in by_loss[: max(PERIOD - sum(quotas), 0)]:
        quotas[k] += 1
    common = gcd(*quotas)
    return tuple(quota // common for quota in quotas)


def turns(quotas: Sequence[int]) -> Int64s:
    """Returns (Q,) int64, which output is at each position of a period; Q is the sum of the quotas."""
    period, given = sum(quotas), [0] * len(quotas)
    slack = max(2 * len(quotas) - 2, 1)
    turn_Q = np.zeros(period, np.int64)
    for place in range(1, period + 1):
        behind = [quota * place - had * period for quota, had in zip(quotas, given, strict=True)]
        waiting = [k for k, much in enumerate(behind) if much * slack >= period]
        turn = min(waiting, key=lambda k: ((slack - 1) * period - behind[k] * slack) / quotas[k])
        turn_Q[place - 1] = turn
        given[turn] += 1
    return turn_Q
