"""Rules on what payloads say of authors: consent, and the age of accounts."""

from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pytest

from sluice.filters.base import Filter
from sluice.filters.batch import Batch
from sluice.filters.registry import AnyFilter
from sluice.filters.rules.min_author_age_days import MinAuthorAgeDays
from sluice.filters.rules.no_consent import NoConsent
from sluice.schemas.payloads.columns import post_schema
from tests.strategies import post_batch

DAY = 86_400 * 10**6


def verdicts(spec: Filter, **columns: list[Any]) -> tuple[list[float], list[bool]]:
    """Returns the scores of posts with some columns, and which of them pass."""
    num_posts = len(next(iter(columns.values())))
    scores_N = spec.build()(Batch(post_batch(["a b c"] * num_posts, columns=columns)))
    return scores_N.tolist(), spec.accepts(scores_N).tolist()


def test_refusals_are_counted() -> None:
    """A post has as many refusals as signals are in its consent; unknown, empty and other ones are none."""
    given = [None, "", "protected", "no_training withheld", "not_indexable", "protected withheld"]
    scores, passes = verdicts(NoConsent(signals=("protected", "withheld")), consent=given)
    assert scores == [0, 0, 1, 1, 0, 2]
    assert passes == [True, True, False, False, True, False]
    _, passes = verdicts(NoConsent(max_refusals=1), consent=given)
    assert passes == [True] * 3 + [False, True, False]


def test_a_misspelt_signal_is_refused() -> None:
    """The names of signals are checked, with a hint."""
    row = {"filter": "no_consent", "signals": ["protectd"]}
    with pytest.raises(msgspec.ValidationError, match=r"'protectd'.*did you mean 'protected'"):
        msgspec.convert(row, AnyFilter)


def test_the_age_of_an_account() -> None:
    """Parts of days count, also before the account was made; what is not known passes."""
    made = [0, 0, 10 * DAY, None, 0]
    written = [7 * DAY, 6.5 * DAY, 0, 5 * DAY, None]
    scores, passes = verdicts(
        MinAuthorAgeDays(min_days=7),
        author_created_at=made,
        created_at=[None if time is None else int(time) for time in written],
    )
    assert scores == [7, 6.5, -10, 65536, 65536]
    assert passes == [True, False, False, True, True]


@pytest.mark.parametrize("spec", [NoConsent(), MinAuthorAgeDays()])
def test_rows_of_tables_pass(spec: Filter) -> None:
    """Posts of a batch that has no column of payloads pass."""
    whole = post_batch(["a", "b"])
    posts = whole.select(post_schema(()).names)
    assert "consent" not in posts.schema.names
    scores_N = spec.build()(Batch(posts))
    assert scores_N.dtype == np.float32
    assert spec.accepts(scores_N).all()
    assert spec.detail(Batch(posts)) in (None, pa.nulls(2, pa.string()))
