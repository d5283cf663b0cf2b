"""The words that the tokenizer is trained on: sampled, weighed, counted and summed, the same for any cut."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from sluice.pipeline.phases.vocabulary import count
from sluice.pipeline.phases.vocabulary.count import Count, Merge
from sluice.pipeline.phases.vocabulary.sampling import (
    composition,
    language_weights,
    once_at_most_one,
    sample_rates,
    taken_mask,
    weights_of,
)
from sluice.pipeline.phases.vocabulary.train import reserved_warning
from sluice.pipeline.units import exchange
from sluice.pipeline.units.attempt import Attempt
from sluice.pipeline.units.manifest import Done, Unit
from sluice.schemas.counts import EntryCounts, PostAmounts
from sluice.schemas.report import TrainingShare
from sluice.tokenizer.training.words import WordCounts
from sluice.tokenizer.training.words_files import WEIGHT_OF_ONE
from tests.tokenizer.training.cutting import cut

sizes = st.dictionaries(st.sampled_from("abcdefgh"), st.integers(0, 10**9), max_size=8)
LANGUAGES = ("en", "sw", "th", None)
WEIGHTS = {"en": 256, "sw": 500, "th": 2048, "unknown": 300}


@dataclass(frozen=True)
class Posts:
    """Units of posts, where the survivors of a run would be."""

    units: dict[str, list[pa.RecordBatch]]

    def read(self, unit: str, *, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Yields the batches of a unit."""
        return (batch.select(list(columns)) for batch in self.units[unit])


def posts(num_posts: int) -> pa.RecordBatch:
    """Returns posts of invented words in several languages; words repeat, and some occur once."""
    draw = np.random.default_rng(7)
    words = [f"w{i}{'xyz' * (i % 4)}" for i in range(300)]
    texts = [" ".join(words[min(k, 299)] for k in draw.zipf(1.4, 8) - 1) for _ in range(num_posts)]
    return pa.record_batch(
        {
            "post_id": [f"post-{i}" for i in range(num_posts)],
            "language": pa.array([LANGUAGES[i % 4] for i in range(num_posts)], pa.string()),
            "text": texts,
            "created_at": pa.nulls(num_posts, pa.timestamp("us", "UTC")),
            "source": pa.nulls(num_posts, pa.string()),
        }
    )


def words_of(rows: pa.RecordBatch, folder: Path, *, cuts: Sequence[int], parts: int) -> Any:
    """Returns what counting and summing give for posts cut into units: word -> (count, weight)."""
    edges = [0, *cuts, rows.num_rows]
    batches = [rows.slice(a, b - a) for a, b in pairwise(edges)]
    units = {f"unit-{i:05d}": [b.slice(0, 9), b.slice(9)] for i, b in enumerate(batches)}
    survivors: Any = Posts(units)
    weights = tuple(WEIGHTS.items())
    rules: dict[str, Any] = {"num_partitions": parts, "seed": 3, "holdout": 0.0}
    rules["has_placeholders"] = False
    stage = Count(str(folder / "sample"), survivors, (), weights, **rules)
    done = [do(stage.do, stage.folder, Unit(name)) for name in units]
    ranges: dict[int, list[Any]] = {}
    for finished in done:
        for partition, source in exchange.sources(finished, "words"):
            ranges.setdefault(partition, []).append(source)
    merge = Merge(str(folder / "words"))
    found: dict[str, tuple[int, int]] = {}
    for partition, sources in ranges.items():
        unit = exchange.reduce_unit(partition, sources, name="words")
        path = do(merge.do, merge.folder, unit).path("words")
        table = pa.ipc.open_file(path).read_all()
        for word, *numbers in zip(*(column.to_pylist() for column in table), strict=True):
            assert word not in found, "a word has one partition"
            found[word] = (numbers[0], numbers[1])
    return found


def do(work: Any, folder: str, unit: Unit) -> Done:
    """Does a unit and commits it."""
    attempt = Attempt(folder, unit.name)
    attempt.commit(work(unit, attempt))
    assert set(attempt.times) == {"sample/seconds", "sample/cpu_seconds"}
    return Done(folder, unit.name)


def test_words_do_not_depend_on_units_partitions_or_memory(
    tmp_path: Path, monkeypatch: Any
) -> None:
    """Counts are those of a dictionary, however posts are cut, words dealt, and often tables written."""
    rows = posts(200)
    occurrences: Counter[str] = Counter()
    weighed: Counter[str] = Counter()
    for language, text in zip(rows["language"].to_pylist(), rows["text"].to_pylist(), strict=True):
        for word in cut(text):
            occurrences[word] += 1
            weighed[word] += WEIGHTS[language or "unknown"]
    most = {word: WEIGHT_OF_ONE if n == 1 else weighed[word] for word, n in occurrences.items()}
    expected = {word: (n, min(weighed[word], most[word])) for word, n in occurrences.items()}
    assert any(n == 1 for n in occurrences.values())
    assert words_of(rows, tmp_path / "a", cuts=(), parts=1) == expected
    assert words_of(rows, tmp_path / "b", cuts=(20, 20, 130), parts=5) == expected
    monkeypatch.setattr(count, "HELD_BYTES", 64)
    assert words_of(rows, tmp_path / "c", cuts=(77,), parts=3) == expected


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


@given(sizes, st.integers(1, 10**9), st.floats(0, 1), st.floats(1, 100))
def test_weights_are_bounded_and_favour_the_rare(
    bytes_by_lang: dict[str, int], sample_bytes: int, exponent: float, max_weight: float
) -> None:
    """The least is one, the most is the bound, and of two languages the rarer never weighs less."""
    rates = sample_rates(bytes_by_lang, sample_bytes=sample_bytes, exponent=exponent)
    weights = language_weights(bytes_by_lang, rates, exponent=exponent, max_weight=max_weight)
    assert weights.keys() == {lang for lang, n in bytes_by_lang.items() if n}
    if weights:
        assert min(weights.values()) == WEIGHT_OF_ONE
        assert max(weights.values()) <= round(max_weight * WEIGHT_OF_ONE)


def test_weights_give_the_shares_that_the_exponent_asks_for() -> None:
    """Where all text is counted, weighted shares are in proportion to the shares to the exponent."""
    text = {"en": 900_000, "sw": 90_000, "yo": 10_000}
    rates = dict.fromkeys(text, 1.0)
    weights = language_weights(text, rates, exponent=0.7, max_weight=8.0)
    weighed = {lang: weights[lang] * n for lang, n in text.items()}
    for lang in ("sw", "yo"):
        asked = (text[lang] / text["en"]) ** 0.7
        assert np.isclose(weighed[lang] / weighed["en"], asked, rtol=0.005)
    assert language_weights(text, rates, exponent=0.7, max_weight=2.0)["yo"] == 2 * WEIGHT_OF_ONE
    assert set(language_weights(text, rates, exponent=1.0, max_weight=8.0).values()) == {256}


def test_a_sample_that_is_tempered_is_not_weighed_again() -> None:
    """Where rates give each language its share already, all weights are one."""
    text = {"en": 900_000, "sw": 90_000, "yo": 10_000}
    rates = sample_rates(text, sample_bytes=10_000, exponent=0.7)
    assert set(language_weights(text, rates, exponent=0.7, max_weight=8.0).values()) == {256}


def test_a_word_that_occurs_once_weighs_one_at_most() -> None:
    """Whatever its language; words that occur more often keep their weight."""
    words = WordCounts(pa.array(["a", "b", "c"]), np.array([1, 1, 2]), np.array([2048, 100, 4096]))
    assert once_at_most_one(words).weight_W.tolist() == [WEIGHT_OF_ONE, 100, 4096]


def test_a_post_without_a_language_has_the_weight_of_unknown() -> None:
    """As it is counted under `unknown`; a language that is not in the table weighs one."""
    languages = pa.array(["th", None, "xx"], pa.string())
    assert weights_of(languages, WEIGHTS).tolist() == [2048, 300, WEIGHT_OF_ONE]


def test_the_composition_says_what_each_language_gained() -> None:
    """Shares sum to one before and after; the largest comes first."""
    text = {"en": 900, "sw": 100}
    sampled = {"sw": PostAmounts(2, 100), "en": PostAmounts(5, 300)}
    rows = composition(text, sampled, {"en": 256, "sw": 384})
    assert list(rows) == ["en", "sw"]
    assert rows["sw"] == TrainingShare(
        posts=2, text_bytes=100, weight=1.5, share_of_text=0.1, share_of_training=0.333333
    )
    assert np.isclose(sum(row.share_of_training for row in rows.values()), 1)
    assert composition({}, {}, {}) == {}


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
    entries = EntryCounts(merges=980, special=8, bytes=2, reserved=10)
    assert reserved_warning(entries) is None
    few = EntryCounts(merges=979, special=8, bytes=2, reserved=11)
    frozen = reserved_warning(few, is_frozen=True)
    assert frozen is not None
    assert "give more text" not in frozen
    warning = reserved_warning(few)
    assert warning is not None
    assert "11 of 1,000 entries are reserved" in warning
