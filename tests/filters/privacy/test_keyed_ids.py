"""Keyed hashes of ids."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.filters.privacy.keyed_ids import IdKey

KEY = IdKey(bytes(range(32)))


@given(st.lists(st.tuples(st.none() | st.sampled_from("xy"), st.none() | st.sampled_from("1234"))))
def test_hashes_of_a_column_are_those_of_its_rows(
    rows: list[tuple[str | None, str | None]],
) -> None:
    """Each row's hash depends on its platform and author alone; no author, no hash."""
    platforms, authors = (pa.array([row[k] for row in rows], pa.string()) for k in (0, 1))
    expected = [None if a is None else KEY.author(p, a) for p, a in rows]
    assert KEY.authors(platforms, authors).to_pylist() == expected
    assert KEY.posts(authors).to_pylist() == [None if a is None else KEY.post(a) for _, a in rows]


def test_what_is_hashed_is_told_apart() -> None:
    """An id as an author's, a post's or tokens, or under another key, has another hash each time."""
    other, tokens_T = IdKey(bytes(32)), np.array([7], np.int32)
    hashes = [f(k) for k in (KEY, other) for f in (lambda k: k.post("7"), lambda k: k.check)]
    hashes += [KEY.author(None, "7"), KEY.author("7", ""), KEY.author("x", "7")]
    hashes += [KEY.tokens(tokens_T), KEY.tokens(np.array([7, 0], np.int32))]
    assert len(set(hashes)) == len(hashes)
    assert KEY.tokens(tokens_T) == KEY.tokens(tokens_T.astype(np.int64))


def test_a_key_has_at_least_32_bytes() -> None:
    """Fewer are refused with the command that makes one; more than BLAKE2b takes are used, all of them."""
    with pytest.raises(ValueError, match=r"at least 32 bytes, got 31: make one with `head -c 32"):
        IdKey(bytes(31))
    assert IdKey(bytes(80)).post("7") != IdKey(bytes(79) + b"\1").post("7")
