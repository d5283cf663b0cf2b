"""The filter keeps Sluice's contract, and counts what it should."""

import pytest
from sluice_prices.price_count import PriceCount

from sluice import list_filters
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


def test_it_is_listed() -> None:
    """Where the package is installed, recipes can name the filter."""
    (found,) = (info for info in list_filters() if info.name == "price_count")
    assert (found.origin.distribution, found.refused) == ("sluice-prices", "")
