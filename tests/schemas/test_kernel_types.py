"""Types of kernels that are written without numba are numba's when they are resolved."""

from typing import Any, NamedTuple

import pytest
from numba import types as numbas

from sluice.schemas.kernel_types import BYTES, OFFSETS, read_only, resolved, types


class Pair(NamedTuple):
    """Two fields."""

    a: int
    b: int


def spelt(t: Any) -> list[Any]:
    """Returns types in all the ways in which kernels spell them."""
    pair = t.NamedTuple((t.int64, t.float32[::1]), Pair)
    return [
        t.void(t.uint8[::1], t.int32[:, ::1], t.boolean),
        t.UniTuple(t.int64, 2)(pair, t.bool_),
        t.Tuple((t.int64, t.Array(t.int32, 1, "C", readonly=True)))(),
        t.NamedUniTuple(t.int64, 2, Pair),
    ]


@pytest.mark.parametrize("k", range(4))
def test_resolved_types_are_those_of_numba(k: int) -> None:
    """Whatever way they are spelt, in tuples too; twice, because a type may be part of several."""
    recorded, expected = spelt(types)[k], spelt(numbas)[k]
    assert resolved((recorded, recorded)) == (expected, expected)


def test_arrays_of_arrow_are_read_only() -> None:
    """Bytes, offsets, and what is read from other buffers."""
    kinds = (numbas.uint8, 1), (numbas.int32, 1), (numbas.float32, 2)
    expected = [numbas.Array(kind, ndim, "C", readonly=True) for kind, ndim in kinds]
    assert [*resolved((BYTES, OFFSETS, read_only(types.float32, 2)))] == expected


def test_a_name_that_numba_has_not_is_an_error_when_it_is_resolved() -> None:
    """As it is where numba itself is asked; and special methods are not recorded."""
    with pytest.raises(AttributeError, match="no_such_type"):
        resolved(types.no_such_type)
    assert not hasattr(types, "__wrapped__")
    with pytest.raises(TypeError, match="not iterable"):
        list(types.int64)
