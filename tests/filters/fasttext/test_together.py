"""Several fastText models over the same texts: each gives, bit for bit, what it gives alone."""

import random
from collections.abc import Sequence
from pathlib import Path
from threading import Thread

import hypothesis.strategies as st
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings

from sluice.filters.fasttext import hidden as fasttext_hidden
from sluice.filters.fasttext.classifier import FastTextClassifier, read_together
from sluice.filters.fasttext.kernels.output import Hidden
from tests.filters.fasttext.oracle import KINDS, SHIPPED, TRAPS, classifier, column, write_models
from tests.strategies import text_arrays

NAMES = [*SHIPPED, *KINDS]
SOME = ("language", "short", "softmax, n-grams, pruned", "hs, quantised", "softmax, wide")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The shipped models, and a model file of every kind."""
    return write_models(tmp_path_factory.mktemp("models"))


def assert_same(got: Hidden, want: Hidden) -> None:
    """Asserts that two hidden layers are the same, bit for bit."""
    np.testing.assert_array_equal(got.num_rows_N, want.num_rows_N)
    np.testing.assert_array_equal(got.mean_NS.view(np.uint32), want.mean_NS.view(np.uint32))


def alone(texts: pa.StringArray, machines: Sequence[FastTextClassifier]) -> list[Hidden]:
    """Returns what each model makes of texts by itself."""
    return [read_together(texts, [machine])[0] for machine in machines]


def many_words(*, seed: int, texts: int) -> list[bytes]:
    """Returns invented texts, some words of which come again and again, with traps among them."""
    dice = random.Random(seed)
    letters = "aäbcdeж日🙂"
    words = ["".join(dice.choices(letters, k=dice.randint(1, 12))).encode() for _ in range(400)]
    words += [b"the", b"free", b"__label__spam", b"</s>", b"</s", b"x" * 70, b"x" * 71]
    rows = [b" ".join(dice.choices(words, k=dice.randint(0, 9))) for _ in range(texts)]
    return [*rows, *TRAPS]


@given(rows=text_arrays(), names=st.lists(st.sampled_from(NAMES), max_size=6))
@settings(max_examples=150)
def test_models_together_give_what_each_gives_alone(
    models: dict[str, Path], rows: pa.StringArray, names: list[str]
) -> None:
    """Any models, in any order, the same one twice too, whatever their buckets and subwords are."""
    machines = [classifier(models[name]) for name in names]
    together = read_together(rows, machines)
    assert len(together) == len(machines)
    for got, want in zip(together, alone(rows, machines), strict=True):
        assert_same(got, want)


def test_all_models_at_once(models: dict[str, Path]) -> None:
    """Every kind of model in one pass over texts of many words."""
    rows = column(many_words(seed=1, texts=300))
    machines = [classifier(models[name]) for name in NAMES]
    for got, want in zip(read_together(rows, machines), alone(rows, machines), strict=True):
        assert_same(got, want)


@pytest.mark.parametrize("name", SOME)
def test_methods_answer_from_what_was_read_together(name: str, models: dict[str, Path]) -> None:
    """Every method gives the same from texts and from their hidden layers."""
    machine = classifier(models[name])
    rows = column(many_words(seed=2, texts=100))
    _, hidden = read_together(rows, [classifier(SHIPPED["posts"]), machine])
    label = machine.labels[1]
    for from_texts, from_hidden in (
        (machine.predict(rows), machine.predict(hidden)),
        (machine.predict_top(rows, k=3), machine.predict_top(hidden, k=3)),
        ((machine.probabilities(rows),), (machine.probabilities(hidden),)),
        (
            (machine.probability_of(rows, label=label),),
            (machine.probability_of(hidden, label=label),),
        ),
    ):
        for want, got in zip(from_texts, from_hidden, strict=True):
            np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize(("block_bytes", "slots"), [(1, 4), (64, 8), (500, 16), (4096, 1 << 17)])
def test_blocks_and_a_full_table_of_words_do_not_matter(
    monkeypatch: pytest.MonkeyPatch, models: dict[str, Path], block_bytes: int, slots: int
) -> None:
    """Texts one by one, and words that the table has no room for, give the same bits."""
    rows = column(many_words(seed=3, texts=200))
    machines = [classifier(models[name]) for name in SOME]
    want = read_together(rows, machines)
    monkeypatch.setattr(fasttext_hidden, "BLOCK_BYTES", block_bytes)
    monkeypatch.setattr(fasttext_hidden, "MOST_SLOTS", slots)
    for one, other in zip(read_together(rows, machines), want, strict=True):
        assert_same(one, other)


def test_what_a_row_gets_does_not_depend_on_its_neighbours() -> None:
    """Rows in another order, and each by itself, give the same bits."""
    rows = many_words(seed=4, texts=60)
    machine = classifier(SHIPPED["posts"])
    (whole,) = read_together(column(rows), [machine])
    (backwards,) = read_together(column(rows[::-1]), [machine])
    assert_same(Hidden(backwards.mean_NS[::-1], backwards.num_rows_N[::-1]), whole)
    for i, row in enumerate(rows):
        (single,) = read_together(column([row]), [machine])
        assert_same(single, Hidden(whole.mean_NS[i : i + 1], whole.num_rows_N[i : i + 1]))


def test_threads_share_a_model() -> None:
    """A model holds nothing that a call changes: threads that use it at the same time agree."""
    rows = column(many_words(seed=5, texts=2_000))
    machines = [classifier(path) for path in SHIPPED.values()]
    want = read_together(rows, machines)
    found: list[tuple[Hidden, ...]] = []
    threads = [Thread(target=lambda: found.append(read_together(rows, machines))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == len(threads)
    for got in found:
        for one, other in zip(got, want, strict=True):
            assert_same(one, other)


def test_later_calls_change_no_earlier_answer(models: dict[str, Path]) -> None:
    """Scratch memory is shared by the calls of a thread; what was returned is not in it."""
    machines = [classifier(models[name]) for name in NAMES]
    rows = [column(many_words(seed=seed, texts=300 // seed)) for seed in (6, 7, 2)]
    first = read_together(rows[0], machines)
    copies = [Hidden(hidden.mean_NS.copy(), hidden.num_rows_N.copy()) for hidden in first]
    for later in rows[1:]:
        read_together(later, machines)
    for got, want in zip(first, copies, strict=True):
        assert_same(got, want)


def test_scratch_that_is_not_kept(monkeypatch: pytest.MonkeyPatch, models: dict[str, Path]) -> None:
    """Arrays too large to keep are made again, to the same bits."""
    rows = column(many_words(seed=8, texts=200))
    machines = [classifier(models[name]) for name in SOME]
    want = read_together(rows, machines)
    monkeypatch.setattr(fasttext_hidden, "MOST_KEPT", 4)
    monkeypatch.setattr(fasttext_hidden, "_scratch", fasttext_hidden._Scratch())
    for got, other in zip(read_together(rows, machines), want, strict=True):
        assert_same(got, other)


def test_no_models_and_no_texts() -> None:
    """No model has no answer, and no text an empty one."""
    assert read_together(pa.array(["x"]), []) == ()
    (hidden,) = read_together(pa.array([], pa.string()), [classifier(SHIPPED["short"])])
    assert len(hidden.mean_NS) == len(hidden.num_rows_N) == 0
