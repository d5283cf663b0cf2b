"""The sample that the tokenizer is trained on: tempered, within its budget, the same for any cut."""

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from pipeline.vocabulary import reserved_warning, sample_rates, taken_mask

sizes = st.dictionaries(st.sampled_from("abcdefgh"), st.integers(0, 10**9), max_size=8)


@given(sizes, st.integers(1, 10**9), st.floats(0, 1))
def test_rates_fill_the_budget(
    bytes_by_lang: dict[str, int], sample_bytes: int, exponent: float
) -> None:
    """Rates are shares; together they take the budget, or everything where it is less."""
    rates = sample_rates(bytes_by_lang, sample_bytes=sample_bytes, exponent=exponent)
    assert all(0 < rate <= 1 for rate in rates.values())
    taken = sum(rates[lang] * n for lang, n in bytes_by_lang.items() if n)
    assert np.isclose(taken, min(sample_bytes, sum(bytes_by_lang.values())))


def test_the_exponent_helps_small_languages() -> None:
    """At 1 shares stay as they are; at 0 they are equal; between, small languages gain."""
    text = {"en": 900_000, "sw": 100_000}

    def share(exponent: float) -> float:
        rates = sample_rates(text, sample_bytes=100_000, exponent=exponent)
        return rates["sw"] * text["sw"] / 100_000

    assert np.isclose(share(1.0), 0.1)
    assert np.isclose(share(0.0), 0.5)
    assert 0.1 < share(0.7) < 0.5


@given(st.integers(0, 200))
def test_a_post_is_taken_whatever_its_batch(cut: int) -> None:
    """The same posts are taken from a batch and from its parts, in the share of the rate."""
    ids = [f"post-{i}" for i in range(200)]
    batch = pa.record_batch({"post_id": ids, "language": ["en", "sw"] * 100})
    rates = {"en": 0.3, "sw": 1.0}
    whole = taken_mask(batch, rates, seed=1)
    parts = [taken_mask(b, rates, seed=1) for b in (batch.slice(0, cut), batch.slice(cut))]
    assert np.array_equal(whole, np.concatenate(parts))
    assert whole[1::2].all()
    assert 10 < whole[::2].sum() < 50


def test_a_vocabulary_with_many_reserved_entries_warns() -> None:
    """Up to 1% of reserved entries is silent."""
    counts = {"merges": 980, "special": 8, "bytes": 2, "reserved": 10}
    assert reserved_warning(counts) is None
    warning = reserved_warning(counts | {"merges": 979, "reserved": 11})
    assert warning is not None
    assert "11 of 1,000 entries are reserved" in warning
