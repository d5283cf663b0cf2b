"""`sluice.testing`: each rule that a filter breaks is named, and one that keeps them all passes."""

from collections.abc import Callable
from typing import Any, ClassVar

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from sluice.filters.base import Filter, Scorer, on_grid
from sluice.filters.batch import Batch, Mask, Scores
from sluice.filters.registry import LanguageConfidence, MinChars
from sluice.filters.rules.spam import Spam
from sluice.schemas.post import POST
from sluice.testing import check_filter, check_scores, check_spec, hostile_posts, posts_of

THREE = posts_of(["one", "two two", "three"], declared_lang=["en", None, "de"])
calls: list[int] = []


class Good(Filter, frozen=True, kw_only=True, tag="good"):
    """Keeps the rules. Score: characters.

    Attributes:
        max_score: at most.
        names: of something.
    """

    reason: ClassVar[str] = "bad"
    bound: ClassVar[str] = "max_score"

    max_score: float = 0.5
    names: tuple[str, ...] = ("a", 'b"\\\n')

    def build(self) -> Scorer:
        return lambda batch: on_grid(pc.utf8_length(batch.text))


class Upside(Good, frozen=True, kw_only=True, tag="upside"):
    """Keeps worse scores. Score: characters. max_score: at most. names: of something."""

    def accepts(self, scores_N: Scores) -> Mask:
        return ~super().accepts(scores_N)


class Fickle(Good, frozen=True, kw_only=True, tag="fickle"):
    """Keeps a score at the threshold, and very bad ones. Score: characters. max_score: names:."""

    def accepts(self, scores_N: Scores) -> Mask:
        return super().accepts(scores_N) | (scores_N > 4)


class Careless(Good, frozen=True, kw_only=True, tag="careless"):
    """Compares with another threshold, far from its own. Score: characters. max_score: names:."""

    def accepts(self, scores_N: Scores) -> Mask:
        near_N = np.abs(scores_N - self.threshold) < 0.1
        return np.where(near_N, super().accepts(scores_N), scores_N < 10 / (1 + self.threshold))


class Indiscreet(Good, frozen=True, kw_only=True, tag="indiscreet"):
    """Quotes posts. Score: characters. max_score: names:."""

    def detail(self, batch: Batch) -> pa.StringArray | None:
        return batch.text


class Certain(Good, frozen=True, kw_only=True, tag="certain"):
    """A screen. Score: characters. max_score: names:."""

    screen: ClassVar[bool] = True


def remembering() -> Scorer:
    kept = np.zeros(1000, np.float32)

    def score(batch: Batch) -> Scores:
        kept[: len(batch)] = on_grid(pc.utf8_length(batch.text))
        return kept[: len(batch)]

    return score


def counting(batch: Batch) -> Scores:
    calls.append(1)
    return np.full(len(batch), len(calls), np.float32)


def by_length_of_batch(batch: Batch) -> Scores:
    return np.full(len(batch), len(batch), np.float32)


def by_place(batch: Batch) -> Scores:
    return np.arange(len(batch), dtype=np.float32)


def by_neighbour(batch: Batch) -> Scores:
    lengths = on_grid(pc.utf8_length(batch.text))
    return lengths if len(batch) < 5 else np.maximum.accumulate(lengths)


def by_language(batch: Batch) -> Scores:
    return on_grid(pc.utf8_length(batch.posts["declared_lang"].fill_null("")))


def fails_when_empty(batch: Batch) -> Scores:
    return np.zeros(max(1, len(batch)), np.float32)


def test_a_good_filter_passes() -> None:
    """On hostile posts and on one's own, with a view of a model and as a screen."""
    for spec in (Good(), MinChars(), LanguageConfidence(), Spam()):
        check_filter(spec)
        check_filter(spec, THREE)


@pytest.mark.parametrize(
    ("score", "said"),
    [
        (lambda b: np.zeros(len(b)), "float32"),
        (lambda b: np.zeros(len(b) + 1, np.float32), "shape"),
        (lambda b: np.full(len(b), np.nan, np.float32), "finite"),
        (lambda b: pa.nulls(len(b), pa.float32()), "null"),
        (lambda b: np.full(len(b), 0.3, np.float32), "on_grid"),
        (by_length_of_batch, "cut into batches"),
        (fails_when_empty, "cut into batches"),
        (by_place, "cut into batches"),
        (by_neighbour, "the other posts of a batch|the order of posts"),
        (by_language, r"a column that is not declared \(columns: text\)"),
        (counting, "scores depend on|scored again"),
        (remembering(), "returned change later|scores depend on"),
    ],
)
def test_a_broken_score_is_named(score: Callable[[Batch], Any], said: str) -> None:
    """What a scorer does wrong is what the message says."""
    with pytest.raises(AssertionError, match=f"good: .*({said})"):
        check_scores(Good(), score, THREE)


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        (Upside(), "a score at the threshold must be accepted"),
        (Fickle(), "a better score is rejected, a worse one kept"),
        (Careless(), "max_score that is less strict keeps fewer posts"),
        (Indiscreet(), r"detail\(\) shows the text of a post"),
        (Certain(), r"scores of a screen must be in \[0, 1\]"),
    ],
)
def test_a_broken_verdict_is_named(spec: Filter, said: str) -> None:
    """What verdicts and details do wrong is what the message says."""
    posts = posts_of(["x", "xx", "xxx", "a text of more than twelve characters"])
    with pytest.raises(AssertionError, match=f"{spec.name}: {said}"):
        check_filter(spec, posts)


class Listed(Good, frozen=True, kw_only=True, tag="listed"):
    """Has a list. Score: none. max_score: names: words:."""

    words: list[str] = []


class Undocumented(Good, frozen=True, kw_only=True, tag="undocumented"):
    """Score: none. max_score: names:."""

    more: int = 1


class Silent(Good, frozen=True, kw_only=True, tag="silent"):
    """Says nothing."""


class Nested(msgspec.Struct, frozen=True):
    """A part of a spec that cannot be left out of a recipe."""

    value: int | None


class Unwritable(Good, frozen=True, kw_only=True, tag="unwritable"):
    """Has a key that TOML cannot hold. Score: none. max_score: names: part: ."""

    part: Nested = Nested(1)


class Blank(Good, frozen=True, kw_only=True, tag="blank"):
    """Has a default that none takes the place of. Score: none. max_score: names: size:."""

    size: int | None = 3


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        (Listed(), "its spec must be hashable"),
        (Undocumented(), "more is not in the docstring"),
        (Silent(), "the docstring must say what is scored"),
        (Unwritable(part=Nested(None)), "cannot be written in a recipe: TOML has no NoneType"),
        (Blank(size=None), "is not equal after it went through a recipe"),
        (Good(max_score=float("nan")), "max_score must be a finite number, got nan"),
    ],
)
def test_a_broken_spec_is_named(spec: Filter, said: str) -> None:
    """What a spec does wrong is what the message says."""
    with pytest.raises(AssertionError, match=f"{spec.name}: .*{said}"):
        check_spec(spec)


def test_a_local_class_cannot_be_pickled() -> None:
    """A filter has to be where workers can import it."""

    class Local(Good, frozen=True, kw_only=True, tag="local"):
        """Score: none. max_score: names:."""

    with pytest.raises(AssertionError, match="local: cannot be pickled"):
        check_spec(Local())


class Choosy(Good, frozen=True, kw_only=True, tag="choosy"):
    """Raises for a mark alone. Score: none. max_score: names:."""

    def build(self) -> Scorer:
        def score(batch: Batch) -> Scores:
            if "\u0301" in batch.text.to_pylist():
                raise ZeroDivisionError
            return np.zeros(len(batch), np.float32)

        return score


class Random(Good, frozen=True, kw_only=True, tag="random"):
    """Scores by when it was built. Score: none. max_score: names:."""

    def build(self) -> Scorer:
        calls.append(1)
        made = len(calls)
        return lambda batch: np.full(len(batch), made, np.float32)


def test_a_post_that_makes_it_raise_is_named() -> None:
    """By its id, which says what the text is."""
    with pytest.raises(AssertionError, match=r"raises ZeroDivisionError .* id 'a mark alone'"):
        check_filter(Choosy())


def test_a_scorer_is_the_same_when_built_again() -> None:
    """Two workers give the same scores."""
    with pytest.raises(AssertionError, match=r"random: build\(\) twice gives other scores"):
        check_filter(Random(), THREE)


def test_hostile_posts() -> None:
    """They are of the schema POST, have huge and empty texts, all scripts, and nulls beside values."""
    posts = hostile_posts()
    assert posts.schema == POST
    ids, texts = posts["post_id"].to_pylist(), posts["text"].to_pylist()
    assert len(set(ids)) == len(ids)
    assert "" in texts
    assert max(len(text.encode()) for text in texts) == 65_536
    assert {"script greek", "script hangul", "script thai", "script tifinagh", "script adlam"} <= {
        *ids
    }
    for field in POST:
        assert (0 < posts[field.name].null_count < len(posts)) == field.nullable, field.name


def test_posts_of() -> None:
    """A misspelt column is refused."""
    assert posts_of([]).schema == POST
    with pytest.raises(TypeError, match="POST has no column 'lang'; it has post_id"):
        posts_of(["a"], lang=["en"])
