"""Makes the hashed table of all screens from labels and a teacher's scores, and measures it.

    OMP_NUM_THREADS=1 python -m sluice.filters.models.training.hashed --data DIR --teacher DIR --output DIR

The teacher is the encoder: `--teacher` is the folder of Parquet files that `encoder.teach` writes, with
columns `text`, `lang`, `source` and a log odds for each head. With `--fold NAME` the sources of that fold
(`encoder/sources.toml`) are left out of the labels and of the teacher's texts, and the heads are measured on
them; the teacher must then be one that was not trained on them either.
"""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
from scipy.special import expit

from sluice.filters.hashed.table import quantised, rows_of, write_table
from sluice.filters.models.training import measure
from sluice.filters.models.training.encoder.contrasts import contrast_posts
from sluice.filters.models.training.encoder.posts import labelled, tests
from sluice.filters.models.training.encoder.sources import HEADS, SOURCES
from sluice.filters.models.training.hashed_fit import (
    FittedHead,
    Lesson,
    fit_head,
    soft_targets,
)
from sluice.filters.models.training.posts import HELD_OUT, SPLIT_SEED
from sluice.filters.models.training.screen_linear import block_weights
from sluice.filters.screens.hashed import HashedScreen
from sluice.filters.screens.shape import SHAPE_NAMES, shape_features
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


MADE = "(made)"
"""The source of contrasts that are written for training; it weighs MADE_WEIGHT times another one."""
MADE_WEIGHT = 3.0
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
    """Returns the texts that the teacher scored, normalised, without some sources and the held-out slice."""
    table = ds.dataset(folder, format="parquet").to_table().combine_chunks()
    table = table.filter(pc.invert(pc.is_in(table["source"], pa.array(left_out, pa.string()))))
    whole = normalize(table["text"].combine_chunks())
    table = table.set_column(table.schema.get_field_index("text"), "text", whole)
    return table.filter(pa.array(~held_out(table)))


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


def lesson(head: str, own: Posts, labels_N: Array, taught: Posts, logits_N: Array) -> Lesson:
    """Returns labelled posts and the teacher's texts as one lesson.

    Posts of a source and a label weigh the same together; all of them weigh LABELS times the others.
    """
    weights_N = block_weights(own.sources, labels_N, of={MADE: MADE_WEIGHT})
    weights_N *= LABELS[head] * len(logits_N) / weights_N.sum()
    starts_N1 = np.concatenate([taught.starts_N1, taught.starts_N1[-1] + own.starts_N1[1:]])
    shape_NS = np.concatenate([taught.shape_NS, own.shape_NS])
    return Lesson(
        np.concatenate([taught.rows_K, own.rows_K]),
        starts_N1,
        shape_NS if head in SHAPED else shape_NS[:, :0],
        np.concatenate([soft_targets(logits_N), np.where(labels_N == 1, CERTAIN, 1 - CERTAIN)]),
        np.concatenate([np.ones(len(logits_N)), weights_N]),
    )


def spared(
    data: Path, teacher: Path, head: str, left_out: Sequence[str]
) -> tuple[pa.Table, pa.Table]:
    """Returns what no head was trained on, by its hash: labelled posts of a head, and unlabelled ones."""
    out = pa.array(left_out, pa.string())
    own = labelled(data, head).select(["text", "source", "label"])
    own = own.filter(pc.invert(pc.is_in(own["source"], out)))
    known = [source.name for each in SOURCES.values() for source in each.sources]
    table = ds.dataset(teacher, format="parquet").to_table(columns=["text", "source"])
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
        logits_N = scores[head].to_numpy()
        heads[head] = fit_head(lesson(head, as_read(table), labels_N, taught, logits_N), bits=BITS)
    return heads, scores


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
    slope, intercept = measure.platt(labels_N, _logits(screen, posts))
    return replace(
        screen,
        slope=slope * screen.slope,
        intercept=slope * screen.intercept + intercept,
        shape_K=slope * screen.shape_K,
    )


def default_threshold(screen: HashedScreen, posts: pa.Table, ordinary: pa.Table) -> float:
    """Returns the smallest hundredth that spares good labelled posts, and unlabelled ones as if good."""
    labels_N = (posts["label"].to_numpy() >= 0.5).astype(np.int64)
    own_N, others_N = (expit(_logits(screen, table)) for table in (posts, ordinary))
    return max(
        measure.choose_threshold(labels_N, own_N),
        measure.choose_threshold(np.zeros(len(ordinary), np.int64), others_N),
    )


def _logits(screen: HashedScreen, posts: pa.Table) -> Array:
    whole = posts["text"].combine_chunks()
    return screen.logits(classifier_text(whole), text_features(whole))


def unseen(screen: HashedScreen, posts: pa.Table) -> dict[str, Any]:
    """Returns the AUC on posts of sources that were not trained on: pooled, the mean, and by source."""
    labels_N = (posts["label"].to_numpy() >= 0.5).astype(np.int64)
    logits_N = _logits(screen, posts)
    sources = np.array(posts["source"].to_pylist(), np.str_)
    by_source = {
        str(name): measure.auc(labels_N[sources == name], logits_N[sources == name])
        for name in np.unique(sources)
    }
    known = {name: round(value, 4) for name, value in by_source.items() if value is not None}
    return {
        "posts": len(posts),
        "pooled": measure.auc(labels_N, logits_N),
        "mean": float(np.mean(list(known.values()))) if known else None,
        "by_source": known,
    }


def measured(
    screens: dict[str, HashedScreen], data: Path, *, fold: str | None
) -> dict[str, dict[str, Any]]:
    """Returns head -> its figures, on the sources of the fold and on those held for their licence."""
    figures: dict[str, dict[str, Any]] = {}
    for name, screen in screens.items():
        head, held = SOURCES[name], tests(data, name)
        held = held.filter(pc.is_in(held["source"], pa.array(list(head.held))))
        figures[name] = {"held": unseen(screen, held)} if len(held) else {}
        if fold is not None:
            own = labelled(data, name)
            own = own.filter(pc.is_in(own["source"], pa.array(head.folds[fold])))
            figures[name]["fold"] = unseen(screen, own)
    return figures


def main() -> None:
    """Writes `screens.table`, and its calibrations, thresholds and figures as `screens.json`."""
    parser = argparse.ArgumentParser(description="Makes the hashed table of the screens.")
    parser.add_argument("--data", type=Path, required=True, help="folder of labelled posts")
    parser.add_argument("--teacher", type=Path, required=True, help="folder of scored texts")
    parser.add_argument("--fold", help="leave the sources of this fold out, and measure on them")
    parser.add_argument("--output", type=Path, required=True, help="folder to write to")
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    heads, scores = train(options.data, options.teacher, fold=options.fold)
    screens = screens_of(heads, options.output / "screens.table")
    made: dict[str, dict[str, Any]] = {}
    for name, raw in screens.items():
        posts, ordinary = spared(options.data, options.teacher, name, sources_of(options.fold))
        screen = screens[name] = calibrated(raw, posts)
        made[name] = {
            "slope": screen.slope,
            "intercept": screen.intercept,
            "shape": dict(zip(SHAPE_NAMES, screen.shape_K.tolist(), strict=False)),
        }
        if name != "quality":  # of which more is better: it has no threshold yet
            made[name]["max_score"] = default_threshold(screen, posts, ordinary)
    figures = measured(screens, options.data, fold=options.fold)
    told = {"taught": len(scores), "fold": options.fold, "heads": made, "figures": figures}
    content = msgspec.json.format(msgspec.json.encode(told)) + b"\n"
    (options.output / "screens.json").write_bytes(content)
    print(content.decode())


if __name__ == "__main__":
    main()
