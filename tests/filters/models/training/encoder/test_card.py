"""The encoder's card: each source is scored by an encoder that never saw it, and all figures stand in it."""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from sluice.filters.models.training import judgement_posts
from sluice.filters.models.training.encoder import card
from sluice.filters.models.training.encoder.card import SHIPPED, Score
from sluice.filters.models.training.encoder.examples import ORDINARY, Examples
from sluice.filters.models.training.encoder.sources import HEADS, SOURCES
from sluice.filters.models.training.judgement import Judged
from sluice.schemas.arrays import Array

FOLDS = tuple(SOURCES["toxicity"].folds)
LEVELS = {SHIPPED: 0.0, **{fold: (i + 1) / 4 for i, fold in enumerate(FOLDS)}}
"""What each encoder's scores lie above, so that a score tells whose it is."""


def constant(level: float) -> Score:
    def score(texts: pa.StringArray) -> Array:
        bad_N = np.array(["bad" in text for text in texts.to_pylist()])
        return np.stack([level + 0.2 * bad_N] * len(HEADS), axis=1)

    return score


def rows(head: str) -> Iterator[dict[str, object]]:
    """Twelve posts of a source of each fold and of one that is held."""
    names = [SOURCES[head].folds[fold][0] for fold in FOLDS] + [next(iter(SOURCES[head].held), "")]
    for name in filter(None, names):
        for i in range(12):
            text = f"{name} {head} number {i} is {'bad' if i % 2 else 'good'}"
            label = i % 2 if head != "quality" else 1 - i % 2
            yield {"text": text, "lang": "en", "source": name, "label": label}


@pytest.fixture(scope="module")
def posts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("posts")
    files = {
        judgement_posts.FILES[head][-1].replace("*", "some"): list(rows(head)) for head in HEADS
    }
    other = {"text": "of a source in no fold", "lang": "en", "source": "other", "label": 1}
    files |= {path: [other] for paths in judgement_posts.FILES.values() for path in paths[:-1]}
    ordinary = {"lang": "de", "source": "ordinary", "label": 0}
    files[judgement_posts.ORDINARY_FILE] = [
        ordinary | {"text": f"ein gewöhnlicher Satz {i}"} for i in range(120)
    ]
    for name, found in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        with gzip.open(folder / name, "wt") as file:
            file.writelines(json.dumps(row) + "\n" for row in found)
    return folder


@pytest.mark.parametrize("head", HEADS)
def test_a_source_is_scored_by_an_encoder_that_never_saw_it(posts: Path, head: str) -> None:
    """Sources of a fold by the fold's encoder, held ones by the one that ships; high is bad of all heads."""
    scores = {name: constant(level) for name, level in LEVELS.items()}
    found = card.unseen(posts, head, scores, most=100)
    by = {source: fold for fold in FOLDS for source in SOURCES[head].folds[fold]}
    for row, score in zip(found.posts.to_pylist(), found.scores_N.tolist(), strict=True):
        level = LEVELS[by.get(row["source"], SHIPPED)]
        want = level + (0.2 if "bad" in row["text"] else 0.0)
        assert score == pytest.approx(1 - want if head == "quality" else want)
        assert row["label"] == ("bad" in row["text"])
    assert len(found.posts) == len(list(rows(head)))


def test_sources_of_an_encoder_that_is_missing_are_left_out(posts: Path) -> None:
    """Only those of the folds that there are."""
    found = card.unseen(posts, "toxicity", {FOLDS[0]: constant(0.1)}, most=5)
    assert set(found.posts["source"].to_pylist()) == {SOURCES["toxicity"].folds[FOLDS[0]][0]}
    assert len(found.posts) == 5


def test_the_card_has_all_heads(posts: Path) -> None:
    """A row of the first table for each, and their tables below; JSON has the same figures."""
    scores = {name: constant(level) for name, level in LEVELS.items()}
    found = card.figures(posts, scores, max_scores={"toxicity": 0.9}, most=100)
    assert json.loads(json.dumps(found)) == found
    assert found["toxicity"]["max_score"] == 0.9
    assert found["spam"]["max_score"] == card.MAX_SCORE
    text = card.card(found)
    for head in HEADS:
        pooled = found[head]["summary"]["pooled"]
        assert f"| {head} | {pooled:.3f} |" in text
        assert f"## Sources never seen: encoder.{head}" in text
    assert "&#" not in text
    assert "| ordinary | de | 120 |" in text


def test_probabilities_are_the_logistic_function_of_a_line_a_head() -> None:
    """By hand, of two heads."""
    made = [(1.0, 0.0), (0.5, -1.0)]
    found_NH = card.probabilities(np.array([[0.0, 2.0], [np.log(3), 0.0]]), made)
    want_NH = [[0.5, 0.5], [0.75, 1 / (1 + np.e)]]
    np.testing.assert_allclose(found_NH, want_NH)


def test_a_threshold_spares_good_posts_of_sources_and_ordinary_ones() -> None:
    """The larger of the two hundredths; posts that a head has no label of have no part in it."""
    labels_NH = np.full((300, len(HEADS)), 0.03, np.float32)
    labels_NH[250:, 0] = 0.97
    labels_NH[:50, 1] = np.nan
    scores_NH = np.zeros((300, len(HEADS)))
    scores_NH[:10, 0], scores_NH[150:155, 0], scores_NH[250:, 0] = 0.605, 0.755, 0.99
    scores_NH[:50, 1] = 0.95
    found = Examples(
        pa.array([""] * 300),
        labels_NH,
        np.repeat([0, 1, 1], 100),
        np.full(300, 1 / 300),
        (ORDINARY, "toxicity:a"),
        np.array([False, True]),
    )
    assert card.chosen(found, scores_NH) == {"toxicity": 0.76, "spam": 0.5}


def test_collections_of_hate_are_not_ordinary() -> None:
    """Those that a head is trained on, those that are held, and those of the screens; ordinary ones are."""
    names = card.not_ordinary()
    assert {"hasoc2019-hi", "vk-toxicity", "germeval2018", "crypto-tweets"} <= names
    assert not {"xlm-t", "liga", "nusax"} & names


def test_quality_is_turned_around_once() -> None:
    """Scores and labels both; those of the other heads stay."""
    judged = Judged(pa.table({"label": [0.25, 1.0]}), np.array([0.1, 0.7]))
    quality = card.turned(judged, "quality")
    assert quality.scores_N.tolist() == [0.9, 0.3]
    assert quality.posts["label"].to_pylist() == [0.75, 0.0]
    assert card.turned(judged, "spam") is judged
