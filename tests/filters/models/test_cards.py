"""The shipped models: their sources, how they are made, their cards, and figures that can be had again."""

import gzip
import json
import re
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit

from sluice.filters.models.training import measure, screen_figures, screens
from sluice.filters.models.training.screen_card import card
from sluice.filters.models.training.screen_sources import (
    ALLOWED_LICENCES,
    RECIPES,
    ScreenRecipe,
)
from sluice.filters.screens.screen import FOLDER, build_screen, calibration, model_sha256
from sluice.filters.screens.shape import SHAPE_NAMES
from sluice.filters.text.normalize import normalize
from sluice.filters.text.views import classifier_text

NAMES = list(RECIPES)
SPAM = RECIPES["spam"]
TEST_POSTS = [
    {"text": f"words of a {what} test post", "label": i % 2, "lang": "en", "source": "uci-sms"}
    for i, what in enumerate(("first", "second", "third"))
]


def write_posts(path: Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with gzip.open(path, "wt") as lines:
        lines.writelines(json.dumps(row) + "\n" for row in rows)


def invented_data(folder: Path, recipe: ScreenRecipe) -> Path:
    """Writes posts of every source of a recipe, of those left out, and a test file with posts of its own."""
    rows, clean = [], []
    for source in [*recipe.sources, *recipe.left_out]:
        name = getattr(source, "name", source)
        own = [
            {
                "text": f"Post {i} of {name} &amp; http://a.org",
                "label": i % 2,
                "lang": "en",
                "source": name,
            }
            for i in range(60)
        ]
        (clean if getattr(source, "as_clean", 0) else rows).extend(own)
    for at, file in enumerate(recipe.train_files):
        write_posts(folder / file, rows[at :: len(recipe.train_files)])
    for at, file in enumerate(recipe.clean_files):
        write_posts(folder / file, clean[at :: len(recipe.clean_files)])
    for file in recipe.test_files:
        write_posts(folder / file, TEST_POSTS)
    return folder


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=NAMES)
def test_only_free_licences_are_trained_on(recipe: ScreenRecipe) -> None:
    """Every source has a licence that allows any use; NC, share-alike and unstated ones are left out."""
    for source in recipe.sources:
        assert source.licence in ALLOWED_LICENCES, source.name
    for licence in ALLOWED_LICENCES:
        assert not re.search("NC|SA|ND|none|research", licence)
    assert not {s.name for s in recipe.sources} & set(recipe.left_out)


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=NAMES)
def test_training_posts_are_those_of_the_listed_sources(
    recipe: ScreenRecipe, tmp_path: Path
) -> None:
    """Posts for training come from training files and listed sources; those taken as clean have label 0."""
    assert not set(recipe.test_files) & {*recipe.train_files, *recipe.clean_files}
    assert not any("test" in file for file in (*recipe.train_files, *recipe.clean_files))
    posts = screens.training_posts(recipe, invented_data(tmp_path, recipe))
    assert set(posts["source"].to_pylist()) == {s.name for s in recipe.sources}
    clean = set(recipe.clean)
    labels = {row["label"] for row in posts.to_pylist() if row["source"] in clean}
    assert labels == {0}
    assert not {row["text"] for row in TEST_POSTS} & set(posts["text"].to_pylist())


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=NAMES)
def test_a_training_post_with_the_letters_of_a_test_post_is_left_out(
    recipe: ScreenRecipe, tmp_path: Path
) -> None:
    """Whatever the test post's label: all that training takes from a test file is what to leave out."""
    folder = invented_data(tmp_path, recipe)
    before = screens.training_posts(recipe, folder)
    name = recipe.sources[0].name
    for label in (0, 1):
        rows = [{"text": f"@bob POST 7, of {name}!", "label": label, "lang": "en", "source": "x"}]
        write_posts(folder / recipe.test_files[0], rows)
        after = screens.training_posts(recipe, folder)
        gone = before.filter(pc.invert(pc.is_in(before["text"], after["text"])))
        assert {row["source"] for row in gone.to_pylist()} == {name}
        assert f"post 7 of {name} &" in gone["text"].to_pylist()
        assert len(after) == len(before) - len(gone)


def test_a_model_is_the_same_whatever_the_labels_of_the_test_files(tmp_path: Path) -> None:
    """Trained twice, once with the test labels turned round: the same bytes."""
    files = []
    for turn in (0, 1):
        folder = invented_data(tmp_path / str(turn), SPAM)
        for file in SPAM.test_files:
            rows = [{**row, "label": row["label"] ^ turn} for row in TEST_POSTS]
            write_posts(folder / file, rows)
        train, _ = screens.split(screens.training_posts(SPAM, folder), SPAM)
        path = folder / "model.ftz"
        screens.train_screen(train, SPAM, path=path)
        files.append(path.read_bytes())
    assert files[0] == files[1]


def test_training_text_is_what_the_models_are_served(tmp_path: Path) -> None:
    """Text for training is normalised classifier text, as a batch gives it."""
    posts = screens.training_posts(SPAM, invented_data(tmp_path, SPAM))
    raw = pa.array(["Post 0 of uci-sms &amp; http://a.org"])
    assert classifier_text(normalize(raw)).to_pylist() == ["post 0 of uci-sms &"]
    assert "post 0 of uci-sms &" in posts["text"].to_pylist()


def test_the_held_out_slice_shares_no_text_with_training(tmp_path: Path) -> None:
    """The split is by text, the same every time, about a tenth, and limited as the recipe says."""
    recipe = msgspec.structs.replace(RECIPES["toxicity"], most=20)
    posts = screens.training_posts(recipe, invented_data(tmp_path, recipe))
    train, held_out = screens.split(posts, recipe)
    again, _ = screens.split(posts.take(pa.array(np.arange(len(posts))[::-1])), recipe)
    assert not set(train["text"].to_pylist()) & set(held_out["text"].to_pylist())
    assert train.to_pylist() == again.to_pylist()
    assert len(held_out)
    for source in recipe.sources:
        own = [row["label"] for row in train.to_pylist() if row["source"] == source.name]
        assert len(own) - sum(own) <= (source.as_clean or 18)
        assert sum(own) <= (0 if source.as_clean else 18)


@given(
    st.lists(st.tuples(st.integers(0, 1), st.integers(0, 6)), min_size=1, max_size=40),
)
def test_auc_counts_pairs(pairs: list[tuple[int, int]]) -> None:
    """The AUC is the share of (bad, good) pairs in the right order, ties counting half."""
    labels_N, scores_N = (np.array(column) for column in zip(*pairs, strict=True))
    bad, good = scores_N[labels_N == 1], scores_N[labels_N == 0]
    if not len(bad) or not len(good):
        assert measure.auc(labels_N, scores_N) is None
        return
    wins = (bad[:, None] > good[None]).mean() + (bad[:, None] == good[None]).mean() / 2
    assert measure.auc(labels_N, scores_N) == pytest.approx(wins)


def test_errors_at_a_threshold_are_counted() -> None:
    """Precision, recall, F1 and false alarms of a table small enough to count by hand."""
    labels_N, scores_N = np.array([1, 1, 1, 0, 0, 0]), np.array([0.9, 0.8, 0.1, 0.9, 0.5, 0.2])
    found = measure.at_threshold(labels_N, scores_N, 0.5)
    assert found == (2 / 3, 2 / 3, 2 / 3, 1 / 3)
    nobody = measure.at_threshold(labels_N[:0], scores_N[:0], 0.5)
    assert nobody == (None, None, None, None)


def test_platt_finds_the_curve_that_labels_were_drawn_from() -> None:
    """Labels drawn with slope 0.5 and intercept -1 give these back, within their error."""
    rng = np.random.default_rng(1)
    log_odds_N = rng.normal(scale=3, size=20_000)
    labels_N = (rng.random(20_000) < expit(0.5 * log_odds_N - 1.0)).astype(int)
    slope, intercept = measure.platt(labels_N, log_odds_N)
    assert slope == pytest.approx(0.5, abs=0.03)
    assert intercept == pytest.approx(-1.0, abs=0.06)
    scores_N = expit(slope * log_odds_N + intercept)
    assert measure.calibration_error(labels_N, scores_N) < 0.015


def test_a_curve_that_turns_the_order_around_is_refused() -> None:
    """A model that ranks worse than chance is no model: calibration says so."""
    log_odds_N = np.linspace(-4, 4, 100)
    with pytest.raises(ValueError, match="turns the order of texts around"):
        measure.platt((log_odds_N < 0).astype(int), log_odds_N)


def test_the_threshold_spares_good_posts() -> None:
    """It is the smallest hundredth, from 0.5 up, with at most 1% of the good posts above it."""
    scores_N = np.concatenate([np.full(98, 0.1), [0.701, 0.801], np.full(50, 0.99)])
    labels_N = np.array([0] * 100 + [1] * 50)
    assert measure.choose_threshold(labels_N, scores_N) == 0.71
    assert measure.choose_threshold(labels_N * 0, scores_N) == 0.99


@given(
    rows=st.lists(st.tuples(st.integers(0, 1), st.integers(0, 8)), min_size=1, max_size=30),
    least=st.sampled_from((0.3, 0.5, 0.9, 1.0)),
    name=st.sampled_from(("precision", "recall")),
)
def test_a_threshold_reaches_what_is_wanted_of_it(
    rows: list[tuple[int, int]], least: float, name: str
) -> None:
    """Among all thresholds with so much precision the most is found, or with so much recall the least."""
    labels_N, scores_N = (np.array(column) for column in zip(*rows, strict=True))
    scores_N = (scores_N + 1) / 10
    if not labels_N.any():
        return
    found = measure.thresholds_for(labels_N, scores_N, measure=name, least=least)
    good = []
    for threshold in (0.0, *np.unique(scores_N)[:-1]):
        errors = measure.at_threshold(labels_N, scores_N, threshold)
        if (getattr(errors, name) or 0) >= least:
            good.append(int((scores_N > threshold).sum()))
    if found is None:
        assert not good
    else:
        rejected = int((scores_N > found).sum())
        assert rejected == (max(good) if name == "precision" else min(good))


@pytest.mark.parametrize("name", NAMES)
def test_the_shipped_files_belong_together(name: str) -> None:
    """The model is the calibrated one, small, rising, and its card says what was measured."""
    known = calibration(name)
    path = FOLDER / f"{name}.ftz"
    assert model_sha256(name, None) == known.sha256
    assert path.stat().st_size == known.figures["bytes"] < 3_000_000
    assert known.slope > 0
    assert 0.5 <= known.max_score < 1
    assert (FOLDER / f"{name}.md").read_text() == card(RECIPES[name], known)
    assert set(known.figures["trained_on"]) == {s.name for s in RECIPES[name].sources}
    assert tuple(known.shape) == (SHAPE_NAMES if RECIPES[name].shape else ())


@pytest.mark.parametrize("name", NAMES)
def test_every_table_of_the_card_says_what_was_measured(name: str) -> None:
    """A row of the card for each row of the figures, with the AUC in it to three places."""
    known = calibration(name)
    text = (FOLDER / f"{name}.md").read_text()
    for row in known.figures["unseen"]:
        assert f"| {row['source']} | {row['lang']} | {row['posts']:,} | {row['auc']:.3f} |" in text
    for row in known.figures["ordinary"]:
        assert (
            f"| {row['source']} | {row['lang']} | {row['posts']:,} | {row['rejected']:.3f} |"
            in text
        )
    for source in RECIPES[name].sources:
        assert f"| {source.name} | {source.licence} |" in text
    tested = {row["source"] for row in known.figures["test"]}
    assert {row["source"] for row in known.figures["unseen"]} == tested


@pytest.mark.real
@pytest.mark.parametrize("name", NAMES)
def test_the_card_s_figures_can_be_had_again(name: str, data: Path) -> None:
    """The shipped model on the test posts gives every figure of the card."""
    known, recipe = calibration(name), RECIPES[name]
    screen = build_screen(name, model=None)
    test = screens.read_posts(data, recipe.test_files)
    rows = screen_figures.by_source(recipe, screen, test, max_score=known.max_score)
    assert rows == known.figures["test"]
    assert screen_figures.thresholds(recipe, screen, test) == known.figures["thresholds"]


@pytest.mark.real
@pytest.mark.parametrize("name", NAMES)
def test_sources_never_seen_are_ranked_as_the_card_says(name: str, data: Path) -> None:
    """The shipped model has the stated AUC on the test posts of sources that it is not trained on."""
    known, screen = calibration(name), build_screen(name, model=None)
    test = screens.read_posts(data, RECIPES[name].test_files)
    rows = [row for row in known.figures["unseen"] if not row["trained_on"]]
    assert rows
    for row in rows:
        own = test.filter(pc.equal(test["source"], row["source"]))
        scores_N = screen.score(*screen_figures.read_by(own))
        found = measure.auc(own["label"].to_numpy(), scores_N)
        assert found == pytest.approx(row["auc"], abs=5e-5)
        assert row["source"] not in known.figures["trained_on"]


@pytest.mark.real
@pytest.mark.parametrize("name", NAMES)
def test_no_test_text_is_trained_on(name: str, data: Path) -> None:
    """What training takes from the real files holds no post with the letters of a test post."""
    recipe = RECIPES[name]
    posts = screens.training_posts(recipe, data)
    test = screens.read_posts(data, recipe.test_files)
    trained, tested = (
        set(screens.letters(p["whole"].combine_chunks()).to_pylist()) for p in (posts, test)
    )
    assert len(trained & tested) == 0  # a count, so that a failure prints no post
    assert len(set(posts["text"].to_pylist()) & set(test["text"].to_pylist())) == 0


@pytest.mark.real
@pytest.mark.parametrize("name", NAMES)
def test_licences_are_those_of_the_data(name: str, data: Path) -> None:
    """Each source stands in the tables of the data with the licence that it is listed with here."""
    tables = "".join((data / f).read_text() for f in ("README.md", "spam/X.md", "langid/TRAIN.md"))
    for source in RECIPES[name].sources:
        lines = [line for line in tables.splitlines() if line.startswith(f"| `{source.name}`")]
        licence = "CC BY" if source.name == "offenseval2020-tr" else source.licence
        assert any(licence in line for line in lines), source.name
        assert not any("-NC" in line or "-SA" in line for line in lines), source.name
