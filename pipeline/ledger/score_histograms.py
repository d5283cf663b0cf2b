"""Histograms of the scores of screens and transformers, rejection rates by language, and a cascade's band.

Scores in [0, 1] are counted in hundredths: bin k holds the scores from k / 100 on, both on the score
grid, up to (k + 1) / 100; bin 100 holds 1. Counts of units sum, so every figure here is of the whole run.
"""

from collections.abc import Iterable, Mapping
from itertools import accumulate, takewhile

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sluice.filters.base import SCORE_GRID
from sluice.filters.batch import Mask, Scores
from sluice.filters.text.hashing import hash_texts
from sluice.schemas.arrays import Int64s
from sluice.schemas.counts import UNKNOWN, ScreenCounts, Table
from sluice.schemas.report import Fairness, LanguageFairness

BINS = 100
SCORE_SLACK = SCORE_GRID / 2
"""A hundredth on the grid may be this much below the hundredth."""
FEWEST_POSTS = 100
"""Below so many posts of a language, its rejection rate says nothing about a threshold."""


def bins(scores_N: Scores) -> Int64s:
    """Returns (N,) int64, the hundredths of scores in [0, 1]."""
    raised_N = np.asarray(scores_N, np.float64) + SCORE_SLACK
    return np.clip(np.floor(raised_N * BINS), 0, BINS).astype(np.int64)


def histogram(scores_N: Scores) -> Table:
    """Returns hundredth -> how many scores, zeros left out."""
    count_B = np.bincount(bins(scores_N), minlength=BINS + 1)
    return {str(k): int(count_B[k]) for k in np.flatnonzero(count_B)}


def by_language(language: pa.Array, scores_N: Scores, rejected_N: Mask) -> dict[str, ScreenCounts]:
    """Returns the counts of each language.

    Args:
        language: (N,) string; null counts as `unknown`.
        scores_N: (N,) float32 in [0, 1].
        rejected_N: (N,) bool.
    """
    encoded = pc.fill_null(language, UNKNOWN).dictionary_encode()
    names = encoded.dictionary.to_pylist()
    code_N = np.asarray(encoded.indices).astype(np.int64)
    width = BINS + 1
    flat = np.bincount(code_N * width + bins(scores_N), minlength=len(names) * width)
    count_LB = flat.reshape(len(names), width)
    rejected_L = np.bincount(code_N[rejected_N], minlength=len(names))
    return {
        name: ScreenCounts(
            posts=int(count_LB[i].sum()),
            rejected=int(rejected_L[i]),
            bins={str(k): int(count_LB[i, k]) for k in np.flatnonzero(count_LB[i])},
        )
        for i, name in enumerate(names)
    }


def sampled(post_ids: pa.StringArray, share: float, *, seed: int) -> Mask:
    """Returns (N,) bool, true for about `share` of the posts; a post of one share is of every larger one."""
    hashes_N = hash_texts(post_ids, seed=seed ^ _SAMPLE_SEED)
    return np.asarray((hashes_N >> np.uint64(11)).astype(np.float64) < share * 2.0**53)


_SAMPLE_SEED = 0x5EED0CA5CADE


def band_edge(scores: Mapping[str, int], *, max_share: float) -> float:
    """Returns the smallest hundredth such that at most this share of the scores is at or above it.

    Args:
        scores: a histogram of the posts.
        max_share: in [0, 1].

    Returns:
        An edge in [0, 1.01]; 1.01 where even the scores of 1 are too many.
    """
    return (BINS + 1 - _fitting(scores, range(BINS, -1, -1), max_share)) / BINS


def _fitting(scores: Mapping[str, int], bins: Iterable[int], share: float) -> int:
    """Returns how many bins, one after the other, hold at most this share of the scores."""
    allowed, held = share * sum(scores.values()), accumulate(scores.get(str(k), 0) for k in bins)
    return sum(1 for _ in takewhile(lambda count: count <= allowed, held))


def fairness(
    name: str, counts: Mapping[str, ScreenCounts], *, threshold: float, upper: bool = True
) -> Fairness:
    """Returns rejection rates by language, and the threshold that would give each the rate of all.

    Args:
        name: of the screen, or of the reason.
        counts: by language.
        threshold: what was rejected: above it, or below it where `upper` is false.
        upper: which side is rejected.
    """
    posts = sum(c.posts for c in counts.values())
    rejected = sum(c.rejected for c in counts.values())
    rate = rejected / posts if posts else 0.0
    languages = {}
    for language, count in sorted(counts.items()):
        own, enough = count.rejected / count.posts, count.posts >= FEWEST_POSTS
        languages[language] = LanguageFairness(
            posts=count.posts,
            rejected=count.rejected,
            rate=round(own, 6),
            ratio=round(own / rate, 3) if rate and enough else None,
            even_threshold=_even(count.bins, rate, upper=upper) if enough else None,
        )
    return Fairness(
        name=name,
        threshold=threshold,
        posts=posts,
        rejected=rejected,
        rate=round(rate, 6),
        by_lang=languages,
    )


def _even(scores: Mapping[str, int], rate: float, *, upper: bool) -> float:
    """Returns the hundredth at which no more than `rate` of the scores would be rejected."""
    if upper:
        return min(band_edge(scores, max_share=rate), 1.0)
    return _fitting(scores, range(BINS), rate) / BINS
