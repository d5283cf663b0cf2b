"""What filters that count have in common: what their bounds may be, and how counts become scores."""

from typing import Annotated, ClassVar

import numpy as np
from msgspec import Meta

from sluice.filters.base import Filter, Scorer, on_grid
from sluice.filters.batch import Scores
from sluice.schemas.arrays import Int32s

Count = Annotated[int, Meta(ge=0)]
"""A bound that counts characters, words or lines."""

Ratio = Annotated[float, Meta(ge=0, le=1)]
"""A bound on a share."""

Length = Annotated[float, Meta(ge=0)]
"""A bound on a mean length, in characters."""


def ratio(part_N: Int32s, whole_N: Int32s) -> Scores:
    """Returns part / whole, (N,) float32 on the score grid; 0 where the whole is 0.

    >>> ratio(np.array([1, 0], np.int32), np.array([4, 0], np.int32)).tolist()
    [0.25, 0.0]
    """
    return on_grid(part_N / np.maximum(whole_N, 1))


class CountFilter(Filter, frozen=True, kw_only=True):
    """The base of the rules whose score is a counter of `sluice.filters.text.features`.

    Attributes:
        counted: the counter's name.
    """

    counted: ClassVar[str]

    def build(self) -> Scorer:
        """Returns the scorer: (N,) float32, the counts."""
        return lambda batch: on_grid(getattr(batch.features, self.counted))


class ShareFilter(Filter, frozen=True, kw_only=True):
    """The base of the rules whose score is one counter of `sluice.filters.text.features` over another.

    Attributes:
        bound: `max_ratio`, unless a subclass says otherwise.
        counted: the names of the two counters.
    """

    bound: ClassVar[str] = "max_ratio"
    counted: ClassVar[tuple[str, str]]

    def build(self) -> Scorer:
        """Returns the scorer: (N,) float32, the first counter / the second, 0 where that is 0."""
        part, whole = self.counted
        return lambda batch: ratio(getattr(batch.features, part), getattr(batch.features, whole))
