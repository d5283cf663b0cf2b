"""Age of accounts: drops posts of accounts that had just been made."""

from typing import Annotated, ClassVar, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from msgspec import Meta

from sluice.filters.base import Filter, Scorer, on_grid
from sluice.filters.batch import Batch, Scores
from sluice.schemas.arrays import Int64s

_DAY: Final = 86_400 * 10**6
_UNKNOWN: Final = 2.0**16
"""The score of a post of which one of the times is not known: 179 years."""


class MinAuthorAgeDays(Filter, frozen=True, kw_only=True, tag="min_author_age_days"):
    """Drops a post of a new account. Score: days between `author_created_at` and `created_at`.

    Parts of days count. Where one of the times is not known, as in every row of a table that has no column
    for it, the score is 65536, and the post passes.

    Attributes:
        min_days: the least age of the account when it wrote the post, at most 65536.

    Source: ours.
    """

    reason: ClassVar[str] = "new_author"
    bound: ClassVar[str] = "min_days"
    columns: ClassVar[tuple[str, ...]] = ("author_created_at", "created_at")

    min_days: Annotated[float, Meta(ge=0, le=_UNKNOWN)] = 7.0

    def build(self) -> Scorer:
        """Returns the scorer: (N,) float32, days; negative for a post that is older than its author."""
        return _ages


def _ages(batch: Batch) -> Scores:
    if "author_created_at" not in batch.posts.schema.names:
        return np.full(len(batch), _UNKNOWN, np.float32)
    begun, written = batch.posts.column("author_created_at"), batch.posts.column("created_at")
    if begun.null_count == len(begun):
        return np.full(len(batch), _UNKNOWN, np.float32)
    is_known_N = np.asarray(pc.and_(begun.is_valid(), written.is_valid()))
    micros_N = _micros(written) - _micros(begun)
    return on_grid(np.where(is_known_N, micros_N / _DAY, _UNKNOWN))


def _micros(times: pa.TimestampArray) -> Int64s:
    """Returns (N,) int64, microseconds; 0 where there is no time."""
    return np.asarray(times.cast(pa.int64()).fill_null(0))
