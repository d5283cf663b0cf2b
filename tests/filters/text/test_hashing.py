import numpy as np
import pyarrow as pa
import pytest
import xxhash
from hypothesis import given
from hypothesis import strategies as st

from sluice.filters.text.hashing import hash_texts
from tests.strategies import text_arrays


@given(text_arrays(), st.sampled_from((0, 1, 2**63, 2**64 - 1)))
def test_equals_xxhash(column: pa.StringArray, seed: int) -> None:
    """The hash is XXH64 of the UTF-8 bytes, whatever the seed and the slice."""
    expected = [xxhash.xxh64_intdigest(text.encode(), seed) for text in column.to_pylist()]
    assert hash_texts(column, seed=seed).tolist() == expected


@pytest.mark.parametrize("length", [*range(72), 1_000, 100_003])
def test_every_length(length: int) -> None:
    """Every path through stripes of 32 bytes and tails of 8, 4 and 1 gives the reference's hash."""
    text = "".join(chr(33 + i * 7 % 90) for i in range(length))
    assert hash_texts(pa.array([text])).tolist() == [xxhash.xxh64_intdigest(text.encode())]


def test_known_values() -> None:
    """The published values of XXH64 hold, so that stored hashes stay comparable."""
    assert hash_texts(pa.array(["", "a"])).tolist() == [0xEF46DB3751D8E999, 0xD24EC4F1A98C6E5B]


def test_nothing_and_null() -> None:
    """No rows give no hashes; a null hashes as the empty text."""
    assert hash_texts(pa.array([], pa.string())).dtype == np.uint64
    assert len(hash_texts(pa.array([], pa.string()))) == 0
    assert hash_texts(pa.array([None, "x"], pa.string()))[0] == 0xEF46DB3751D8E999
