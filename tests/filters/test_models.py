"""The shipped models: their sources, how they are made, their cards, and figures that can be had again."""

import gzip
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from filters.models import measure, training
from filters.models.card import card
from filters.models.screen import FOLDER, build_screen, calibration, model_sha256
from filters.models.sources import ALLOWED_LICENCES, RECIPES, SPAM, TOXICITY, Recipe
from filters.normalize import normalize
from filters.text_views import classifier_text

NAMES = list(RECIPES)


def write_posts(path: Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with gzip.open(path, "wt") as lines:
        lines.writelines(json.dumps(row) + "\n" for row in rows)


def invented_data(folder: Path, recipe: Recipe) -> Path:
    """Writes posts of every source of a recipe, of one left out, and not one test file."""
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
    write_posts(folder / recipe.clean_file, clean)
    return folder


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=NAMES)
def test_only_free_licences_are_trained_on(recipe: Recipe) -> None:
    """Every source has a licence that allows any use; NC, share-alike and unstated ones are left out."""
    for source in recipe.sources:
        assert source.licence in ALLOWED_LICENCES, source.name
    for licence in ALLOWED_LICENCES:
        assert not re.search("NC|SA|ND|none|research", licence)
    assert not {s.name for s in recipe.sources} & set(recipe.left_out)


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=NAMES)
def test_no_test_file_is_read_for_training(recipe: Recipe, tmp_path: Path) -> None:
    """Posts for training come from training files, where no test file exists at all, and only from
    the listed sources; those taken as clean have label 0."""
    assert not set(recipe.test_files) & {*recipe.train_files, recipe.clean_file}
    assert not any("test" in file for file in (*recipe.train_files, recipe.clean_file))
    posts = training.training_posts(recipe, invented_data(tmp_path, recipe))
    assert set(posts["source"].to_pylist()) == {s.name for s in recipe.sources}
    clean = {s.name for s in recipe.sources if s.as_clean}
    labels = {row["label"] for row in posts.to_pylist() if row["source"] in clean}
    assert labels == {0}


def test_training_text_is_what_the_models_are_served(tmp_path: Path) -> None:
    """Text for training is normalised classifier text, as a batch gives it."""
    posts = training.training_posts(SPAM, invented_data(tmp_path, SPAM))
    raw = pa.array(["Post 0 of uci-sms &amp; http://a.org"])
    assert classifier_text(normalize(raw)).to_pylist() == ["post 0 of uci-sms &"]
    assert "post 0 of uci-sms &" in posts["text"].to_pylist()


def test_the_held_out_slice_shares_no_text_with_training(tmp_path: Path) -> None:
    """The split is by text, the same every time, about a tenth, and balanced as the recipe says."""
    recipe = TOXICITY._replace(most=40, ratio=0.5)
    posts = training.training_posts(recipe, invented_data(tmp_path, recipe))
    train, held_out = training.split(posts, recipe)
    again, _ = training.split(posts.take(pa.array(np.arange(len(posts))[::-1])), recipe)
    assert not set(train["text"].to_pylist()) & set(held_out["text"].to_pylist())
    assert train.to_pylist() == again.to_pylist()
    for source in recipe.sources:
        own = [row["label"] for row in train.to_pylist() if row["source"] == source.name]
        assert sum(own) <= 0.5 * (len(own) - sum(own))
        assert len(own) - sum(own) <= 36 if not source.as_clean else sum(own) == 0


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
    labels_N = (rng.random(20_000) < measure.calibrated(log_odds_N, 0.5, -1.0)).astype(int)
    slope, intercept = measure.platt(labels_N, log_odds_N)
    assert slope == pytest.approx(0.5, abs=0.03)
    assert intercept == pytest.approx(-1.0, abs=0.06)
    scores_N = measure.calibrated(log_odds_N, slope, intercept)
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


@pytest.mark.parametrize("name", NAMES)
def test_the_shipped_files_belong_together(name: str) -> None:
    """The model is the calibrated one, small, rising, and its card says what was measured."""
    known = calibration(name)
    path = FOLDER / f"{name}.ftz"
    assert model_sha256(name, None) == known.sha256
    assert path.stat().st_size == known.figures["bytes"] < 2_000_000
    assert known.slope > 0
    assert 0.5 <= known.max_score < 1
    assert (FOLDER / f"{name}.md").read_text() == card(RECIPES[name], known)
    assert set(known.figures["trained_on"]) == {s.name for s in RECIPES[name].sources}


@pytest.mark.real
@pytest.mark.parametrize("name", NAMES)
def test_the_card_s_figures_can_be_had_again(name: str, data: Path) -> None:
    """The shipped model on the test posts gives every figure of the card."""
    known = calibration(name)
    screen = build_screen(name, model=None)
    rows = training.test_figures(RECIPES[name], screen, data=data, max_score=known.max_score)
    assert rows == known.figures["test"]


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
