"""Long ordinary posts: in every script, no rule of a recipe drops one for its length."""

from functools import cache

import numpy as np
import pyarrow as pa
import pytest

from sluice.filters.batch import Batch
from sluice.filters.rules.repeated_words import RepeatedWords
from sluice.filters.screens.screen import ScreenFilter
from sluice.filters.text.normalize import normalize
from sluice.pipeline.filter_table import filter_table
from sluice.pipeline.recipes.schema import Recipe
from sluice.pipeline.sample.words import lexicon
from tests.strategies import post_batch

LANGUAGES = ("en", "vi", "ru", "ar", "hi", "th", "zh", "ja", "ko")
LENGTHS = (700, 5_000, 24_000)


THAI = (
    *("ที่", "และ", "เรือ", "ฝน", "ตลาด", "วันนี้", "เด็ก", "น้ำ", "ปลา", "ออก", "จาก", "ท่า", "ตก"),
    *("กลับ", "บ้าน", "ข้าว", "ขนม", "แม่", "ยาย", "เช้า", "เย็น", "ลม", "ถนน", "รถ", "ไฟ", "เสียง"),
)
"""Common words; `wordfreq` has no Thai."""


def sentences(language: str, random: np.random.Generator) -> list[str]:
    """Returns four sentences, of words as frequent as in the language."""
    if language == "th":
        return ["".join(THAI[i] for i in random.integers(len(THAI), size=20)) for _ in range(4)]
    words = lexicon(language)
    draws = random.integers(words.cumulative_V[-1], size=(4, 14))
    places = np.searchsorted(words.cumulative_V, draws, side="right")
    rows = (words.forms.take(pa.array(row)).to_pylist() for row in places)
    return [words.style.joiner.join(row) + words.style.ends[0] for row in rows]


@cache
def story(language: str, num_chars: int, seed: int = 5) -> str:
    """Returns a text in sentences and paragraphs, with a divider in the middle."""
    random, paragraphs = np.random.default_rng(seed), list[str]()
    while sum(map(len, paragraphs)) < num_chars:
        paragraphs.append(" ".join(sentences(language, random)))
    paragraphs.insert(len(paragraphs) // 2, "-" * 30)
    return "\n\n".join(paragraphs)[:num_chars]


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_rule_that_counts_keeps_a_long_story(language: str) -> None:
    """A story of 700 to 24,000 characters passes each rule of default.toml that counts."""
    texts = normalize(pa.array([story(language, length) for length in LENGTHS]))
    batch = Batch(post_batch(texts.to_pylist()))
    counting = [f for f in Recipe.load("default").filters if not f.costly]
    assert len(counting) > 10
    for spec in counting:
        assert spec.accepts(spec.build()(batch)).all(), spec.name


@pytest.mark.parametrize("language", LANGUAGES)
def test_repetition_does_not_grow_with_length(language: str) -> None:
    """The share of repeated words of a long story is that of its parts, give or take what parts differ by."""
    scorer = RepeatedWords().build()
    parts = [story(language, 5_000, seed) for seed in range(8)]
    score_8, (whole,) = (
        scorer(Batch(post_batch(parts))),
        scorer(Batch(post_batch([story(language, 24_000)]))),
    )
    assert abs(whole - score_8.mean()) < 0.05


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_long_story_is_no_spam(language: str) -> None:
    """What the spam model says of a long text is about what it says of its first part."""
    (spam,) = (f for f in Recipe.load("default").filters if f.name == "spam")
    assert isinstance(spam, ScreenFilter)
    texts = [story(language, length) for length in (5_000, 24_000)]
    scores = spam.build()(Batch(post_batch(texts)))
    assert spam.accepts(scores).all()
    assert abs(scores[1] - scores[0]) < 0.25


def test_a_copied_passage_is_repetition_at_any_length() -> None:
    """A text that says its passage of 300 words over and over is dropped, however long the passage is."""
    passage = " ".join(f"w{i}" for i in range(300))
    posts = [passage, f"{passage} {passage}", " ".join([passage] * 12)]
    scores = RepeatedWords().build()(Batch(post_batch(posts)))
    assert RepeatedWords().accepts(scores).tolist() == [True, True, False]
    assert scores[2] > 0.9


def test_25_000_characters_of_any_script_are_a_post() -> None:
    """Characters are counted, not bytes: a text of 25,000 that take four bytes each is no malformed row."""
    texts = [("\U00020000" + "\U00020001" * 3 + " ") * 5_000, "ก" * 24_999]
    table = pa.table({"id": ["a", "b"], "text": texts})
    parts = filter_table(table, Recipe(name="all"))
    assert parts.kept.num_rows == 2
