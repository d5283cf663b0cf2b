"""Trains the hashed table of all screens from labels, contrasts and a teacher's scores; calibrates it.

The teacher is the encoder: a folder of Parquet files that `encoder.teach` writes, with columns `text`,
`lang`, `source` and a log odds for each head. With a fold its sources (`encoder/sources.toml`) are left out
of the labels and of the teacher's texts; the teacher must then be one that was not trained on them either.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
from scipy.special import expit

from sluice.filters.hashed.table import quantised, rows_of, write_table
from sluice.filters.models.training import measure
from sluice.filters.models.training.encoder import teach
from sluice.filters.models.training.encoder.contrasts import contrast_posts
from sluice.filters.models.training.encoder.posts import labelled
from sluice.filters.models.training.encoder.sources import HEADS, SOURCES
from sluice.filters.models.training.hashed_fit import (
    FittedHead,
    Lesson,
    fit_head,
    soft_targets,
)
from sluice.filters.models.training.posts import HELD_OUT, SPLIT_SEED
from sluice.filters.screens.hashed import HashedScreen
from sluice.filters.screens.shape import shape_features
from sluice.filters.text.features import text_features
from sluice.filters.text.hashing import hash_texts
from sluice.filters.text.normalize import normalize
from sluice.filters.text.views import classifier_text
from sluice.schemas.arrays import Array

BITS = 20
LABELS = {"toxicity": 0.3, "spam": 0.1, "quality": 0.3}
"""What all labelled posts of a head weigh beside all texts that the teacher scored."""
SHAPED = ("spam", "quality")
"""Heads that read the features of `sluice.filters.screens.shape`."""
CERTAIN = 0.98
"""The probability that a label stands for: annotators err."""


SOFTENED = {"toxicity": 0.6, "spam": 1.0, "quality": 1.0}
"""What the teacher's log odds are multiplied by: a sum of words that is sure of itself overshoots."""
CLIPPED = {"toxicity": 0.999, "spam": 1.0, "quality": 1.0}
"""The quantile of the magnitudes of weights that none is above, so that no word decides alone."""
WORDS_WEIGHT = 0.3
"""What a text weighs that was taken for its hostile words (`teach.WORDS`), beside one that was not."""
MADE = "(made)"
"""The source of contrasts that are written for training."""
MADE_WEIGHT = 3.0
"""What these weigh; a source's posts of a label weigh 1 together."""
MOST_MADE = 600
"""Contrasts of a language."""
MADE_SEED = 1


class Posts(NamedTuple):
    """N posts as a head reads them.

    Attributes:
        texts: (N,) string, classifier text.
        rows_K: (K,) int32, their rows.
        starts_N1: (N + 1,) int64, where those of each post begin.
        shape_NS: (N, S) float64, shape features.
        sources: (N,) str.
    """

    texts: pa.StringArray
    rows_K: Array
    starts_N1: Array
    shape_NS: Array
    sources: Array


def as_read(table: pa.Table) -> Posts:
    """Returns posts with columns `text` (normalised) and `source` as heads read them."""
    whole = table["text"].combine_chunks()
    texts = classifier_text(whole)
    sources = np.array(table["source"].to_pylist(), np.str_)
    return Posts(texts, *rows_of(texts, bits=BITS), shape_features(text_features(whole)), sources)


def sources_of(fold: str | None) -> list[str]:
    """Returns the sources of a fold, of all heads; none without a fold."""
    return [name for head in SOURCES.values() for name in head.folds.get(fold or "", ())]


def teacher_scores(folder: Path, left_out: Sequence[str]) -> pa.Table:
    """Returns the texts that the teacher scored, normalised, without some sources and the held-out slice.

    A column `weight` is beside what the files have.
    """
    names, weights = (teach.PARTS, teach.WORDS), (1.0, WORDS_WEIGHT)
    kinds = [_files(folder, name) for name in names]
    weight_N = np.repeat(weights, [len(kind) for kind in kinds])
    table = pa.concat_tables(kinds).append_column("weight", pa.array(weight_N)).combine_chunks()
    table = table.filter(pc.invert(pc.is_in(table["source"], pa.array(left_out, pa.string()))))
    whole = normalize(table["text"].combine_chunks())
    table = table.set_column(table.schema.get_field_index("text"), "text", whole)
    return table.filter(pa.array(~held_out(table)))


def _files(folder: Path, name: str) -> pa.Table:
    files = [str(path) for path in sorted(folder.glob(f"{name}-*.parquet"))]
    empty = pa.schema([("text", pa.string())])
    return ds.dataset(files, format="parquet").to_table() if files else empty.empty_table()


def held_out(table: pa.Table) -> Array:
    """Returns (N,) bool, true for one post in HELD_OUT, by a hash of its classifier text."""
    texts = classifier_text(table["text"].combine_chunks())
    return np.asarray(hash_texts(texts, seed=SPLIT_SEED) % HELD_OUT == 0)


def contrasts(head: str) -> pa.Table:
    """Returns posts written for a head: `text` (normalised), `source`, `label` as its sources have it."""
    made = contrast_posts(MADE_SEED, MOST_MADE, head)
    label_N = made["label"].to_numpy().astype(np.float64)
    columns = {
        "text": normalize(made["text"].combine_chunks()),
        "source": pa.array([MADE] * len(made)),
        "label": 1 - label_N if head == "quality" else label_N,
    }
    return pa.table(columns)


def lesson(head: str, own: Posts, labels_N: Array, taught: Posts, scores: pa.Table) -> Lesson:
    """Returns labelled posts and the teacher's texts as one lesson.

    Posts of a source and a label weigh the same together; all of them weigh LABELS times the others.
    `scores` has the columns of `teacher_scores`.
    """
    logits_N = SOFTENED[head] * scores[head].to_numpy()
    weights_N = block_weights(own.sources, labels_N, of={MADE: MADE_WEIGHT})
    weights_N *= LABELS[head] * scores["weight"].to_numpy().sum() / weights_N.sum()
    starts_N1 = np.concatenate([taught.starts_N1, taught.starts_N1[-1] + own.starts_N1[1:]])
    shape_NS = np.concatenate([taught.shape_NS, own.shape_NS])
    return Lesson(
        np.concatenate([taught.rows_K, own.rows_K]),
        starts_N1,
        shape_NS if head in SHAPED else shape_NS[:, :0],
        np.concatenate([soft_targets(logits_N), np.where(labels_N == 1, CERTAIN, 1 - CERTAIN)]),
        np.concatenate([scores["weight"].to_numpy(), weights_N]),
    )


def spared(
    data: Path, teacher: Path, head: str, left_out: Sequence[str]
) -> tuple[pa.Table, pa.Table]:
    """Returns what no head was trained on, by its hash: labelled posts of a head, and unlabelled ones."""
    out = pa.array(left_out, pa.string())
    own = labelled(data, head).select(["text", "source", "label"])
    own = own.filter(pc.invert(pc.is_in(own["source"], out)))
    known = [source.name for each in SOURCES.values() for source in each.sources]
    table = _files(teacher, teach.PARTS).select(["text", "source"])
    table = table.filter(pc.invert(pc.is_in(table["source"], pa.array(known)))).combine_chunks()
    others = table.set_column(0, "text", normalize(table["text"].combine_chunks()))
    return own.filter(pa.array(held_out(own))), others.filter(pa.array(held_out(others)))


def train(data: Path, teacher: Path, *, fold: str | None) -> tuple[dict[str, FittedHead], pa.Table]:
    """Returns the fitted heads, by name, and the texts of the teacher that they learned from."""
    left_out = sources_of(fold)
    scores = teacher_scores(teacher, left_out)
    taught = as_read(scores)
    heads = {}
    for head in HEADS:
        table = labelled(data, head).select(["text", "source", "label"])
        table = table.filter(pc.invert(pc.is_in(table["source"], pa.array(left_out, pa.string()))))
        table = pa.concat_tables([table.filter(pa.array(~held_out(table))), contrasts(head)])
        labels_N = (table["label"].to_numpy() >= 0.5).astype(np.int64)
        fitted = fit_head(lesson(head, as_read(table), labels_N, taught, scores), bits=BITS)
        heads[head] = clipped(fitted, CLIPPED[head])
    return heads, scores


def clipped(head: FittedHead, quantile: float) -> FittedHead:
    """Returns the head with no weight above a quantile of the magnitudes of those that are not 0."""
    weights_R = head.weights_R
    largest = np.quantile(np.abs(weights_R[weights_R != 0]), quantile)
    return head._replace(weights_R=weights_R.clip(-largest, largest))


def screens_of(heads: dict[str, FittedHead], path: Path) -> dict[str, HashedScreen]:
    """Writes the table of some heads, and returns the screens that read it, not calibrated yet."""
    table = quantised({name: head.weights_R for name, head in heads.items()})
    write_table(table, path)
    return {
        name: HashedScreen(table, name, 1.0, head.intercept, head.shape_S)
        for name, head in heads.items()
    }


def calibrated(screen: HashedScreen, posts: pa.Table) -> HashedScreen:
    """Returns the screen with Platt's curve put over what it finds in labelled posts held out of training."""
    labels_N = (posts["label"].to_numpy() >= 0.5).astype(np.int64)
    slope, intercept = measure.platt(labels_N, logits_of(screen, posts))
    return replace(
        screen,
        slope=slope * screen.slope,
        intercept=slope * screen.intercept + intercept,
        shape_K=slope * screen.shape_K,
    )


def default_threshold(screen: HashedScreen, posts: pa.Table, ordinary: pa.Table) -> float:
    """Returns the smallest hundredth that spares good labelled posts, and unlabelled ones as if good."""
    labels_N = (posts["label"].to_numpy() >= 0.5).astype(np.int64)
    own_N, others_N = (expit(logits_of(screen, table)) for table in (posts, ordinary))
    return max(
        measure.choose_threshold(labels_N, own_N),
        measure.choose_threshold(np.zeros(len(ordinary), np.int64), others_N),
    )


def logits_of(screen: HashedScreen, posts: pa.Table) -> Array:
    """Returns (N,) float64 log odds of posts with a column `text` (normalised)."""
    whole = posts["text"].combine_chunks()
    return screen.logits(classifier_text(whole), text_features(whole))


def block_weights(sources: Array, labels_N: Array, *, of: dict[str, float] | None = None) -> Array:
    """Returns (N,) float64: the posts of a source and label weigh 1 together, or what `of` says.

    Large sources do not drown small ones, nor does a source's share of positives become a sign.
    """
    weights_N = np.zeros(len(labels_N))
    for source in np.unique(sources):
        for label in (0, 1):
            own_N = (sources == source) & (labels_N == label)
            if own_N.any():
                weights_N[own_N] = (of or {}).get(str(source), 1.0) / own_N.sum()
    return weights_N
