from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.filters.base import SCORE_GRID, Filter, Scorer, on_grid
from sluice.filters.batch import Batch, Languages
from sluice.filters.fasttext.views import Hiddens, hiddens_of
from sluice.filters.language.identify import build_identifier
from sluice.filters.language.views import model_views
from sluice.filters.partition import Verdicts, isolate_failures, partition
from sluice.filters.registry import HashtagRatio, MinChars, MinWords, UrlRatio
from sluice.filters.rules.spam import Spam
from sluice.filters.rules.toxicity import Toxicity
from sluice.schemas.reject import ERROR, POLICY, REJECT
from tests.strategies import post_batch, post_batches

SPECS: tuple[Filter, ...] = (
    MinChars(min_chars=4),
    MinWords(min_words=2),
    HashtagRatio(),
    UrlRatio(),
)


def machines(specs: tuple[Filter, ...] = SPECS) -> list[tuple[Filter, Scorer]]:
    return [(spec, spec.build()) for spec in specs]


def split(posts: pa.RecordBatch) -> Verdicts:
    return partition(Batch(posts), machines(), phase="clean")


def rows_of(parts: list[Verdicts]) -> tuple[list[int], list[tuple[int, str, str, float]]]:
    """Kept source rows in order, and (row, stage, reason, score) of every reject in order of the row."""
    kept = [row for part in parts for row in part.kept.posts["source_row"].to_pylist()]
    columns = ("source_row", "stage", "reason", "score")
    rejected = [
        tuple(row[c] for c in columns) for part in parts for row in part.rejected.to_pylist()
    ]
    return kept, sorted(rejected)


class Costly(MinChars, frozen=True, kw_only=True, tag="costly"):
    """A filter whose scorer must not see rows that are rejected already."""

    costly = True


class Screening(Filter, frozen=True, kw_only=True, tag="screening"):
    """A screen: a tenth of the characters, at most 1."""

    reason = "short"
    bound = "min_length"
    costly = True
    screen = True

    min_length: float

    def build(self) -> Scorer:
        def score(batch: Batch) -> np.ndarray:
            assert "no" not in batch.text.to_pylist()
            return on_grid(batch.features.num_chars / 10)

        return score


@given(post_batches())
def test_every_row_is_kept_or_rejected_once(posts: pa.RecordBatch) -> None:
    """Kept and rejected rows together are the batch, no row twice, kept rows in their order."""
    part = split(posts)
    kept, rejected = rows_of([part])
    assert sorted(kept + [row for row, *_ in rejected]) == posts["source_row"].to_pylist()
    assert kept == sorted(kept)
    assert part.rejected.schema == REJECT
    assert set(part.rejected["kind"].to_pylist()) <= {POLICY}


@given(post_batches())
def test_the_first_filter_that_rejects_gives_the_reason(posts: pa.RecordBatch) -> None:
    """A reject names the first filter in order that refuses it, with that filter's score and threshold."""
    part = split(posts)
    verdicts = [(spec, score(Batch(posts))) for spec, score in machines()]
    for row in part.rejected.to_pylist():
        i = posts["source_row"].to_pylist().index(row["source_row"])
        spec, scores = next((s, x) for s, x in verdicts if not s.accepts(x)[i])
        assert (row["stage"], row["reason"]) == (spec.name, spec.reason)
        assert (row["score"], row["threshold"]) == (scores[i], np.float32(spec.threshold))


@given(post_batches(), st.integers(0, 8))
def test_batch_boundaries_do_not_matter(posts: pa.RecordBatch, cut: int) -> None:
    """Two halves have together what the whole has."""
    assert rows_of([split(posts)]) == rows_of([split(posts.slice(0, cut)), split(posts.slice(cut))])


@given(post_batches())
def test_scores_of_kept_rows_come_along(posts: pa.RecordBatch) -> None:
    """The scores of every filter stand beside the kept rows, as scored alone."""
    part = split(posts)
    assert list(part.scores) == [spec.name for spec in SPECS]
    for spec, score in machines():
        assert part.scores[spec.name].tolist() == score(part.kept).tolist()


def test_a_costly_filter_sees_survivors_only() -> None:
    """Rows already rejected are taken out before a filter that runs a model."""
    posts = post_batch(["no", "a longer post", "short"])
    part = partition(Batch(posts), machines((MinChars(), Costly(min_chars=6))), phase="clean")
    assert part.kept.text.to_pylist() == ["a longer post"]
    assert part.scores["min_chars"].tolist() == part.scores["costly"].tolist() == [13]
    assert part.rejected["stage"].to_pylist() == ["min_chars", "costly"]


def test_rejects_hold_no_text() -> None:
    """A reject row has the ids and the score of its post, and nothing of its text."""
    part = split(post_batch(["zzz"]))
    (row,) = part.rejected.to_pylist()
    assert "zzz" not in str(row)
    assert (row["post_id"], row["source_file"], row["source_row"]) == ("0", "posts.jsonl", 0)
    assert (row["phase"], row["stage"], row["reason"]) == ("clean", "min_chars", "too_short")
    assert (row["score"], row["threshold"], row["duplicate_of"]) == (3, 4, None)


def fails_on(bad: set[int], calls: list[int]) -> Callable[[Batch], Verdicts]:
    def apply(batch: Batch) -> Verdicts:
        calls.append(len(batch))
        if bad & set(batch.posts["source_row"].to_pylist()):
            raise ZeroDivisionError("secret text")
        return split(batch.posts)

    return apply


@given(st.integers(0, 20), st.sets(st.integers(0, 19), max_size=4))
def test_a_failing_row_takes_no_other_with_it(num_posts: int, bad: set[int]) -> None:
    """Exactly the rows that make the function raise become dead letters; the others are as without them."""
    posts = post_batch(["a fine post"] * num_posts)
    calls: list[int] = []
    parts = list(isolate_failures(Batch(posts), fails_on(bad, calls), phase="clean", stage="score"))
    kept, rejected = rows_of(parts)
    dead = {row for row, *_ in rejected}
    assert dead == {row for row in bad if row < num_posts}
    assert kept == [row for row in range(num_posts) if row not in dead]
    assert len(calls) <= 1 + 2 * len(dead) * max(1, int(num_posts).bit_length())


def test_dead_letters_name_the_error_and_no_text() -> None:
    """A dead letter says where and what kind of exception, and not its message."""
    posts = post_batch(["a fine post"])
    (part,) = isolate_failures(Batch(posts), fails_on({0}, []), phase="clean", stage="score")
    (row,) = part.rejected.to_pylist()
    assert (row["kind"], row["stage"], row["reason"]) == (ERROR, "score", "ZeroDivisionError")
    assert "secret" not in str(row)
    assert len(part.kept) == 0


def test_running_out_of_memory_is_not_a_poison_post() -> None:
    """MemoryError goes up: halving would blame posts for a small machine."""

    def apply(batch: Batch) -> Verdicts:
        raise MemoryError

    with pytest.raises(MemoryError):
        list(isolate_failures(Batch(post_batch(["a", "b"])), apply, phase="clean", stage="score"))


def test_scores_are_compared_on_the_grid() -> None:
    """Values and thresholds within half a step of the grid are the same."""
    spec = UrlRatio(max_ratio=0.3)
    assert spec.accepts(on_grid([0.3 + SCORE_GRID / 3, 0.3 + 2 * SCORE_GRID])).tolist() == [
        True,
        False,
    ]


def test_asking_for_languages_without_an_identifier_says_what_to_do() -> None:
    """The message names the remedy."""
    with pytest.raises(TypeError, match=r"pass it to Batch\(\)"):
        _ = Batch(post_batch(["x"])).languages


def test_a_filtered_batch_keeps_what_was_derived() -> None:
    """Features, texts and languages are computed once, and cut with their rows."""
    asked: list[int] = []

    def identify(texts: pa.StringArray, hidden: Hiddens, /) -> Languages:
        assert hidden == {}
        asked.append(len(texts))
        return Languages(texts, texts, np.ones(len(texts), np.float32))

    batch = Batch(post_batch(["One", "Two", "Three"]), model_views(identify))
    _ = batch.languages, batch.features, batch.dedup_text
    kept = batch.filter(np.array([True, False, True]))
    assert kept.languages.language.to_pylist() == ["one", "three"]
    assert kept.dedup_text.to_pylist() == kept.classifier_text.to_pylist() == ["one", "three"]
    assert kept.features.num_chars.tolist() == [3, 5]
    assert asked == [3]


def test_models_that_read_together_say_what_each_says_alone() -> None:
    """Languages and scores of a batch whose models share their reading are those of each model alone."""
    identify, machines = build_identifier(), [Spam().build(), Toxicity().build()]
    texts = [
        "Buy cheap followers now",
        "Guten Morgen allerseits",
        "\u00bfqu\u00e9 tal?",
        "x",
        "42",
    ] * 3
    alone = Batch(post_batch(texts), {"languages": lambda batch: identify(batch.classifier_text)})
    shared = Batch(post_batch(texts), model_views(identify, *machines, machines[0]))
    assert len(hiddens_of(shared)) == 2
    assert len(shared.view("hashed")) == 1
    odd_N = np.arange(len(texts)) % 2 == 1
    for batch, other in ((shared, alone), (shared.filter(odd_N), alone.filter(odd_N))):
        assert "hidden" in batch._derived
        assert batch.languages.language == other.languages.language
        assert batch.languages.confidence_N.tolist() == other.languages.confidence_N.tolist()
        for score in machines:
            assert score(batch).tolist() == score(other).tolist()


def test_a_screen_counts_what_reached_it() -> None:
    """Posts that an earlier filter rejected did not reach the screen, whether they were taken out or not."""
    for texts in (
        ["no", "a long one", "another", "and more", "x" * 5, "y" * 6, "z" * 7, "w" * 8],
        ["no", "a long one"],
    ):
        spec = Screening(min_length=0.6)
        machines = [(f, f.build()) for f in (MinChars(min_chars=3), spec)]
        (seen,) = partition(Batch(post_batch(texts)), machines, phase="clean").screened
        assert seen.reached_N.sum() == sum(len(t) >= 3 for t in texts)
        assert seen.rejected_N.sum() == sum(3 <= len(t) < 6 for t in texts)
        assert len(seen.batch) == len(seen.scores_N) == len(seen.reached_N)
