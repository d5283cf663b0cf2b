"""Which posts may be duplicates: band keys -> edges -> components.

The first two steps of phase dedup. Posts that share a key are joined by an edge, and posts that any
chain of edges connects form a component. Nothing here has seen a text.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pyarrow as pa

from sluice.filters.dedup.components import Components, StarEdges
from sluice.pipeline.history import segments
from sluice.pipeline.history.segments import View
from sluice.pipeline.phases.edges import (
    exchanged_edge,
    read_edge,
    rows_of,
    write_rows,
    written_edge,
)
from sluice.pipeline.units import exchange
from sluice.pipeline.units.attempt import Attempt
from sluice.pipeline.units.manifest import Unit
from sluice.schemas.arrays import Array
from sluice.schemas.counts import BucketCounts, JoinCounts

PHASE = "dedup"
PIECE_ROWS = 1 << 20
"""Keys that are given to the table of buckets at a time."""

EDGES = pa.schema([("left", pa.uint32()), ("right", pa.uint32())])
"""CandidateNumbers of this run that share a key."""
HISTORY_EDGES = pa.schema([("post", pa.uint32()), ("entry", pa.uint64())])
"""A post of this run and an entry of the history that share a key."""
COMPONENT = pa.schema([("row", pa.uint32()), ("post", pa.uint32()), ("component", pa.uint32())])
"""`row` is the place in the clean unit's `kept` file, or in the history's segment."""


@dataclass(frozen=True)
class CandidateNumbers:
    """The dense numbers of candidates: kept posts of this run, then entries of the history.

    Post `row` of clean unit u is first_U[u] + row. The entries of the history that share a key with
    this run follow in the order of (segment, row).

    Attributes:
        folder: of the clean units.
        units: their names, in order.
        first: (U + 1,) dense number of each unit's first kept post; the last is the total.
        files: the source file of each unit.
        history: the index that the run reads; None if the recipe has none.
        days: of the history's segments.
    """

    folder: str
    units: tuple[str, ...]
    first: tuple[int, ...]
    files: tuple[str, ...]
    history: View | None = None
    days: tuple[str, ...] = ()


@dataclass(frozen=True)
class HistoryFile:
    """A file of posts of the history: `rows` entries from `entry` on."""

    segment: int
    name: str
    file: segments.PostsFile

    @property
    def entry(self) -> int:
        """Number of its first entry."""
        return self.segment << segments.ROW_BITS | self.file.first


def history_files(view: View | None) -> list[HistoryFile]:
    """Returns the files of posts of the history, in the order of their entries."""
    contents = segments.contents(view) if view else []
    return [
        HistoryFile(segment, name, file)
        for segment, (name, held) in enumerate(
            zip(view.segments if view else (), contents, strict=True)
        )
        for file in held.posts
    ]


@dataclass(frozen=True)
class DedupStage:
    """What the stages of this phase share; each is named by its folder's last part."""

    folder: str
    posts: CandidateNumbers

    @property
    def name(self) -> str:
        """The stage's name, the last part of its folder."""
        return f"{PHASE}_{self.folder.rpartition('/')[2]}"


@dataclass(frozen=True)
class LinkPosts(DedupStage):
    """Keys of one partition -> edges between posts that share one, and to the history's."""

    num_partitions: int
    max_checks: int
    counts: ClassVar = BucketCounts

    def do(self, unit: Unit, attempt: Attempt) -> BucketCounts:
        """Joins the posts of a partition by edges."""
        first = dict(zip(self.posts.units, self.posts.first, strict=False))
        rows = sum(source.rows for source in exchange.unit_sources(unit))
        buckets = StarEdges(expected_keys=min(rows, PIECE_ROWS))
        counts = BucketCounts()
        with written_edge(attempt, "edges", EDGES) as file:
            for key_M, post_M in _pieces(unit, first):
                edges = rows_of(EDGES, *buckets.add(key_M, post_M))
                file.write_batch(edges)
                counts.keys += len(key_M)
                counts.edges += edges.num_rows
        view = self.posts.history
        if view is not None:
            counts.history_edges = _history_edges(self, view, buckets, unit, attempt)
        return counts


def _pieces(unit: Unit, first: dict[str, int]) -> Iterator[tuple[Array, Array]]:
    """Yields (key_M, post_M) of a partition in pieces of bounded size."""
    held: list[tuple[Array, Array]] = []
    for source, batch in exchange.read(unit):
        post_M = np.asarray(batch.column("row")) + np.uint32(first[source.unit])
        held.append((np.asarray(batch.column("key")), post_M))
        if sum(len(key_M) for key_M, _ in held) >= PIECE_ROWS:
            yield _joined(held)
            held = []
    yield _joined(held)


def _joined(held: list[tuple[Array, Array]]) -> tuple[Array, Array]:
    key_M = np.concatenate([np.empty(0, np.uint64), *(key_M for key_M, _ in held)])
    return key_M, np.concatenate([np.empty(0, np.uint32), *(post_M for _, post_M in held)])


def _history_edges(
    stage: LinkPosts, view: View, buckets: StarEdges, unit: Unit, attempt: Attempt
) -> int:
    """Writes the entries of the history that share a key, for the first post of each key.

    A post is compared with `max_checks` others at most, the most preferred first: no more entries of a
    key can matter, but for one that tells that comparisons were left out.
    """
    key_V, post_V = buckets.distinct()
    partition = unit.index
    low, high = (-(-(p << 32) // stage.num_partitions) << 32 for p in (partition, partition + 1))
    at_E, entry_E = segments.shared(key_V, view, low=low, high=high, limit=stage.max_checks + 1)
    write_rows(attempt, "history", HISTORY_EDGES, post_V[at_E], entry_E)
    return len(at_E)


@dataclass(frozen=True)
class Join(DedupStage):
    """All edges -> the component of every candidate, sorted by its file. The one global step."""

    counts: ClassVar = JoinCounts

    def do(self, unit: Unit, attempt: Attempt) -> JoinCounts:
        """Joins all edges."""
        posts, entry_H = self.posts, _entries(unit)
        num_posts = posts.first[-1]
        components = Components(num_posts + len(entry_H))
        for left_E, right_E in _columns(unit, "edges"):
            components.add(left_E, right_E)
        for post_E, entry_E in _columns(unit, "history"):
            number_E = np.searchsorted(entry_H, entry_E) + num_posts
            components.add(post_E, number_E.astype(np.uint32))
        label_P, shared_P = components.labels()
        num_units, files = len(posts.units), history_files(posts.history)
        num_files = num_units + len(files)
        with exchanged_edge(attempt, "components", COMPONENT, num_files) as writer:
            for u in range(num_units):
                row_C = np.flatnonzero(shared_P[posts.first[u] : posts.first[u + 1]])
                _write_components(writer, u, row_C, row_C + posts.first[u], label_P)
            for f, file in enumerate(files):
                at = np.searchsorted(entry_H, [file.entry, file.entry + file.file.rows])
                row_E = entry_H[slice(*at)] & np.uint64((1 << segments.ROW_BITS) - 1)
                _write_components(writer, num_units + f, row_E, np.arange(*at) + num_posts, label_P)
        return JoinCounts(int(shared_P[:num_posts].sum()), len(entry_H))


def _write_components(
    writer: exchange.Writer, partition: int, row_C: Array, post_C: Array, label_P: Array
) -> None:
    rows = rows_of(COMPONENT, row_C.astype(np.uint32), post_C.astype(np.uint32), label_P[post_C])
    writer.write(rows, np.full(len(row_C), partition))


def _entries(unit: Unit) -> Array:
    """Returns the distinct entries of the history that any partition met, ascending."""
    found = [np.empty(0, np.uint64)]
    found += [_distinct(entry_E) for _, entry_E in _columns(unit, "history")]
    return _distinct(np.concatenate(found))


def _distinct(value_M: Array) -> Array:
    """Returns the distinct values, ascending; `np.unique` hashes them first, ten times as slowly."""
    value_M = np.sort(value_M)
    first_M = np.ones(len(value_M), np.bool_)
    np.not_equal(value_M[1:], value_M[:-1], out=first_M[1:])
    return value_M[first_M]


def _columns(unit: Unit, edge: str) -> Iterator[tuple[Array, Array]]:
    """Yields the two columns of every batch of all partitions' edges."""
    for done in exchange.gathered(unit):
        if edge in done.manifest().files:
            for batch in read_edge(done, edge):
                yield np.asarray(batch.column(0)), np.asarray(batch.column(1))
