from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sluice.tokenizer.packing import plan as packing
from sluice.tokenizer.packing.plan import PIECES, Packed, PackPlan, pack, plan

PAD = -7
LENGTHS = st.lists(st.integers(1, 40), max_size=60)
LONG = st.sampled_from(["split", "truncate"])
PACKING = st.sampled_from(["best_fit", "concatenate"])
CONVERSATIONS = st.lists(st.lists(st.integers(1, 30), min_size=1, max_size=8), max_size=20)
"""The lengths of the posts of each conversation."""


def tokens_of(lengths: list[int]) -> tuple[packing.Int32s, packing.Int64s]:
    """Returns tokens that are all different, and the offsets of the posts."""
    offsets_N1 = np.cumsum([0, *lengths], dtype=np.int64)
    return np.arange(int(offsets_N1[-1]), dtype=np.int32), offsets_N1


def begins_of(conversations: list[list[int]]) -> packing.Bools:
    """Returns which posts begin a conversation."""
    flags = [i == 0 for posts in conversations for i in range(len(posts))]
    return np.array(flags, np.bool_)


def best_fit(lengths: list[int], length: int) -> list[tuple[int, int]]:
    """Returns (sequence, offset) of each part, by the rule as it is told, one sequence at a time.

    Each open sequence is [room, when it was last put in place, number].
    """
    opened: list[list[int]] = []
    placed = {}
    small = [part <= length // 8 for part in lengths]
    for time, part in enumerate(sorted(range(len(lengths)), key=small.__getitem__)):
        fitting = [entry for entry in opened if entry[0] >= lengths[part]]
        chosen = min(fitting, key=lambda entry: (entry[0], -entry[1]), default=None)
        if chosen is None:
            chosen = [length, time, len(opened)]
            opened.append(chosen)
        placed[part] = (chosen[2], length - chosen[0])
        chosen[0] -= lengths[part]
        chosen[1] = time
    return [placed[part] for part in range(len(lengths))]


def parts_of(posts: list[int], length: int) -> list[list[int]]:
    """Returns the parts of a conversation, as lists of lengths of pieces, by the rule as it is told."""
    parts: list[list[int]] = [[]]
    for post in posts:
        left = post
        while left:
            piece = min(left, length)
            if sum(parts[-1]) + piece > length:
                parts.append([])
            parts[-1].append(piece)
            left -= piece
    return parts


@given(lengths=st.lists(st.integers(1, 30), max_size=80), length=st.integers(30, 300))
def test_places_are_those_of_best_fit(lengths: list[int], length: int) -> None:
    """Every document goes where a direct telling of the rule puts it."""
    planned = plan(np.array(lengths, np.int64), sequence_length=length)
    by_post = np.argsort(planned.post_P, kind="stable")
    columns = (planned.sequence_P[by_post].tolist(), planned.offset_P[by_post].tolist())
    assert list(zip(*columns, strict=True)) == best_fit(lengths, length)


@pytest.mark.parametrize("length", [63, 64, 4095, 4096, 8192, 300_000])
def test_places_at_the_edges_of_the_search(length: int) -> None:
    """Rooms around powers of 64 are found: the search goes by words of bits."""
    draw = np.random.default_rng(length)
    steps = np.array([1, 2, 63, 64, 65, 127, 128, 4031, 4095, 4096, 4097, 262_143, length // 2])
    lengths = draw.choice(steps[steps <= length], 400)
    planned = plan(lengths, sequence_length=length)
    by_post = np.argsort(planned.post_P, kind="stable")
    columns = (planned.sequence_P[by_post].tolist(), planned.offset_P[by_post].tolist())
    assert list(zip(*columns, strict=True)) == best_fit(lengths.tolist(), length)


@example(conversations=[[3, 20, 2, 3]], length=8)  # the tail of a long post takes the next ones
@given(conversations=CONVERSATIONS, length=st.integers(1, 16))
def test_conversations_are_cut_between_posts(conversations: list[list[int]], length: int) -> None:
    """Parts are those of the rule, whole in one sequence, and best-fit places them as documents."""
    lengths = [n for posts in conversations for n in posts]
    planned = plan(
        np.array(lengths, np.int64), sequence_length=length, begins_N=begins_of(conversations)
    )
    parts = [part for posts in conversations for part in parts_of(posts, length)]
    expected = []
    for (sequence, offset), part in zip(
        best_fit([sum(part) for part in parts], length), parts, strict=True
    ):
        inside = np.cumsum([0, *part[:-1]]).tolist()
        expected += [
            (sequence, offset + at, n, at + n == sum(part))
            for at, n in zip(inside, part, strict=True)
        ]
    by_post = np.lexsort((planned.piece_P, planned.post_P))
    columns = [planned.sequence_P, planned.offset_P, planned.length_P, planned.ends_P]
    assert list(zip(*(c[by_post].tolist() for c in columns), strict=True)) == expected


def unpacked(packed: Packed) -> dict[tuple[int, int], list[int]]:
    """Returns the tokens of each (post, piece), read back through the provenance rows."""
    found: dict[tuple[int, int], list[int]] = {}
    for row in packed.pieces.to_pylist():
        span = slice(row["offset"], row["offset"] + row["length"])
        key = (row["post"], row["piece"])
        assert key not in found
        found[key] = packed.tokens_SL[row["sequence"], span].tolist()
    return found


@given(
    lengths=LENGTHS,
    length=st.integers(1, 16),
    long=LONG,
    way=PACKING,
)
def test_every_token_appears_once_in_order(
    lengths: list[int],
    length: int,
    long: packing.LongDocuments,
    way: packing.Packing,
) -> None:
    """Documents read back whole and in order, but for what truncation cut, which is counted."""
    tokens_T, offsets_N1 = tokens_of(lengths)
    planned = plan(
        np.diff(offsets_N1),
        sequence_length=length,
        packing=way,
        long_documents=long,
    )
    packed = pack(planned, tokens_T, offsets_N1[:-1], pad_id=PAD)
    pieces = unpacked(packed)
    kept = 0
    for d, document in enumerate(np.split(tokens_T, offsets_N1[1:-1])[: len(lengths)]):
        whole = document.tolist()[: length if long == "truncate" else None]
        numbers = sorted(piece for owner, piece in pieces if owner == d)
        assert numbers == list(range(len(numbers)))
        assert [t for n in numbers for t in pieces[d, n]] == whole
        if way == "best_fit":
            assert all(len(pieces[d, n]) == length for n in numbers[:-1])
        kept += len(whole)
    assert planned.num_tokens == kept
    assert planned.num_tokens + planned.num_truncated == sum(lengths)
    assert int((packed.tokens_SL != PAD).sum()) == planned.num_tokens
    assert int((packed.tokens_SL == PAD).sum()) == planned.num_padding


@given(conversations=CONVERSATIONS, length=st.integers(1, 16), way=PACKING)
def test_documents_of_posts_read_back_through_their_ends(
    conversations: list[list[int]], length: int, way: packing.Packing
) -> None:
    """The spans between ends are runs of one conversation, and together they are all its tokens."""
    lengths = [n for posts in conversations for n in posts]
    tokens_T, offsets_N1 = tokens_of(lengths)
    planned = plan(
        np.diff(offsets_N1),
        sequence_length=length,
        begins_N=begins_of(conversations),
        packing=way,
    )
    packed = pack(planned, tokens_T, offsets_N1[:-1], pad_id=PAD)
    spans = [
        packed.tokens_SL[s, a:b].tolist()
        for s, ends in enumerate(packed.doc_ends.to_pylist())
        for a, b in zip([0, *ends[:-1]], ends, strict=True)
    ]
    assert all(spans)
    ends_of = np.cumsum([0, *(sum(posts) for posts in conversations)])
    found: dict[int, list[list[int]]] = {}
    for span in sorted(spans):  # tokens ascend through the input
        document = int(np.searchsorted(ends_of, span[0], side="right"))
        assert span[-1] < ends_of[document]
        found.setdefault(document, []).append(span)
    for d, posts in enumerate(conversations):
        parts = found[d + 1]
        assert [t for part in parts for t in part] == list(range(ends_of[d], ends_of[d + 1]))
        if way == "best_fit":
            assert len(parts) == len(parts_of(posts, length))
    assert planned.num_documents == len(conversations)


@given(conversations=CONVERSATIONS, length=st.integers(1, 16), way=PACKING, joined=st.booleans())
def test_pieces_touch_and_padding_is_last(
    conversations: list[list[int]], length: int, way: packing.Packing, joined: bool
) -> None:
    """In each sequence pieces begin at 0 and follow without gap or overlap; the rest is padding."""
    tokens_T, offsets_N1 = tokens_of([n for posts in conversations for n in posts])
    begins_N = begins_of(conversations) if joined else None
    planned = plan(np.diff(offsets_N1), sequence_length=length, begins_N=begins_N, packing=way)
    packed = pack(planned, tokens_T, offsets_N1[:-1], pad_id=PAD)
    assert sorted(set(planned.sequence_P.tolist())) == list(range(planned.num_sequences))
    assert packed.tokens_SL.shape == (planned.num_sequences, length)
    assert len(packed.doc_ends) == planned.num_sequences
    for s, ends in enumerate(packed.doc_ends.to_pylist()):
        mine = planned.sequence_P == s
        stops = (planned.offset_P + planned.length_P)[mine].tolist()
        assert [0, *stops[:-1]] == planned.offset_P[mine].tolist()
        assert ends == [e for e, last in zip(stops, planned.ends_P[mine], strict=True) if last]
        assert ends[-1] == stops[-1] <= length
        assert joined or ends == stops
        assert (packed.tokens_SL[s, ends[-1] :] == PAD).all()
        assert (packed.tokens_SL[s, : ends[-1]] != PAD).all()


@given(lengths=LENGTHS, length=st.integers(1, 16), long=LONG)
def test_concatenated_sequences_are_full(
    lengths: list[int], length: int, long: packing.LongDocuments
) -> None:
    """All but the last sequence are full, and together they are the documents, one after the other."""
    tokens_T, offsets_N1 = tokens_of(lengths)
    planned = plan(
        np.diff(offsets_N1), sequence_length=length, packing="concatenate", long_documents=long
    )
    assert planned.num_padding < length
    packed = pack(planned, tokens_T, offsets_N1[:-1], pad_id=PAD)
    most = length if long == "truncate" else None
    kept = [t[:most] for t in np.split(tokens_T, offsets_N1[1:-1])[: len(lengths)]]
    flat = packed.tokens_SL.reshape(-1)
    assert flat[: planned.num_tokens].tolist() == [int(t) for part in kept for t in part]


@given(lengths=LENGTHS, length=st.integers(1, 16))
def test_best_fit_wastes_less_than_half(lengths: list[int], length: int) -> None:
    """Two sequences are never so empty that one would do: the sequences are at most twice the tokens."""
    planned = plan(np.array(lengths, np.int64), sequence_length=length)
    used_S = np.bincount(planned.sequence_P, weights=planned.length_P)
    assert (used_S <= length).all()
    if len(used_S) > 1:
        assert np.sort(used_S)[:2].sum() > length


@given(lengths=LENGTHS, length=st.integers(1, 16), way=PACKING, data=st.data())
def test_packing_in_runs_gives_the_same(
    lengths: list[int], length: int, way: packing.Packing, data: Any
) -> None:
    """A run of sequences is the same rows, ends and provenance as in the whole."""
    tokens_T, offsets_N1 = tokens_of(lengths)
    flags = data.draw(st.lists(st.booleans(), min_size=len(lengths), max_size=len(lengths)))
    begins_N = np.array([True, *flags[1:]][: len(lengths)], np.bool_)
    planned = plan(np.diff(offsets_N1), sequence_length=length, begins_N=begins_N, packing=way)
    start = data.draw(st.integers(0, planned.num_sequences))
    stop = data.draw(st.integers(start, planned.num_sequences))
    whole = pack(planned, tokens_T, offsets_N1[:-1], pad_id=PAD)
    part = pack(planned, tokens_T, offsets_N1[:-1], pad_id=PAD, start=start, stop=stop)
    np.testing.assert_array_equal(part.tokens_SL, whole.tokens_SL[start:stop])
    assert part.doc_ends.to_pylist() == whole.doc_ends.to_pylist()[start:stop]
    mine = (planned.sequence_P >= start) & (planned.sequence_P < stop)
    assert part.pieces.equals(whole.pieces.filter(pa.array(mine)))


def test_documents_may_begin_anywhere() -> None:
    """Offsets that do not start at 0, as a slice has, read the right tokens."""
    tokens_T, offsets_N1 = np.arange(100, dtype=np.int32), np.array([10, 13, 17])
    planned = plan(np.diff(offsets_N1), sequence_length=8)
    packed = pack(planned, tokens_T, offsets_N1[:-1], pad_id=0)
    assert packed.tokens_SL.tolist() == [[10, 11, 12, 13, 14, 15, 16, 0]]
    assert packed.doc_ends.to_pylist() == [[3, 7]]
    assert packed.pieces.schema == PIECES


def test_long_documents_split() -> None:
    """Whole sequences are cut off the front; the tail shares a sequence with others."""
    planned = plan(np.array([1, 10, 2]), sequence_length=4)
    rows = zip(planned.post_P, planned.piece_P, planned.start_P, planned.length_P, strict=True)
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


def test_concatenated_documents_are_cut_anywhere() -> None:
    """A document begins where the previous one ended, and continues in the next sequence."""
    planned = plan(np.array([3, 4, 9]), sequence_length=4, packing="concatenate")
    columns = [planned.sequence_P, planned.offset_P, planned.post_P, planned.start_P]
    assert list(zip(*(c.tolist() for c in columns), strict=True)) == [
        (0, 0, 0, 0),
        (0, 3, 1, 0),
        (1, 0, 1, 1),
        (1, 3, 2, 0),
        (2, 0, 2, 1),
        (3, 0, 2, 5),
    ]
    assert planned.piece_P.tolist() == [0, 0, 1, 0, 1, 2]
    assert planned.ends_P.all()


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
        ([3], {"sequence_length": 8, "long_documents": "drop"}, "'split' or 'truncate'"),
        ([3], {"sequence_length": 8, "packing": "next_fit"}, "'best_fit' or 'concatenate'"),
        ([3, 32769], {"sequence_length": 1}, "post 1 has more than 32768 pieces"),
        ([3], {"sequence_length": 8, "begins_N": np.array([False])}, "the first must be true"),
        ([3], {"sequence_length": 8, "begins_N": np.ones(2, np.bool_)}, "an entry for each post"),
        (
            [3, 3],
            {
                "sequence_length": 8,
                "begins_N": np.array([True, False]),
                "long_documents": "truncate",
            },
            "several posts is not truncated",
        ),
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
        with pytest.raises(ValueError, match=r"other posts|behind the tokens"):
            pack(planned, tokens_T, np.array(starts), pad_id=0)


@pytest.mark.parametrize(
    ("mean", "num_documents"), [(20, 1_000_000), (554, 1_000_000)], ids=["posts", "threads"]
)
def test_hardly_any_padding_at_scale(mean: int, num_documents: int) -> None:
    """Under 0.1% of 8,192-token sequences is padding for a million posts, and for as many threads."""
    draws = np.random.default_rng(1).lognormal(np.log(mean) - 0.5, 1.0, num_documents)
    planned = plan(np.maximum(1, draws.astype(np.int64)), sequence_length=8192)
    assert planned.num_padding / (planned.num_sequences * 8192) < 0.001
