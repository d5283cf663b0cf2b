from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tokenizer import packing
from tokenizer.packing import PIECES, Packed, PackPlan, pack, plan

PAD = -7
LENGTHS = st.lists(st.integers(1, 40), max_size=60)
LONG = st.sampled_from(["split", "truncate"])


def tokens_of(lengths: list[int]) -> tuple[packing.Int32s, packing.Int64s]:
    """Returns tokens that are all different, and the offsets of the documents."""
    offsets_D1 = np.cumsum([0, *lengths], dtype=np.int64)
    return np.arange(int(offsets_D1[-1]), dtype=np.int32), offsets_D1


def best_fit(lengths: list[int], length: int, max_open: int) -> list[tuple[int, int]]:
    """Returns (sequence, offset) of each piece, by the rule as it is told, one sequence at a time.

    Each open sequence is [room, when it was last put in place, number].
    """
    opened: list[list[int]] = []
    placed, number = [], 0
    for time, piece in enumerate(lengths):
        fitting = [entry for entry in opened if entry[0] >= piece]
        if fitting:
            chosen = min(fitting, key=lambda entry: (entry[0], -entry[1]))
        else:
            if len(opened) == max_open and piece < length:
                opened.remove(min(opened, key=lambda entry: (entry[0], -entry[1])))
            chosen = [length, time, number]
            opened.append(chosen)
            number += 1
        placed.append((chosen[2], length - chosen[0]))
        chosen[0] -= piece
        chosen[1] = time
        opened = [entry for entry in opened if entry[0] > 0]
    return placed


@example(lengths=[5, 12, 5], length=12, max_open=1)  # a full sequence closes no other
@given(
    lengths=st.lists(st.integers(1, 12), max_size=50),
    length=st.integers(12, 20),
    max_open=st.integers(1, 4),
)
def test_places_are_those_of_best_fit(lengths: list[int], length: int, max_open: int) -> None:
    """Every document goes where a direct telling of the rule puts it."""
    planned = plan(np.array(lengths, np.int64), sequence_length=length, max_open=max_open)
    by_document = np.argsort(planned.document_P, kind="stable")
    found = list(
        zip(
            planned.sequence_P[by_document].tolist(),
            planned.offset_P[by_document].tolist(),
            strict=True,
        )
    )
    assert found == best_fit(lengths, length, max_open)


def unpacked(plan_: PackPlan, packed: Packed) -> dict[tuple[int, int], list[int]]:
    """Returns the tokens of each (document, piece), read back through the provenance rows."""
    found: dict[tuple[int, int], list[int]] = {}
    for row in packed.pieces.to_pylist():
        span = slice(row["offset"], row["offset"] + row["length"])
        key = (row["document"], row["piece"])
        assert key not in found
        found[key] = packed.tokens_SL[row["sequence"], span].tolist()
    return found


@given(lengths=LENGTHS, length=st.integers(1, 16), long=LONG, max_open=st.integers(1, 5))
def test_every_token_appears_once_in_order(
    lengths: list[int], length: int, long: packing.LongDocuments, max_open: int
) -> None:
    """Documents read back whole and in order, but for what truncation cut, which is counted."""
    tokens_T, offsets_D1 = tokens_of(lengths)
    planned = plan(
        np.diff(offsets_D1), sequence_length=length, long_documents=long, max_open=max_open
    )
    packed = pack(planned, tokens_T, offsets_D1[:-1], pad_id=PAD)
    pieces = unpacked(planned, packed)
    kept = 0
    for d, document in enumerate(np.split(tokens_T, offsets_D1[1:-1])[: len(lengths)]):
        whole = document.tolist()[: length if long == "truncate" else None]
        numbers = sorted(piece for owner, piece in pieces if owner == d)
        assert numbers == list(range(len(numbers)))
        assert [t for n in numbers for t in pieces[d, n]] == whole
        assert all(len(pieces[d, n]) == length for n in numbers[:-1])
        kept += len(whole)
    assert planned.num_tokens == kept
    assert planned.num_tokens + planned.num_truncated == sum(lengths)
    assert int((packed.tokens_SL != PAD).sum()) == planned.num_tokens
    assert int((packed.tokens_SL == PAD).sum()) == planned.num_padding


@given(lengths=LENGTHS, length=st.integers(1, 16), long=LONG)
def test_pieces_touch_and_padding_is_last(
    lengths: list[int], length: int, long: packing.LongDocuments
) -> None:
    """In each sequence pieces begin at 0 and follow without gap or overlap; the rest is padding."""
    tokens_T, offsets_D1 = tokens_of(lengths)
    planned = plan(np.diff(offsets_D1), sequence_length=length, long_documents=long)
    packed = pack(planned, tokens_T, offsets_D1[:-1], pad_id=PAD)
    assert sorted(set(planned.sequence_P.tolist())) == list(range(planned.num_sequences))
    assert packed.tokens_SL.shape == (planned.num_sequences, length)
    assert len(packed.doc_ends) == planned.num_sequences
    for s, ends in enumerate(packed.doc_ends.to_pylist()):
        mine = planned.sequence_P == s
        assert [0, *ends[:-1]] == planned.offset_P[mine].tolist()
        assert ends == (planned.offset_P + planned.length_P)[mine].tolist()
        assert ends[-1] <= length
        assert (packed.tokens_SL[s, ends[-1] :] == PAD).all()
        assert (packed.tokens_SL[s, : ends[-1]] != PAD).all()


@given(lengths=LENGTHS, length=st.integers(1, 16), data=st.data())
def test_packing_in_runs_gives_the_same(lengths: list[int], length: int, data: Any) -> None:
    """A run of sequences is the same rows, ends and provenance as in the whole."""
    tokens_T, offsets_D1 = tokens_of(lengths)
    planned = plan(np.diff(offsets_D1), sequence_length=length)
    start = data.draw(st.integers(0, planned.num_sequences))
    stop = data.draw(st.integers(start, planned.num_sequences))
    whole = pack(planned, tokens_T, offsets_D1[:-1], pad_id=PAD)
    part = pack(planned, tokens_T, offsets_D1[:-1], pad_id=PAD, start=start, stop=stop)
    np.testing.assert_array_equal(part.tokens_SL, whole.tokens_SL[start:stop])
    assert part.doc_ends.to_pylist() == whole.doc_ends.to_pylist()[start:stop]
    mine = (planned.sequence_P >= start) & (planned.sequence_P < stop)
    assert part.pieces.equals(whole.pieces.filter(pa.array(mine)))


def test_documents_may_begin_anywhere() -> None:
    """Offsets that do not start at 0, as a slice has, read the right tokens."""
    tokens_T, offsets_D1 = np.arange(100, dtype=np.int32), np.array([10, 13, 17])
    planned = plan(np.diff(offsets_D1), sequence_length=8)
    packed = pack(planned, tokens_T, offsets_D1[:-1], pad_id=0)
    assert packed.tokens_SL.tolist() == [[10, 11, 12, 13, 14, 15, 16, 0]]
    assert packed.doc_ends.to_pylist() == [[3, 7]]
    assert packed.pieces.schema == PIECES


def test_long_documents_split() -> None:
    """Whole sequences are cut off the front; the tail shares a sequence with others."""
    planned = plan(np.array([1, 10, 2]), sequence_length=4)
    rows = zip(planned.document_P, planned.piece_P, planned.start_P, planned.length_P, strict=True)
    assert [tuple(map(int, row)) for row in rows] == [
        (0, 0, 0, 1),
        (1, 2, 8, 2),
        (1, 0, 0, 4),
        (1, 1, 4, 4),
        (2, 0, 0, 2),
    ]
    assert planned.sequence_P.tolist() == [0, 0, 1, 2, 3]
    assert (planned.num_tokens, planned.num_truncated, planned.num_padding) == (13, 0, 3)


def test_long_documents_truncated() -> None:
    """The first tokens stay, and what was cut is counted."""
    planned = plan(np.array([10, 4]), sequence_length=4, long_documents="truncate")
    assert planned.length_P.tolist() == [4, 4]
    assert (planned.num_tokens, planned.num_truncated, planned.num_padding) == (8, 6, 0)


def test_a_length_of_int32_gives_the_same_plan() -> None:
    """The type of the lengths does not matter."""
    lengths = np.random.default_rng(0).integers(1, 90, 500)
    narrow = plan(lengths.astype(np.int32), sequence_length=64)
    wide = plan(lengths.astype(np.int64), sequence_length=64)
    for field in PackPlan._fields:
        np.testing.assert_array_equal(getattr(narrow, field), getattr(wide, field))


@pytest.mark.parametrize(
    ("lengths", "settings", "message"),
    [
        ([3, 0], {"sequence_length": 8}, "at least 1"),
        ([3], {"sequence_length": 0}, "at least 1"),
        ([3], {"sequence_length": 8, "max_open": 0}, "at least 1"),
        ([3], {"sequence_length": 8, "long_documents": "drop"}, "'split' or 'truncate'"),
        ([3, 32769], {"sequence_length": 1}, "document 1 has more than 32768 pieces"),
    ],
)
def test_wrong_arguments_are_refused(
    lengths: list[int], settings: dict[str, Any], message: str
) -> None:
    """An impossible length or setting is a ValueError that says which."""
    with pytest.raises(ValueError, match=message):
        plan(np.array(lengths), **settings)


def test_a_plan_of_other_documents_is_refused() -> None:
    """A plan cannot be used on documents it was not made for."""
    planned = plan(np.array([2, 3]), sequence_length=8)
    tokens_T = np.zeros(9, np.int32)
    for starts in ([0], [0, 8]):
        with pytest.raises(ValueError, match=r"other documents|behind the tokens"):
            pack(planned, tokens_T, np.array(starts), pad_id=0)


@pytest.mark.parametrize(
    ("mean", "num_documents"), [(20, 1_000_000), (554, 1_000_000)], ids=["posts", "threads"]
)
def test_hardly_any_padding_at_scale(mean: int, num_documents: int) -> None:
    """Under 0.1% of 8,192-token sequences is padding for a million posts, and for as many threads."""
    draws = np.random.default_rng(1).lognormal(np.log(mean) - 0.5, 1.0, num_documents)
    planned = plan(np.maximum(1, draws.astype(np.int64)), sequence_length=8192)
    assert planned.num_padding / (planned.num_sequences * 8192) < 0.001
