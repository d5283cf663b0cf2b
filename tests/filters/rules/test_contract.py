"""What every filter must do, whoever wrote it: a name in the union is enough to be tested here."""

from functools import cache
from typing import Any, get_args

import msgspec
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sluice.filters.base import Filter, Scorer
from sluice.filters.batch import Batch
from sluice.filters.language.identify import build_identifier
from sluice.filters.language.views import model_views
from sluice.filters.registry import AnyFilter
from sluice.testing import check_filter, check_scores
from tests.strategies import post_batch, post_batches

NAMED_BY_A_FIELD = {"top_ngram_ratio": "top_2gram_ratio"}
"""Tags whose filters say in their name what they count, so that a recipe can have several."""

FILTERS: tuple[type[Filter], ...] = get_args(AnyFilter)
every_filter = pytest.mark.parametrize("kind", FILTERS, ids=lambda kind: kind.__name__)


@cache
def machine(kind: type[Filter]) -> Scorer:
    return kind().build()


@cache
def identifier() -> Any:
    return build_identifier()


def scores_of(kind: type[Filter], posts: pa.RecordBatch) -> np.ndarray:
    return machine(kind)(Batch(posts, model_views(identifier())))


def tag_of(kind: type[Filter]) -> str:
    return str(kind.__struct_config__.tag)


@every_filter
def test_name_is_the_file(kind: type[Filter]) -> None:
    """A filter's tag is the name of its file, and its name is its tag unless stated here."""
    assert kind.__module__ == f"sluice.filters.rules.{tag_of(kind)}"
    assert kind().name == NAMED_BY_A_FIELD.get(tag_of(kind), tag_of(kind))


def test_names_and_classes_are_unique() -> None:
    """No two filters share a tag, a name or a class name."""
    for names in (
        [tag_of(k) for k in FILTERS],
        [k().name for k in FILTERS],
        [k.__name__ for k in FILTERS],
    ):
        assert len(set(names)) == len(FILTERS)


@every_filter
def test_spec_keeps_the_contract(kind: type[Filter]) -> None:
    """A spec is a documented value with an inclusive bound, and no hostile post breaks its scores."""
    spec = kind()
    check_filter(spec)
    assert spec == kind()
    assert isinstance(getattr(spec, kind.bound), (int, float))
    for field in msgspec.structs.fields(kind):
        with pytest.raises(AttributeError):
            setattr(spec, field.name, 1)


@every_filter
def test_spec_comes_from_a_recipe(kind: type[Filter]) -> None:
    """A table with the tag alone gives the defaults, goes out and comes back; an unknown key is refused."""
    spec = msgspec.convert({"filter": tag_of(kind)}, AnyFilter)
    assert spec == kind()
    assert msgspec.convert(msgspec.to_builtins(spec), AnyFilter) == spec
    with pytest.raises(msgspec.ValidationError, match="unknown field `max_ratoi`"):
        msgspec.convert({"filter": tag_of(kind), "max_ratoi": 1}, AnyFilter)


@every_filter
@settings(max_examples=15)
@given(posts=post_batches())
def test_scores_keep_the_contract(kind: type[Filter], posts: pa.RecordBatch) -> None:
    """Scores are finite, on the grid, and those of each post alone, however posts are batched."""
    check_scores(kind(), machine(kind), posts, views=model_views(identifier()))
    if tag_of(kind).endswith("_ratio"):
        scores = scores_of(kind, posts)
        assert ((scores >= 0) & (scores <= 1)).all()


@every_filter
def test_empty_batch(kind: type[Filter]) -> None:
    """No posts give no scores."""
    assert scores_of(kind, post_batch([])).shape == (0,)


@every_filter
@settings(max_examples=15)
@given(posts=post_batches(), data=st.data())
def test_filtering_before_or_after_scoring_is_the_same(
    kind: type[Filter], posts: pa.RecordBatch, data: st.DataObject
) -> None:
    """A batch that drops rows after something was derived keeps the derived values of the others."""
    mask = np.array(
        data.draw(st.lists(st.booleans(), min_size=len(posts), max_size=len(posts))), bool
    )
    batch = Batch(posts, model_views(identifier()))
    before = machine(kind)(batch)
    assert machine(kind)(batch.filter(mask)).tolist() == before[mask].tolist()
