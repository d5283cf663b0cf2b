"""Posts to documents: their tokens one after the other, with the special tokens that part them.

A document is a run of posts: one, or a conversation. `<|bod|>` may stand before it, `<|turn|>` stands
behind each of its posts but the last, and `<|eod|>` may stand behind that.

Shape suffixes: N posts, M posts of a batch, T tokens.
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numba import types

from sluice.schemas.arrays import Bools, Int32s, Int64s
from sluice.schemas.errors import RecipeError
from sluice.schemas.kernel import kernel
from sluice.tokenizer.encode import Encoded
from sluice.tokenizer.vocabulary.load import Vocabulary
from sluice.tokenizer.vocabulary.special import BOD, TURN


class Marks(NamedTuple):
    """The ids of the special tokens around documents and between posts; None where there is none."""

    begin: int | None
    turn: int | None
    end: int | None


def marks_of(made: Vocabulary, *, begin: bool, end: bool, conversations: bool) -> Marks:
    """Returns the ids that a vocabulary has for what a recipe asks for.

    Args:
        made: the vocabulary.
        begin: whether documents begin with a token of their own.
        end: whether they end with one.
        conversations: whether posts are to be told apart.

    Raises:
        RecipeError: the tokenizer has no such special token; the message names the key that asks.
    """
    asked = (
        ("tokens.begin_of_document", begin, BOD, made.bod_id),
        ("tokens.documents", conversations, TURN, made.turn_id),
    )
    for key, wanted, name, number in asked:
        if wanted and number is None:
            raise RecipeError(
                f"{key}: needs the special token {name}, which the tokenizer does not have; "
                f"leave the key out, or take another vocabulary.tokenizer"
            )
    return Marks(
        begin=made.bod_id if begin else None,
        turn=made.turn_id if conversations else None,
        end=made.eod_id if end else None,
    )


class Joined(NamedTuple):
    """The posts of documents, in order.

    Attributes:
        tokens_T: (T,) int32, special tokens included.
        starts_N: (N,) int64, where in it a post begins, the special token before it included.
        lengths_N: (N,) int64, tokens of the post and of the special tokens around it, at least 1
            where the post has one.
        num_begins, num_turns, num_ends: special tokens of each kind.
    """

    tokens_T: Int32s
    starts_N: Int64s
    lengths_N: Int64s
    num_begins: int
    num_turns: int
    num_ends: int


def join(
    batches: Iterable[Encoded],
    text_lengths_N: Int64s,
    order_N: Int64s,
    begins_N: Bools,
    *,
    marks: Marks,
) -> Joined:
    """Puts posts into their order, with the special tokens around them.

    Batches are taken one at a time: it holds one, and what it returns.

    Args:
        batches: the posts' tokens; all of them together have N posts.
        text_lengths_N: (N,) int64, the tokens of each post, in the order of the batches.
        order_N: (N,) int64, which post comes first, which second, by their number in the batches.
        begins_N: (N,) bool, in that order: whether the post begins a document.
        marks: the special tokens.
    """
    last_N = np.append(begins_N[1:], True)[: len(begins_N)]
    begin_N = begins_N & (marks.begin is not None)
    end_N = last_N & (marks.end is not None)
    turn_N = ~last_N & (marks.turn is not None)
    lengths_N = text_lengths_N[order_N] + begin_N + (end_N | turn_N)
    stops_N = np.cumsum(lengths_N)
    starts_N = stops_N - lengths_N
    tokens_T = np.empty(int(lengths_N.sum()), np.int32)
    places_N = np.empty(len(order_N), np.int64)
    places_N[order_N] = starts_N + begin_N
    _place_all(batches, places_N, tokens_T)
    for mark, at_K in (
        (marks.begin, starts_N[begin_N]),
        (marks.turn, stops_N[turn_N] - 1),
        (marks.end, stops_N[end_N] - 1),
    ):
        if mark is not None:
            tokens_T[at_K] = mark
    num_marks = (int(kind_N.sum()) for kind_N in (begin_N, turn_N, end_N))
    return Joined(tokens_T, starts_N, lengths_N, *num_marks)


def _place_all(batches: Iterable[Encoded], places_N: Int64s, tokens_T: Int32s) -> None:
    """Copies each post, in the order of the batches, to its place."""
    first = 0
    for batch in batches:
        stop = first + len(batch.offsets_N1) - 1
        _place(batch.tokens_T, batch.offsets_N1, places_N[first:stop], tokens_T)
        first = stop


_INT32S = types.Array(types.int32, 1, "C", readonly=True)
_INT64S = types.Array(types.int64, 1, "C", readonly=True)


@kernel(types.void(_INT32S, _INT64S, _INT64S, types.int32[::1]))
def _place(tokens_T: Int32s, offsets_M1: Int64s, place_M: Int64s, out_T: Int32s) -> None:
    for i in range(len(place_M)):
        k = place_M[i]
        for j in range(offsets_M1[i], offsets_M1[i + 1]):
            out_T[k] = tokens_T[j]
            k += 1
