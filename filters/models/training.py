"""Makes the shipped spam and toxicity models.

`make models` runs it as

    python -m filters.models.training --data DIR --trainer .venv-models/bin/python

Posts are prepared here, by the code that serves the models (normalised, then classifier text); fastText
trains in a venv of its own (`fit.py`); calibration, threshold and every figure of the card are measured
here, by the kernel that ships. Only training files are read before the model is final; a tenth of the
training posts, dealt by a hash of their text, is held out of training for calibration and threshold.
"""

import argparse
import json
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as pj

from filters.fasttext_classifier import FastTextClassifier
from filters.fasttext_model import read_model
from filters.hashing import hash_texts
from filters.models import measure
from filters.models.card import card
from filters.models.screen import FOLDER, Calibration, Screen
from filters.models.sources import RECIPES, Recipe, Source
from filters.normalize import normalize
from filters.text_views import classifier_text

FIT = Path(__file__).with_name("fit.py")
HELD_OUT = 10  # one text in so many
SPLIT_SEED = 1
FIREHOSE = "firehose/part-*.jsonl.gz"
FIREHOSE_STEP = 10  # one post in so many
COLUMNS = pa.schema(
    [(n, pa.string()) for n in ("text", "lang", "source")] + [("label", pa.int64())]
)

Array = np.ndarray[Any, Any]


def read_posts(data: Path, files: Sequence[str]) -> pa.Table:
    """Returns the posts of some files: text (classifier text), lang, source, label (null if none)."""
    options = pj.ParseOptions(explicit_schema=COLUMNS, unexpected_field_behavior="ignore")
    tables = [
        pj.read_json(pa.input_stream(str(data / file)), parse_options=options) for file in files
    ]
    table = pa.concat_tables(tables).combine_chunks()
    texts = table.column("text").combine_chunks()
    return table.set_column(0, "text", classifier_text(normalize(texts)))


def training_posts(recipe: Recipe, data: Path) -> pa.Table:
    """Returns what a model is trained and calibrated on: the listed sources of the training files."""
    labelled = _of(
        read_posts(data, recipe.train_files), [s for s in recipe.sources if not s.as_clean]
    )
    clean = _of(read_posts(data, [recipe.clean_file]), [s for s in recipe.sources if s.as_clean])
    clean = clean.set_column(3, "label", pa.array(np.zeros(len(clean), np.int64)))
    posts = pa.concat_tables([labelled, clean]).combine_chunks()
    # a text that holds fastText's own label prefix would become a label
    usable = pc.and_(
        pc.greater(pc.binary_length(posts["text"]), 0),
        pc.invert(pc.match_substring(posts["text"], "__label__")),
    )
    return posts.filter(usable)


def split(posts: pa.Table, recipe: Recipe) -> tuple[pa.Table, pa.Table]:
    """Returns (posts to train on, posts held out), each balanced, in the order of their hash."""
    hashes_N = hash_texts(posts["text"].combine_chunks(), seed=SPLIT_SEED)
    posts = posts.take(pa.array(np.argsort(hashes_N, kind="stable")))
    held_out_N = np.sort(hashes_N) % HELD_OUT == 0
    train = _balanced(posts.filter(pa.array(~held_out_N)), recipe, share=1 - 1 / HELD_OUT)
    return train, _balanced(posts.filter(pa.array(held_out_N)), recipe, share=1 / HELD_OUT)


def _balanced(posts: pa.Table, recipe: Recipe, *, share: float) -> pa.Table:
    """Returns the first posts of each source and label, as many as the recipe allows times `share`."""
    sources = np.array(posts["source"].to_pylist())
    langs = np.array(posts["lang"].to_pylist())
    labels_N = posts["label"].to_numpy()
    keep_N = np.zeros(len(posts), np.bool_)
    for source in recipe.sources:
        own_N = sources == source.name
        if source.as_clean:
            for lang in np.unique(langs[own_N]):
                keep_N[np.flatnonzero(own_N & (langs == lang))[: int(source.as_clean * share)]] = (
                    True
                )
            continue
        good, bad = (np.flatnonzero(own_N & (labels_N == label)) for label in (0, 1))
        good = good[: int(recipe.most * share)]
        keep_N[good] = True
        keep_N[bad[: int(min(recipe.most * share, recipe.ratio * len(good)))]] = True
    return posts.filter(pa.array(keep_N))


def _of(posts: pa.Table, sources: Sequence[Source]) -> pa.Table:
    return posts.filter(pc.is_in(posts["source"], pa.array([s.name for s in sources], pa.string())))


def fit(posts: pa.Table, recipe: Recipe, *, trainer: str, output: Path) -> None:
    """Trains a model on posts with the fastText library of another Python, and writes it."""
    names = (recipe.negative, recipe.positive)
    with tempfile.TemporaryDirectory() as folder:
        lines = Path(folder) / "posts.txt"
        rows = zip(posts["label"].to_pylist(), posts["text"].to_pylist(), strict=True)
        lines.write_text("".join(f"__label__{names[label]} {text}\n" for label, text in rows))
        order = {
            "input": str(lines), "output": str(output), "fit": recipe.fit, "cutoff": recipe.cutoff
        }  # fmt: skip
        subprocess.run([trainer, str(FIT), json.dumps(order)], check=True)


def make(recipe: Recipe, *, data: Path, trainer: str, folder: Path) -> Calibration:
    """Trains, calibrates and measures one model; writes NAME.ftz, NAME.json and NAME.md."""
    posts = training_posts(recipe, data)
    train, held_out = split(posts, recipe)
    path = folder / f"{recipe.name}.ftz"
    fit(train, recipe, trainer=trainer, output=path)
    model = read_model(path)
    raw = Screen(FastTextClassifier(model), recipe.positive)
    labels_N, log_odds_N = held_out["label"].to_numpy(), raw.log_odds(_texts(held_out))
    slope, intercept = measure.platt(labels_N, log_odds_N)
    scores_N = measure.calibrated(log_odds_N, slope, intercept)
    screen = Screen(raw.classifier, recipe.positive, slope, intercept)
    max_score = measure.choose_threshold(labels_N, scores_N)
    figures = {
        "bytes": path.stat().st_size,
        "trained_on": _counts(train),
        "held_out": {
            "posts": len(held_out),
            "positives": int(labels_N.sum()),
            "auc": _rounded(measure.auc(labels_N, scores_N)),
            "calibration_error": _rounded(measure.calibration_error(labels_N, scores_N)),
        },
        "test": test_figures(recipe, screen, data=data, max_score=max_score),
        "left_one_out": _left_one_out(recipe, train, data=data, trainer=trainer),
        "firehose": _firehose(screen, data=data, max_score=max_score),
    }
    found = Calibration(
        label=recipe.positive,
        sha256=model.sha256,
        slope=slope,
        intercept=intercept,
        max_score=max_score,
        figures=figures,
    )
    (folder / f"{recipe.name}.json").write_bytes(
        msgspec.json.format(msgspec.json.encode(found)) + b"\n"
    )
    (folder / f"{recipe.name}.md").write_text(card(recipe, found))
    return found


def test_figures(
    recipe: Recipe, screen: Screen, *, data: Path, max_score: float
) -> list[dict[str, Any]]:
    """Returns a row a source of the test files: size, AUC, and errors at the threshold."""
    posts = read_posts(data, recipe.test_files)
    scores_N, labels_N = screen.score(_texts(posts)), posts["label"].to_numpy()
    sources, langs = (np.array(posts[name].to_pylist()) for name in ("source", "lang"))
    trained = {s.name for s in recipe.sources if not s.as_clean}
    rows = []
    for name in sorted(set(sources), key=lambda s: (s not in trained, s)):
        own_N = sources == name
        errors = measure.at_threshold(labels_N[own_N], scores_N[own_N], max_score)
        rows.append(
            {
                "source": str(name),
                "lang": "/".join(sorted(set(langs[own_N]))),
                "trained_on": name in trained,
                "posts": int(own_N.sum()),
                "positives": int(labels_N[own_N].sum()),
                "auc": _rounded(measure.auc(labels_N[own_N], scores_N[own_N])),
                **{k: _rounded(v) for k, v in errors._asdict().items()},
            }
        )
    return rows


def _left_one_out(
    recipe: Recipe, train: pa.Table, *, data: Path, trainer: str
) -> list[dict[str, Any]]:
    """Returns, for each source, the AUC on its test posts of a model that was trained without it."""
    if not recipe.left_one_out:
        return []
    test = read_posts(data, recipe.test_files)
    rows = []
    for name in recipe.left_one_out:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.ftz"
            fit(
                train.filter(pc.not_equal(train["source"], name)),
                recipe,
                trainer=trainer,
                output=path,
            )
            screen = Screen(FastTextClassifier(read_model(path)), recipe.positive)
        own = test.filter(pc.equal(test["source"], name))
        rows.append(
            {
                "source": name,
                "auc": _rounded(measure.auc(own["label"].to_numpy(), screen.score(_texts(own)))),
            }
        )
    return rows


def _firehose(screen: Screen, *, data: Path, max_score: float) -> dict[str, Any]:
    """Returns the share of unlabelled posts that the default threshold rejects, in all and by source."""
    files = sorted(str(path.relative_to(data)) for path in data.glob(FIREHOSE))
    if not files:
        return {}
    posts = read_posts(data, files)
    posts = posts.take(pa.array(np.arange(0, len(posts), FIREHOSE_STEP)))
    rejected_N = screen.score(_texts(posts)) > max_score
    sources = np.array(posts["source"].to_pylist())
    return {
        "posts": len(posts),
        "rejected": _rounded(float(rejected_N.mean())),
        "by_source": {
            str(name): _rounded(float(rejected_N[sources == name].mean()))
            for name in np.unique(sources)
        },
    }


def _counts(posts: pa.Table) -> dict[str, dict[str, int]]:
    sources, labels_N = np.array(posts["source"].to_pylist()), posts["label"].to_numpy()
    return {
        str(name): {
            "posts": int((sources == name).sum()),
            "positives": int(labels_N[sources == name].sum()),
        }
        for name in np.unique(sources)
    }


def _texts(posts: pa.Table) -> pa.StringArray:
    return posts["text"].combine_chunks()


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def main() -> None:
    """Makes the models named on the command line, or both."""
    parser = argparse.ArgumentParser(description="Makes the shipped spam and toxicity models.")
    parser.add_argument("--data", type=Path, required=True, help="folder of labelled posts")
    parser.add_argument("--trainer", required=True, help="a Python that has the package fasttext")
    parser.add_argument("--only", choices=sorted(RECIPES), help="make this model alone")
    parser.add_argument("--output", type=Path, default=FOLDER, help="folder to write to")
    options = parser.parse_args()
    for name, recipe in RECIPES.items():
        if options.only in (None, name):
            found = make(recipe, data=options.data, trainer=options.trainer, folder=options.output)
            size, threshold = found.figures["bytes"], found.max_score
            print(f"{name}: {size:,} bytes, max_{name} = {threshold}, sha256 {found.sha256}")


if __name__ == "__main__":
    main()
