"""Hashes of ids and texts against the xxhash library."""

import pyarrow as pa
import xxhash
from hypothesis import given
from hypothesis import strategies as st

from sluice.filters.dedup.exact_hash import CONTENT_SEED, ID_SEED, content_hash, id_hash


@given(st.lists(st.text(max_size=80), max_size=20), st.integers(0, 2))
def test_hashes_are_seeded_xxh64(texts: list[str], before: int) -> None:
    """The hash of a row depends on its bytes alone and is XXH64 under the seed of its kind."""
    array = pa.array(["x"] * before + texts, pa.string()).slice(before)
    encoded = [text.encode() for text in texts]
    assert content_hash(array).tolist() == [
        xxhash.xxh64_intdigest(t, CONTENT_SEED) for t in encoded
    ]
    assert id_hash(array).tolist() == [xxhash.xxh64_intdigest(t, ID_SEED) for t in encoded]


def test_an_id_does_not_meet_a_text() -> None:
    """A text that spells another post's id does not share its hash."""
    array = pa.array(["1234567890", ""])
    assert (content_hash(array) != id_hash(array)).all()
