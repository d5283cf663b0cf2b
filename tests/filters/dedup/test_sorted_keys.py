"""Sorted keys against Python's own sort and dicts."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.filters.dedup.sorted_keys import first_places, shared_entries, sort_by_key

few_keys = st.integers(0, 12).map(lambda k: k << 45)
any_keys = st.one_of(few_keys, st.integers(0, 2**64 - 1))


def u64(values: list[int]) -> np.ndarray:
    return np.array(values, np.uint64)


@given(st.lists(any_keys, max_size=200))
def test_the_sort_is_that_of_python(keys: list[int]) -> None:
    """Keys ascend, equal keys keep their order, and the arguments are left as they were."""
    key_M, value_M = u64(keys), np.arange(len(keys), dtype=np.uint32)
    sorted_M, order_M = sort_by_key(key_M, value_M)
    expected = sorted(range(len(keys)), key=keys.__getitem__)
    assert order_M.tolist() == expected
    assert sorted_M.tolist() == [keys[i] for i in expected]
    assert (key_M.tolist(), value_M.tolist()) == (keys, list(range(len(keys))))


@pytest.mark.parametrize("bits", [1, 10, 11, 12, 22, 23, 33, 44, 48, 55, 63, 64])
def test_keys_of_any_width_are_sorted(bits: int) -> None:
    """Whatever the number of passes, among them odd and even ones, the result is that of NumPy."""
    draw = np.random.default_rng(bits)
    key_M = draw.integers(0, 1 << bits, 5000, np.uint64)
    order_M = np.argsort(key_M, kind="stable")
    sorted_M, found_M = sort_by_key(key_M, np.arange(5000, dtype=np.uint32))
    assert np.array_equal(found_M, order_M)
    assert np.array_equal(sorted_M, key_M[order_M])


@given(st.lists(any_keys, max_size=60))
def test_a_key_stands_first_where_it_stands_first(keys: list[int]) -> None:
    """Each distinct key has its first place in the list."""
    places = first_places(u64(keys))
    assert places.key_U.tolist() == sorted(set(keys))
    assert places.at_U.tolist() == [keys.index(k) for k in sorted(set(keys))]


@given(
    mine=st.sets(any_keys, max_size=30),
    streams=st.lists(st.lists(any_keys, max_size=40), max_size=4),
    limit=st.integers(1, 4),
)
def test_shared_entries_are_those_of_a_dict(
    mine: set[int], streams: list[list[int]], limit: int
) -> None:
    """In the order of the streams, each shared key is found `limit` times at most over all calls."""
    key_U = u64(sorted(mine))
    found_U = np.zeros(len(key_U), np.uint32)
    seen: dict[int, int] = {}
    for number, stream in enumerate(streams):
        key_H, base = u64(sorted(stream)), number << 40
        row_H = np.arange(len(stream), dtype=np.uint32)
        place_E, entry_E = shared_entries(
            key_U, found_U, key_H=key_H, row_H=row_H, base=base, limit=limit
        )
        expected = []
        for row, key in enumerate(sorted(stream)):
            if key in mine and seen.get(key, 0) < limit:
                seen[key] = seen.get(key, 0) + 1
                expected.append((key, base | row))
        assert list(zip(key_U[place_E].tolist(), entry_E.tolist(), strict=True)) == expected
    assert found_U.tolist() == [seen.get(k, 0) for k in sorted(mine)]
