"""Keys that rows share, against plain dictionaries."""

import tracemalloc
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.filters.dedup.kernels import NO_KEY
from sluice.filters.dedup.sharing import KeySharing, first_of, shared_keys

# Few keys, 0 (no key) among them; shifted, so that they differ in their low or high bits alone.
SHIFTS = st.sampled_from([0, 13, 60])


@st.composite
def key_rows(draw: st.DrawFn, max_rows: int = 20) -> np.ndarray:
    """(N, K) uint64 of few distinct keys."""
    shape = draw(st.tuples(st.integers(0, max_rows), st.integers(1, 4)))
    keys = st.integers(0, 9)
    size = shape[0] * shape[1]
    key_M = draw(st.lists(keys, min_size=size, max_size=size))
    return np.array(key_M, np.uint64).reshape(shape)


def taken(key_NK: np.ndarray, leader_key_LK: np.ndarray, limit: int) -> list[bool]:
    """The leaders that share a key, by a dictionary of how many have come for each."""
    sought = set(key_NK.ravel().tolist()) - {int(NO_KEY)}
    seen: Counter[int] = Counter()
    mask = []
    for keys in leader_key_LK.tolist():
        met = sought & set(keys)
        mask.append(any(seen[key] < limit for key in met))
        seen.update(met)
    return mask


@given(key_rows(), key_rows(), st.integers(1, 5), SHIFTS)
def test_leaders_are_taken_by_their_keys(
    key_NK: np.ndarray, leader_key_LK: np.ndarray, limit: int, shift: int
) -> None:
    """A leader is taken for a key of the slice that fewer than `limit` leaders had before it."""
    sharing = KeySharing(key_NK << np.uint64(shift), limit=limit)
    mask_L = sharing.take(leader_key_LK << np.uint64(shift))
    assert mask_L.dtype == np.bool_
    assert mask_L.tolist() == taken(key_NK, leader_key_LK, limit)


@given(key_rows(), key_rows(), st.integers(1, 3), st.lists(st.integers(0, 20), max_size=5))
def test_pieces_of_leaders_do_not_matter(
    key_NK: np.ndarray, leader_key_LK: np.ndarray, limit: int, cuts: list[int]
) -> None:
    """However the leaders are cut into calls, the same ones are taken."""
    sharing = KeySharing(key_NK, limit=limit)
    pieces = [sharing.take(part) for part in np.split(leader_key_LK, sorted(cuts))]
    assert np.concatenate(pieces).tolist() == taken(key_NK, leader_key_LK, limit)


def test_a_leader_counts_once_for_a_key() -> None:
    """A leader that has a key twice leaves room for the next leader."""
    sharing = KeySharing(np.array([[5]], np.uint64), limit=2)
    assert sharing.take(np.array([[5, 5], [1, 5], [5, 2]], np.uint64)).tolist() == [1, 1, 0]


def test_leaders_may_lie_in_a_file(tmp_path: Path) -> None:
    """A read-only memory map is taken as it is, aligned or not."""
    leader_key_LK = np.arange(1, 13, dtype=np.uint64).reshape(6, 2)
    for offset in (0, 3):
        path = tmp_path / f"{offset}.keys"
        path.write_bytes(b"x" * offset + leader_key_LK.tobytes())
        mapped = np.memmap(path, np.uint64, "r", offset=offset, shape=(6, 2))
        sharing = KeySharing(np.array([[4, 11]], np.uint64), limit=9)
        assert np.flatnonzero(sharing.take(mapped)).tolist() == [1, 5]


def test_many_keys() -> None:
    """Of 200,000 leaders, those of a slice of 50,000 distinct keys are taken, and no other."""
    rng = np.random.default_rng(2)
    leader_key_LK = rng.integers(1, 2**64, (200_000, 4), np.uint64)
    rows = rng.choice(200_000, 50_000, replace=False)
    sharing = KeySharing(leader_key_LK[rows, 2], limit=1)
    assert np.array_equal(np.flatnonzero(sharing.take(leader_key_LK)), np.sort(rows))


def test_memory_is_that_of_the_distinct_keys() -> None:
    """A million keys, 1,000 of them distinct, cost a copy of them at most, and 24 bytes each later."""
    key_NK = np.arange(1_000_000, dtype=np.uint64).reshape(-1, 20) % np.uint64(1001)
    tracemalloc.start()
    sharing = KeySharing(key_NK, limit=3)
    left, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert left < 30_000
    assert peak < 12 * key_NK.size
    assert sharing.take(np.array([[1000]], np.uint64)).tolist() == [True]


def test_a_limit_of_none_is_refused() -> None:
    """A limit below 1 would take nobody, whatever the keys."""
    with pytest.raises(ValueError, match="at least 1, got 0"):
        KeySharing(np.ones((1, 1), np.uint64), limit=0)


def test_a_huge_limit_takes_all() -> None:
    """A limit beyond 32 bits is no limit."""
    sharing = KeySharing(np.ones((1, 1), np.uint64), limit=2**40)
    assert sharing.take(np.ones((5, 1), np.uint64)).all()


@given(st.lists(st.integers(-4, 9), max_size=30), st.sampled_from([0, 13]))
def test_the_first_row_of_a_value(values: list[int], shift: int) -> None:
    """Each row names the first row of its value, signed or unsigned."""
    first: dict[int, int] = {}
    expected = [first.setdefault(value, i) for i, value in enumerate(values)]
    value_N = np.array(values, np.int64)
    assert first_of(value_N).tolist() == expected
    assert first_of(value_N.astype(np.uint64) << np.uint64(shift)).tolist() == expected


@given(key_rows(), SHIFTS, st.data())
def test_shared_keys_are_buckets(key_NK: np.ndarray, shift: int, data: st.DataObject) -> None:
    """Rows are in one bucket of a column exactly if both have its key, and no row is alone in one."""
    rows = data.draw(st.lists(st.sampled_from(range(max(1, len(key_NK)))), unique=True))
    row_F = np.sort(np.array(rows if len(key_NK) else [], np.int32))
    shared = shared_keys(key_NK << np.uint64(shift), row_F)
    members: dict[tuple[int, int], list[int]] = {}
    for k in range(key_NK.shape[1]):
        for f, key in enumerate(key_NK[row_F, k].tolist()):
            if key != NO_KEY:
                members.setdefault((k, key), []).append(f)
    members = {key: rows for key, rows in members.items() if len(rows) > 1}
    assert shared.bucket_FK.shape == (len(row_F), key_NK.shape[1])
    assert int((shared.bucket_FK >= 0).sum()) == sum(map(len, members.values()))
    numbers = set()
    for (k, _), rows in members.items():
        bucket = {int(shared.bucket_FK[f, k]) for f in rows}
        assert len(bucket) == 1
        u = bucket.pop()
        assert (shared.size_U[u], shared.last_U[u]) == (len(rows), rows[-1])
        numbers.add(u)
    assert numbers == set(range(len(shared.size_U)))
