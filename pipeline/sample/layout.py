"""Where the posts of a block are: file and place, time, id, author, what they answer."""

from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sluice.pipeline.sample.block import EDITED, MALFORMED, PROMOTION, REDELIVERED, TEMPLATE
from sluice.pipeline.sample.draws import Draws, cumulative
from sluice.schemas.arrays import Bools, Int64s

START_MSEC = 1_767_225_600_000
"""2026-01-01T00:00:00Z, when every sample begins."""

SPAN_MSEC = 6 * 86_400_000
"""How much time a sample covers."""

LATE_MSEC = 30_000
"""A post arrives up to this late, so times in a file are not quite in order."""

EDIT_MSEC = 3_600_000
"""How long after it was sent a post is edited."""

BURST_RATIO = 0.02
"""Broken rows of a block are in one stretch of each file, this part of it: what breaks is a writer,
for a while. Spread evenly, they would send every block of every file down a reader's slow path."""

SOURCES = {"mobile": 70.0, "web": 20.0, "api": 10.0}

REPLY_RATIO, REPLY_REACH = 0.18, 5_000
"""Posts that answer an earlier one, and at most how many posts earlier that is."""

MAX_AUTHORS, POSTS_AN_AUTHOR = 200_000, 8
"""Authors of a sample, at most, and the posts that each has on average; a few have very many."""

ID_EPOCH_MSEC, ID_ROW_BITS = 1_262_304_000_000, 22
"""An id is the time since 2010 and, in its low bits, the post's number, as in a snowflake."""


class Span(NamedTuple):
    """The place of a block in its sample.

    Attributes:
        first: posts in the blocks before it.
        total: posts in the sample.
        files: files in the sample.
    """

    first: int
    total: int
    files: int


def lay_out(posts: pa.Table, span: Span, *, draws: Draws) -> pa.Table:
    """Returns the posts in file order, with all that a row of JSON needs.

    Adds `file` int64 and the strings `id`, `created_at`, `author_id`, `lang`, `in_reply_to_id`,
    `source`, `edited_at`, `duplicate_of`. In the order of files and rows an original comes before its copies,
    which are in every file.
    """
    size = len(posts)
    file_N, slot_N = _places(posts, span.files, draws=draws)
    late_N = draws.below(LATE_MSEC, size=size)
    time_N = START_MSEC + (span.first + slot_N) * SPAN_MSEC // span.total + late_N
    number_N = (span.first + np.arange(size)) & ((1 << ID_ROW_BITS) - 1)
    ids = pa.array((time_N - ID_EPOCH_MSEC) << ID_ROW_BITS | number_N).cast(pa.string())
    sent = {
        "id": ids,
        "created_at": pa.array(np.datetime_as_string(time_N.view("M8[ms]"), timezone="UTC")),
        "author_id": _authors(posts, span.total, draws),
        "lang": _declared(posts, draws),
        "in_reply_to_id": ids.take(_answered(posts, slot_N, draws)),
        "source": _sources(posts, draws),
    }
    events = pa.array(_events(posts))
    table = posts.append_column("file", pa.array(file_N))
    for name, column in sent.items():
        table = table.append_column(name, column.take(events))
    table = table.append_column("edited_at", _edits(posts, time_N[events]))
    table = table.append_column("duplicate_of", table["id"].take(posts["original"]))
    return table.take(pa.array(np.lexsort((slot_N, file_N)))).combine_chunks()


def _edits(posts: pa.Table, time_N: Int64s) -> pa.StringArray:
    """Returns (N,) string, when redelivered posts were edited: an hour after they were sent; else null."""
    times = np.datetime_as_string((time_N + EDIT_MSEC).view("M8[ms]"), timezone="UTC")
    edited = pc.and_(pc.equal(posts["label"], REDELIVERED), pc.equal(posts["detail"], EDITED))
    return pc.if_else(edited, pa.array(times), None).combine_chunks()


def _labelled(posts: pa.Table, *labels: str) -> Bools:
    return np.asarray(pc.is_in(posts["label"], pa.array(labels)).to_numpy())


def _clusters(posts: pa.Table) -> Int64s:
    """Returns (N,) int64, the row of the original, which is an original's own."""
    own = pa.array(np.arange(len(posts)))
    return np.asarray(pc.fill_null(posts["original"], own).to_numpy())


def _events(posts: pa.Table) -> Int64s:
    """Returns (N,) int64, the row that gives time, id and author: a redelivery has another's."""
    return np.where(_labelled(posts, REDELIVERED), _clusters(posts), np.arange(len(posts)))


def _places(posts: pa.Table, files: int, *, draws: Draws) -> tuple[Int64s, Int64s]:
    """Returns (file_N, slot_N) int64: a slot is a place in time, [0, N), shared only in bursts."""
    size = len(posts)
    place_N = draws.below(files, size=size) * size + draws.order(size)
    cluster_N = _clusters(posts)
    copy_N = cluster_N != np.arange(size)
    by_place = np.lexsort((place_N, cluster_N))
    place_N[np.lexsort((copy_N, cluster_N))] = place_N[by_place]
    file_N, slot_N = np.divmod(place_N, size)
    broken_M = np.flatnonzero(_labelled(posts, MALFORMED))
    width = max(1, round(size * BURST_RATIO))
    start_F = draws.below(size - width + 1, size=files)
    slot_N[broken_M] = start_F[file_N[broken_M]] + draws.below(width, size=len(broken_M))
    return file_N, slot_N


def _answered(posts: pa.Table, slot_N: Int64s, draws: Draws) -> pa.Int64Array:
    """Returns (N,) int64 with nulls: the row that each answers, always an earlier and whole one."""
    size = len(posts)
    whole_N = ~_labelled(posts, MALFORMED)
    row_at_S = np.full(size, -1)
    row_at_S[slot_N[whole_N]] = np.flatnonzero(whole_N)
    reach_N = np.minimum(slot_N, REPLY_REACH)
    seen_N = row_at_S[slot_N - 1 - draws.below(reach_N, size=size)]
    target_N = _events(posts)[seen_N]
    answers_N = draws.chance(REPLY_RATIO, size=size) & (seen_N >= 0) & (slot_N[target_N] < slot_N)
    return pa.array(target_N, mask=~answers_N)


def _authors(posts: pa.Table, total: int, draws: Draws) -> pa.StringArray:
    """Returns (N,) string: authors by Zipf's law; spam and automatic posts come from a few more."""
    num_authors = min(MAX_AUTHORS, total // POSTS_AN_AUTHOR + 1)
    popular = cumulative(1 / (np.arange(num_authors) + 5.0) ** 0.9)
    rank_N = draws.index(popular, size=len(posts))
    busy_N = num_authors + draws.below(num_authors // 50 + 1, size=len(posts))
    rank_N = np.where(_labelled(posts, PROMOTION, TEMPLATE), busy_N, rank_N)
    return pa.array((rank_N + 1) * 48_271 % 2_147_483_647).cast(pa.string())


def _declared(posts: pa.Table, draws: Draws) -> pa.StringArray:
    """Returns (N,) string with nulls: what the network calls the language, at times wrongly."""
    size = len(posts)
    lang = pc.fill_null(posts["language"].combine_chunks(), "und")
    lang = pc.if_else(pa.array(draws.chance(0.02, size=size)), "en", lang)
    return pc.if_else(pa.array(draws.chance(0.04, size=size)), pa.scalar(None, pa.string()), lang)


def _sources(posts: pa.Table, draws: Draws) -> pa.StringArray:
    """Returns (N,) string: the kind of client; all automatic posts and half of spam use the API."""
    size = len(posts)
    spam_N = _labelled(posts, PROMOTION) & draws.chance(0.5, size=size)
    automatic = pa.array(spam_N | _labelled(posts, TEMPLATE))
    return pc.if_else(automatic, "api", draws.pick_weighted(SOURCES, size=size))
