"""Posts to documents: their tokens one after the other, with the special tokens that separate them.

A document is a run of posts: one, or a conversation. It may begin with `<|bod|>`; each of its posts but the
last is followed by `<|turn|>`, and the last may be followed by `<|eod|>`.

Shape suffixes: N posts, T tokens.
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from sluice.schemas.arrays import Bools, Int32s, Int64s
from sluice.schemas.errors import RecipeError
from sluice.tokenizer.encode import Encoded
from sluice.tokenizer.runs import copy_runs
from sluice.tokenizer.vocabulary.load import VocabularyIds
from sluice.tokenizer.vocabulary.special import BOD, TURN


class DocumentTokens(NamedTuple):
    """The ids of the special tokens around documents and between posts; None where there is none."""

    begin: int | None
    turn: int | None
    end: int | None


def document_tokens(
    ids: VocabularyIds, *, begin: bool, end: bool, conversations: bool
) -> DocumentTokens:
    """Returns the ids that a vocabulary has for what a recipe asks for.

    Args:
        ids: those of the vocabulary.
        begin: whether documents begin with a token of their own.
        end: whether they end with one.
        conversations: whether posts are to be told apart.

    Raises:
        RecipeError: the tokenizer has no such special token; the message names the key that asks.
    """
    for key, wanted, name, token in (
        ("tokens.begin_of_document", begin, BOD, ids.bod_id),
        ("tokens.documents", conversations, TURN, ids.turn_id),
    ):
        if wanted and token is None:
            raise RecipeError(
                f"{key}: needs the special token {name}, which the tokenizer does not have; "
                f"leave the key out, or take another vocabulary.tokenizer"
            )
    return DocumentTokens(
        begin=ids.bod_id if begin else None,
        turn=ids.turn_id if conversations else None,
        end=ids.eod_id if end else None,
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
    special: DocumentTokens,
) -> Joined:
    """Puts posts into their order, with the special tokens around them.

    >>> batch = Encoded(np.array([7, 8, 9], np.int32), np.array([0, 2, 3]))
    >>> joined = join(
    ...     [batch],
    ...     np.array([2, 1]),
    ...     np.array([1, 0]),
    ...     np.array([True, False]),
    ...     special=DocumentTokens(begin=1, turn=3, end=2),
    ... )
    >>> joined.tokens_T.tolist(), joined.starts_N.tolist()
    ([1, 9, 3, 7, 8, 2], [0, 3])

    Batches are taken one at a time: it holds one, and what it returns.

    Args:
        batches: the posts' tokens; all of them together have N posts.
        text_lengths_N: (N,) int64, the tokens of each post, in the order of the batches.
        order_N: (N,) int64, which post comes first, which second, by their number in the batches.
        begins_N: (N,) bool, in that order: whether the post begins a document.
        special: the special tokens.
    """
    last_N = np.append(begins_N[1:], True)[: len(begins_N)]
    begin_N = begins_N & (special.begin is not None)
    end_N = last_N & (special.end is not None)
    turn_N = ~last_N & (special.turn is not None)
    lengths_N = text_lengths_N[order_N] + begin_N + (end_N | turn_N)
    stops_N = np.cumsum(lengths_N)
    starts_N = stops_N - lengths_N
    tokens_T = np.empty(int(lengths_N.sum()), np.int32)
    places_N = np.empty(len(order_N), np.int64)
    places_N[order_N] = starts_N + begin_N
    _place_all(batches, places_N, tokens_T)
    places = (starts_N[begin_N], stops_N[turn_N] - 1, stops_N[end_N] - 1)
    for token, at_K in zip(special, places, strict=True):
        if token is not None:
            tokens_T[at_K] = token
    return Joined(tokens_T, starts_N, lengths_N, *map(len, places))


def _place_all(batches: Iterable[Encoded], places_N: Int64s, tokens_T: Int32s) -> None:
    """Copies each post, in the order of the batches, to its place."""
    first = 0
    for batch in batches:
        starts, lengths = batch.offsets_N1[:-1], np.diff(batch.offsets_N1)
        stop = first + len(starts)
        copy_runs(batch.tokens_T, starts, lengths, places_N[first:stop], tokens_T)
        first = stop
