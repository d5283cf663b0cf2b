from itertools import pairwise

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from sluice.tokenizer.loader import columns
from sluice.tokenizer.loader.files import Rows

LENGTH = 7
PADDING = 99
ends_of_a_sequence = st.sets(st.integers(1, LENGTH), min_size=1).map(sorted)
batches = st.lists(ends_of_a_sequence, min_size=1, max_size=5)


def rows_of(ends: list[list[int]]) -> Rows:
    """Returns sequences of distinct tokens with these ends; behind the last of them is padding."""
    tokens_BL = np.arange(100, 100 + len(ends) * LENGTH, dtype=np.int32).reshape(-1, LENGTH)
    for row, own in zip(tokens_BL, ends, strict=True):
        row[own[-1] :] = PADDING
    column = pa.array(ends, pa.list_(pa.int32()))
    return Rows(tokens_BL, column.offsets.to_numpy(), column.values.to_numpy())


def segments_of(ends: list[int]) -> list[range]:
    """Returns the offsets of each document of a sequence and, if any, of its padding."""
    cuts = [0, *ends] if ends[-1] == LENGTH else [0, *ends, LENGTH]
    return [range(start, stop) for start, stop in pairwise(cuts)]


@given(ends=batches)
def test_cu_seqlens_are_where_segments_begin(ends: list[list[int]]) -> None:
    """The lengths between them are those of all segments in order, and fill the batch."""
    starts_C1, longest = columns.cu_seqlens(columns.segment_starts(rows_of(ends)))
    lengths = [len(segment) for row in ends for segment in segments_of(row)]
    assert starts_C1.dtype == np.int32
    assert starts_C1[0] == 0
    assert np.diff(starts_C1).tolist() == lengths
    assert longest == max(lengths)


@given(ends=batches)
def test_position_ids_restart_in_every_segment(ends: list[list[int]]) -> None:
    """They count from 0 in each document, and in padding."""
    expected = [[p for segment in segments_of(row) for p in range(len(segment))] for row in ends]
    got = columns.position_ids(rows_of(ends), columns.segment_starts(rows_of(ends)))
    assert (got.dtype, got.tolist()) == (np.int32, expected)


@given(ends=batches)
def test_document_ids_count_documents(ends: list[list[int]]) -> None:
    """They count from 0 in each sequence; padding is -1."""
    expected = [
        [sum(end <= j for end in row) if j < row[-1] else -1 for j in range(LENGTH)] for row in ends
    ]
    got = columns.document_ids(rows_of(ends), columns.segment_starts(rows_of(ends)))
    assert (got.dtype, got.tolist()) == (np.int32, expected)


@given(ends=batches)
def test_labels_are_the_next_token_of_the_document(ends: list[list[int]]) -> None:
    """The last token of a document has none, padding neither: torch leaves both out of the loss."""
    rows = rows_of(ends)
    expected = [
        [
            int(rows.tokens_BL[b, j + 1]) if j + 1 < row[-1] and j + 1 not in row else -100
            for j in range(LENGTH)
        ]
        for b, row in enumerate(ends)
    ]
    got = columns.labels(rows, pad_id=PADDING)
    assert (got.dtype, got.tolist()) == (np.int64, expected)


@given(ends=batches, data=st.data())
def test_forgotten_posts_have_no_labels(ends: list[list[int]], data: st.DataObject) -> None:
    """Wherever padding stands, no label is padding, none is learned from padding, and all others stay."""
    rows = rows_of(ends)
    exactly = {"min_size": rows.tokens_BL.size, "max_size": rows.tokens_BL.size}
    is_padding = data.draw(st.lists(st.booleans(), **exactly))
    padded_BL = np.array(is_padding).reshape(rows.tokens_BL.shape)
    before = columns.labels(rows, pad_id=PADDING).tolist()
    forgotten = rows._replace(tokens_BL=np.where(padded_BL, PADDING, rows.tokens_BL))
    got = columns.labels(forgotten, pad_id=PADDING).tolist()
    for b, row in enumerate(padded_BL.tolist()):
        for j, label in enumerate(before[b]):
            is_taken = row[j] or (j + 1 < LENGTH and row[j + 1])
            assert got[b][j] == (-100 if is_taken else label)
    starts_C1 = columns.segment_starts(forgotten)
    assert (starts_C1 == columns.segment_starts(rows)).all()


@given(ends=batches)
def test_columns_of_a_slice(ends: list[list[int]]) -> None:
    """Tokens that cannot be written, as mapped ones, do as well, and nothing given is changed."""
    rows = rows_of(ends)
    rows.tokens_BL.flags.writeable = False
    before = [array.copy() for array in rows]
    starts_C1 = columns.segment_starts(rows)
    made = (
        starts_C1,
        columns.labels(rows, pad_id=PADDING),
        columns.position_ids(rows, starts_C1),
        columns.document_ids(rows, starts_C1),
    )
    assert not any(np.shares_memory(new, old) for new in made for old in rows)
    for old, new in zip(before, rows, strict=True):
        np.testing.assert_array_equal(old, new)
