"""Makes the shipped spam and toxicity models.

`make models` runs it as

    OMP_NUM_THREADS=1 python -m sluice.filters.models.training.screens --data DIR

Posts are prepared by the code that serves the models (normalised, then classifier text and shape features).
Only training files are read before a model is final, but for the texts of the test files, so that equal
posts can be left out of training. A tenth of the training posts, by a hash of their text, is held out
of training for calibration and threshold. What is measured for the card is in `figures.py`.
"""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy import sparse

from sluice.filters.fasttext.classifier import FastTextClassifier
from sluice.filters.fasttext.model import read_model
from sluice.filters.models.training import measure
from sluice.filters.models.training import screen_figures as figures
from sluice.filters.models.training.posts import HELD_OUT, SPLIT_SEED, read_posts
from sluice.filters.models.training.screen_card import card
from sluice.filters.models.training.screen_file import write_linear
from sluice.filters.models.training.screen_linear import block_weights, fit_logistic
from sluice.filters.models.training.screen_ngrams import NUM_BUCKETS, count_ngrams, mean_ngrams
from sluice.filters.models.training.screen_seeds import common_posts, hostile_posts
from sluice.filters.models.training.screen_sources import RECIPES, ScreenRecipe
from sluice.filters.screens.screen import FOLDER, Calibration, Screen
from sluice.filters.screens.shape import SHAPE_NAMES, shape_features
from sluice.filters.text.features import text_features
from sluice.filters.text.hashing import hash_texts
from sluice.filters.text.views import dedup_text
from sluice.schemas.arrays import Array

SEEDS_SEED = 2
ORDINARY, MADE = "(ordinary)", "(made)"
"""What the clean sources, and the posts of `screen_seeds.py`, count as when posts are weighed."""


def training_posts(recipe: ScreenRecipe, data: Path) -> pa.Table:
    """Returns what a model is trained and calibrated on: the listed sources of the training files.

    Posts whose letters are those of a test post are left out: some are in both as published.
    """
    posts = _of(read_posts(data, recipe.train_files), recipe.labelled)
    clean = _of(read_posts(data, recipe.clean_files), recipe.clean)
    clean = clean.set_column(3, "label", pa.array(np.zeros(len(clean), np.int64)))
    posts = pa.concat_tables([posts, clean]).combine_chunks()
    posts = posts.filter(pc.greater(pc.binary_length(posts["text"]), 0))
    return posts.filter(pc.invert(_in(posts, read_posts(data, recipe.test_files))))


def _in(posts: pa.Table, others: pa.Table) -> pa.BooleanArray:
    """Returns (N,) bool, true where a post has the letters, or the classifier text, of another one."""
    own, other = (letters(table["whole"].combine_chunks()) for table in (posts, others))
    same_text = pc.is_in(posts["text"].combine_chunks(), others["text"].combine_chunks())
    return pc.or_(pc.is_in(own, other), same_text)


def letters(texts: pa.StringArray) -> pa.StringArray:
    """Returns the letters of each text by which duplicates are compared; all of it if it has none."""
    compared = dedup_text(texts)
    alone = pc.replace_substring_regex(compared, r"[^\pL\pM]+", "")
    return pc.if_else(pc.equal(alone, ""), compared, alone)


def split(posts: pa.Table, recipe: ScreenRecipe) -> tuple[pa.Table, pa.Table]:
    """Returns (posts to train on, posts held out), in the order of their hash, at most so many a source."""
    hashes_N = hash_texts(posts["text"].combine_chunks(), seed=SPLIT_SEED)
    posts = posts.take(pa.array(np.argsort(hashes_N, kind="stable")))
    held_out_N = np.sort(hashes_N) % HELD_OUT == 0
    train = _limited(posts.filter(pa.array(~held_out_N)), recipe, share=1 - 1 / HELD_OUT)
    return train, _limited(posts.filter(pa.array(held_out_N)), recipe, share=1 / HELD_OUT)


def _limited(posts: pa.Table, recipe: ScreenRecipe, *, share: float) -> pa.Table:
    """Returns the first posts of each source and label, or clean language: the recipe's most x share."""
    sources, langs = np.array(posts["source"].to_pylist()), np.array(posts["lang"].to_pylist())
    labels_N = posts["label"].to_numpy()
    keep_N = np.zeros(len(posts), np.bool_)
    for source in recipe.sources:
        own_N = sources == source.name
        groups_N = langs if source.as_clean else labels_N
        most = int((source.as_clean or recipe.most) * share)
        for group in np.unique(groups_N[own_N]):
            keep_N[np.flatnonzero(own_N & (groups_N == group))[:most]] = True
    return posts.filter(pa.array(keep_N))


def _of(posts: pa.Table, sources: Sequence[str]) -> pa.Table:
    return posts.filter(pc.is_in(posts["source"], pa.array(sources, pa.string())))


def train_screen(posts: pa.Table, recipe: ScreenRecipe, *, path: Path) -> Screen:
    """Fits a model, writes its file, and returns the screen of that file, not calibrated yet."""
    posts = _weighable(posts, recipe)
    sources, labels_N = np.array(posts["source"].to_pylist()), posts["label"].to_numpy()
    counts, usable_F = count_ngrams(posts["text"].combine_chunks())
    buckets_B = common_buckets(counts, usable_F, min_posts=recipe.min_posts)
    shape_NK = np.zeros((len(posts), 0))
    if recipe.shape:
        shape_NK = shape_features(text_features(posts["whole"].combine_chunks()))
    of = {ORDINARY: recipe.clean_weight, MADE: recipe.seeds_weight}
    weights_N = block_weights(sources, labels_N, of=of)
    ngrams = mean_ngrams(counts, buckets_B)
    fit = fit_logistic(
        ngrams, shape_NK, labels_N, weights_N, l2=recipe.l2, l2_shape=recipe.l2_shape
    )
    write_linear(
        path,
        buckets_B=buckets_B,
        weights_B=fit.ngrams_F[:-1],
        end_of_text=float(fit.ngrams_F[-1]),
        labels=(recipe.negative, recipe.positive),
    )
    classifier = FastTextClassifier(read_model(path))
    return Screen(classifier, recipe.positive, 1.0, fit.intercept, fit.shape_K)


def common_buckets(counts: sparse.csr_matrix, usable_F: Array, *, min_posts: int) -> Array:
    """Returns (B,) int64, ascending, the usable buckets that so many posts have an n-gram in."""
    posts_F = np.bincount(counts.indices, minlength=NUM_BUCKETS)
    return np.flatnonzero(usable_F & (posts_F >= min_posts))


def _weighable(posts: pa.Table, recipe: ScreenRecipe) -> pa.Table:
    """Returns the posts and the made ones, with all clean sources named as one."""
    clean = pc.is_in(posts["source"], pa.array(recipe.clean, pa.string()))
    at = posts.schema.get_field_index("source")
    named = posts.set_column(at, "source", pc.if_else(clean, ORDINARY, posts["source"]))
    common = common_posts(seed=SEEDS_SEED)
    rows = [(text, lang, ORDINARY, 0, text) for lang, texts in common.items() for text in texts]
    if recipe.seeds_weight:
        ordinary = {lang: list(texts) for lang, texts in common.items()}
        for row in posts.filter(clean).select(["lang", "text"]).to_pylist():
            ordinary.setdefault(row["lang"], []).append(row["text"])
        hostile = zip(*hostile_posts(ordinary, seed=SEEDS_SEED), strict=True)
        rows += [(text, lang, MADE, 1, text) for text, lang in hostile]
    made = pa.table(list(map(list, zip(*rows, strict=True))), schema=named.schema)
    return pa.concat_tables([named, made]).combine_chunks()


def calibrated_screen(screen: Screen, held_out: pa.Table) -> Screen:
    """Returns the screen with Platt's curve put over what it finds, fitted on posts held out."""
    labels_N = held_out["label"].to_numpy()
    logits_N = screen.logits(*figures.read_by(held_out))
    slope, intercept = measure.platt(labels_N, logits_N)
    shape_K = np.round(slope * screen.shape_K, 6)
    intercept = round(slope * screen.intercept + intercept, 6)
    return replace(
        screen, slope=round(slope * screen.slope, 6), intercept=intercept, shape_K=shape_K
    )


def default_threshold(recipe: ScreenRecipe, held_out: pa.Table, scores_N: Array) -> float:
    """Returns the smallest hundredth that spares good posts of labelled sources and ordinary ones alike."""
    labels_N = held_out["label"].to_numpy()
    clean_N = np.isin(np.array(held_out["source"].to_pylist()), recipe.clean)
    return max(
        measure.choose_threshold(labels_N[own_N], scores_N[own_N]) for own_N in (clean_N, ~clean_N)
    )


def make(recipe: ScreenRecipe, *, data: Path, folder: Path) -> Calibration:
    """Trains, calibrates and measures one model; writes NAME.ftz, NAME.json and NAME.md."""
    train, held_out = split(training_posts(recipe, data), recipe)
    path = folder / f"{recipe.name}.ftz"
    screen = calibrated_screen(train_screen(train, recipe, path=path), held_out)
    held_scores_N = screen.score(*figures.read_by(held_out))
    max_score = default_threshold(recipe, held_out, held_scores_N)
    test = read_posts(data, recipe.test_files)
    ordinary = read_posts(data, [figures.ORDINARY_FILE])
    firehose = read_posts(data, figures.firehose_files(recipe, data))
    calibration = Calibration(
        label=recipe.positive,
        sha256=screen.classifier.model.sha256,
        slope=screen.slope,
        intercept=screen.intercept,
        shape=dict(zip(SHAPE_NAMES, screen.shape_K.tolist(), strict=False)),
        max_score=max_score,
        figures={
            "bytes": path.stat().st_size,
            "rows": len(screen.classifier.model.kept_B),
            "trained_on": figures.counts(train),
            "held_out": figures.held_out(held_out, held_scores_N),
            "unseen": figures.unseen(recipe, screen, train, test, train_screen),
            "test": figures.by_source(recipe, screen, test, max_score=max_score),
            "thresholds": figures.thresholds(recipe, screen, test),
            "ordinary": figures.ordinary(recipe, screen, ordinary, max_score=max_score),
            "firehose": figures.firehose(screen, firehose, max_score=max_score),
        },
    )
    (folder / f"{recipe.name}.json").write_bytes(
        msgspec.json.format(msgspec.json.encode(calibration)) + b"\n"
    )
    (folder / f"{recipe.name}.md").write_text(card(recipe, calibration))
    return calibration


def main() -> None:
    """Makes the models named on the command line, or both."""
    parser = argparse.ArgumentParser(description="Makes the shipped spam and toxicity models.")
    parser.add_argument("--data", type=Path, required=True, help="folder of labelled posts")
    parser.add_argument("--only", choices=sorted(RECIPES), help="make this model alone")
    parser.add_argument("--output", type=Path, default=FOLDER, help="folder to write to")
    options = parser.parse_args()
    for name, recipe in RECIPES.items():
        if options.only in (None, name):
            calibration = make(recipe, data=options.data, folder=options.output)
            size, threshold = calibration.figures["bytes"], calibration.max_score
            print(f"{name}: {size:,} bytes, max_{name} = {threshold}, sha256 {calibration.sha256}")


if __name__ == "__main__":
    main()
