"""Union-find and buckets, against brute force."""

import tracemalloc
from random import Random

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from sluice.filters.dedup.components import Components, StarEdges

NUM_POSTS = 40
edges = st.lists(
    st.tuples(st.integers(0, NUM_POSTS - 1), st.integers(0, NUM_POSTS - 1)), max_size=60
)


def labels(pairs: list[tuple[int, int]]) -> tuple[np.ndarray, np.ndarray]:
    components = Components(NUM_POSTS)
    ends_2E = np.array(pairs, np.uint32).reshape(-1, 2).T
    components.add(np.ascontiguousarray(ends_2E[0]), np.ascontiguousarray(ends_2E[1]))
    return components.labels()


@given(edges)
def test_components_are_those_of_scipy(pairs: list[tuple[int, int]]) -> None:
    """Two posts share a label exactly if scipy puts them into one component; the label is the smallest."""
    label_N, shared_N = labels(pairs)
    rows, columns = (np.array([p[i] for p in pairs], int) for i in range(2))
    graph = coo_matrix((np.ones(len(pairs)), (rows, columns)), shape=(NUM_POSTS, NUM_POSTS))
    _, expected_N = connected_components(graph, directed=False)
    for i in range(NUM_POSTS):
        members = np.flatnonzero(expected_N == expected_N[i])
        assert label_N[i] == members.min()
        assert shared_N[i] == (len(members) > 1)


@given(edges, st.randoms())
def test_the_order_of_edges_does_not_matter(pairs: list[tuple[int, int]], order: Random) -> None:
    """Edges that come shuffled and turned round give the same labels."""
    turned = [(b, a) for a, b in pairs]
    order.shuffle(turned)
    assert np.array_equal(labels(pairs)[0], labels(turned)[0])


rows_of_keys = st.one_of(
    st.lists(st.tuples(st.integers(0, 12), st.integers(0, 50)), max_size=80),
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), max_size=80),
)


def columns(pairs: list[tuple[int, int]]) -> tuple[np.ndarray, np.ndarray]:
    """Keys that differ in their high bits alone, and posts."""
    key_M = np.array([k for k, _ in pairs], np.uint64) << np.uint64(50)
    return key_M, np.array([r for _, r in pairs], np.uint32)


def star_edges(pairs: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """The first post of each key and each later one; not to itself, and not twice in a row."""
    first: dict[int, int] = {}
    found: list[tuple[int, int]] = []
    for key, row in pairs:
        edge = (first.setdefault(key, row), row)
        if edge[0] != row and found[-1:] != [edge]:
            found.append(edge)
    return found


def listed(ends: tuple[np.ndarray, np.ndarray]) -> list[tuple[int, int]]:
    left_E, right_E = ends
    assert left_E.dtype == right_E.dtype == np.uint32
    return list(zip(left_E.tolist(), right_E.tolist(), strict=True))


@given(rows_of_keys)
def test_edges_lead_from_the_first_of_a_key_to_the_others(pairs: list[tuple[int, int]]) -> None:
    """Every key's first post is joined to each later row of another post, and nothing else is."""
    assert listed(StarEdges().add(*columns(pairs))) == star_edges(pairs)


@given(rows_of_keys, st.lists(st.integers(0, 80), max_size=6), st.integers(0, 20))
def test_edges_of_a_stream_do_not_depend_on_its_pieces(
    pairs: list[tuple[int, int]], cuts: list[int], expected_keys: int
) -> None:
    """However a stream is cut, and whatever room there was at first, its edges are the same."""
    key_M, row_M = columns(pairs)
    buckets = StarEdges(expected_keys=expected_keys)
    found = []
    for start, stop in zip([0, *sorted(cuts)], [*sorted(cuts), len(pairs)], strict=True):
        found += listed(buckets.add(key_M[start:stop], row_M[start:stop]))
    assert found == star_edges(pairs)
    first = dict(reversed(pairs))
    key_V, row_V = buckets.distinct()
    keys = (key_V >> np.uint64(50)).tolist()
    assert sorted(zip(keys, row_V.tolist(), strict=True)) == sorted(first.items())


def test_a_repeated_edge_still_joins() -> None:
    """Rows that share several keys are joined once where the edge repeats, and stay in one component."""
    key_M = np.array([1, 2, 3, 1, 2, 3, 3, 2], np.uint64)
    row_M = np.array([0, 0, 0, 1, 1, 1, 2, 1], np.uint32)
    assert listed(StarEdges().add(key_M, row_M)) == [(0, 1), (0, 2), (0, 1)]


def test_the_table_grows_with_its_keys() -> None:
    """100,000 keys of a table made for one, each twice, have 100,000 edges, and all are distinct."""
    key_M = np.arange(1, 100_001, dtype=np.uint64) << np.uint64(20)
    row_M = np.arange(200_000, dtype=np.uint32)
    buckets = StarEdges(expected_keys=1)
    assert len(buckets.add(key_M, row_M[:100_000])[0]) == 0
    left_E, right_E = buckets.add(key_M, row_M[100_000:])
    np.testing.assert_array_equal(left_E, row_M[:100_000])
    np.testing.assert_array_equal(right_E, row_M[100_000:])
    assert np.array_equal(np.sort(buckets.distinct()[0]), key_M)


def test_memory_does_not_grow_with_repeats() -> None:
    """Ten million rows of a thousand keys, streamed, need the memory of a piece of them."""
    row_M = np.arange(100_000, dtype=np.uint32)
    key_M = row_M.astype(np.uint64) % np.uint64(1000)
    buckets = StarEdges(expected_keys=1)
    tracemalloc.start()
    for _ in range(100):
        buckets.add(key_M, row_M)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 3_000_000


def test_columns_of_arrow_are_taken_as_they_are() -> None:
    """Read-only columns, without rows or with some, go in without a copy."""
    rows = pa.record_batch(
        {"key": pa.array([7, 7], pa.uint64()), "row": pa.array([4, 2], pa.uint32())}
    )
    buckets = StarEdges()
    assert listed(buckets.add(*(np.asarray(c) for c in rows.slice(0, 0).columns))) == []
    assert listed(buckets.add(*(np.asarray(c) for c in rows.columns))) == [(4, 2)]
