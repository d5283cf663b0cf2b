"""Posts counted by language, day and source."""

import datetime

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from sluice.pipeline.ledger.tally import tally
from sluice.schemas.counts import TokenTally, amounts

Row = tuple[str | None, datetime.datetime | None, str | None, int]
days = [None, datetime.datetime(2026, 1, 1, 23, 59), datetime.datetime(2026, 1, 2)]
rows = st.lists(
    st.tuples(
        st.sampled_from(["en", "ja", None]),
        st.sampled_from(days),
        st.sampled_from(["web", None]),
        st.integers(0, 100),
    ),
    max_size=20,
)


def counted(chosen: list[Row]) -> TokenTally:
    columns = list(zip(*chosen, strict=True)) or [(), (), (), ()]
    posts = pa.record_batch(
        {
            "language": pa.array(columns[0], pa.string()),
            "created_at": pa.array(columns[1], pa.timestamp("us", tz="UTC")),
            "source": pa.array(columns[2], pa.string()),
            "text": pa.array(["é" * n for n in columns[3]], pa.string()),
        }
    )
    return tally(posts, TokenTally, tokens=pa.array(columns[3], pa.int64()))


@given(rows)
def test_every_table_sums_to_its_total(chosen: list[Row]) -> None:
    """By language, day and source, posts and amounts add up, with nulls under `unknown`."""
    counts = counted(chosen)
    assert counts.posts == len(chosen)
    assert counts.tokens == sum(row[3] for row in chosen)
    assert counts.text_bytes == 2 * counts.tokens
    for table in (counts.by_lang, counts.by_day, counts.by_source):
        assert sum(group.posts for group in table.values()) == counts.posts
        assert sum(group.tokens for group in table.values()) == counts.tokens
        assert sum(group.text_bytes for group in table.values()) == counts.text_bytes
        assert None not in table


@given(rows, st.integers(0, 20))
def test_batches_add_up(chosen: list[Row], cut: int) -> None:
    """The tally of a batch is the sum of the tallies of its parts, which stay as they are."""
    first, second = counted(chosen[:cut]), counted(chosen[cut:])
    total = TokenTally()
    total += first
    total += second
    assert total == counted(chosen)
    assert second == counted(chosen[cut:])


@given(rows, rows)
def test_subtract_undoes_add(kept: list[Row], dropped: list[Row]) -> None:
    """What is left after taking some posts away is the tally of the others."""
    left = counted(kept + dropped) - counted(dropped)
    assert left.posts == len(kept)
    languages = amounts(left.by_lang, lambda group: group.posts)
    assert languages == amounts(counted(kept).by_lang, lambda group: group.posts)
