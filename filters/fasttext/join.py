"""Small fastText models read as one: their input matrices side by side, so that a subword is looked up once.

Two models of one dimension take, apart, two look-ups and two vector additions a subword, each with three
idle lanes. Joined, a row has the numbers of all members and a one for each that has the row, so that one
vector addition sums and counts for all:

    | numbers of member 1 | numbers of member 2 | 1 or 0: has it | 1 or 0 |

What is added for a member without the row is zero, so that sums are, bit for bit, those of the member alone.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from sluice.filters.fasttext.kernels.rows import LANES, HashBuckets, InputMatrix, WordIndex
from sluice.filters.fasttext.kernels.words import PREFIX
from sluice.filters.fasttext.layout import aligned, fixed, records
from sluice.schemas.arrays import Array

MOST_COUNTED = 1 << 24
"""Rows of a text: up to here a float32 counts exactly."""


class ModelInput(NamedTuple):
    """What a model knows of texts: its dictionary, its buckets and its input matrix."""

    words: WordIndex
    buckets: HashBuckets
    table: InputMatrix


class Member(NamedTuple):
    """A model within an input, alone or joined with others."""

    place: int  # in the list of models
    column: int  # where its numbers begin
    dim: int
    count_column: int  # where its rows are counted; -1: it has all rows


class Reading(NamedTuple):
    """An input, and the models that are read by it."""

    input: ModelInput
    members: tuple[Member, ...]


class ReadingPlan(NamedTuple):
    """How models are read: joined where they can be, and each alone for texts that are too long to count."""

    joined: tuple[Reading, ...]
    alone: tuple[Reading, ...]


def plan(inputs: Sequence[ModelInput]) -> ReadingPlan:
    """Returns how M models are read; members' places are those in `inputs`."""
    alone = tuple(Reading(one, (Member(m, 0, one.table.dim, -1),)) for m, one in enumerate(inputs))
    return ReadingPlan(tuple(_readings(inputs)), alone)


def most_rows(num_bytes: int, buckets: HashBuckets) -> int:
    """Returns a bound on the rows of a text: words, subwords of each of its bytes, and `</s>`."""
    return (num_bytes + 2) * (max(buckets.longest, 0) + 1)


def _readings(inputs: Sequence[ModelInput]) -> Iterator[Reading]:
    """Yields groups of like models, as many as a vector has room for, and each other model alone."""
    groups: dict[object, list[int]] = {}
    for m, one in enumerate(inputs):
        groups.setdefault(_likeness(one), []).append(m)
    for places in groups.values():
        size = max(LANES // (inputs[places[0]].table.dim + 1), 1)
        for first in range(0, len(places), size):
            some = places[first : first + size]
            yield _join([inputs[m] for m in some], some)


def _likeness(one: ModelInput) -> object:
    """Returns what is equal of models that can be joined: all but rows and the names of labels.

    A label in a text has no row, known or not, as long as it has the prefix of labels. A model that can be
    joined with none is like none.
    """
    words, buckets, dim = one.words, one.buckets, one.table.dim
    is_small = 2 * (dim + 1) <= LANES and buckets.word_ngrams == 1 and buckets.longest > 0
    if not is_small or not _are_marked(words):
        return object()
    starts_V1 = words.starts_V1[: words.num_words + 1]
    spelling = words.spelling[: starts_V1[-1]]
    shape = buckets.modulus, buckets.shortest, buckets.longest, dim
    return spelling.tobytes(), starts_V1.tobytes(), shape


def _are_marked(words: WordIndex) -> bool:
    """Returns whether all labels begin with the prefix, by which a text's label is known as one."""
    starts = words.starts_V1[words.num_words : -1].tolist()
    return all(np.array_equal(words.spelling[s : s + len(PREFIX)], PREFIX) for s in starts)


def _join(inputs: Sequence[ModelInput], places: Sequence[int]) -> Reading:
    """Returns one input for models of a likeness; of a single model, its own."""
    first, num = inputs[0], len(inputs)
    dim, num_words = first.table.dim, first.words.num_words
    if num == 1:
        return Reading(first, (Member(places[0], 0, dim, -1),))
    members = tuple(Member(p, m * dim, dim, num * dim + m) for m, p in enumerate(places))
    kept_MB = np.stack([_are_kept(one.buckets) for one in inputs])
    union_B = kept_MB.any(axis=0)
    row_B = num_words - 1 + np.cumsum(union_B)
    rows = aligned((int(row_B[-1]) + 1) * LANES, "float32")
    rows_RS = rows.reshape(-1, LANES)
    rows_RS[:] = 0
    for member, one, kept_B in zip(members, inputs, kept_MB, strict=True):
        joined_R = np.concatenate([np.arange(num_words), row_B[kept_B]])
        own_RS = one.table.rows.reshape(-1, one.table.stride)[: len(joined_R)]
        rows_RS[joined_R, member.column : member.column + dim] = own_RS[:, :dim]
        rows_RS[joined_R, member.count_column] = 1
    known = records(np.flatnonzero(union_B), first.buckets.modulus, num_words)
    buckets = first.buckets._replace(records=known)
    table = InputMatrix(fixed(rows), LANES, num * (dim + 1), first.table.end_of_line)
    return Reading(ModelInput(first.words, buckets, table), members)


def _are_kept(buckets: HashBuckets) -> Array:
    """Returns (B,) bool, which buckets have rows; rows are in the order of the buckets."""
    bits_K = np.ascontiguousarray(buckets.records[0::2])
    return np.unpackbits(bits_K.view(np.uint8), bitorder="little").astype(np.bool_)
