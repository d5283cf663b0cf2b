"""Small fastText models joined: each gets, bit for bit, what it gets alone, and only like ones are joined."""

from dataclasses import replace
from pathlib import Path

import hypothesis.strategies as st
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings

from sluice.filters.fasttext import hidden as fasttext_hidden
from sluice.filters.fasttext.classifier import FastTextClassifier, read_together
from sluice.filters.fasttext.hidden import hidden_layers
from sluice.filters.fasttext.join import MOST_COUNTED, ReadingPlan, most_rows, plan
from sluice.filters.fasttext.kernels.output import Hidden
from tests.filters.fasttext.model_files import Kind, write
from tests.filters.fasttext.oracle import TRAPS, classifier, column
from tests.strategies import text_arrays

END = ("</s>",)
SMALL = Kind(dim=1, words=END, minn=2, maxn=5, bucket=300, kept=120, quantised=True, seed=1)
LIKE = {
    "pruned": SMALL,
    "pruned otherwise": replace(SMALL, kept=40, seed=2),
    "other labels": replace(SMALL, kept=9, seed=3, labels=("good", "the", "bad")),
    "whole": replace(SMALL, kept=None, quantised=False, seed=4),
}
UNLIKE = {
    "other subwords": replace(SMALL, maxn=4),
    "shorter subwords": replace(SMALL, minn=1),
    "other buckets": replace(SMALL, bucket=301),
    "other words": replace(SMALL, words=("</s>", "the")),
    "no </s>": replace(SMALL, words=("the",)),
    "word pairs": replace(SMALL, word_ngrams=2),
    "no rows of buckets": replace(SMALL, kept=0),
    "two numbers": replace(SMALL, dim=2),
    "labels without prefix": replace(SMALL, prefix="", labels=("the", "free")),
}
ALL = {**LIKE, **UNLIKE}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A model file of every kind."""
    folder = tmp_path_factory.mktemp("small")
    return {name: write(folder / f"{i}.bin", kind) for i, (name, kind) in enumerate(ALL.items())}


def plan_of(machines: list[FastTextClassifier]) -> ReadingPlan:
    """Returns how models are read."""
    return plan([machine._input for machine in machines])


def joined(machines: list[FastTextClassifier]) -> list[tuple[int, ...]]:
    """Returns the places of the models of each reading."""
    return [tuple(m.place for m in reading.members) for reading in plan_of(machines).joined]


def alone(rows: pa.StringArray, machines: list[FastTextClassifier]) -> list[Hidden]:
    """Returns what each model makes of texts by itself."""
    return [read_together(rows, [machine])[0] for machine in machines]


def assert_same(got: Hidden, want: Hidden) -> None:
    """Asserts that two hidden layers are the same, bit for bit."""
    np.testing.assert_array_equal(got.num_rows_N, want.num_rows_N)
    np.testing.assert_array_equal(got.mean_NS.view(np.uint32), want.mean_NS.view(np.uint32))


@given(rows=text_arrays(), names=st.lists(st.sampled_from(list(ALL)), max_size=6))
@settings(max_examples=100)
def test_small_models_together_give_what_each_gives_alone(
    models: dict[str, Path], rows: pa.StringArray, names: list[str]
) -> None:
    """Whatever models stand side by side, like or unlike, each gets its own bits."""
    machines = [classifier(models[name]) for name in names]
    for got, want in zip(read_together(rows, machines), alone(rows, machines), strict=True):
        assert_same(got, want)


def test_joined_models_on_traps(models: dict[str, Path]) -> None:
    """Labels, line ends and broken bytes in texts mean to joined models what they mean to each alone."""
    rows = column([*TRAPS, b"__label__spam good __label__good the __label__bad free"])
    machines = [classifier(path) for path in models.values()]
    for got, want in zip(read_together(rows, machines), alone(rows, machines), strict=True):
        assert_same(got, want)


def test_like_models_are_joined_two_by_two(models: dict[str, Path]) -> None:
    """A vector has room for two models of one number; the order of the list does not matter."""
    assert joined([classifier(models[name]) for name in LIKE]) == [(0, 1), (2, 3)]
    apart = ("pruned", "other words", "whole")
    assert joined([classifier(models[name]) for name in apart]) == [(0, 2), (1,)]


@pytest.mark.parametrize("name", UNLIKE)
def test_unlike_models_are_read_apart(models: dict[str, Path], name: str) -> None:
    """One difference in what is looked up is enough."""
    assert joined([classifier(models["pruned"]), classifier(models[name])]) == [(0,), (1,)]


@given(rows=text_arrays())
@settings(max_examples=50)
def test_no_text_has_more_rows_than_the_bound(
    models: dict[str, Path], rows: pa.StringArray
) -> None:
    """What is counted in float32 is bounded by the bytes of a text."""
    machine = classifier(models["whole"])
    (hidden,) = read_together(rows, [machine])
    for text, num_rows in zip(rows.to_pylist(), hidden.num_rows_N.tolist(), strict=True):
        assert num_rows <= most_rows(len((text or "").encode()), machine._input.buckets)


def test_rows_beyond_what_a_float_counts(models: dict[str, Path]) -> None:
    """A text of more than 2^24 subwords is read by each model alone: a float32 would count no further."""
    rows = column([b"a" * (MOST_COUNTED // 4 + 100), b"the"])
    machines = [classifier(models[name]) for name in ("whole", "pruned")]
    together = read_together(rows, machines)
    assert together[0].num_rows_N[0] > MOST_COUNTED
    for got, want in zip(together, alone(rows, machines), strict=True):
        assert_same(got, want)


def test_short_texts_are_read_joined(
    monkeypatch: pytest.MonkeyPatch, models: dict[str, Path]
) -> None:
    """Only what does not fit a count is read alone, and both ways give the same bits."""
    rows = column([b"the free", b"", b"hello again"])
    found = plan_of([classifier(models[name]) for name in LIKE])
    first = hidden_layers(rows, found)
    assert fasttext_hidden._readings(found, np.array([0, 8, 8, 19], np.int32)) is found.joined
    monkeypatch.setattr(fasttext_hidden, "MOST_COUNTED", 10)
    assert fasttext_hidden._readings(found, np.array([0, 8, 8, 19], np.int32)) is found.alone
    for got, want in zip(hidden_layers(rows, found), first, strict=True):
        assert_same(got, want)
