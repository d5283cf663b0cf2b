"""Each rule by example: what it scores, and a post on either side of its default bound."""

import re
from collections import Counter

import pyarrow as pa
import pytest
from hypothesis import example, given

from sluice.filters import registry as f
from sluice.filters.base import Filter
from sluice.filters.batch import Batch
from sluice.filters.rules.stop_words import STOP_WORDS, num_stop_words
from sluice.filters.rules.top_ngram_ratio import top_ngram_ratio
from sluice.filters.text.views import classifier_text
from tests.strategies import post_batch, texts


def score(spec: Filter, text: str) -> float:
    return float(spec.build()(Batch(post_batch([text])))[0])


def keeps(spec: Filter, text: str) -> bool:
    return bool(spec.accepts(spec.build()(Batch(post_batch([text]))))[0])


STORY = " ".join(f"word{i}" for i in range(100))
"""A hundred words."""

SCORES = [
    (f.MinChars(), "中é😂", 3),
    (f.MaxChars(), "", 0),
    (f.MinWords(), "one, two http://t.co/x @bob !!! three", 3),
    (f.MinWords(), "今天天气很好", 3),
    (f.MaxWords(), "RT @bob: one two", 2),
    (f.HashtagRatio(), "#a #b word word", 0.5),
    (f.HashtagRatio(), "#1 ## a#b #,", 0),
    (f.HashtagRatio(), "#话题#内容", 0.5),
    (f.MentionRatio(), "@a @b @c word", 0.75),
    (f.MentionRatio(), "mail me@mail.org", 0),
    (f.UrlRatio(), "abcde http://t.", 9 / 15),
    (f.UrlRatio(), "", 0),
    (f.EmojiRatio(), "ab 👩\u200d👩\u200d👧 🇱🇻", 0.5),
    (f.UppercaseRatio(), "ABCDEFGhij", 0.7),
    (f.UppercaseRatio(), "SHOUT", 0),
    (f.UppercaseRatio(), "http://t.co/ABCDEFGH quiet words", 0),
    (f.UppercaseRatio(min_cased=1), "SHOUT", 1),
    (f.UppercaseRatio(), "ABCDEFGHIJ" + "天" * 30, 0.25),
    (f.DigitRatio(), "call 12345678", 8 / 12),
    (f.PunctuationRatio(), "!?!?ab #b", 4 / 8),
    (f.RepeatedChars(), "soooo http://wwwww.aaaaaaaa", 4),
    (f.RepeatedChars(), "s" + "o" * 24 + " go" * 107, 24),
    (f.RepeatedChars(), "s" + "o" * 24 + " go" * 108, 0),
    (f.RepeatedWords(), "Buy buy BUY! now - -", 0.5),
    (f.RepeatedWords(), f"{STORY} {STORY}", 93 / 200),
    (f.RepeatedLines(), "a\n a \n\nb\na", 0.5),
    (f.RepeatedLines(), "it rains\n-\nagain\n-\n", 1 / 15),
    (f.OwnText(), "RT @bob: http://t.co/x ...", 0),
    (f.OwnText(), "RT @bob: ok 👍", 3),
    (f.TruncatedRetweet(), "RT @bob: and then we… http://t.co/x", 1),
    (f.TruncatedRetweet(), "RT @bob: and then we...", 1),
    (f.TruncatedRetweet(), "@bob: and then we…", 0),
    (f.TruncatedRetweet(), "RT @bob: and… then we", 0),
    (f.MeanWordLengthMin(), "a bcd", 2),
    (f.MeanWordLengthMin(), "今天天气很好", 2),
    (f.MeanWordLengthMax(), "abcd abcd", 4),
    (f.SymbolWordRatio(), "#a b c... d…", 0.75),
    (f.SymbolWordRatio(), "... # …", 1),
    (f.AlphabeticWordsRatio(), "one 2 - four", 0.5),
    (f.StopWords(), "The cat and the dog, to be", 4),
    (f.StopWords(), "theater @the http://the.org/of übe be2 to_of", 0),
    (f.BulletLineRatio(), "- a\n* b\n\n• c\nd", 0.75),
    (f.EllipsisLineRatio(), "one…\ntwo...\nthree..\nfour", 0.5),
    (f.TopNgramRatio(n=2), "a b a b c", 6 / 9),
    (f.TopNgramRatio(n=2), "a b c d", 0),
    (f.TopNgramRatio(n=3), "Buy it now buy it NOW", 20 / 21),
    (f.TopNgramRatio(n=2), "a a a a", 1),
]

SIDES = [
    (f.MinChars(), "yes", "no"),
    (f.MaxChars(max_chars=3), "abc", "abcd"),
    (f.MinWords(), "one two", "one"),
    (f.MaxWords(max_words=2), "one two", "one two three"),
    (f.HashtagRatio(), "#a word", "#a #b word"),
    (f.MentionRatio(), "@a @b hello there", "@a @b @c hello"),
    (f.UrlRatio(), "read this http://t.co/abc", "hm http://t.co/abcdefghijk"),
    (f.EmojiRatio(), "ok 😂😂", "ok 😂😂😂"),
    (f.UppercaseRatio(), "Not A Shouting Post", "A SHOUTING POST"),
    (f.DigitRatio(), "room 12", "1234 no"),
    (f.PunctuationRatio(), "well, yes!", ">>>--- nope"),
    (f.RepeatedChars(), "so" + "o" * 19, "so" + "o" * 20),
    (f.RepeatedWords(), "bye bye", "bye bye bye"),
    (f.RepeatedLines(), "a\nb\nc\na", "a\na"),
    (f.OwnText(), "RT @bob: ok", "RT @bob: http://t.co/x"),
    (f.TruncatedRetweet(), "RT @bob: done.", "RT @bob: not do…"),
    (f.MeanWordLengthMin(), "it is so", "a b c d"),
    (f.MeanWordLengthMax(), "ordinary words", "aGVsbG8gd29ybGQgaGVsbG8="),
    (f.SymbolWordRatio(), "one two three four five six seven eight nine #ten", "so…"),
    (f.AlphabeticWordsRatio(), "one 2", "1 2 three"),
    (f.StopWords(), "to be", "de la"),
    (f.BulletLineRatio(), "a list:\n- b", "- a\n- b"),
    (f.EllipsisLineRatio(), "one\ntwo\nthree\nfour…", "one…"),
    (f.TopNgramRatio(), "we are who we are, and so on", "go on go on"),
]


@pytest.mark.parametrize(("spec", "text", "expected"), SCORES)
def test_score(spec: Filter, text: str, expected: float) -> None:
    """The score is what the filter's docstring says, worked out by hand."""
    assert score(spec, text) == pytest.approx(expected, abs=2**-16)


@pytest.mark.parametrize(
    ("spec", "kept", "rejected"), SIDES, ids=lambda x: getattr(x, "name", None)
)
def test_both_sides_of_the_bound(spec: Filter, kept: str, rejected: str) -> None:
    """Each filter keeps a post on the right side of its bound and rejects one on the other."""
    assert keeps(spec, kept)
    assert not keeps(spec, rejected)


def test_every_heuristic_is_shown_on_both_sides() -> None:
    """Each filter that counts in a text is above; those of authors and consent have tests of their own."""
    models = {f.LanguageAllowed, f.LanguageConfidence, f.Quality, f.Spam, f.Toxicity}
    of_columns = {f.MinAuthorAgeDays, f.NoConsent}
    assert {type(spec) for spec, _, _ in SIDES} == set(f.AnyFilter.__args__) - models - of_columns


@given(texts())
@example("the_ the-be TO and2")
def test_stop_words_equal_a_regular_expression(text: str) -> None:
    """The kernel counts the distinct stop words that a regular expression finds."""
    (read,) = classifier_text(pa.array([text])).to_pylist()
    words = set(
        re.findall(
            r"(?<![a-zA-Z0-9_\u0080-\U0010ffff])[a-z]+(?![a-zA-Z0-9_\u0080-\U0010ffff])", read
        )
    )
    assert num_stop_words(pa.array([read])).tolist() == [len(words & set(STOP_WORDS))]


@pytest.mark.parametrize("n", [1, 2, 3, 4])
@given(text=texts(max_words=20))
@example(text="a b c a b d a b")
def test_top_ngram_equals_a_counter(n: int, text: str) -> None:
    """The kernel finds the commonest phrase that a Counter finds."""
    (read,) = classifier_text(pa.array([text])).to_pylist()
    words = read.split(" ")
    counts = Counter(" ".join(words[i : i + n]) for i in range(len(words) - n + 1))
    best = max(((c, len(gram)) for gram, c in counts.items() if c > 1), default=(0, 0))
    expected = min(1.0, best[0] * best[1] / max(1, len(read)))
    assert top_ngram_ratio(pa.array([read]), n=n).tolist() == [expected]
