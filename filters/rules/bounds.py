"""What filters that count have in common: what their bounds may be, and how counts become ratios."""

from typing import Annotated

import numpy as np
from msgspec import Meta

from sluice.filters.base import on_grid
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
