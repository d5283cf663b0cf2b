"""The stage `resolve`: all edges -> the tree of every linked post. The one global step.

Shape suffixes: E edges, K linked posts, C posts on cycles, M posts that need a place in a document.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sluice.pipeline.phases.conversations.match import EDGE, EdgeKind
from sluice.pipeline.phases.conversations.numbers import PostNumbers
from sluice.pipeline.phases.conversations.trees import (
    Trees,
    join_quoted,
    trees,
    without_cycles,
)
from sluice.pipeline.phases.edges import exchanged_edge, read_edge, rows_of
from sluice.pipeline.units import exchange
from sluice.pipeline.units.attempt import Attempt
from sluice.pipeline.units.manifest import Unit
from sluice.schemas.arrays import Array, Int32s, Int64s, Uint8s, Uint32s
from sluice.schemas.counts import LinkedCounts, Table

MEMBER: Final = pa.schema(
    [
        ("root", pa.uint32()),
        ("post", pa.uint32()),
        ("time", pa.int64()),
        ("depth", pa.int32()),
        ("flags", pa.uint8()),
    ]
)
"""The `members` edge: the dense number of a post and of the root that names its document, its place in it,
and flags. A root that names its document as a post without links does is not there."""

ROOT_ALONE, ROOT_SHARES_ID, QUOTED = 1, 2, 4
"""Flags of MEMBER: the root answers a post that did not survive, the root has the id of a survivor before it,
the post is the root of a tree that stands with what quotes it."""

SLICE_ROWS = 1 << 19
"""Members that are given to the exchange at a time, which copies them."""

Ids = Callable[[Uint32s], pa.StringArray]
"""Returns the ids of posts by their dense numbers, which ascend."""


@dataclass(frozen=True)
class Resolve:
    """All edges -> the root of every linked post, by the clean unit of the root."""

    folder: str
    posts: PostNumbers
    name: str = "conversations_resolve"
    counts: ClassVar = LinkedCounts

    def do(self, unit: Unit, attempt: Attempt) -> LinkedCounts:
        """Resolves all edges."""
        batches = [b for done in exchange.gathered(unit) for b in read_edge(done, "edges")]
        found = resolve(pa.Table.from_batches(batches, EDGE), self.posts.ids)
        shape = MEMBER, len(self.posts.units)
        with exchanged_edge(attempt, "members", *shape, compressed=True) as writer:
            for start in range(0, found.members.num_rows, SLICE_ROWS):
                rows = found.members.slice(start, SLICE_ROWS)
                writer.write(rows, self.posts.unit_of(np.asarray(rows.column("root"))))
        return found.counts


class ResolvedLinks(NamedTuple):
    """What all edges say.

    Attributes:
        members: MEMBER rows, by `post`.
        counts: of linked posts.
    """

    members: pa.RecordBatch
    counts: LinkedCounts


def resolve(edges: pa.Table, ids: Ids) -> ResolvedLinks:
    """Returns where linked posts belong, by EDGE rows in any order.

    Args:
        edges: all of them.
        ids: looks up the ids of posts on cycles, for those that were written at the same time.
    """
    graph = _graph(edges, ids)

    def rank(on_C: Int64s) -> Int64s:
        return _rank(graph.time_K[on_C], ids(graph.number_K[on_C]))

    parent_K, cycles = without_cycles(graph.parent_K, rank)
    grown = trees(parent_K, graph.time_K)
    joined = join_quoted(grown.root_K, graph.quoted_Q, graph.quoting_Q, rank)
    flags_K = graph.flags_K[joined.root_K]
    flags_K |= ((joined.root_K != grown.root_K) & (grown.depth_K == 0)) * np.uint8(QUOTED)
    counts = LinkedCounts(
        linked=len(graph.number_K),
        answers=int((grown.depth_K > 0).sum()),
        replaced=graph.replaced,
        quoted=joined.quoted,
        cycles=graph.self_answers + cycles + joined.cycles,
        late_parents=int((grown.time_K > graph.time_K).sum()),
        subtrees_alone=int(((graph.flags_K & ROOT_ALONE) != 0).sum()),
        depths=depth_bins(grown.depth_K),
    )
    return ResolvedLinks(_members(graph.number_K, joined.root_K, grown, flags_K), counts)


class _Graph(NamedTuple):
    """The linked posts, and what each leads to; posts are places in `number_K`.

    Attributes:
        number_K: (K,) uint32 dense numbers, ascending.
        time_K: (K,) int64.
        parent_K: (K,) uint32, the post that each answers, or itself.
        flags_K: (K,) uint8, of MEMBER, as if the post were the root of a document.
        quoted_Q, quoting_Q: (Q,) int64, quoted posts and the first post that quotes each.
        replaced: posts that answer the leader of the post that they answered.
        self_answers: posts that answer themselves, and so none.
    """

    number_K: Uint32s
    time_K: Int64s
    parent_K: Uint32s
    flags_K: Uint8s
    quoted_Q: Int64s
    quoting_Q: Int64s
    replaced: int
    self_answers: int


def _graph(edges: pa.Table, ids: Ids) -> _Graph:
    """Returns what edges say; they themselves are not held after that."""
    answers = _answers(edges)
    quotes = _first_quotes(_of_kind(edges, EdgeKind.QUOTE), ids)
    shared = _of_kind(edges, EdgeKind.SHARED_ID)
    number_K, time_K = _linked([answers.found, quotes], [answers.gone, shared])
    parent_K = np.arange(len(number_K), dtype=np.uint32)
    found = answers.found
    parent_K[np.searchsorted(number_K, found.post_E)] = np.searchsorted(number_K, found.to_E)
    flags_K = np.zeros(len(number_K), np.uint8)
    flags_K[np.searchsorted(number_K, answers.gone.post_E)] |= np.uint8(ROOT_ALONE)
    flags_K[np.searchsorted(number_K, shared.post_E)] |= np.uint8(ROOT_SHARES_ID)
    return _Graph(
        *(number_K, time_K, parent_K, flags_K),
        quoted_Q=np.searchsorted(number_K, quotes.post_E),
        quoting_Q=np.searchsorted(number_K, quotes.to_E),
        replaced=answers.replaced,
        self_answers=int((found.post_E == found.to_E).sum()),
    )


class _Edges(NamedTuple):
    """E edges of a kind; columns as in EDGE."""

    post_E: Uint32s
    to_E: Uint32s
    time_E: Int64s
    to_time_E: Int64s

    def at(self, chosen_E: Array) -> "_Edges":
        """Returns some of them."""
        columns: list[Any] = [column[chosen_E] for column in self]
        return _Edges(*columns)


def _of_kind(edges: pa.Table, kind: int) -> _Edges:
    chosen = pc.equal(edges["kind"], kind)
    columns: list[Any] = [edges[name].filter(chosen).to_numpy() for name in EDGE.names[1:]]
    return _Edges(*columns)


class _Answers(NamedTuple):
    """Edges from answers to posts of the run, and from those to posts that did not survive.

    Attributes:
        found, gone: the edges.
        replaced: how many of `found` answered a duplicate, and answer its leader now.
    """

    found: _Edges
    gone: _Edges
    replaced: int


def _answers(edges: pa.Table) -> _Answers:
    direct, indirect, gone, leaders = (
        _of_kind(edges, kind)
        for kind in (
            EdgeKind.REPLY,
            EdgeKind.REPLY_TO_DUPLICATE,
            EdgeKind.REPLY_TO_GONE,
            EdgeKind.LEADER,
        )
    )
    leaders = leaders.at(np.argsort(leaders.post_E))
    has_E = np.isin(indirect.to_E, leaders.post_E)
    at_E = np.searchsorted(leaders.post_E, indirect.to_E[has_E])
    replaced = indirect.at(has_E)._replace(
        to_E=leaders.to_E[at_E], to_time_E=leaders.to_time_E[at_E]
    )
    return _Answers(_joined(direct, replaced), _joined(gone, indirect.at(~has_E)), len(at_E))


def _first_quotes(quotes: _Edges, ids: Ids) -> _Edges:
    """Returns the first quote of each post; one that is quoted by two ids has an edge by each."""
    quotes = quotes.at(np.argsort(quotes.post_E, kind="stable"))
    again_E = quotes.post_E[1:] == quotes.post_E[:-1]
    if not again_E.any():
        return quotes
    quoting_C, first_C, at_E = np.unique(quotes.to_E, return_index=True, return_inverse=True)
    rank_E = _rank(quotes.to_time_E[first_C], ids(quoting_C))[at_E]
    quotes = quotes.at(np.lexsort((rank_E, quotes.post_E)))
    return quotes.at(np.append(True, ~again_E))


def _joined(left: _Edges, right: _Edges) -> _Edges:
    if not len(right.post_E):
        return left
    columns: list[Any] = [np.concatenate([left[k], right[k]]) for k in range(len(left))]
    return _Edges(*columns)


def _linked(both: list[_Edges], firsts: list[_Edges]) -> tuple[Uint32s, Int64s]:
    """Returns (number_K, time_K): the posts that edges join, ascending, and their times.

    Args:
        both: edges of which both ends are posts.
        firsts: edges of which `post` alone is one.
    """
    posts = [edges.post_E for edges in (*both, *firsts)] + [edges.to_E for edges in both]
    times = [edges.time_E for edges in (*both, *firsts)] + [edges.to_time_E for edges in both]
    number_K = np.sort(np.concatenate(posts))
    number_K = number_K[np.append(True, number_K[1:] != number_K[:-1])[: len(number_K)]]
    time_K = np.empty(len(number_K), np.int64)
    for post_E, time_E in zip(posts, times, strict=True):
        time_K[np.searchsorted(number_K, post_E)] = time_E
    return number_K, time_K


def _members(number_K: Uint32s, root_K: Array, grown: Trees, flags_K: Array) -> pa.RecordBatch:
    """Returns MEMBER rows of the posts that do not name their document themselves, as others do."""
    at_M = np.flatnonzero((root_K != np.arange(len(root_K))) | (flags_K != 0))
    of_post = number_K[at_M], grown.time_K[at_M], grown.depth_K[at_M], flags_K[at_M]
    return rows_of(MEMBER, number_K[root_K[at_M]], *of_post)


def _rank(time_C: Int64s, post_id: pa.StringArray) -> Int64s:
    """Returns (C,) int64, the places of posts by time, then by id."""
    table = pa.table({"time": time_C, "post_id": post_id})
    order_C = pc.sort_indices(table, sort_keys=[(n, "ascending") for n in table.column_names])
    rank_C = np.empty(len(order_C), np.int64)
    rank_C[np.asarray(order_C)] = np.arange(len(order_C))
    return rank_C


def depth_bins(depth_K: Int32s) -> Table:
    """Returns how many answers have depth 1, 2, 3, 4, 5-8, 9-16 ...

    >>> depth_bins(np.array([0, 1, 1, 7, 9], np.int32))
    {'1': 2, '5-8': 1, '9-16': 1}
    """
    bins: Table = {}
    for depth, posts in enumerate(np.bincount(depth_K).tolist()):
        if depth and posts:
            power = 1 << (depth - 1).bit_length()
            name = str(depth) if depth <= 4 else f"{power // 2 + 1}-{power}"
            bins[name] = bins.get(name, 0) + posts
    return bins
