"""The best k labels and all probabilities of fastText models, against the fastText library."""

import gzip
import itertools
import json
from pathlib import Path

import hypothesis.strategies as st
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings

from sluice.filters.fasttext.kernels.output import SOFTMAX, Hidden, Output, fill_all
from sluice.filters.fasttext.layout import fixed, integers
from tests.filters.fasttext.oracle import (
    KINDS,
    SHIPPED,
    TRAPS,
    assert_row_like_library,
    by_library,
    classifier,
    column,
    write_models,
)

ROWS = (*TRAPS, b"the free a", "free 日本語 привет x".encode(), b"spam ham and more of it", b"a")
EPSILON = 1e-5  # what the library adds to a probability before it lists it
LINES = st.text(st.sampled_from("the fra日本語привет x"), max_size=30).map(str.encode)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The shipped models, and a model file of every kind."""
    return write_models(tmp_path_factory.mktemp("models"))


@pytest.mark.parametrize("threshold", [0.0, 0.02, 0.3, 1.0])
@pytest.mark.parametrize("name", [*SHIPPED, *KINDS])
def test_the_best_labels_are_the_library_s(
    name: str, threshold: float, models: dict[str, Path]
) -> None:
    """For every kind of model, k from 1 to more than there are; equal ones stand in the same order."""
    machine = classifier(models[name])
    for k in (1, 2, 3, 5, 8, 40):
        found = machine.predict_top(column(ROWS), k=k, threshold=threshold)
        assert_row_like_library(machine, models[name], ROWS, *found, threshold=threshold)


@given(
    rows=st.lists(LINES, max_size=5),
    k=st.integers(1, 45),
    threshold=st.floats(0, 1, width=32),
    name=st.sampled_from([*SHIPPED, *KINDS]),
)
@settings(max_examples=150)
def test_any_k_and_threshold_give_what_the_library_gives(
    models: dict[str, Path], rows: list[bytes], k: int, threshold: float, name: str
) -> None:
    """Whatever is asked, of whatever model."""
    machine = classifier(models[name])
    found = machine.predict_top(column(rows), k=k, threshold=threshold)
    assert_row_like_library(machine, models[name], rows, *found, threshold=threshold)


@given(rows=st.lists(LINES, max_size=5), name=st.sampled_from([*SHIPPED, *KINDS]))
def test_the_best_of_one_is_the_best(models: dict[str, Path], rows: list[bytes], name: str) -> None:
    """`predict` takes short cuts that `predict_top` does not; bit for bit they agree."""
    machine = classifier(models[name])
    label_N, probability_N = machine.predict(column(rows))
    label_N1, probability_N1 = machine.predict_top(column(rows), k=1)
    np.testing.assert_array_equal(label_N, label_N1[:, 0])
    np.testing.assert_array_equal(probability_N, probability_N1[:, 0])


@pytest.mark.parametrize("name", [*SHIPPED, *KINDS])
def test_all_probabilities_are_what_the_library_lists(name: str, models: dict[str, Path]) -> None:
    """Label for label, but for what the library adds; those of a softmax or a tree sum to 1."""
    machine = classifier(models[name])
    probability_NL = machine.probabilities(column(ROWS))
    assert probability_NL.shape == (len(ROWS), len(machine.labels))
    assert probability_NL.dtype == np.float32
    is_tree = machine.model.loss == "hs"
    for probability_L, found in zip(
        probability_NL, by_library(models[name], ROWS, k=-1), strict=True
    ):
        listed = {label: p for p, label in found}
        names = [label_name.decode() for label_name in machine.model.label_names]
        # a tree's rare leaves are left out, and each of their turns has EPSILON added
        want_L = np.array([listed.get(n, 0.0) for n in names]) - (EPSILON if listed else 0.0)
        atol = 20 * EPSILON if is_tree else 1e-6
        np.testing.assert_allclose(probability_L, want_L, rtol=0, atol=atol)
        if listed and machine.model.loss in ("hs", "softmax"):
            assert abs(probability_L.sum(dtype=np.float64) - 1) < 1e-5


def test_of_nothing_there_is_nothing(models: dict[str, Path]) -> None:
    """A text of which a model knows nothing has no label and no probability, and so has no text."""
    machine = classifier(models["softmax, no </s>"])
    nothing = pa.array(["__label__x", "", None], pa.string())
    label_NK, probability_NK = machine.predict_top(nothing, k=2)
    assert (label_NK == -1).all()
    assert (probability_NK == 0).all()
    assert (machine.probabilities(nothing) == 0).all()
    empty = pa.array([], pa.string())
    assert [a.shape for a in machine.predict_top(empty, k=2)] == [(0, 2), (0, 2)]
    assert machine.probabilities(empty).shape == (0, 2)


@pytest.mark.parametrize("k", [0, -1])
def test_no_labels_cannot_be_asked_for(k: int) -> None:
    """The error says what k must be."""
    with pytest.raises(ValueError, match=rf"k must be at least 1, is {k}"):
        classifier(SHIPPED["short"]).predict_top(pa.array(["x"]), k=k)


@pytest.mark.real
@pytest.mark.parametrize("name", SHIPPED)
def test_the_best_labels_of_real_posts_are_the_library_s(name: str, data: Path) -> None:
    """3,000 posts of the firehose, the best 3 labels of each, and not one differs."""
    with gzip.open(data / "firehose" / "part-05.jsonl.gz", "rt") as lines:
        rows = [
            json.loads(row)["text"].replace("\n", " ").encode()
            for row in itertools.islice(lines, 3_000)
        ]
    machine = classifier(SHIPPED[name])
    assert_row_like_library(machine, SHIPPED[name], rows, *machine.predict_top(column(rows), k=3))


@given(
    output_L=st.lists(
        st.floats(-1e4, 1e4, width=32) | st.floats(-20, 20, width=32), min_size=1, max_size=40
    )
)
@settings(max_examples=150)
def test_softmax_is_numpy_s(output_L: list[float]) -> None:
    """Exponentials in vectors, rounded to float32, are NumPy's of float64, also where they vanish."""
    product_L = np.array(output_L, np.float32)
    output = Output(
        loss=SOFTMAX,
        rows_LD=fixed(product_L[:, None]),
        columns_DL=fixed(product_L[None]),
        norms_L=fixed(np.ones(len(output_L), np.float32)),
        left_T=integers([]),
        right_T=integers([]),
        sigmoid=fixed(np.zeros(0, np.float32)),
    )
    got_NL = np.empty((1, len(output_L)), np.float32)
    fill_all(Hidden(np.ones((1, 4), np.float32), np.ones(1, np.int64)), output, got_NL)
    below_L = (product_L - product_L.max()).astype(np.float64)
    exponential_L = np.exp(below_L).astype(np.float32)
    total = np.cumsum(exponential_L, dtype=np.float32)[-1]  # one after the other
    np.testing.assert_array_max_ulp(got_NL[0], exponential_L / total, maxulp=2)
