"""Where each document goes: a plan from lengths alone, then one gather of tokens.

Planning sees lengths only, so it takes megabytes where the tokens take gigabytes. Documents are
taken in the order they come in (a seeded shuffle: neighbours in a sequence have nothing to do with
each other), and packed in one of two ways:

- `best_fit`: a document goes whole into the sequence with the least room that holds it, and into a
  new one where none does. Only a document longer than a sequence is cut, into parts that are placed
  as documents are. What is longer than an eighth of a sequence goes first, and what is shorter then
  fills the room that is left.
- `concatenate`: documents follow each other and are cut every L tokens, wherever that is. There is
  padding in the last sequence alone; most sequences begin in the middle of a document.

A document is a run of posts: one, or a conversation. The best fit cuts a conversation between posts
where it can: a part takes posts as long as they fit. A post longer than a sequence begins a part and
gives parts of exactly L tokens; its tail is the beginning of a part that the next posts may join.

Measured on one core at 8,192 tokens: benchmarks/PACKING.md.

Source: best-fit packing, Ding et al. 2024, "Fewer Truncations Improve Language Modeling", there
in the order of decreasing length; two classes of length, each in the order given, is ours.

Shape suffixes: N posts, D documents, B parts of documents that are placed whole, P pieces of posts,
S sequences, T tokens, L tokens of a sequence.
"""

from typing import Any, Literal, NamedTuple

import numpy as np
import pyarrow as pa

from sluice.schemas.arrays import Bools, Int16s, Int32s, Int64s, Uint64s
from sluice.schemas.kernel import kernel, read_only, types
from sluice.tokenizer.runs import copy_runs

LongDocuments = Literal["split", "truncate"]
Packing = Literal["best_fit", "concatenate"]

SMALL = 8
"""A part of at most a sequence / SMALL waits until all larger ones have a place."""

MAX_PIECES = 2**15
"""Pieces of one post, so that a piece's number fits int16."""

PIECES = pa.schema(
    [
        pa.field("sequence", pa.int32(), nullable=False),
        pa.field("offset", pa.int32(), nullable=False),
        pa.field("length", pa.int32(), nullable=False),
        pa.field("post", pa.int64(), nullable=False),
        pa.field("piece", pa.int16(), nullable=False),
        pa.field("ends", pa.bool_(), nullable=False),
    ]
)
"""Provenance: one row per piece, by sequence and offset; `post` counts the plan's input from 0, `ends` is
whether a document, or a part of one, ends with the piece: an entry of `doc_ends`."""


class PackPlan(NamedTuple):
    """P pieces of N posts in `num_sequences` sequences, ordered by sequence, then offset.

    Attributes:
        post_P: (P,) int64, which post.
        piece_P: (P,) int16, the piece's number in its post, from 0.
        start_P: (P,) int32, where in the post's tokens it begins.
        length_P: (P,) int32, tokens, at least 1.
        sequence_P: (P,) int32, ascending; every number up to `num_sequences` occurs.
        offset_P: (P,) int32, where in the sequence; pieces touch, the first is at 0.
        ends_P: (P,) bool, whether the document, or the part of it in this sequence, ends here.
        num_sequences: S.
        sequence_length: L.
        num_posts: N.
        num_documents: D.
        num_tokens: tokens placed.
        num_truncated: tokens of documents cut off; placed + truncated = all.
    """

    post_P: Int64s
    piece_P: Int16s
    start_P: Int32s
    length_P: Int32s
    sequence_P: Int32s
    offset_P: Int32s
    ends_P: Bools
    num_sequences: int
    sequence_length: int
    num_posts: int
    num_documents: int
    num_tokens: int
    num_truncated: int

    @property
    def num_padding(self) -> int:
        """Places in the sequences that hold no token."""
        return self.num_sequences * self.sequence_length - self.num_tokens


class Packed(NamedTuple):
    """S sequences, ready for a shard.

    Attributes:
        tokens_SL: (S, L) int32.
        doc_ends: (S,) list<int32>, where documents and parts of them end in each sequence, ascending.
        pieces: the provenance, of schema PIECES; `sequence` counts as the plan does.
    """

    tokens_SL: Int32s
    doc_ends: pa.ListArray
    pieces: pa.RecordBatch


class _Pieces(NamedTuple):
    """Pieces with their places: the arrays of PackPlan."""

    post_P: Int64s
    piece_P: Int16s
    start_P: Int32s
    length_P: Int32s
    sequence_P: Int32s
    offset_P: Int32s
    ends_P: Bools


def plan(
    lengths_N: Int32s | Int64s,
    *,
    sequence_length: int,
    begins_N: Bools | None = None,
    packing: Packing = "best_fit",
    long_documents: LongDocuments = "split",
) -> PackPlan:
    """Plans the packing of N posts, in the order given; the same input gives the same plan.

    >>> planned = plan(np.array([5, 3, 4]), sequence_length=8)
    >>> planned.sequence_P.tolist(), planned.offset_P.tolist(), planned.post_P.tolist()
    ([0, 0, 1], [0, 5, 0], [0, 1, 2])
    >>> planned.num_sequences, planned.num_tokens, planned.num_padding
    (2, 12, 4)

    Args:
        lengths_N: (N,) int32 or int64, tokens, special ones included; at least 1.
        sequence_length: L, at least 1.
        begins_N: (N,) bool, whether a post begins a document, the first does; by default each post
            is a document.
        packing: the way, see above.
        long_documents: what becomes of documents longer than L. "split": they are cut, and nothing
            is lost. "truncate", for documents of one post: the first L tokens stay, without the
            end-of-document token; the rest is counted.

    Raises:
        ValueError: a length or L is below 1, a post has more than 32,768 pieces, the
            first post begins no document, or a document of several posts is to be truncated.
    """
    lengths_N = np.ascontiguousarray(lengths_N, np.int64)
    if begins_N is None:
        begins_N = np.ones(len(lengths_N), np.bool_)
    _check(lengths_N, begins_N, sequence_length)
    kept_N = _kept(lengths_N, begins_N, sequence_length, long_documents)
    if packing == "concatenate":
        pieces = _concatenated(kept_N, begins_N, sequence_length)
    elif packing == "best_fit":
        pieces = _fitted(kept_N, begins_N, sequence_length)
    else:
        raise ValueError(f"packing must be 'best_fit' or 'concatenate', got {packing!r}")
    num_tokens = int(kept_N.sum())
    return PackPlan(
        *pieces,
        num_sequences=int(pieces.sequence_P[-1]) + 1 if len(pieces.sequence_P) else 0,
        sequence_length=sequence_length,
        num_posts=len(lengths_N),
        num_documents=int(begins_N.sum()),
        num_tokens=num_tokens,
        num_truncated=int(lengths_N.sum()) - num_tokens,
    )


def _ends(begins_P: Bools, sequence_P: Int32s | Int64s) -> Bools:
    """Returns (P,) bool, whether the next piece begins a document, a part of one or a sequence."""
    ends_P = np.ones(len(begins_P), np.bool_)
    ends_P[:-1] = begins_P[1:] | (sequence_P[1:] != sequence_P[:-1])
    return ends_P


def _check(lengths_N: Int64s, begins_N: Bools, sequence_length: int) -> None:
    if sequence_length < 1 or (len(lengths_N) and lengths_N.min() < 1):
        raise ValueError("lengths and sequence_length must be at least 1")
    if len(begins_N) != len(lengths_N) or (len(begins_N) and not begins_N[0]):
        raise ValueError("begins_N must have an entry for each post, and the first must be true")


def _kept(
    lengths_N: Int64s, begins_N: Bools, sequence_length: int, long_documents: LongDocuments
) -> Int64s:
    """Returns the tokens of each post that are placed."""
    if long_documents == "split":
        return lengths_N
    if long_documents != "truncate":
        raise ValueError(f"long_documents must be 'split' or 'truncate', got {long_documents!r}")
    if not begins_N.all():
        raise ValueError("a document of several posts is not truncated: it would lose posts")
    return np.minimum(lengths_N, sequence_length)


def pack(
    plan: PackPlan,
    tokens_T: Int32s,
    starts_N: Int64s,
    *,
    pad_id: int,
    start: int = 0,
    stop: int | None = None,
) -> Packed:
    """Gathers the tokens of the plan's sequences `start` to `stop`, all of them by default.

    >>> planned = plan(np.array([2, 1]), sequence_length=4)
    >>> packed = pack(planned, np.array([7, 8, 9], np.int32), np.array([0, 2]), pad_id=0)
    >>> packed.tokens_SL.tolist(), packed.doc_ends.to_pylist()
    ([[7, 8, 9, 0]], [[2, 3]])

    Memory is that of the sequences asked for, so a large partition is packed in runs of sequences.

    Args:
        plan: from `plan` of these posts.
        tokens_T: (T,) int32, the posts in any order, special tokens included.
        starts_N: (N,) int64, where each post of the plan begins in `tokens_T`.
        pad_id: what follows the last piece.
        start: the first sequence.
        stop: the one behind the last.

    Raises:
        ValueError: the plan is for another number of posts, or one ends behind the tokens.
    """
    if len(starts_N) != plan.num_posts:
        raise ValueError("the plan was made for other posts")
    stop = plan.num_sequences if stop is None else stop
    bounds_S1 = np.searchsorted(plan.sequence_P, np.arange(start, stop + 1, dtype=np.int32))
    chosen = slice(int(bounds_S1[0]), int(bounds_S1[-1]))
    post_P, sequence_P = plan.post_P[chosen], plan.sequence_P[chosen]
    length_P, offset_P = plan.length_P[chosen], plan.offset_P[chosen]
    source_P = np.asarray(starts_N, np.int64)[post_P] + plan.start_P[chosen]
    if len(source_P) and int((source_P + length_P).max()) > len(tokens_T):
        raise ValueError("a post of the plan ends behind the tokens")
    tokens_SL = np.full((stop - start, plan.sequence_length), pad_id, np.int32)
    target_P = (sequence_P - start) * np.int64(plan.sequence_length) + offset_P
    copy_runs(tokens_T, source_P, length_P.astype(np.int64), target_P, tokens_SL.reshape(-1))
    ends_P = plan.ends_P[chosen]
    columns = [sequence_P, offset_P, length_P, post_P, plan.piece_P[chosen], ends_P]
    return Packed(
        tokens_SL=tokens_SL,
        doc_ends=_doc_ends(offset_P + length_P, ends_P, bounds_S1 - bounds_S1[0]),
        pieces=pa.RecordBatch.from_arrays([pa.array(column) for column in columns], schema=PIECES),
    )


def _doc_ends(end_P: Int32s, ends_P: Bools, bounds_S1: Int64s) -> pa.ListArray:
    """Returns (S,) list<int32>: the ends of those pieces with which documents end."""
    at_E = np.flatnonzero(ends_P)
    offsets_S1 = np.searchsorted(at_E, bounds_S1).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets_S1), pa.array(end_P[at_E]))


def _concatenated(lengths_N: Int64s, begins_N: Bools, sequence_length: int) -> _Pieces:
    """Cuts the posts, one after the other, every `sequence_length` tokens."""
    stop_N = np.cumsum(lengths_N)
    start_N = stop_N - lengths_N
    first_N = start_N // sequence_length
    post_P, piece_P = _numbered((stop_N - 1) // sequence_length - first_N + 1)
    sequence_P = first_N[post_P] + piece_P
    edge_P = sequence_P * sequence_length
    from_P = np.maximum(start_N[post_P], edge_P)
    to_P = np.minimum(stop_N[post_P], edge_P + sequence_length)
    return _Pieces(
        post_P=post_P,
        piece_P=piece_P.astype(np.int16),
        start_P=(from_P - start_N[post_P]).astype(np.int32),
        length_P=(to_P - from_P).astype(np.int32),
        sequence_P=sequence_P.astype(np.int32),
        offset_P=(from_P - edge_P).astype(np.int32),
        ends_P=_ends(begins_N[post_P] & (piece_P == 0), sequence_P),
    )


def _fitted(lengths_N: Int64s, begins_N: Bools, sequence_length: int) -> _Pieces:
    """Cuts what is longer than a sequence, and fits the parts."""
    post_P, piece_P = _numbered(-(-lengths_N // sequence_length))
    start_P = piece_P * sequence_length
    length_P = np.minimum(lengths_N[post_P] - start_P, sequence_length).astype(np.int32)
    part_P, within_P = np.empty((2, len(post_P)), np.int32)
    length_B = np.empty(len(post_P), np.int32)
    begins_P = begins_N[post_P] & (piece_P == 0)
    num_parts = _parts(length_P, begins_P, sequence_length, part_P, within_P, length_B)
    small_B = length_B[:num_parts] <= sequence_length // SMALL
    order_B = _small_last(small_B)
    sequence_B, offset_B = np.empty((2, num_parts), np.int32)
    placed = np.empty((2, num_parts), np.int32)
    num_sequences = _best_fit(length_B[order_B], sequence_length, *placed)
    sequence_B[order_B], offset_B[order_B] = placed
    order_P = _small_last(small_B[part_P])  # as they were placed, so that offsets ascend
    order_P = order_P[_by_sequence(sequence_B[part_P[order_P]], num_sequences)]
    part_P, within_P = part_P[order_P], within_P[order_P]
    sequence_P = sequence_B[part_P]
    return _Pieces(
        post_P=post_P[order_P],
        piece_P=piece_P.astype(np.int16)[order_P],
        start_P=start_P.astype(np.int32)[order_P],
        length_P=length_P[order_P],
        sequence_P=sequence_P,
        offset_P=offset_B[part_P] + within_P,
        ends_P=_ends(within_P == 0, sequence_P),
    )


def _small_last(small_K: Bools) -> Int64s:
    """Returns the order in which small ones come last, and all else stays."""
    return np.concatenate([np.flatnonzero(~small_K), np.flatnonzero(small_K)])


def _numbered(counts_N: Int64s) -> tuple[Int64s, Int64s]:
    """Returns the post of each piece and the piece's number in it, in the order of the posts."""
    if len(counts_N) and counts_N.max() > MAX_PIECES:
        raise ValueError(f"post {int(counts_N.argmax())} has more than {MAX_PIECES} pieces")
    post_P = np.repeat(np.arange(len(counts_N)), counts_N)
    first_N = np.cumsum(counts_N) - counts_N
    return post_P, np.arange(len(post_P)) - first_N[post_P]


_READ, _WRITE = read_only(types.int32), types.int32[::1]


@kernel(types.int64(_READ, read_only(types.bool_), types.int64, _WRITE, _WRITE, _WRITE))
def _parts(
    length_P: Any, begins_P: Any, sequence_length: Any, part_P: Any, within_P: Any, length_B: Any
) -> Any:
    """Joins the pieces of a document, in order, into parts of at most a sequence.

    Fills each piece's part, where in it the piece begins, and the parts' lengths; returns their number.
    """
    part = -1
    for p in range(len(length_P)):
        if begins_P[p] or length_B[part] + length_P[p] > sequence_length:
            part += 1
            length_B[part] = 0
        part_P[p], within_P[p] = part, length_B[part]
        length_B[part] += length_P[p]
    return part + 1


_DE_BRUIJN = np.uint64(0x03F79D71B4CB0A89)
_PLACES = np.argsort([(int(_DE_BRUIJN) << place) % 2**64 >> 58 for place in range(64)])


@kernel()
def _lowest(word: Any) -> Any:
    """Returns the place of the lowest bit that is set; there is one (Leiserson et al. 1998)."""
    return _PLACES[((word & (~word + np.uint64(1))) * _DE_BRUIJN) >> np.uint64(58)]


@kernel()
def _next_bit(bits_W: Uint64s, start: Any) -> Any:
    """Returns the first bit from `start` on that is set, or -1."""
    w = start >> 6
    if w >= len(bits_W):
        return -1
    word = (bits_W[w] >> np.uint64(start & 63)) << np.uint64(start & 63)
    while word == 0:
        w += 1
        if w == len(bits_W):
            return -1
        word = bits_W[w]
    return (w << 6) + _lowest(word)


@kernel(types.int64(_READ, types.int64, _WRITE, _WRITE))
def _best_fit(length_B: Int32s, sequence_length: int, sequence_B: Int32s, offset_B: Int32s) -> int:
    """Fills sequence and offset of each part and returns the number of sequences.

    Open sequences are in one stack for each room R that they may have: the last one in is the first one
    out. One bit per room says whether its stack holds one, and one bit per word of those whether any is
    set in it, so that the least room that is enough is found in a few steps.
    """
    top_R = np.full(sequence_length + 1, -1, np.int32)
    below_S = np.empty(len(length_B), np.int32)
    rooms_W = np.zeros((sequence_length >> 6) + 1, np.uint64)
    words_V = np.zeros((len(rooms_W) >> 6) + 1, np.uint64)
    one, num_sequences = np.uint64(1), 0
    for b in range(len(length_B)):
        word = np.int64(length_B[b]) >> 6
        left = rooms_W[word] >> np.uint64(length_B[b] & 63)
        room = -1
        if left:
            room = length_B[b] + _lowest(left)
        else:
            word = _next_bit(words_V, word + 1)
            if word >= 0:
                room = (word << 6) + _lowest(rooms_W[word])
        if room < 0:
            room, sequence = sequence_length, num_sequences
            num_sequences += 1
        else:
            sequence = top_R[room]
            top_R[room] = below_S[sequence]
            if top_R[room] < 0:
                rooms_W[word] ^= one << np.uint64(room & 63)
                if rooms_W[word] == 0:
                    words_V[word >> 6] ^= one << np.uint64(word & 63)
        sequence_B[b], offset_B[b] = sequence, sequence_length - room
        room -= length_B[b]
        if room > 0:
            below_S[sequence] = top_R[room]
            top_R[room] = sequence
            rooms_W[room >> 6] |= one << np.uint64(room & 63)
            words_V[room >> 12] |= one << np.uint64((room >> 6) & 63)
    return num_sequences


@kernel(types.int64[::1](_READ, types.int64))
def _by_sequence(sequence_P: Int32s, num_sequences: int) -> Int64s:
    """Returns the stable order of the pieces by sequence; their offsets then ascend as well."""
    next_S = np.zeros(num_sequences + 1, np.int64)
    for p in range(len(sequence_P)):
        next_S[sequence_P[p] + 1] += 1
    for s in range(num_sequences):
        next_S[s + 1] += next_S[s]
    order_P = np.empty(len(sequence_P), np.int64)
    for p in range(len(sequence_P)):
        s = sequence_P[p]
        order_P[next_S[s]] = p
        next_S[s] += 1
    return order_P
