"""The hashed table against a reference in plain Python, its file, and bad files."""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.filters.batch import Batch
from sluice.filters.hashed import kernels
from sluice.filters.hashed.table import (
    EMPTY_ROWS,
    HEADS,
    HashedTable,
    quantised,
    read_table,
    rows_of,
    write_table,
)
from sluice.filters.hashed.views import hashed_view, sums_of
from sluice.schemas.errors import InputError
from sluice.schemas.mapped_arrays import packed
from tests.strategies import post_batch, text_arrays

BITS = 12
WRAP = 2**64
BLANKS = b" \t\n\v\f\r\0"
RNG = np.random.default_rng(0)
TABLE = quantised({head: RNG.normal(size=1 << BITS) for head in HEADS if head})


def fnv(codes: bytes) -> int:
    """Returns FNV-1a of 64 bits."""
    value = 0xCBF29CE484222325
    for code in codes:
        value = (value ^ code) * 0x100000001B3 % WRAP
    return value


def place(value: int) -> int:
    """Returns the row of a hash."""
    value ^= value >> 29
    return value * 0x9E3779B97F4A7C15 % WRAP >> 64 - BITS


def words_of(text: str) -> list[bytes]:
    """Returns the words of a text, parted by ASCII's blanks alone."""
    data = text.encode()
    for blank in BLANKS:
        data = data.replace(bytes([blank]), b" ")
    return [word for word in data.split(b" ") if word]


def reference(text: str) -> Iterator[int]:
    """Yields the rows of a text: words, their n-grams between marks, and pairs of words."""
    words = words_of(text)
    for word in words:
        yield place(fnv(word) * 0x9E3779B185EBCA87 % WRAP)
        marked = [b"\1", *(c.encode() for c in word.decode()), b"\2"]
        for size in (2, 3, 4, 5):
            for first in range(len(marked) - size + 1):
                some = marked[first : first + size]
                if size > 2 or all(len(c) >= 3 for c in some):
                    yield place(fnv(b"".join(some)))
    hashes = [0, *map(fnv, words)]
    for before, after in pairwise(hashes):
        yield place(before * 0xC2B2AE3D27D4EB4F % WRAP ^ after)


@given(text_arrays())
def test_rows_are_those_of_the_reference(column: pa.StringArray) -> None:
    """Each text has the rows of its words, pairs and n-grams, as often as they stand in it."""
    rows_K, starts_N1 = rows_of(column, bits=BITS)
    for text, (start, end) in zip(column.to_pylist(), pairwise(starts_N1), strict=True):
        assert sorted(rows_K[start:end]) == sorted(reference(text or ""))


@given(text_arrays(), st.lists(st.integers(0, 20), max_size=3))
def test_sums_are_of_each_text_alone(column: pa.StringArray, repeats: list[int]) -> None:
    """Sums and counts are those of the reference's rows, whatever stood before in the batch."""
    rows = [
        *column.to_pylist(),
        *(column.to_pylist()[i % len(column)] for i in repeats if len(column)),
    ]
    found = TABLE.read(pa.array(rows, pa.string()))
    for text, sums_C, num in zip(rows, *found, strict=True):
        want = list(reference(text or ""))
        assert num == len(want)
        np.testing.assert_array_equal(sums_C, TABLE.rows_RC[want].astype(np.int32).sum(axis=0))


def test_more_words_than_are_kept() -> None:
    """Words that take each other's place are summed again, with the same result."""
    texts = [f"w{i} same w{i * 7 % 50_000}" for i in range(2 * kernels.SLOTS)]
    together, last = TABLE.read(pa.array(texts)), TABLE.read(pa.array(texts[-1:]))
    np.testing.assert_array_equal(together.sums_NC[-1:], last.sums_NC)
    np.testing.assert_array_equal(together.num_N[-1:], last.num_N)


def test_a_head_is_the_mean_of_its_column() -> None:
    """A head reads its own column, of the scale it was quantised by; EMPTY_ROWS rows of zeros count."""
    weights_R = RNG.normal(size=1 << BITS)
    table = quantised({"spam": weights_R})
    rows = list(reference("one two"))
    want = weights_R[rows].sum() / (len(rows) + EMPTY_ROWS)
    sums = table.read(pa.array(["one two"]))
    step = np.abs(weights_R).max() / 127 / 2
    assert abs(table.means(sums, head="spam")[0] - want) <= step
    assert table.means(sums, head="toxicity")[0] == 0


def test_the_file_gives_the_table_back(tmp_path: Path) -> None:
    """A written table reads as it was, and the same table gives the same bytes."""
    write_table(TABLE, tmp_path / "a.table")
    write_table(TABLE, tmp_path / "b.table")
    read = read_table(tmp_path / "a.table")
    np.testing.assert_array_equal(read.rows_RC, TABLE.rows_RC)
    np.testing.assert_array_equal(read.scales_C, TABLE.scales_C)
    assert (tmp_path / "a.table").read_bytes() == (tmp_path / "b.table").read_bytes()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}\n",
        packed({"rows": np.zeros((3, 4), np.int8), "scales": np.ones(4, np.float32)}),
        packed({"rows": np.zeros((4, 3), np.int8), "scales": np.ones(3, np.float32)}),
        packed({"rows": np.zeros((4, 4), np.uint8), "scales": np.ones(4, np.float32)}),
        packed({"rows": np.zeros((4, 4), np.int8), "scales": np.full(4, np.nan, np.float32)}),
        packed({"rows": np.zeros(4, np.int8), "scales": np.ones(4, np.float32)}),
    ],
    ids=["empty", "no_arrays", "rows", "columns", "dtype", "scales", "vector"],
)
def test_another_file_is_refused(tmp_path: Path, content: bytes) -> None:
    """A file that is no table is named, with what to do."""
    path = tmp_path / "bad.table"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"bad\.table: is not a table of screens"):
        read_table(path)


def test_a_batch_reads_a_table_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Machines of one table share the view `hashed`, which follows the rows; others read alone."""

    class Machine:
        table = TABLE

    calls = []
    read = HashedTable.read
    monkeypatch.setattr(
        HashedTable, "read", lambda self, texts: calls.append(1) or read(self, texts)
    )
    batch = Batch(post_batch(["one", "two words"]), hashed_view(Machine(), Machine(), object()))
    both = sums_of(batch, TABLE)
    second = sums_of(batch.filter(np.array([False, True])), TABLE)
    np.testing.assert_array_equal(second.sums_NC, both.sums_NC[1:])
    assert len(calls) == 1
    assert hashed_view(object()) == {}
    alone = sums_of(Batch(post_batch(["two words"])), TABLE)
    np.testing.assert_array_equal(alone.sums_NC, second.sums_NC)
