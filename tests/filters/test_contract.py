"""What a filter returns is checked where it is used: a breach is an error of the filter, not of a post."""

from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import Any, ClassVar, cast

import numpy as np
import pyarrow as pa
import pytest

from sluice.filters.base import Filter, Scorer
from sluice.filters.batch import Batch, Mask, Scores
from sluice.filters.contract import built
from sluice.filters.partition import isolate_failures, partition
from sluice.filters.registry import MinChars
from sluice.schemas.errors import FilterError, InputError
from tests.strategies import post_batch

TEXTS = ["one", "two", "three"]


class Odd(Filter, frozen=True, kw_only=True, tag="odd"):
    """A filter that may return anything."""

    reason: ClassVar[str] = "odd"
    bound: ClassVar[str] = "max_oddness"

    max_oddness: float = 0.5

    def build(self) -> Scorer:
        raise NotImplementedError  # tests that need a scorer give one; one test expects this error


class OddScreen(Odd, frozen=True, kw_only=True, tag="odd_screen"):
    """A screen that may."""

    screen: ClassVar[bool] = True


class OddVerdict(Odd, frozen=True, kw_only=True, tag="odd_verdict"):
    """A filter whose verdicts are too few."""

    def accepts(self, scores_N: Scores) -> Mask:
        return np.ones(1, np.bool_)


class OddDetail(Odd, frozen=True, kw_only=True, tag="odd_detail"):
    """A filter whose details are too few."""

    def detail(self, batch: Batch) -> pa.StringArray | None:
        return pa.array(["x"])


def split(spec: Filter, score: Callable[[Batch], Any]) -> Any:
    apply = partial(
        partition, machines=[(MinChars(), MinChars().build()), (spec, score)], phase="x"
    )
    return list(isolate_failures(Batch(post_batch(TEXTS)), apply, phase="x", stage="x"))


def ones(batch: Batch) -> Scores:
    return np.ones(len(batch), np.float32)


@pytest.mark.parametrize(
    ("spec", "score", "said"),
    [
        (Odd(), lambda b: ones(b)[1:], r"scores of 3 posts have shape \(2,\); must be \(3,\)"),
        (Odd(), lambda b: ones(b)[:, None], r"have shape \(3, 1\)"),
        (
            Odd(),
            lambda b: ones(b).astype(float),
            r"a numpy.ndarray of float64, \(3,\); must be a NumPy",
        ),
        (Odd(), lambda b: ones(b).tolist(), r"scores are a list, 3; must be a NumPy array"),
        (Odd(), lambda b: None, "scores are a NoneType; must be"),
        (Odd(), lambda b: pa.array([1.0, None, 2.0]), "1 of 3 scores are null"),
        (Odd(), lambda b: ones(b) * np.nan, "3 of 3 scores are NaN or infinite"),
        (Odd(), lambda b: ones(b) * np.inf, "3 of 3 scores are NaN or infinite"),
        (OddScreen(), lambda b: ones(b) * 2, r"scores of a screen must be in \[0, 1\]"),
        (
            OddVerdict(),
            ones,
            r"accepts\(\) returned a numpy.ndarray of bool, \(1,\); must be 3 bools",
        ),
        (
            OddDetail(),
            ones,
            r"detail\(\) returned a pyarrow.StringArray of string, 1; must be 3 str",
        ),
    ],
)
def test_a_breach_stops_the_run(spec: Filter, score: Callable[[Batch], Any], said: str) -> None:
    """It names filter, distribution, what was returned and what must be; no post is blamed."""
    with pytest.raises(FilterError, match=f"filter '{spec.name}' of sluice breaks the .*{said}"):
        split(spec, score)


def test_an_exception_is_of_a_post() -> None:
    """A scorer that raises for one post costs that post, a dead letter with the filter's name."""

    def score(batch: Batch) -> Scores:
        if "two" in batch.text.to_pylist():
            raise ValueError
        return ones(batch) * 0

    parts = split(Odd(), score)
    (dead,) = [row for part in parts for row in part.rejected.to_pylist()]
    assert (dead["post_id"], dead["stage"], dead["reason"]) == ("1", "odd", "ValueError")
    assert [t for part in parts for t in part.kept.text.to_pylist()] == ["one", "three"]


def test_a_missing_library_is_no_fault_of_a_post() -> None:
    """A scorer that imports what is not there stops the run, rather than lose every post."""

    def score(batch: Batch) -> Scores:
        import_module("no_such_library")

        return ones(batch)

    with pytest.raises(
        FilterError, match=r"'odd' of sluice cannot be used here: .*no_such_library"
    ):
        split(Odd(), score)


def test_an_exception_in_detail_is_of_a_post() -> None:
    """So is one of `detail`, which only rejects are asked for."""

    class Failing(Odd, frozen=True, kw_only=True, tag="failing"):
        def detail(self, batch: Batch) -> pa.StringArray | None:
            raise KeyError

    rejected = [row for part in split(Failing(), ones) for row in part.rejected.to_pylist()]
    assert [(row["stage"], row["reason"]) for row in rejected] == [("failing", "KeyError")] * 3


def test_what_build_raises_is_passed_on() -> None:
    """Errors with a message for people, and exceptions of our own filters, are left as they are."""
    with pytest.raises(NotImplementedError):
        built(Odd())

    class Unreadable(Odd, frozen=True, kw_only=True, tag="unreadable"):
        def build(self) -> Scorer:
            raise InputError("no model")

    class Machineless(Odd, frozen=True, kw_only=True, tag="machineless"):
        def build(self) -> Scorer:
            return cast("Scorer", None)

    with pytest.raises(InputError, match="no model"):
        built(Unreadable())
    with pytest.raises(FilterError, match=r"build\(\) returned a NoneType"):
        built(Machineless())
