"""The spam and toxicity filters: calibrated scores of the shipped models, and models of one's own."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given

from sluice.filters.base import SCORE_GRID, Filter
from sluice.filters.batch import Batch, Languages
from sluice.filters.fasttext.classifier import FastTextClassifier
from sluice.filters.fasttext.model import read_model
from sluice.filters.hashed.table import quantised, write_table
from sluice.filters.language.views import model_views
from sluice.filters.partition import partition
from sluice.filters.rules.quality import Quality
from sluice.filters.rules.spam import Spam
from sluice.filters.rules.toxicity import Toxicity
from sluice.filters.screens import screen as screen_module
from sluice.filters.screens.screen import build_screen, calibration
from sluice.filters.screens.shape import SHAPE_NAMES, shape_features
from sluice.schemas.errors import InputError
from tests.filters.fasttext.model_files import Kind, write
from tests.strategies import post_batch, text_arrays

FILTERS = (Spam(), Toxicity())
SPAM_POSTS = [
    "CONGRATULATIONS! You have WON a £1000 cash prize! Call 09061701461 now to claim. Txt STOP to end",
    "FREE entry in our weekly competition, text WIN to 80086 now! 18+ T&Cs apply, £1.50 per msg",
    "Check out my channel and subscribe please!! I will subscribe back, thanks guys",
]
HAM_POSTS = [
    "are you coming to the library later? I left my notes there",
    "Das Spiel war großartig, was für ein Tor in der letzten Minute",
    "вчера смотрели старый фильм, очень понравилось",
    "ordered the noodle soup again, no regrets",
]
TOXIC_POSTS = ["you stupid bitch, shut the fuck up", "fuck you, you are a dumb bitch and a hoe"]
SCREENS = {spec.name: build_screen(spec.name, model=None) for spec in FILTERS}


def nothing(texts: pa.StringArray, _hidden: object = None, /) -> Languages:
    """Names no language."""
    und = pa.array(["und"] * len(texts))
    return Languages(und, und, np.zeros(len(texts), np.float32))


def batch(rows: list[str]) -> Batch:
    return Batch(post_batch(rows))


@given(column=text_arrays())
@pytest.mark.parametrize("name", SCREENS)
def test_scores_are_probabilities_of_each_text_alone(name: str, column: pa.StringArray) -> None:
    """Scores are float32 on the grid in [0, 1], and a batch gives what its rows give alone."""
    screen, rows = SCREENS[name], column.to_pylist()
    scores_N = screen(batch(rows))
    assert scores_N.dtype == np.float32
    assert ((scores_N >= 0) & (scores_N <= 1)).all()
    np.testing.assert_array_equal(scores_N / SCORE_GRID, np.rint(scores_N / SCORE_GRID))
    alone = [screen(batch([row]))[0] for row in rows]
    np.testing.assert_array_equal(scores_N, np.array(alone, np.float32))


@pytest.mark.parametrize("name", SCREENS)
def test_calibration_keeps_the_order_of_the_model(name: str) -> None:
    """A text that the model finds worse has no lower score, and the curve is not flat."""
    screen, posts = SCREENS[name], batch([*SPAM_POSTS, *HAM_POSTS, *TOXIC_POSTS])
    order_N = np.argsort(screen.logits(posts.classifier_text, posts.features))
    scores_N = screen(posts)[order_N]
    assert (np.diff(scores_N) >= 0).all()
    assert len(np.unique(scores_N)) > len(posts) // 2
    assert screen.slope > 0


@pytest.mark.parametrize("blank", ["", " ", "\n", "https://a.org/b @bob"])
@pytest.mark.parametrize("spec", FILTERS)
def test_a_post_with_nothing_to_read_scores_0(spec: Filter, blank: str) -> None:
    """Blanks, and posts of nothing but links and handles, are not held against anyone."""
    assert spec.build()(batch([blank, "words"]))[0] == 0


def test_invented_spam_is_rejected_and_talk_is_kept() -> None:
    """The default rejects three plain cases with the reason `spam`, and no ordinary post."""
    spec = Spam()
    found = partition(batch(SPAM_POSTS + HAM_POSTS), [(spec, spec.build())], phase="clean")
    kept = found.kept.posts.column("text").to_pylist()
    assert kept == HAM_POSTS
    assert set(found.rejected.column("reason").to_pylist()) == {"spam"}
    assert set(found.rejected.column("stage").to_pylist()) == {"spam"}


def test_invented_insults_are_rejected_and_talk_is_kept() -> None:
    """The default rejects two plain insults with the reason `toxic`, and no ordinary post."""
    spec = Toxicity()
    found = partition(batch(TOXIC_POSTS + HAM_POSTS), [(spec, spec.build())], phase="clean")
    assert found.kept.posts.column("text").to_pylist() == HAM_POSTS
    assert set(found.rejected.column("reason").to_pylist()) == {"toxic"}


def test_quality_rejects_what_is_below_its_bound() -> None:
    """By default it keeps all; between two scores it rejects the lower one as `low_quality`."""
    posts = batch(
        ["lol", "The bridge at Kilmore is closed after the river rose two metres overnight."]
    )
    spec = Quality()
    low, high = sorted(spec.build()(posts).tolist())
    assert low < high
    assert partition(posts, [(spec, spec.build())], phase="clean").rejected.num_rows == 0
    bound = Quality(min_quality=(low + high) / 2)
    found = partition(posts, [(bound, bound.build())], phase="clean")
    assert found.rejected.column("reason").to_pylist() == ["low_quality"]
    assert found.rejected.column("score").to_pylist() == [low]
    with pytest.raises(ValueError, match=r"min_quality must be in \[0, 1\]"):
        Quality(min_quality=1.5)


@pytest.mark.parametrize("spec", FILTERS)
def test_the_default_threshold_is_the_calibration_s(spec: Spam | Toxicity) -> None:
    """The bound is what `NAME.json` chose, and the fingerprint that of the model's file."""
    known = calibration(spec.name)
    assert getattr(spec, spec.bound) == known.max_score
    assert spec.model_sha256 == known.sha256
    assert spec.costly


@pytest.mark.parametrize("bound", [-0.01, 1.01])
def test_a_bound_outside_its_range_is_refused(bound: float) -> None:
    """A probability is in [0, 1]."""
    with pytest.raises(ValueError, match=r"max_spam must be in \[0, 1\]"):
        Spam(max_spam=bound)
    with pytest.raises(ValueError, match=r"max_toxicity must be in \[0, 1\]"):
        Toxicity(max_toxicity=bound)


def test_a_model_of_one_s_own_scores_with_its_own_probability(tmp_path: Path) -> None:
    """Another model is read by its path, is not calibrated, and has its own fingerprint."""
    path = write(tmp_path / "mine.bin", Kind(minn=2, maxn=4, bucket=50))
    spec = Spam(model=str(path), max_spam=0.5)
    rows = ["the free", "the", "free free free"]
    own_N = FastTextClassifier(read_model(path)).probability_of(pa.array(rows), label="spam")
    np.testing.assert_allclose(spec.build()(batch(rows)), own_N, atol=2 * SCORE_GRID)
    assert spec.model_sha256 == read_model(path).sha256 != Spam().model_sha256


def test_a_model_without_the_label_is_refused(tmp_path: Path) -> None:
    """The error names the file, the label that it must have, and those that it has."""
    path = write(tmp_path / "mine.bin", Kind(labels=("yes", "no")))
    with pytest.raises(
        InputError, match=r"mine\.bin: a toxicity model must have the label 'toxic'; has yes, no"
    ):
        Toxicity(model=str(path)).build()


def test_a_table_without_its_calibration_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A table that is not the one that was calibrated is never scored with."""
    calibration("spam")  # read from the package before the folder changed
    write_table(quantised({"spam": np.ones(16)}), tmp_path / "screens.table")
    monkeypatch.setattr(screen_module, "FOLDER", tmp_path)
    screen_module.model_sha256.cache_clear()
    with pytest.raises(
        InputError, match=r"screens\.table: is not the table that spam\.json calibrates"
    ):
        build_screen("spam", model=None)
    screen_module.model_sha256.cache_clear()


def test_all_shipped_screens_read_one_table() -> None:
    """A batch reads its texts once for all of them, and each scores as it does alone."""
    screens = [build_screen(name, model=None) for name in ("spam", "toxicity", "quality")]
    assert len({id(screen.table) for screen in screens}) == 1
    posts = Batch(post_batch(SPAM_POSTS + HAM_POSTS), model_views(nothing, *screens))
    together = [screen(posts) for screen in screens]
    assert len(posts.view("hashed")) == 1
    for screen, scores_N in zip(screens, together, strict=True):
        np.testing.assert_array_equal(scores_N, screen(batch(SPAM_POSTS + HAM_POSTS)))


def test_shape_features_are_added_to_the_log_odds() -> None:
    """The spam screen sees a link and digits that its text does not hold; without the shape it refuses."""
    screen, known = SCREENS["spam"], calibration("spam")
    posts = batch(["see you there", "see you there http://a.org/b"])
    assert posts.classifier_text[0] == posts.classifier_text[1]
    logits_N = screen.logits(posts.classifier_text, posts.features)
    shape_NK = shape_features(posts.features)
    weights_K = np.array([known.shape[name] for name in SHAPE_NAMES])
    assert logits_N[1] - logits_N[0] == pytest.approx((shape_NK[1] - shape_NK[0]) @ weights_K)
    with pytest.raises(TypeError, match="pass those of the posts"):
        screen.score(posts.classifier_text)
