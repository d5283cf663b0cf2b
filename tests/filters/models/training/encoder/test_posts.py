"""Which posts the encoder learns from, and how they are put in batches."""

from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.filters.models.training.encoder import posts
from sluice.filters.models.training.encoder.examples import POWER, examples, source_weights
from sluice.filters.models.training.encoder.posts import Pieces, batches, padded
from sluice.filters.models.training.encoder.sources import HEADS, SOURCES, Head
from sluice.filters.models.training.encoder.teach import texts
from sluice.filters.text.views import classifier_text

HEAD = {
    "files": ["a"], "test_files": [], "most": 1, "sources": [["x", "MIT", "here"]], "held": {},
    "folds": {"a": ["x"]},
}  # fmt: skip


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (
            {"sources": [["x", "CC BY-SA 4.0", "here"]]},
            "x: licence 'CC BY-SA 4.0' does not allow training",
        ),
        ({"held": {"x": "a test"}}, "both used and held: x"),
        ({"folds": {"a": []}}, "the folds must hold each source once"),
        ({"folds": {"a": ["x"], "b": ["x"]}}, "the folds must hold each source once"),
    ],
)
def test_sources_that_do_not_fit_are_refused(changed: dict[str, object], said: str) -> None:
    """A licence that forbids it, a source on both sides, or folds that do not hold each once."""
    msgspec.convert(HEAD, Head)
    with pytest.raises(msgspec.ValidationError, match=said):
        msgspec.convert(HEAD | changed, Head)


@given(st.lists(st.integers(1, 40), min_size=1, max_size=60), st.integers(1, 200))
def test_batches_hold_each_row_once_and_are_not_too_large(lengths: list[int], most: int) -> None:
    """Rows are of like lengths: sorted over all batches; only a text that is too long alone is larger."""
    lengths_N = np.array(lengths)
    found = list(batches(lengths_N, np.arange(len(lengths)), pieces=most))
    assert sorted(np.concatenate(found).tolist()) == list(range(len(lengths)))
    assert all(len(b) == 1 or len(b) * lengths_N[b].max() <= most for b in found)
    flat = lengths_N[np.concatenate(found)]
    assert (np.diff(flat) >= 0).all()


def test_texts_are_padded_on_the_right() -> None:
    """Row i has the pieces of its text, then the piece that stands for none."""
    pieces = Pieces(np.array([5, 6, 7, 8, 9], np.uint16), np.array([0, 2, 2 + 3]))
    ids_BT, lengths_B = padded(pieces, np.array([1, 0]))
    assert ids_BT.tolist() == [[7, 8, 9], [5, 6, 1]]
    assert lengths_B.tolist() == [3, 2]


def test_a_source_weighs_by_a_power_of_its_size_and_its_labels_the_same() -> None:
    """Of three sources, one with one label alone."""
    names = np.array(["a"] * 4 + ["b"] * 2 + ["c"] * 3)
    bad_N = np.array([1, 0, 0, 0, 1, 0, 1, 1, 1], bool)
    weights_N = source_weights(names, bad_N)
    assert weights_N[0] == pytest.approx(weights_N[1:4].sum())
    assert weights_N[:4].sum() / 2 == pytest.approx(4**POWER)
    assert weights_N[6:].sum() == pytest.approx(3**POWER)


@pytest.mark.real
def test_an_encoder_of_a_fold_learns_nothing_of_its_sources(data: Path) -> None:
    """Nor of any that is held; what is held out and what is not share no text; weights sum to 1."""
    whole, fold = examples(data, fold=None), examples(data, fold="a")
    for head in HEADS:
        out = {f"{head}:{name}" for name in SOURCES[head].folds["a"]}
        assert not out & set(fold.sources)
        assert out <= set(whole.sources)
        assert not {f"{head}:{name}" for name in SOURCES[head].held} & set(whole.sources)
    assert whole.weight_N.sum() == pytest.approx(1)
    held_out = examples(data, fold=None, held_out=True)
    assert 0.08 < len(held_out.texts) / len(whole.texts) < 0.14


@pytest.mark.real
def test_no_text_of_a_test_is_learnt_or_scored_for_the_screens(data: Path) -> None:
    """By what models read of it."""
    scored = set(classifier_text(texts(data)["text"].combine_chunks()).to_pylist())
    for head in HEADS:
        learnt = posts.labelled(data, head)["text"].combine_chunks()
        tested = set(classifier_text(posts.tests(data, head)["text"].combine_chunks()).to_pylist())
        assert not tested & set(classifier_text(learnt).to_pylist())
        assert not tested & scored
