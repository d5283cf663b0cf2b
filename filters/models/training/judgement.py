"""Figures of any score on labelled posts that its model never saw, and on ordinary posts.

All functions take columns: which model gave the scores, one or several that left sources out in turn, makes
no difference. `judgement_card.py` makes the tables of a card of the figures.

Shape suffixes: N posts.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from sluice.filters.models.training import measure
from sluice.filters.models.training.posts import SPLIT_SEED
from sluice.filters.text.hashing import hash_texts
from sluice.schemas.arrays import Array

MIN_ORDINARY = 100  # posts of a language and source that a rate is stated for
EVEN_RATE = 0.01  # the false-alarm rate that a language's own threshold would give it
MIN_GOOD, MIN_BAD = 200, 100  # posts of a language that its own threshold is measured with
BINS = 10
TO_READ = 50
MIXED = "mul"

Row = dict[str, Any]


class Judged(NamedTuple):
    """N posts, and what a model says of them.

    Attributes:
        posts: columns `text`, `lang`, `source`, `label`; a label of 0.5 or more is bad.
        scores_N: (N,) in [0, 1], higher is worse.
    """

    posts: pa.Table
    scores_N: Array

    @property
    def bad_N(self) -> Array:
        """(N,) int64, 1 where the label is bad."""
        return np.asarray(self.posts["label"].to_numpy() >= 0.5).astype(np.int64)

    def column(self, name: str) -> Array:
        """Returns (N,) a column of strings."""
        return np.array(self.posts[name].to_pylist(), np.str_)


def figures(judged: Judged, ordinary: Judged | None, *, max_score: float) -> Row:
    """Returns all that a card says of a score: plain values, as JSON has them.

    Args:
        judged: posts of sources that the model never saw.
        ordinary: posts collected for another purpose; their labels are not read.
        max_score: the threshold; scores above it are rejected.
    """
    sources = by_source(judged, max_score=max_score)
    return {
        "max_score": rounded(max_score),
        "summary": summary(judged, sources),
        "sources": sources,
        "languages": by_language(judged),
        "reliability": reliability(judged),
        "even": even_thresholds(judged, max_score=max_score),
        "price": price_of_even(judged),
        "ordinary": [] if ordinary is None else rejected(ordinary, max_score=max_score),
    }


def summary(judged: Judged, sources: list[Row]) -> Row:
    """Returns size, pooled AUC, and the mean and least AUC of the sources that have both labels."""
    aucs = {row["source"]: row["auc"] for row in sources if row["auc"] is not None}
    least = min(aucs, key=lambda name: aucs[name])
    return {
        "posts": len(judged.posts),
        "sources": len(aucs),
        "pooled": rounded(measure.auc(judged.bad_N, judged.scores_N)),
        "mean": rounded(float(np.mean(list(aucs.values())))),
        "least": aucs[least],
        "least_source": least,
        "below": sum(value < 0.6 for value in aucs.values()),
    }


def by_source(judged: Judged, *, max_score: float) -> list[Row]:
    """Returns one row per source, in the order of names: size, AUC, calibration, and both errors.

    `kept_bad` and `rejected_good` are where the model and the label disagree at the threshold.
    """
    source_N, lang_N, bad_N = judged.column("source"), judged.column("lang"), judged.bad_N

    def row(name: str, own_N: Array) -> Row:
        own_bad_N, scores_N = bad_N[own_N], judged.scores_N[own_N]
        errors = measure.at_threshold(own_bad_N, scores_N, max_score)
        langs = sorted(set(lang_N[own_N].tolist()))
        return {
            "source": name,
            "lang": " ".join(langs) if len(langs) < 6 else MIXED,
            "posts": int(own_N.sum()),
            "bad": rounded(float(own_bad_N.mean())),
            "mean_score": rounded(float(scores_N.mean())),
            "calibration_error": rounded(measure.calibration_error(own_bad_N, scores_N)),
            "auc": rounded(measure.auc(own_bad_N, scores_N)),
            "rejected_good": rounded(errors.false_alarms),
            "kept_bad": None if errors.recall is None else rounded(1 - errors.recall),
        }

    return [row(name, source_N == name) for name in np.unique(source_N).tolist()]


def by_language(judged: Judged) -> list[Row]:
    """Returns one row per language that has both labels: size and AUC over all of its sources."""
    lang_N, bad_N = judged.column("lang"), judged.bad_N
    rows = []
    for lang in np.unique(lang_N).tolist():
        own_N = lang_N == lang
        auc = rounded(measure.auc(bad_N[own_N], judged.scores_N[own_N]))
        if auc is not None:
            bad = int(bad_N[own_N].sum())
            rows.append({"lang": lang, "posts": int(own_N.sum()), "bad": bad, "auc": auc})
    return rows


def reliability(judged: Judged) -> list[Row]:
    """Returns one row per tenth of the scores: posts, mean score, and the share that is bad.

    Sources weigh the same, however many posts they have; `sources` is how many are in the tenth.
    """
    _, source_N, posts_S = np.unique(
        judged.column("source"), return_inverse=True, return_counts=True
    )
    weight_N = 1 / posts_S[source_N]
    bin_N = np.minimum((judged.scores_N * BINS).astype(np.int64), BINS - 1)
    rows = []
    for b in np.unique(bin_N).tolist():
        own_N = bin_N == b
        mean = np.average(judged.scores_N[own_N], weights=weight_N[own_N])
        bad = np.average(judged.bad_N[own_N], weights=weight_N[own_N])
        rows.append(
            {
                "scores": f"{b / BINS:.1f} to {(b + 1) / BINS:.1f}",
                "posts": int(own_N.sum()),
                "sources": len(np.unique(source_N[own_N])),
                "mean_score": rounded(float(mean)),
                "bad": rounded(float(bad)),
            }
        )
    return rows


def rejected(ordinary: Judged, *, max_score: float) -> list[Row]:
    """Returns the share rejected of ordinary posts, by source and language, the largest first.

    `even` is the threshold that would reject EVEN_RATE of the posts.
    """
    rows = [
        {
            "source": name,
            "lang": lang,
            "posts": int(own_N.sum()),
            "rejected": rounded(float((ordinary.scores_N[own_N] > max_score).mean())),
            "even": rounded(float(np.quantile(ordinary.scores_N[own_N], 1 - EVEN_RATE))),
        }
        for name, lang, own_N in groups(ordinary)
        if own_N.sum() >= MIN_ORDINARY
    ]
    return sorted(rows, key=lambda row: -float(row["rejected"] or 0))


def groups(judged: Judged) -> Iterator[tuple[str, str, Array]]:
    """Yields (source, language, (N,) bool, which posts are theirs), in the order of names."""
    source_N, lang_N = judged.column("source"), judged.column("lang")
    for name, lang in sorted(set(zip(source_N.tolist(), lang_N.tolist(), strict=True))):
        yield name, lang, (source_N == name) & (lang_N == lang)


def even_thresholds(judged: Judged, *, max_score: float) -> list[Row]:
    """Returns for each language what the threshold does, and what its own would, with EVEN_RATE false alarms.

    The own threshold is chosen on one half of the language's posts, by a hash of the text, and measured on
    the other, as are the errors beside it. Languages with fewer than MIN_GOOD or MIN_BAD posts are left out.
    """
    rows = []
    for lang, choose_N, test_N in _halves(judged):
        own = _quantile(judged.scores_N[choose_N & (judged.bad_N == 0)])
        bad_N, scores_N = judged.bad_N[test_N], judged.scores_N[test_N]
        at, even = (measure.at_threshold(bad_N, scores_N, bound) for bound in (max_score, own))
        rows.append(
            {
                "lang": lang,
                "posts": len(bad_N),
                "false_alarms": rounded(at.false_alarms),
                "recall": rounded(at.recall),
                "even": rounded(own),
                "even_false_alarms": rounded(even.false_alarms),
                "even_recall": rounded(even.recall),
            }
        )
    return rows


def price_of_even(judged: Judged) -> Row | None:
    """Returns the mean recall of one threshold and of one per language, both with EVEN_RATE false alarms.

    One threshold has them in the mean of the languages, which may differ much: `most` is the rate of the
    language with the most. None where fewer than two languages have posts enough.
    """
    halves = list(_halves(judged))
    if len(halves) < 2:
        return None
    good = [judged.scores_N[choose_N & (judged.bad_N == 0)] for _, choose_N, _ in halves]
    steps = np.unique(np.concatenate(good))
    rate = np.mean([1 - np.searchsorted(np.sort(g), steps, "right") / len(g) for g in good], axis=0)
    one = float(steps[np.argmax(rate <= EVEN_RATE)])
    single, own = ([], [])  # type: tuple[list[measure.AtThreshold], list[measure.AtThreshold]]
    for (_, _, test_N), scores in zip(halves, good, strict=True):
        bad_N, scores_N = judged.bad_N[test_N], judged.scores_N[test_N]
        single.append(measure.at_threshold(bad_N, scores_N, one))
        own.append(measure.at_threshold(bad_N, scores_N, _quantile(scores)))
    alarms = [at.false_alarms or 0.0 for at in single]
    return {
        "languages": len(halves),
        "threshold": rounded(one),
        "recall": rounded(float(np.mean([at.recall for at in single]))),
        "even_recall": rounded(float(np.mean([at.recall for at in own]))),
        "most": rounded(max(alarms)),
        "most_lang": halves[int(np.argmax(alarms))][0],
        "least": rounded(min(alarms)),
        "least_lang": halves[int(np.argmin(alarms))][0],
    }


def _quantile(good_scores: Array) -> float:
    """Returns the smallest score with at most EVEN_RATE of the good posts above it."""
    return float(np.quantile(good_scores, 1 - EVEN_RATE, method="higher"))


def _halves(judged: Judged) -> Iterator[tuple[str, Array, Array]]:
    """Yields (language, posts to choose a threshold on, posts to measure it on), both (N,) bool."""
    lang_N = judged.column("lang")
    even_N = hash_texts(judged.posts["text"].combine_chunks(), seed=SPLIT_SEED) % 2 == 0
    for lang in np.unique(lang_N[lang_N != MIXED]).tolist():
        own_N = lang_N == lang
        bad = int(judged.bad_N[own_N].sum())
        if bad >= MIN_BAD and own_N.sum() - bad >= MIN_GOOD:
            yield lang, own_N & even_N, own_N & ~even_N


def disagreements(judged: Judged, *, max_score: float, number: int = TO_READ) -> pa.Table:
    """Returns posts on which the model and the label disagree, to be read: the posts' columns and `score`.

    Half are good posts above the threshold; half are bad ones with a score below the median of the good
    ones. Sources take turns, each in the order of a hash of its texts, so that no choice is anyone's.
    """
    good_N = judged.bad_N == 0
    low = np.median(judged.scores_N[good_N])
    kinds = (good_N & (judged.scores_N > max_score), ~good_N & (judged.scores_N <= low))
    places = np.concatenate([_in_turns(judged, kind_N)[: number // 2] for kind_N in kinds])
    return judged.posts.take(pa.array(places)).append_column(
        "score", pa.array(judged.scores_N[places])
    )


def _in_turns(judged: Judged, kind_N: Array) -> Array:
    """Returns the places of a kind of posts, each text once: the first of each source, then the second."""
    places = np.flatnonzero(kind_N)
    texts = judged.posts["text"].combine_chunks().take(pa.array(places))
    _, first = np.unique(hash_texts(texts, seed=SPLIT_SEED), return_index=True)
    places = places[first]
    source_N = judged.column("source")[places]
    turn_N = np.zeros(len(places), np.int64)
    for name in np.unique(source_N):
        turn_N[source_N == name] = np.arange((source_N == name).sum())
    return places[np.argsort(turn_N, kind="stable")]


def rounded(value: float | None) -> float | None:
    """Returns a figure as cards and JSON have it, to four places."""
    return None if value is None else round(value, 4)
