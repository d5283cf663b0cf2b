"""Consent: drops posts whose payload says that their author, or the platform, refuses their use."""

from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sluice.filters.base import Filter, Scorer, on_grid
from sluice.filters.batch import Batch, Scores
from sluice.filters.rules.bounds import Count
from sluice.schemas.errors import did_you_mean
from sluice.schemas.payloads.consent import SIGNALS


class NoConsent(Filter, frozen=True, kw_only=True, tag="no_consent"):
    """Drops a post whose use is refused. Score: how many of `signals` are in the column `consent`.

    A post of which nothing is known, as every row of a table, has 0.

    Attributes:
        signals: what counts as a refusal, of `protected`, `withheld`, `no_training`, `no_unauthenticated`,
            `not_indexable` and `not_discoverable`.
        max_refusals: the most of them that a post may have.

    Source: the terms of the platforms, docs/platforms.md.
    """

    reason: ClassVar[str] = "no_consent"
    bound: ClassVar[str] = "max_refusals"
    columns: ClassVar[tuple[str, ...]] = ("consent",)

    signals: tuple[str, ...] = ("protected", "withheld", "no_training")
    max_refusals: Count = 0

    def __post_init__(self) -> None:
        for signal in self.signals:
            if signal not in SIGNALS:
                hint = did_you_mean(signal, SIGNALS)
                raise ValueError(f"signals: {signal!r} is no name of a refusal{hint}")

    def build(self) -> Scorer:
        """Returns the scorer: (N,) float32, whole numbers."""
        return lambda batch: _refusals(batch, self.signals)

    def detail(self, batch: Batch) -> pa.StringArray | None:
        """Returns (N,) string, all that refuses the use of each post."""
        return _consent(batch)


def _consent(batch: Batch) -> pa.StringArray:
    if "consent" not in batch.posts.schema.names:
        return pa.nulls(len(batch), pa.string())
    return batch.posts.column("consent")


def _refusals(batch: Batch, signals: tuple[str, ...]) -> Scores:
    consent = _consent(batch)
    if consent.null_count == len(consent):
        return np.zeros(len(consent), np.float32)
    words = pc.split_pattern(consent.fill_null(""), " ")
    is_refusal = pc.is_in(words.values, pa.array(signals, pa.string()))
    rows = pc.list_parent_indices(words).filter(is_refusal)
    return on_grid(np.bincount(np.asarray(rows), minlength=len(consent)))
