"""What a filter is: a frozen spec with one score, one threshold and one reason, applied to columns.

A spec says what to measure and where to draw the line; `build()` makes the machine that measures
(and may load a model). Score, then decide: the same scorer serves `sluice score`, which decides
nothing, and `sluice run`, so that thresholds can be chosen from data.
"""

from collections.abc import Callable
from typing import Any, ClassVar

import msgspec
import numpy as np
import pyarrow as pa

from sluice.filters.batch import Batch, Mask, Scores

SCORE_GRID = 2.0**-16
"""Scores and thresholds are rounded to this grid before they are compared, so that the last bits of a
floating-point sum, which may differ between machines, decide nothing."""


def on_grid(values: Any) -> Scores:
    """Returns float32 values rounded to the grid; from 256 upward float32 itself is coarser."""
    rounded = np.rint(np.asarray(values, np.float64) / SCORE_GRID) * SCORE_GRID
    return np.asarray(rounded, np.float32)


Scorer = Callable[[Batch], Scores]
"""(N,) float32 on the grid, never NaN; pure: row i depends on row i alone."""


class Filter(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="filter"
):
    """Base of all filters. A subclass sets `tag` (its name), the class variables, one bound and `build`.

    Attributes:
        reason: what was wrong with a post that the filter rejects.
        version: raised whenever the same spec gives other scores or verdicts.
        bound: the field that holds the threshold; `min_*` and `max_*` are inclusive.
        columns: the columns of POST that the scores depend on. Views of the text, such as `features` and
            `languages`, are of `text`.
        costly: the scorer runs a model, so rows already rejected are taken out before it.
        screen: a model that judges posts, with scores in [0, 1]: they are counted by language, and a
            transformer can take the posts that it is unsure of.
    """

    reason: ClassVar[str]
    version: ClassVar[int] = 1
    bound: ClassVar[str]
    columns: ClassVar[tuple[str, ...]] = ("text",)
    costly: ClassVar[bool] = False
    screen: ClassVar[bool] = False

    @property
    def name(self) -> str:
        """The filter's name in recipes, rejects and score columns."""
        return str(type(self).__struct_config__.tag)

    @property
    def threshold(self) -> float:
        """The bound, on the score grid."""
        return float(on_grid(getattr(self, self.bound)))

    def build(self) -> Scorer:
        """Returns the machine that scores; raises SluiceError where a model cannot be loaded."""
        raise TypeError(f"{type(self).__name__} does not define build()")

    def accepts(self, scores_N: Scores) -> Mask:
        """Returns (N,) bool, true where the score is on the right side of the threshold."""
        if self.bound.startswith("max_"):
            return np.asarray(scores_N <= np.float32(self.threshold))
        return np.asarray(scores_N >= np.float32(self.threshold))

    def thresholds(self, batch: Batch) -> Scores | None:
        """Returns (N,) float32 on the grid where the bound is not the same for all posts, else None.

        Where it is not None, it stands in for `threshold`, and `accepts` is not asked.
        """
        return None

    def detail(self, batch: Batch) -> pa.StringArray | None:
        """Returns what a reject row says beside the score, or None; never post text."""
        return None
