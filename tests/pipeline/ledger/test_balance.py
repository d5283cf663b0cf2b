"""The books: sums, limits, and what happens when they do not balance."""

import datetime

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.pipeline.ledger import balance
from sluice.pipeline.ledger.tally import Counts, add_counts, column, subtract, tally
from sluice.schemas.errors import LedgerError, LimitError

POSTS = {
    "read": 10,
    "kept": 5,
    "rejected": {"too_short": 2},
    "duplicates": {"redelivered": 0, "exact": 1, "near": 1},
    "malformed": 1,
    "errors": 0,
}
TOKENS = {
    "encoded": 90,
    "end_of_document": 6,
    "padding": 4,
    "in_shards": 60,
    "leftover": 30,
    "truncated": 10,
}
rows = st.lists(
    st.tuples(
        st.sampled_from(["en", "ja", None]),
        st.sampled_from(
            [None, datetime.datetime(2026, 1, 1, 23, 59), datetime.datetime(2026, 1, 2)]
        ),
        st.sampled_from(["web", None]),
        st.integers(0, 100),
    ),
    max_size=20,
)


def counted(chosen: list[tuple]) -> Counts:
    columns = list(zip(*chosen, strict=True)) or [(), (), (), ()]
    return tally(
        language=pa.array(columns[0], pa.string()),
        created_at=pa.array(columns[1], pa.timestamp("us", tz="UTC")),
        source=pa.array(columns[2], pa.string()),
        amounts={"tokens": pa.array(columns[3], pa.int64())},
    )


@given(rows)
def test_every_table_sums_to_its_total(chosen: list[tuple]) -> None:
    """By language, day and source, posts and amounts add up, with nulls under `unknown`."""
    counts = counted(chosen)
    assert counts["posts"] == len(chosen)
    assert counts["tokens"] == sum(r[3] for r in chosen)
    for by in ("by_lang", "by_day", "by_source"):
        for amount in ("posts", "tokens"):
            assert sum(t[amount] for t in counts[by].values()) == counts[amount]
        assert None not in counts[by]


@given(rows, st.integers(0, 20))
def test_batches_add_up(chosen: list[tuple], cut: int) -> None:
    """The tally of a batch is the sum of the tallies of its parts."""
    parts = add_counts(counted(chosen[:cut]), counted(chosen[cut:]))
    assert parts == counted(chosen)


@given(rows, rows)
def test_subtract_undoes_add(kept: list[tuple], dropped: list[tuple]) -> None:
    """What is left after taking some posts away is the tally of the others."""
    total = counted(kept + dropped)
    left = subtract(total, counted(dropped))
    assert column(left, "by_lang", "posts") == column(counted(kept), "by_lang", "posts")


def test_a_balanced_ledger_passes() -> None:
    """Books that add up raise nothing, and the equation shows the figures."""
    balance.check_posts(POSTS)
    balance.check_tokens(TOKENS)
    assert balance.posts_equation(POSTS).startswith("10 read = 5 kept + 2 rejected")


@pytest.mark.parametrize("key", ["read", "kept", "malformed", "errors"])
def test_a_lost_post_is_an_error(key: str) -> None:
    """One post more or less on either side of the equation fails the run."""
    with pytest.raises(LedgerError, match="off by"):
        balance.check_posts(POSTS | {key: POSTS[key] + 1})


@pytest.mark.parametrize("key", list(TOKENS))
def test_a_lost_token_is_an_error(key: str) -> None:
    """One token more or less anywhere fails the run."""
    with pytest.raises(LedgerError):
        balance.check_tokens(TOKENS | {key: TOKENS[key] + 1})


def test_limits_name_the_file_and_the_stage() -> None:
    """Malformed rows are limited a file, errors for the run; both messages say what and where."""
    files = {"a.jsonl": {"read": 100, "malformed": {"not_json": 6}}}
    fine = {"max_error_ratio": 1.0, "max_malformed_ratio": 0.06}
    balance.check_limits({"read": 100}, files, **fine)
    with pytest.raises(LimitError, match=r"a\.jsonl: 6 of 100 rows are malformed \(not_json: 6\)"):
        balance.check_limits({"read": 100}, files, **(fine | {"max_malformed_ratio": 0.05}))
    with pytest.raises(LimitError, match=r"2 of 100 posts made a stage fail \(spam: 2\)"):
        balance.check_limits(
            {"read": 100, "errors": {"spam": 2}}, {}, max_error_ratio=0.01, max_malformed_ratio=1.0
        )
