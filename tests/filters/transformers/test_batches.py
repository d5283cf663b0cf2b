"""How texts are dealt to the batches of a transformer."""

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from sluice.filters.transformers.batches import pad_rows, padded, plan_batches

lengths = st.lists(st.integers(1, 40), max_size=200).map(lambda n: np.array(n, np.int32))
budgets = st.integers(40, 700)
multiples = st.sampled_from([1, 8])


@given(lengths, budgets)
def test_every_text_is_in_one_batch_within_the_budget(
    lengths_N: np.ndarray, batch_tokens: int
) -> None:
    """All texts once, longest first, equal ones in their order; no batch exceeds the budget."""
    plan = plan_batches(lengths_N, batch_tokens=batch_tokens)
    batches = list(plan.batches())
    dealt = [row for rows_B, _ in batches for row in rows_B.tolist()]
    assert dealt == sorted(range(len(lengths_N)), key=lambda row: (-lengths_N[row], row))
    for rows_B, width in batches:
        assert len(rows_B) > 0
        assert len(rows_B) * width <= batch_tokens
        assert lengths_N[rows_B].max() <= width


@given(lengths, budgets, multiples)
def test_padding_is_to_multiples_or_none_at_all(
    lengths_N: np.ndarray, batch_tokens: int, multiple: int
) -> None:
    """A batch is as wide as its longest text, to the next multiple where it holds shorter ones."""
    plan = plan_batches(lengths_N, batch_tokens=batch_tokens, multiple=multiple)
    for rows_B, width in plan.batches():
        longest = int(lengths_N[rows_B].max())
        alike = bool((lengths_N[rows_B] == longest).all())
        assert width in (longest, padded(longest, multiple))
        assert alike or width % multiple == 0


@given(lengths, budgets, multiples)
def test_only_the_last_batch_is_small(
    lengths_N: np.ndarray, batch_tokens: int, multiple: int
) -> None:
    """Other batches fill half of the budget, or as much as whole texts can: no device waits for launches."""
    plan = plan_batches(lengths_N, batch_tokens=batch_tokens, multiple=multiple)
    for rows_B, width in list(plan.batches())[:-1]:
        assert 2 * len(rows_B) * width >= batch_tokens or (len(rows_B) + 1) * width > batch_tokens


@given(lengths, budgets, multiples)
def test_no_batch_goes_on_where_a_narrower_one_would_do(
    lengths_N: np.ndarray, batch_tokens: int, multiple: int
) -> None:
    """Without its last text a batch was less than half full, or that text needs the batch's width."""
    plan = plan_batches(lengths_N, batch_tokens=batch_tokens, multiple=multiple)
    for rows_B, width in plan.batches():
        shortest = int(lengths_N[rows_B[-1]])
        half_empty = 2 * (len(rows_B) - 1) * width < batch_tokens
        assert half_empty or padded(shortest, multiple) == padded(width, multiple)


def test_texts_of_one_length_are_not_padded() -> None:
    """Five texts of 13 tokens fill half of 128: a batch without padding; the rest shares one of width 8."""
    plan = plan_batches(np.array([13, 5, 13, 13, 6, 13, 13]), batch_tokens=128)
    batches = [(rows_B.tolist(), width) for rows_B, width in plan.batches()]
    assert batches == [([0, 2, 3, 5, 6], 13), ([4, 1], 8)]


def test_a_text_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="batch_tokens = 40 holds no text of 41 tokens"):
        plan_batches(np.array([41]), batch_tokens=40)


@given(st.lists(st.lists(st.integers(5, 9), max_size=6), min_size=1, max_size=8), st.data())
def test_rows_are_padded_on_the_right(rows: list[list[int]], data: st.DataObject) -> None:
    """Any choice of rows of a flat array, against lists."""
    ids_T = np.array([i for row in rows for i in row] or [0], np.int32)
    lengths_N = np.array([len(row) for row in rows])
    starts_N = np.cumsum(lengths_N) - lengths_N
    rows_B = np.array(data.draw(st.lists(st.integers(0, len(rows) - 1), min_size=1)))
    found = pad_rows(ids_T, starts_N[rows_B], lengths_N[rows_B], width=7, pad_id=-1)
    assert found.tolist() == [rows[r] + [-1] * (7 - len(rows[r])) for r in rows_B]
    assert found.dtype == np.int64
