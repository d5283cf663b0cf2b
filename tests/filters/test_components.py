"""Union-find and buckets, against brute force."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from filters.components import Components, bucket_edges

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
def test_the_order_of_edges_does_not_matter(pairs: list[tuple[int, int]], random: object) -> None:
    """Edges that come shuffled and turned round give the same labels."""
    turned = [(b, a) for a, b in pairs]
    random.shuffle(turned)  # type: ignore[attr-defined]
    assert np.array_equal(labels(pairs)[0], labels(turned)[0])


@given(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 50)), max_size=80))
def test_edges_lead_from_the_first_of_a_key_to_the_others(pairs: list[tuple[int, int]]) -> None:
    """Every key's first post is joined to each later row of another post, and nothing else is."""
    key_M = np.array([k for k, _ in pairs], np.uint64) << np.uint64(50)
    row_M = np.array([r for _, r in pairs], np.uint32)
    first: dict[int, int] = {}
    expected = []
    for key, row in pairs:
        if first.setdefault(key, row) != row:
            expected.append((first[key], row))
    left_E, right_E = bucket_edges(key_M, row_M)
    assert list(zip(left_E.tolist(), right_E.tolist(), strict=True)) == expected
