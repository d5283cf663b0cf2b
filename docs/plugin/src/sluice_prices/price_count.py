"""Prices: drops posts that are price lists."""

from typing import Annotated, ClassVar

import pyarrow.compute as pc
from msgspec import Meta

from sluice import Filter, Scorer
from sluice.filters.base import on_grid

PRICE = r"[$€£¥₹]\s?[0-9]|[0-9]\s?(?:[€£¥₹]|USD|EUR|GBP)"
"""A sign of a currency beside a digit (RE2)."""


class PriceCount(Filter, frozen=True, kw_only=True, tag="price_count"):
    """Drops a post that lists prices. Score: prices, a currency beside a number.

    Attributes:
        max_prices: the greatest number of prices.

    Source: an example.
    """

    version: ClassVar[int] = 1
    reason: ClassVar[str] = "too_many_prices"
    bound: ClassVar[str] = "max_prices"
    columns: ClassVar[tuple[str, ...]] = ("text",)

    max_prices: Annotated[int, Meta(ge=0)] = 3

    def build(self) -> Scorer:
        """Returns the scorer: (N,) float32, prices in each post."""
        return lambda batch: on_grid(pc.count_substring_regex(batch.text, PRICE))
