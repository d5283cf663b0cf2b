"""How a head of the hashed table is fitted: steps, weights, what is left out, and what comes of it."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy.special import expit

from sluice.filters.hashed.table import EMPTY_ROWS, rows_of
from sluice.filters.models.training import hashed, hashed_fit, measure
from sluice.filters.models.training.encoder.contrasts import contrast_posts
from sluice.filters.models.training.encoder.sources import HEADS
from sluice.filters.models.training.hashed_fit import FittedHead, Lesson, fit_head, soft_targets

BITS = 8
WORDS = ("good", "bad", "plain", "post")


def small_lesson(*, shape: int) -> Lesson:
    """Returns 60 texts of invented words, which are bad where they hold `bad`."""
    rng = np.random.default_rng(5)
    texts = [" ".join(rng.choice(WORDS, size=rng.integers(1, 6))) for _ in range(60)]
    target_N = np.array([0.9 if "bad" in text else 0.1 for text in texts])
    shape_NS, weight_N = rng.normal(3, 2, (60, shape)), rng.random(60)
    weight_N[::7] = 0
    return Lesson(*rows_of(pa.array(texts), bits=BITS), shape_NS, target_N, weight_N)


@pytest.mark.parametrize("shape", [0, 2])
def test_a_fit_takes_the_steps_of_adagrad(shape: int) -> None:
    """Weights, shape and intercept are those of the steps taken one by one in plain Python."""
    lesson = small_lesson(shape=shape)
    mean_S, spread_S = lesson.shape_NS.mean(axis=0), lesson.shape_NS.std(axis=0) + 1e-9
    features_NS = (lesson.shape_NS - mean_S) / spread_S
    weights_R, square_R = np.zeros(1 << BITS), np.full(1 << BITS, 1e-3)
    line, square = np.zeros(shape + 1), np.full(shape + 1, 1e-3)
    rates = np.array([*[hashed_fit.SHAPE_RATE] * shape, hashed_fit.RATE])
    order_N = np.random.default_rng(hashed_fit.SEED).permutation(
        np.flatnonzero(lesson.weight_N > 0)
    )
    for i in np.tile(order_N, hashed_fit.EPOCHS):
        rows = lesson.rows_K[lesson.starts_N1[i] : lesson.starts_N1[i + 1]]
        scale = hashed_fit.SCALE / (len(rows) + EMPTY_ROWS)
        own = np.append(features_NS[i], 1.0)
        step = expit(weights_R[rows].sum() * scale + line @ own) - lesson.target_N[i]
        step *= lesson.weight_N[i]
        for row in rows:
            square_R[row] += (step * scale) ** 2
            weights_R[row] -= hashed_fit.RATE * step * scale / square_R[row] ** 0.5
        square += (step * own) ** 2
        line -= rates * step * own / square**0.5
    found = fit_head(lesson, bits=BITS)
    np.testing.assert_allclose(found.weights_R, weights_R * hashed_fit.SCALE, atol=2e-3)
    np.testing.assert_allclose(found.shape_S, line[:shape] / spread_S, atol=1e-4)
    assert found.intercept == pytest.approx(line[-1] - found.shape_S @ mean_S, abs=1e-3)


def test_a_text_that_weighs_nothing_changes_nothing() -> None:
    """Targets of texts of weight 0 are not read."""
    lesson = small_lesson(shape=0)
    turned_N = np.where(lesson.weight_N == 0, 1 - lesson.target_N, lesson.target_N)
    one, other = (
        fit_head(lesson, bits=BITS),
        fit_head(lesson._replace(target_N=turned_N), bits=BITS),
    )
    np.testing.assert_array_equal(one.weights_R, other.weights_R)
    assert one.intercept == other.intercept


def test_labels_weigh_by_source_and_together_as_much_as_is_said() -> None:
    """A source's posts of one label weigh the same together; texts of the teacher weigh 1 each."""
    own = pa.table({"text": ["a", "b", "c", "d"], "source": ["one", "one", "one", "two"]})
    taught = pa.table({"text": ["x", "y z"], "source": ["many", "many"]})
    posts, others = hashed.as_read(own), hashed.as_read(taught)
    labels_N, logits_N = np.array([0, 0, 1, 1]), np.array([-1.0, 2.0], np.float32)
    scores = pa.table({"toxicity": logits_N, "spam": logits_N, "weight": [1.0, 0.5]})
    found = hashed.lesson("spam", posts, labels_N, others, scores)
    np.testing.assert_allclose(found.target_N, [*soft_targets(logits_N), 0.02, 0.02, 0.98, 0.98])
    want_N = np.array([0.5, 0.5, 1, 1]) / 3 * 1.5 * hashed.LABELS["spam"]
    np.testing.assert_allclose(found.weight_N, [1, 0.5, *want_N])
    assert found.starts_N1[-1] == len(found.rows_K)
    assert found.shape_NS.shape[1] > 0
    softer = hashed.lesson("toxicity", posts, labels_N, others, scores)
    assert softer.shape_NS.shape == (6, 0)
    np.testing.assert_allclose(softer.target_N[:2], soft_targets(0.6 * logits_N))


def test_sources_left_out_and_the_held_out_slice_are_not_taught(tmp_path: Path) -> None:
    """The teacher's texts of a source that is left out are not read, nor one text in ten of the others."""
    texts = [f"Post {i} &amp; more" for i in range(400)]
    sources = ["in", "out"] * 200
    columns = {head: np.zeros(400, np.float32) for head in ("toxicity", "spam", "quality")}
    table = pa.table({"text": texts, "lang": ["en"] * 400, "source": sources, **columns})
    pq.write_table(table.slice(0, 300), tmp_path / "part-0000.parquet")
    pq.write_table(table.slice(300), tmp_path / "words-0000.parquet")
    found = hashed.teacher_scores(tmp_path, ["out"])
    assert set(found["source"].to_pylist()) == {"in"}
    assert 160 < len(found) < 195
    assert not hashed.held_out(found).any()
    assert 110 < found["weight"].to_pylist().count(1.0) < 150
    assert set(found["weight"].to_pylist()) == {1.0, hashed.WORDS_WEIGHT}
    assert all(" & more" in text for text in found["text"].to_pylist())


def test_a_table_of_fitted_heads_tells_their_texts_apart(tmp_path: Path) -> None:
    """Heads that learned opposite targets give opposite orders; the file has both."""
    lesson = small_lesson(shape=0)
    heads = {
        "toxicity": fit_head(lesson, bits=BITS),
        "spam": fit_head(lesson._replace(target_N=1 - lesson.target_N), bits=BITS),
    }
    screens = hashed.screens_of(heads, tmp_path / "screens.table")
    texts = ["a bad post", "a good post", "bad", "plain"]
    posts, bad_N = pa.table({"text": texts}), np.array([1, 0, 1, 0])
    assert measure.auc(bad_N, hashed.logits_of(screens["toxicity"], posts)) == 1.0
    assert measure.auc(bad_N, hashed.logits_of(screens["spam"], posts)) == 0.0


def test_no_weight_is_above_the_quantile() -> None:
    """Weights of 0 do not count; at 1 all stay."""
    head = FittedHead(np.array([0, 0, -4, 1, 2, 3], np.float32), np.zeros(0), 0.5)
    assert hashed.clipped(head, 1.0).weights_R.tolist() == head.weights_R.tolist()
    assert hashed.clipped(head, 0.5).weights_R.tolist() == [0, 0, -2.5, 1, 2, 2.5]


@pytest.mark.parametrize("head", HEADS)
def test_contrasts_have_the_labels_that_sources_of_the_head_have(head: str) -> None:
    """Both labels are there, under one source; for quality 1 is good, for the others bad."""
    found = hashed.contrasts(head)
    made = contrast_posts(hashed.MADE_SEED, hashed.MOST_MADE, head)
    bad_N, label_N = made["label"].to_numpy(), found["label"].to_numpy()
    np.testing.assert_array_equal(label_N, 1 - bad_N if head == "quality" else bad_N)
    assert set(label_N) == {0.0, 1.0}
    assert set(found["source"].to_pylist()) == {hashed.MADE}


def test_a_calibrated_screen_keeps_its_order_and_spares_ordinary_posts(tmp_path: Path) -> None:
    """Platt's curve turns no pair of posts around; of good and of ordinary posts 1% are rejected at most."""
    heads = {"toxicity": fit_head(small_lesson(shape=0), bits=BITS)}
    raw = hashed.screens_of(heads, tmp_path / "screens.table")["toxicity"]
    texts = ["a bad post", "good", "bad", "plain", "good bad", "plain post"] * 20
    bad_N = np.array([float("bad" in text) for text in texts])
    bad_N[::17] = 1  # labels err
    posts = pa.table({"text": texts, "label": bad_N})
    screen = hashed.calibrated(raw, posts)
    column = pa.array(texts)
    order_N = np.argsort(raw.logits(column), kind="stable")
    assert (np.diff(screen.logits(column)[order_N]) >= 0).all()
    assert expit(screen.logits(column)).mean() == pytest.approx(bad_N.mean(), abs=0.02)
    ordinary = pa.table({"text": ["a bad post"] * 2 + ["plain"] * 98})
    threshold = hashed.default_threshold(screen, posts, ordinary)
    assert (screen.score(ordinary["text"].combine_chunks()) > threshold).mean() <= 0.01
    assert (screen.score(column)[bad_N == 0] > threshold).mean() <= 0.01
