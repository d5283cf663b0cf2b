"""What the card of a screen states, measured: sources never seen, test posts, ordinary posts by language."""

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sluice.filters.models.training import measure
from sluice.filters.models.training.judgement import Judged, groups, rejected
from sluice.filters.models.training.screen_sources import ScreenRecipe
from sluice.filters.screens.screen import Screen
from sluice.filters.text.features import TextFeatures, text_features
from sluice.schemas.arrays import Array

ORDINARY_FILE = "langid/test.jsonl.gz"
PRECISIONS = (0.5, 0.8, 0.9, 0.95)
RECALLS = (0.5, 0.8, 0.9)
FIREHOSE = "firehose/part-*.jsonl.gz"
FIREHOSE_STEP = 10  # one post in so many

Row = dict[str, Any]
Train = Callable[..., Screen]


def read_by(posts: pa.Table) -> tuple[pa.StringArray, TextFeatures]:
    """Returns what a screen reads of posts: their classifier texts and their shape."""
    return posts["text"].combine_chunks(), text_features(posts["whole"].combine_chunks())


def counts(posts: pa.Table) -> dict[str, dict[str, int]]:
    """Returns source -> posts and positives."""
    sources, labels_N = _column(posts, "source"), posts["label"].to_numpy()
    return {
        str(name): {
            "posts": int((sources == name).sum()),
            "positives": int(labels_N[sources == name].sum()),
        }
        for name in np.unique(sources)
    }


def held_out(posts: pa.Table, scores_N: Array) -> Row:
    """Returns size, AUC and calibration error of the posts that the curve was fitted on."""
    labels_N = posts["label"].to_numpy()
    return {
        "posts": len(posts),
        "positives": int(labels_N.sum()),
        "auc": _rounded(measure.auc(labels_N, scores_N)),
        "calibration_error": _rounded(measure.calibration_error(labels_N, scores_N)),
    }


def unseen(
    recipe: ScreenRecipe, screen: Screen, train: pa.Table, test: pa.Table, train_screen: Train
) -> list[Row]:
    """Returns the AUC on the test posts of each source of a model that never saw the source.

    That is the shipped model for a source it is not trained on, else one trained on the other sources.
    A source whose language others cover is measured once more without any of that language. Made posts
    (`screen_seeds.py`) and ordinary ones of the language stay in training.
    """
    langs = {
        str(row["source"]): str(row["lang"]) for row in test.select(["source", "lang"]).to_pylist()
    }
    rows = []
    for name in sorted(langs, key=lambda s: (s not in recipe.labelled, s)):
        own = test.filter(pc.equal(test["source"], name))
        near = [
            s
            for s in recipe.labelled
            if s != name and langs[s] == langs[name] and langs[name] != "mul"
        ]
        without = (
            screen if name not in recipe.labelled else _without(recipe, train, [name], train_screen)
        )
        row = {
            "source": name,
            "lang": langs[name],
            "trained_on": name in recipe.labelled,
            "language_seen": bool(near) or langs[name] == "mul",
            "posts": len(own),
            "auc": _auc(without, own),
            "auc_language_unseen": _auc(_without(recipe, train, [name, *near], train_screen), own)
            if near
            else None,
        }
        rows.append(row)
    return rows


def _without(
    recipe: ScreenRecipe, train: pa.Table, names: Sequence[str], train_screen: Train
) -> Screen:
    left = train.filter(pc.invert(pc.is_in(train["source"], pa.array(names))))
    with tempfile.TemporaryDirectory() as folder:
        return train_screen(left, recipe, path=Path(folder) / "model.ftz")


def by_source(
    recipe: ScreenRecipe, screen: Screen, test: pa.Table, *, max_score: float
) -> list[Row]:
    """Returns one row per source and language of the test files: size, AUC, and errors at the threshold."""
    scores_N, labels_N = screen.score(*read_by(test)), test["label"].to_numpy()

    def row(name: str, lang: str, own_N: Array) -> Row:
        own_labels_N, own_scores_N = labels_N[own_N], scores_N[own_N]
        errors = measure.at_threshold(own_labels_N, own_scores_N, max_score)
        return {
            "source": name,
            "lang": lang,
            "trained_on": name in recipe.labelled,
            "posts": int(own_N.sum()),
            "positives": int(own_labels_N.sum()),
            "auc": _rounded(measure.auc(own_labels_N, own_scores_N)),
            **{k: _rounded(v) for k, v in errors._asdict().items()},
        }

    return sorted(
        (row(*group) for group in groups(Judged(test, scores_N))),
        key=lambda row: not row["trained_on"],
    )


def thresholds(recipe: ScreenRecipe, screen: Screen, test: pa.Table) -> list[Row]:
    """Returns the thresholds with stated precision or recall on test posts of sources trained on."""
    own = test.filter(pc.is_in(test["source"], pa.array(recipe.labelled)))
    scores_N, labels_N = screen.score(*read_by(own)), own["label"].to_numpy()

    def row(name: str, least: float) -> Row:
        threshold = measure.thresholds_for(labels_N, scores_N, measure=name, least=least)
        row = {"wanted": f"{name} {least}", "max_score": _rounded(threshold)}
        if threshold is None:
            return {**row, "precision": None, "recall": None}
        errors = measure.at_threshold(labels_N, scores_N, threshold)
        return {**row, "precision": _rounded(errors.precision), "recall": _rounded(errors.recall)}

    wanted = [("precision", p) for p in PRECISIONS] + [("recall", r) for r in RECALLS]
    return [row(name, least) for name, least in wanted]


def ordinary(
    recipe: ScreenRecipe, screen: Screen, posts: pa.Table, *, max_score: float
) -> list[Row]:
    """Returns the share rejected of posts collected for another purpose, by source and language.

    Sources that this model's labelled data hold, or that were made for such a model, are left out.
    `even` is the threshold that would reject 1% of the posts.
    """
    other = pa.array([*recipe.labelled, *recipe.left_out, *recipe.not_ordinary])
    posts = posts.filter(pc.invert(pc.is_in(posts["source"], other)))
    scores_N = screen.score(*read_by(posts))
    return rejected(Judged(posts, scores_N), max_score=max_score)


def firehose_files(recipe: ScreenRecipe, data: Path) -> list[str]:
    """Returns the files of unlabelled posts that the recipe does not train on."""
    files = {str(path.relative_to(data)) for path in data.glob(FIREHOSE)}
    return sorted(files - set(recipe.clean_files))


def firehose(screen: Screen, posts: pa.Table, *, max_score: float) -> Row:
    """Returns the share of unlabelled posts that the default threshold rejects, in all and by source."""
    posts = posts.take(pa.array(np.arange(0, len(posts), FIREHOSE_STEP)))
    rejected_N = screen.score(*read_by(posts)) > max_score
    sources = _column(posts, "source")
    return {
        "posts": len(posts),
        "rejected": _rounded(float(rejected_N.mean())),
        "by_source": {
            str(name): _rounded(float(rejected_N[sources == name].mean()))
            for name in np.unique(sources)
        },
    }


def _auc(screen: Screen, posts: pa.Table) -> float | None:
    return _rounded(measure.auc(posts["label"].to_numpy(), screen.score(*read_by(posts))))


def _column(posts: pa.Table, name: str) -> Array:
    return np.array(posts[name].to_pylist(), np.str_)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
