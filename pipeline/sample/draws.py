"""Random numbers for `sluice sample` that are the same on every machine and with every NumPy.

NumPy may change what a `Generator` method returns for a seed (NEP 19), and a logarithm may differ
in its last bit between C libraries; the raw bits of PCG64 may not. So every draw here is integer
arithmetic on raw bits, and every distribution is a table of integers.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa

from sluice.schemas.arrays import Bools, Float64s, Int64s

TABLE_TOTAL = 1 << 31
"""About what the weights of a table add up to: a draw needs fewer than 2**32 outcomes."""


class Draws:
    """A stream of random integers, named by its key.

    Streams of different keys are independent, so what one part of the sample draws does not move
    what another part draws.
    """

    def __init__(self, *key: int):
        self._bits = np.random.PCG64(np.random.SeedSequence(key))

    def below(self, bound: int | Int64s, *, size: int) -> Int64s:
        """Returns (size,) int64, uniform in [0, bound); bounds are under 2**32, one or (size,)."""
        raw_N = self._bits.random_raw(size) >> np.uint64(32)
        return (raw_N * np.asarray(bound, np.uint64) >> np.uint64(32)).astype(np.int64)

    def chance(self, probability: float, *, size: int) -> Bools:
        """Returns (size,) bool, true with the probability, rounded to a millionth."""
        return np.asarray(self.below(1_000_000, size=size) < round(probability * 1_000_000))

    def index(self, cumulative_V: Int64s, *, size: int) -> Int64s:
        """Returns (size,) int64 in [0, V), drawn by a table that `cumulative` made."""
        drawn_N = self.below(int(cumulative_V[-1]), size=size)
        return np.searchsorted(cumulative_V, drawn_N, side="right").astype(np.int64)

    def pick(self, values: Sequence[str] | pa.StringArray, *, size: int) -> pa.StringArray:
        """Returns (size,) string, each of the values equally likely."""
        table = values if isinstance(values, pa.Array) else pa.array(list(values), pa.string())
        return table.take(pa.array(self.below(len(table), size=size)))

    def pick_weighted(self, weights: Mapping[str, float], *, size: int) -> pa.StringArray:
        """Returns (size,) string, the keys drawn by their weights."""
        table = pa.array(list(weights), pa.string())
        drawn_N = self.index(cumulative(list(weights.values())), size=size)
        return table.take(pa.array(drawn_N))

    def order(self, size: int) -> Int64s:
        """Returns (size,) int64, a permutation of 0..size-1."""
        return np.argsort(self._bits.random_raw(size), kind="stable").astype(np.int64)


def cumulative(weights: Sequence[float] | Float64s) -> Int64s:
    """Returns (V,) int64, running sums of the weights as integers; every outcome is possible."""
    weights_V = np.asarray(weights, np.float64)
    scaled_V = np.rint(weights_V / weights_V.sum() * TABLE_TOTAL).astype(np.int64)
    return np.cumsum(np.maximum(scaled_V, 1))


def shares(total: int, weights: Mapping[str, float]) -> dict[str, int]:
    """Splits a total by weights, largest remainder first; the parts add up to the total."""
    whole = sum(weights.values())
    exact = {name: total * weight / whole for name, weight in weights.items()}
    parts = {name: int(value) for name, value in exact.items()}
    by_remainder = sorted(weights, key=lambda name: parts[name] - exact[name])
    for name in by_remainder[: total - sum(parts.values())]:
        parts[name] += 1
    return parts
