"""How a screen is fitted: n-grams, regression, file and made posts, each against a plain account of it."""

from collections import Counter
from pathlib import Path

import fasttext
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from scipy.optimize import minimize

from sluice.filters.fasttext.classifier import FastTextClassifier
from sluice.filters.fasttext.model import read_model
from sluice.filters.models.training import screen_seeds
from sluice.filters.models.training.screen_file import quantise, write_linear
from sluice.filters.models.training.screen_linear import SCALE, block_weights, fit_logistic
from sluice.filters.models.training.screen_ngrams import (
    LONGEST,
    NUM_BUCKETS,
    SHORTEST,
    WORDY,
    count_ngrams,
    mean_ngrams,
)
from sluice.filters.screens.shape import SHAPE_NAMES, shape_features
from sluice.filters.text.features import text_features
from sluice.filters.text.views import classifier_text
from tests.strategies import text_arrays

POSTS = ["the cat sat", "Привет мир", "日本語 の文", "a 😀 b", "", "free free 1000", "ångström ñ"]


def ngrams_of(text: str) -> list[str]:
    """The n-grams of a text, spelt out: of each word in brackets, of SHORTEST to LONGEST characters."""
    found = []
    for word in text.split():
        spelt = f"<{word}>"
        found += [
            spelt[i : i + size]
            for i in range(len(spelt))
            for size in range(SHORTEST, LONGEST + 1)
            if i + size <= len(spelt)
        ]
    return found


def bucket_of(ngram: str) -> int:
    """FNV-1a over signed bytes, as fastText has it."""
    h = 2166136261
    for byte in ngram.encode():
        h = ((h ^ (byte if byte < 128 else byte | 0xFFFFFF00)) * 16777619) % 2**32
    return h % NUM_BUCKETS


def is_usable(ngram: str) -> bool:
    return len(ngram) >= WORDY or all(len(c.encode()) >= 3 for c in ngram)


def small_model(folder: Path, texts: pa.StringArray) -> tuple[Path, np.ndarray, np.ndarray]:
    """Writes a model with a random weight for every usable n-gram of the texts."""
    _, usable_F = count_ngrams(texts)
    buckets_B = np.flatnonzero(usable_F)
    weights_B = np.random.default_rng(0).normal(size=len(buckets_B))
    path = folder / "small.ftz"
    labels = ("ham", "spam")
    write_linear(path, buckets_B=buckets_B, weights_B=weights_B, end_of_text=0.25, labels=labels)
    return path, buckets_B, weights_B


@pytest.mark.parametrize("text", POSTS)
def test_ngrams_are_counted_by_fasttext_s_hash(text: str) -> None:
    """Counts by bucket, and the buckets that may have a weight, are those of the n-grams spelt out."""
    counts, usable_F = count_ngrams(pa.array([text]))
    want = Counter(map(bucket_of, ngrams_of(text)))
    assert {b: counts[0, b] for b in counts.indices} == want
    assert set(np.flatnonzero(usable_F)) == {bucket_of(n) for n in ngrams_of(text) if is_usable(n)}


@settings(max_examples=30)
@given(column=text_arrays())
def test_a_batch_counts_what_its_texts_count_alone(column: pa.StringArray) -> None:
    """Rows do not depend on each other, nor on where the column starts in its buffer."""
    texts = classifier_text(column)
    counts, _ = count_ngrams(texts)
    assert counts.shape == (len(column), NUM_BUCKETS)
    for i, text in enumerate(texts.to_pylist()):
        alone, _ = count_ngrams(pa.array([text], pa.string()))
        assert (counts[i] != alone).nnz == 0


def test_the_file_scores_as_the_fitted_weights_do(tmp_path: Path) -> None:
    """Log odds of the served model are the weighted means that were fitted, but for the quantised steps."""
    texts = pa.array(POSTS)
    path, buckets_B, weights_B = small_model(tmp_path, texts)
    counts, _ = count_ngrams(texts)
    want_N = mean_ngrams(counts, buckets_B) @ np.append(weights_B, 0.25)
    found_N = FastTextClassifier(read_model(path)).probability_of(texts, label="spam")
    steps = weights_B.max() - weights_B.min()
    np.testing.assert_allclose(np.log(found_N / (1 - found_N)), want_N, atol=steps / 255)


def test_the_fasttext_library_reads_the_file_as_we_do(tmp_path: Path) -> None:
    """The same label with the same probability, for every post."""
    texts = pa.array(POSTS)
    path, _, _ = small_model(tmp_path, texts)
    classifier, library = FastTextClassifier(read_model(path)), fasttext.load_model(str(path))
    label_N, probability_N = classifier.predict(texts)
    for text, label, probability in zip(POSTS, label_N, probability_N, strict=True):
        ((found, name),) = library.f.predict(f"{text}\n", 1, 0.0, "strict")
        assert name == f"__label__{classifier.labels[label]}"
        assert min(found, 1.0) == pytest.approx(probability, abs=1e-7)


@given(st.lists(st.floats(-50, 50, width=32), min_size=1, max_size=300))
def test_quantising_takes_the_nearest_centroid(values: list[float]) -> None:
    """Centroids rise, each value has the nearest of them, within half an equal step over the range."""
    values_R = np.array(values)
    places_R, centroids_C = quantise(values_R)
    assert places_R.dtype == np.uint8
    assert len(centroids_C) == 256
    assert (np.diff(centroids_C) >= 0).all()
    errors_R = np.abs(values_R - centroids_C[places_R])
    nearest_R = np.abs(values_R[:, None] - centroids_C).min(axis=1)
    np.testing.assert_allclose(errors_R, nearest_R, atol=1e-5)
    assert (errors_R**2).mean() ** 0.5 <= np.ptp(values_R) / 255 / 2 + 1e-5


def test_the_fit_is_the_penalised_logistic_regression() -> None:
    """On a small problem, the weights that a plain minimiser of the same loss finds."""
    rng = np.random.default_rng(3)
    means_NF, shape_NK = rng.random((80, 4)) / 10, rng.normal(5, 20, (80, 2))
    labels_N, weights_N = (rng.random(80) < 0.4).astype(int), rng.random(80)
    found = fit_logistic(
        sparse.csr_matrix(means_NF), shape_NK, labels_N, weights_N, l2=0.01, l2_shape=0.1
    )
    share_N = weights_N / weights_N.sum()
    spread_K = np.sqrt(share_N @ (shape_NK - share_N @ shape_NK) ** 2)

    def loss(all_P: np.ndarray) -> float:
        z_N = means_NF @ all_P[:4] + shape_NK @ all_P[4:6] + all_P[6]
        penalty = 0.01 * (all_P[:4] ** 2).sum() / SCALE**2
        penalty += 0.1 * ((all_P[4:6] * spread_K) ** 2).sum()
        return float(share_N @ (np.logaddexp(0, z_N) - labels_N * z_N) + penalty / 2)

    ours_P = np.concatenate([found.ngrams_F, found.shape_K, [found.intercept]])
    best = minimize(loss, ours_P, method="Nelder-Mead", options={"maxiter": 4000, "fatol": 1e-12})
    assert loss(ours_P) == pytest.approx(best.fun, abs=1e-6)
    assert loss(ours_P) < loss(np.zeros(7)) - 1e-3


@given(rows=st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 1)), min_size=1, max_size=30))
def test_a_source_s_posts_of_one_label_weigh_1_together(rows: list[tuple[str, int]]) -> None:
    """However many there are; a source that is named weighs what is said."""
    sources, labels_N = (np.array(column) for column in zip(*rows, strict=True))
    weights_N = block_weights(sources, labels_N, of={"c": 5.0})
    for source, label in set(rows):
        own_N = (sources == source) & (labels_N == label)
        assert weights_N[own_N].sum() == pytest.approx(5.0 if source == "c" else 1.0)


def test_hostile_posts_hold_a_word_of_their_language() -> None:
    """Each holds one of its language's words, every word stands in COPIES posts or more, always the same."""
    words = screen_seeds.seed_words("hostile")
    ordinary = {"en": ["a plain post of six words"], "th": ["สวัสดีครับ"]}
    texts, langs = screen_seeds.hostile_posts(ordinary, seed=1)
    assert (texts, langs) == screen_seeds.hostile_posts(ordinary, seed=1)
    assert texts != screen_seeds.hostile_posts(ordinary, seed=2)[0]
    assert all(any(w in text for w in words[lang]) for text, lang in zip(texts, langs, strict=True))
    assert Counter(langs) == {lang: len(own) * screen_seeds.COPIES for lang, own in words.items()}


def test_common_posts_are_of_common_words_alone() -> None:
    """So many a language, of no hostile word, for languages that have hostile words."""
    hostile, common = (screen_seeds.seed_words(kind) for kind in ("hostile", "common"))
    made = screen_seeds.common_posts(seed=1)
    assert set(made) == set(common) <= set(hostile)
    for lang, texts in made.items():
        assert len(texts) == screen_seeds.COMMON_POSTS
        assert not set(common[lang]) & set(hostile[lang])
        if lang not in screen_seeds.UNSPACED:
            assert {word for text in texts for word in text.split()} <= set(common[lang])


def test_shape_features_are_what_their_names_say() -> None:
    """Counted by hand for one post; all 0 for an empty one."""
    found_NK = shape_features(text_features(pa.array(["WIN win 100 http://a.b", ""])))
    one = dict(zip(SHAPE_NAMES, found_NK[0], strict=True))
    assert one["log_urls"] == pytest.approx(np.log(2))
    assert one["log_digits"] == pytest.approx(np.log(4))
    assert one["digit_ratio"] == pytest.approx(3 / 22)
    assert one["url_chars_ratio"] == pytest.approx(10 / 22)
    assert one["uppercase_ratio"] == pytest.approx(3 / 6)
    assert one["repeated_words_ratio"] == pytest.approx(1 / 3)
    assert not found_NK[1].any()
