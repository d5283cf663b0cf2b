"""The filter keeps Sluice's contract, and counts what it should."""

import pytest
from sluice_prices.price_count import PriceCount

from sluice.filters.batch import Batch
from sluice.testing import check_filter, posts_of


@pytest.mark.parametrize("spec", [PriceCount(), PriceCount(max_prices=0)])
def test_contract(spec: PriceCount) -> None:
    """Every rule of Sluice holds, on posts that break what is careless."""
    check_filter(spec)


def test_prices_are_counted() -> None:
    """A number with a currency before or after it is a price; a number alone is none."""
    posts = posts_of(["$5 or 4 EUR, not 7", "in 2026", "€1 £2 $ 3 ¥4"])
    assert PriceCount().build()(Batch(posts)).tolist() == [2, 0, 4]
