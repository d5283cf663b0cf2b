"""What the card of a screen states of it alone: its posts, test posts, thresholds and the firehose."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sluice.filters.models.training import measure
from sluice.filters.models.training.encoder.posts import read
from sluice.filters.models.training.encoder.sources import SOURCES
from sluice.filters.models.training.judgement import Judged, groups, rounded
from sluice.filters.screens.hashed import HashedScreen
from sluice.filters.text.features import text_features
from sluice.filters.text.views import classifier_text
from sluice.schemas.arrays import Array

PRECISIONS = (0.5, 0.8, 0.9, 0.95)
RECALLS = (0.5, 0.8, 0.9)
FIREHOSE = ("firehose/part-*.jsonl.gz",)
FIREHOSE_STEP = 10  # one post in so many

Row = dict[str, Any]


def scores(screen: HashedScreen, texts: pa.StringArray) -> Array:
    """Returns (N,) float32 scores of normalised texts, as a batch gives them."""
    return screen.score(classifier_text(texts), text_features(texts))


def counts(posts: pa.Table) -> dict[str, dict[str, int]]:
    """Returns source -> posts and positives."""
    sources, bad_N = np.array(posts["source"].to_pylist()), posts["label"].to_numpy() >= 0.5
    return {
        str(name): {
            "posts": int((sources == name).sum()),
            "positives": int(bad_N[sources == name].sum()),
        }
        for name in np.unique(sources)
    }


def held_out(screen: HashedScreen, posts: pa.Table) -> Row:
    """Returns size, AUC and calibration error of the posts that the curve was fitted on."""
    labels_N = (posts["label"].to_numpy() >= 0.5).astype(np.int64)
    scores_N = scores(screen, posts["text"].combine_chunks())
    return {
        "posts": len(posts),
        "positives": int(labels_N.sum()),
        "auc": rounded(measure.auc(labels_N, scores_N)),
        "calibration_error": rounded(measure.calibration_error(labels_N, scores_N)),
    }


def by_source(name: str, screen: HashedScreen, test: pa.Table, *, max_score: float) -> list[Row]:
    """Returns one row per source and language of the test files: size, AUC, and errors at the threshold."""
    known = {source.name for source in SOURCES[name].sources}
    judged = Judged(test, scores(screen, test["text"].combine_chunks()))

    def row(source: str, lang: str, own_N: Array) -> Row:
        own_bad_N, own_scores_N = judged.bad_N[own_N], judged.scores_N[own_N]
        errors = measure.at_threshold(own_bad_N, own_scores_N, max_score)
        return {
            "source": source,
            "lang": lang,
            "trained_on": source in known,
            "posts": int(own_N.sum()),
            "positives": int(own_bad_N.sum()),
            "auc": rounded(measure.auc(own_bad_N, own_scores_N)),
            **{k: rounded(v) for k, v in errors._asdict().items()},
        }

    return sorted((row(*group) for group in groups(judged)), key=lambda row: not row["trained_on"])


def thresholds(name: str, screen: HashedScreen, test: pa.Table) -> list[Row]:
    """Returns the thresholds with stated precision or recall on test posts of sources trained on."""
    known = pa.array([source.name for source in SOURCES[name].sources])
    own = test.filter(pc.is_in(test["source"], known))
    scores_N = scores(screen, own["text"].combine_chunks())
    labels_N = (own["label"].to_numpy() >= 0.5).astype(np.int64)

    def row(wanted: str, least: float) -> Row:
        threshold = measure.thresholds_for(labels_N, scores_N, measure=wanted, least=least)
        row = {"wanted": f"{wanted} {least}", "max_score": rounded(threshold)}
        if threshold is None:
            return {**row, "precision": None, "recall": None}
        errors = measure.at_threshold(labels_N, scores_N, threshold)
        return {**row, "precision": rounded(errors.precision), "recall": rounded(errors.recall)}

    wanted = [("precision", p) for p in PRECISIONS] + [("recall", r) for r in RECALLS]
    return [row(name, least) for name, least in wanted]


def firehose(screen: HashedScreen, data: Path, *, max_score: float) -> Row:
    """Returns the share of unlabelled posts that the default threshold rejects, in all and by source."""
    posts = read(data, FIREHOSE)
    posts = posts.take(pa.array(np.arange(0, len(posts), FIREHOSE_STEP)))
    rejected_N = scores(screen, posts["text"].combine_chunks()) > max_score
    sources = np.array(posts["source"].to_pylist())
    return {
        "posts": len(posts),
        "rejected": rounded(float(rejected_N.mean())),
        "by_source": {
            str(name): rounded(float(rejected_N[sources == name].mean()))
            for name in np.unique(sources)
        },
    }
