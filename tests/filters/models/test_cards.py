"""The shipped screens: what they learn from, their cards, and figures that can be had again."""

import gzip
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit

from sluice.filters.models.training import judgement, judgement_posts, measure, screen_figures
from sluice.filters.models.training.encoder import card as encoder_card
from sluice.filters.models.training.encoder.posts import labelled, read
from sluice.filters.models.training.encoder.sources import HEADS, SOURCES
from sluice.filters.models.training.hashed import SHAPED
from sluice.filters.models.training.screen_card import card
from sluice.filters.models.training.screen_sources import ALLOWED_LICENCES, ORDINARY
from sluice.filters.screens.hashed import HashedScreen
from sluice.filters.screens.screen import (
    FOLDER,
    TABLE,
    build_screen,
    calibration,
    model_sha256,
)
from sluice.filters.screens.shape import SHAPE_NAMES

REJECTING = ("toxicity", "spam")
"""The screens with a default threshold."""


def screen_of(name: str) -> HashedScreen:
    found = build_screen(name, model=None)
    assert isinstance(found, HashedScreen)
    return found


def write_posts(path: Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with gzip.open(path, "wt") as lines:
        lines.writelines(json.dumps(row) + "\n" for row in rows)


def invented_data(folder: Path, tested: list[dict[str, Any]]) -> Path:
    """Writes posts of every source of spam, and a test file."""
    rows = [
        {
            "text": f"Post {i} of {s.name}! http://a.org",
            "label": i % 2,
            "lang": "en",
            "source": s.name,
        }
        for s in SOURCES["spam"].sources
        for i in range(20)
    ]
    write_posts(folder / "spam" / "train.jsonl.gz", rows)
    other = {"text": "unlike them", "label": 0, "lang": "en", "source": "another"}
    for file in ("spam/x_train.jsonl.gz", "spam_more/more.jsonl.gz", "spam/x_test.jsonl.gz"):
        write_posts(folder / file, [other])
    write_posts(folder / "spam" / "test.jsonl.gz", [*tested, other])
    return folder


@pytest.mark.parametrize("head", ORDINARY)
def test_only_free_licences_are_read(head: str) -> None:
    """Every source has a licence that allows any use; NC, share-alike and unstated ones are left out."""
    for source in (*ORDINARY[head].sources, *SOURCES[head].sources):
        assert source.licence in ALLOWED_LICENCES, source.name
    for licence in ALLOWED_LICENCES:
        assert not re.search("NC|SA|ND|none|research", licence)
    assert not {s.name for s in ORDINARY[head].sources} & set(SOURCES[head].held)


def test_a_training_post_with_the_letters_of_a_test_post_is_left_out(tmp_path: Path) -> None:
    """Whatever the test post's label: all that training takes from a test file is what to leave out."""
    before = labelled(invented_data(tmp_path, []), "spam")
    for label in (0, 1):
        tested = {"text": "@bob POST 7, of uci-sms!", "label": label, "lang": "en", "source": "x"}
        after = labelled(invented_data(tmp_path, [tested]), "spam")
        gone = before.filter(pc.invert(pc.is_in(before["text"], after["text"])))
        # the digits are no letters: all posts of the source have those of the test post
        assert set(gone["source"].to_pylist()) == {"uci-sms"}
        assert len(after) == len(before) - len(gone)


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


@pytest.mark.parametrize("name", HEADS)
def test_the_shipped_files_belong_together(name: str) -> None:
    """The table is the calibrated one, small, rising, and its card says what was measured."""
    known, path = calibration(name), FOLDER / TABLE
    assert model_sha256(None) == known.sha256
    assert path.stat().st_size == known.figures["bytes"] < 5_000_000
    assert known.slope > 0
    assert (known.max_score is not None) == (name in REJECTING)
    assert known.max_score is None or 0.5 <= known.max_score < 1
    assert (FOLDER / f"{name}.md").read_text() == card(name, known)
    assert set(known.figures["trained_on"]) <= {s.name for s in SOURCES[name].sources}
    assert tuple(known.shape) == (SHAPE_NAMES if name in SHAPED else ())


@pytest.mark.parametrize("name", HEADS)
def test_every_table_of_the_card_says_what_was_measured(name: str) -> None:
    """A row of the card for each row of the figures, with the AUC in it to three places."""
    known = calibration(name)
    text = (FOLDER / f"{name}.md").read_text()
    for row in known.figures["judged"]["sources"]:
        start = f"| {row['source']} | {row['lang']} | {row['posts']:,} |"
        (line,) = [line for line in text.splitlines() if line.startswith(start)][:1]
        assert row["auc"] is None or f"| {row['auc']:.3f} |" in line
    for row in known.figures["judged"]["ordinary"]:
        assert (
            f"| {row['source']} | {row['lang']} | {row['posts']:,} | {row['rejected']:.3f} |"
            in text
        )
    for source in known.figures["trained_on"]:
        assert f"| {source} | " in text


@pytest.mark.real
@pytest.mark.parametrize("name", REJECTING)
def test_the_card_s_figures_can_be_had_again(name: str, data: Path) -> None:
    """The shipped screen on the test posts gives every figure of the card."""
    known, screen = calibration(name), screen_of(name)
    assert known.max_score is not None
    test = read(data, SOURCES[name].test_files)
    rows = screen_figures.by_source(name, screen, test, max_score=known.max_score)
    assert rows == known.figures["test"]
    assert screen_figures.thresholds(name, screen, test) == known.figures["thresholds"]


@pytest.mark.real
@pytest.mark.parametrize("name", HEADS)
def test_sources_never_seen_are_ranked_as_the_card_says(name: str, data: Path) -> None:
    """The shipped screen has the stated AUC on posts of the sources that nothing is trained on."""
    known, screen = calibration(name), screen_of(name)
    seen = [source.name for source in SOURCES[name].sources]
    posts = judgement_posts.unseen(data, name, seen=seen)
    scores_N = screen_figures.scores(screen, posts["text"].combine_chunks())
    judged = encoder_card.turned(judgement.Judged(posts, scores_N.astype(np.float64)), name)
    rows = {row["source"]: row for row in known.figures["judged"]["sources"]}
    most = encoder_card.MAX_SCORE if known.max_score is None else known.max_score
    found = judgement.by_source(judged, max_score=most)
    assert found
    for row in found:
        if row["source"] in SOURCES[name].held:
            assert rows[row["source"]]["auc"] == pytest.approx(row["auc"], abs=2e-4)
        assert row["source"] not in known.figures["trained_on"]


@pytest.mark.real
def test_licences_are_those_of_the_data(data: Path) -> None:
    """Each ordinary source stands in the tables of the data with the licence that it is listed with here."""
    tables = "".join((data / f).read_text() for f in ("README.md", "spam/X.md", "langid/TRAIN.md"))
    for source in (s for known in ORDINARY.values() for s in known.sources):
        lines = [line for line in tables.splitlines() if line.startswith(f"| `{source.name}`")]
        assert any(source.licence in line for line in lines), source.name
        assert not any("-NC" in line or "-SA" in line for line in lines), source.name
