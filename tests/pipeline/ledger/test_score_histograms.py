"""Histograms of scores, the band of a cascade, fairness by language, and the sample."""

from collections import Counter

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from sluice.filters.base import on_grid
from sluice.pipeline.ledger import score_histograms
from sluice.schemas.counts import CleanCounts, ScreenCounts

scores = st.lists(st.floats(0, 1, width=32), max_size=60).map(lambda s: on_grid(np.array(s)))
shares = st.floats(0, 1)


def at_or_above(scores_N: np.ndarray, edge: float) -> int:
    return int((score_histograms.bins(scores_N) >= round(edge * 100)).sum())


@given(scores)
def test_bins_are_hundredths(scores_N: np.ndarray) -> None:
    """A score lies in its bin, up to the grid; a threshold in hundredths is a bin's lower edge."""
    bins_N = score_histograms.bins(scores_N)
    assert (bins_N / 100 <= scores_N + score_histograms.SCORE_SLACK).all()
    assert (scores_N < (bins_N + 1) / 100 + score_histograms.SCORE_SLACK).all()
    hundredths = on_grid(np.arange(101) / 100)
    assert score_histograms.bins(hundredths).tolist() == list(range(101))


@given(scores, scores)
def test_histograms_add_up(first: np.ndarray, second: np.ndarray) -> None:
    """The histogram of two batches is the sum of theirs, and holds every score once."""
    both = score_histograms.histogram(np.concatenate([first, second]))
    parts = Counter(score_histograms.histogram(first))
    parts.update(score_histograms.histogram(second))
    assert parts == both
    assert sum(both.values()) == len(first) + len(second)


@given(scores, shares)
def test_a_band_keeps_its_budget(scores_N: np.ndarray, max_share: float) -> None:
    """At most the share is at or above the edge, and an edge one hundredth lower would hold more."""
    edge = score_histograms.band_edge(score_histograms.histogram(scores_N), max_share=max_share)
    assert at_or_above(scores_N, edge) <= max_share * len(scores_N)
    if edge > 0:
        assert at_or_above(scores_N, edge - 0.01) > max_share * len(scores_N)


@given(scores, st.data())
def test_fairness_counts_every_post(scores_N: np.ndarray, data: st.DataObject) -> None:
    """By language, posts and rejected sum to the totals; batches sum to the whole."""
    n = len(scores_N)
    language = data.draw(st.lists(st.sampled_from(["en", "sw", None]), min_size=n, max_size=n))
    rejected_N = scores_N > np.float32(0.5)
    cut = data.draw(st.integers(0, n))

    def counted(part: slice) -> dict[str, ScreenCounts]:
        names = pa.array(language[part], pa.string())
        return score_histograms.by_language(names, scores_N[part], rejected_N[part])

    whole = counted(slice(None))
    parts = CleanCounts(screens={"spam": counted(slice(0, cut))})
    parts += CleanCounts(screens={"spam": counted(slice(cut, None))})
    assert parts.screens["spam"] == whole
    report = score_histograms.fairness("spam", whole, threshold=0.5)
    assert (report.posts, report.rejected) == (n, int(rejected_N.sum()))
    assert sum(row.rejected for row in report.by_lang.values()) == report.rejected
    assert set(report.by_lang) == {name or "unknown" for name in language}


def test_the_even_threshold_evens() -> None:
    """At its own even threshold, each language is rejected at no more than the rate of all."""
    rng = np.random.default_rng(1)
    harsh, mild = on_grid(rng.beta(5, 2, 4000)), on_grid(rng.beta(2, 5, 6000))
    scores_N = np.concatenate([harsh, mild])
    language = pa.array(["a"] * len(harsh) + ["b"] * len(mild))
    counts = score_histograms.by_language(language, scores_N, scores_N > np.float32(on_grid(0.8)))
    report = score_histograms.fairness("spam", counts, threshold=0.8)
    a, b = report.by_lang["a"], report.by_lang["b"]
    for even, own in ((a.even_threshold, harsh), (b.even_threshold, mild)):
        assert even is not None
        assert (own >= on_grid(even)).mean() <= report.rate
        assert (own >= on_grid(even - 0.01)).mean() > report.rate
    assert (a.even_threshold or 0) > 0.8 > (b.even_threshold or 1)
    assert (a.ratio or 0) > 1 > (b.ratio or 2)


def test_a_lower_bound_is_evened_from_below() -> None:
    """Where posts below a threshold are rejected, the even threshold is the mirror image."""
    scores_N = on_grid(np.arange(1000) / 1000)
    counts = score_histograms.by_language(
        pa.array(["a"] * 1000), scores_N, scores_N < np.float32(0.2)
    )
    report = score_histograms.fairness("spam", counts, threshold=0.2, upper=False)
    assert report.by_lang["a"].even_threshold == 0.2


def test_few_posts_have_no_even_threshold() -> None:
    """Ninety-nine posts of a language are too few to set a threshold by."""
    scores_N = on_grid(np.linspace(0, 1, 99))
    counts = score_histograms.by_language(
        pa.array(["a"] * 99), scores_N, scores_N > np.float32(0.5)
    )
    row = score_histograms.fairness("spam", counts, threshold=0.5).by_lang["a"]
    assert (row.even_threshold, row.ratio) == (None, None)
    assert row.rate > 0


def test_a_sample_is_of_every_larger_one() -> None:
    """Samples nest, have about their share, and another seed draws others."""
    ids = pa.array([f"p{i}" for i in range(40_000)])
    small, large = (score_histograms.sampled(ids, s, seed=1) for s in (0.01, 0.05))
    assert not (small & ~large).any()
    assert 0.008 < small.mean() < 0.012
    assert 0.045 < large.mean() < 0.055
    assert score_histograms.sampled(ids, 0.05, seed=2).tolist() != large.tolist()
    assert not score_histograms.sampled(ids, 0.0, seed=1).any()
    assert score_histograms.sampled(ids, 1.0, seed=1).all()
