"""The stage `links`: a unit's posts -> the ids that they have and those that they seek, by partition of ids.

Every survivor may be answered, so that each sends a row for its id; one that answers or quotes sends a row
for each id that it seeks. What was read and did not survive has an id too: who answers it is alone, and no
orphan.

Shape suffixes: N posts of a batch, K kept posts of the unit, D duplicates.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from sluice.filters.dedup.exact_hash import ID_SEED, id_hash
from sluice.filters.text.hashing import hash_texts
from sluice.pipeline.phases.conversations.match import (
    ALIASED,
    ANSWERS,
    BEGINS,
    DUPLICATE,
    FOLLOWER,
    GONE,
    LINK,
    NOBODY,
    QUOTE,
    REPLY,
)
from sluice.pipeline.phases.conversations.numbers import PostNumbers
from sluice.pipeline.phases.conversations.trees import NO_TIME
from sluice.pipeline.phases.edges import Survivors, exchanged_edge, read_edge, rows_of
from sluice.pipeline.storage import files as storage
from sluice.pipeline.units.attempt import Attempt
from sluice.pipeline.units.manifest import Done, Unit
from sluice.schemas.arrays import Array, Bools
from sluice.schemas.counts import NoCounts
from sluice.schemas.hashing import partition_of


@dataclass(frozen=True)
class SendLinks:
    """A unit's posts -> LINK rows.

    Attributes:
        output: the output folder, for the rejects of clean and dedup.
        survivors: the posts that are left.
        deduplicated: folder of the units in which dedup dropped posts.
        posts: the dense numbers of kept posts.
        columns: of kept posts that are read beside those that all have: `alias_id`, and `quoted_id` where
            what posts quote is sought.
    """

    folder: str
    output: str
    survivors: Survivors
    deduplicated: str
    posts: PostNumbers
    num_partitions: int
    columns: tuple[str, ...]
    name: str = "conversations_links"
    counts: ClassVar = NoCounts

    def do(self, unit: Unit, attempt: Attempt) -> NoCounts:
        """Sends what the posts of a unit have and seek."""
        shape = LINK, self.num_partitions
        with exchanged_edge(attempt, "links", *shape, compressed=True) as writer:
            for batch in self._batches(unit):
                for rows in link_rows(batch):
                    high_R = np.asarray(rows.column("high"))
                    writer.write(rows, partition_of(high_R, self.num_partitions))
        return NoCounts()

    def _batches(self, unit: Unit) -> Iterator["Linking"]:
        """Yields the kept posts of a unit, then the ids of what clean rejected."""
        done, start = Done(self.survivors.clean, unit.name), 0
        dropped = _dropped(self, unit.name)
        columns = ["post_id", "in_reply_to_id", "created_at", *self.columns]
        for posts in read_edge(done, "kept", columns=columns):
            rows = slice(start, start := start + posts.num_rows)
            first = self.posts.first[unit.index]
            number_N = np.arange(rows.start + first, rows.stop + first, dtype=np.uint32)
            yield Linking(posts, number_N, dropped.is_dropped_K[rows], dropped.leader[rows])
        for ids in _reject_columns(self.output, done, "post_id"):
            yield rejected_posts(ids.column("post_id").drop_null())


class Linking(NamedTuple):
    """N posts, and what became of them.

    Attributes:
        posts: `post_id`, `in_reply_to_id`, `created_at`, and what there is of `alias_id` and `quoted_id`.
        number_N: (N,) uint32 dense numbers, NOBODY for posts that clean rejected.
        is_dropped_N: (N,) bool, whether a post did not survive.
        leader: (N,) string, the post of this run that a duplicate was dropped for; null for other posts.
    """

    posts: pa.RecordBatch
    number_N: Array
    is_dropped_N: Bools
    leader: pa.StringArray


def link_rows(batch: Linking) -> Iterator[pa.RecordBatch]:
    """Yields LINK rows: for the id that each post has, then for those that posts seek."""
    posts, left_N = batch.posts, ~batch.is_dropped_N
    answers_N = _is_valid(posts.column("in_reply_to_id"))
    follows_N = _is_valid(batch.leader) & ~answers_N & ~left_N
    kind_N = np.where(left_N, np.where(answers_N, ANSWERS, BEGINS), GONE).astype(np.uint8)
    kind_N[follows_N] = DUPLICATE
    every_N = np.ones(len(kind_N), np.bool_)
    yield _rows(batch, kind_N, posts.column("post_id"), every_N)
    yield _rows(batch, REPLY, posts.column("in_reply_to_id"), answers_N & left_N)
    yield _rows(batch, FOLLOWER, batch.leader, follows_N)
    if "alias_id" in posts.schema.names:
        alias = posts.column("alias_id")
        yield _rows(batch, ALIASED, alias, left_N & _is_valid(alias))
    if "quoted_id" in posts.schema.names:
        quoted = posts.column("quoted_id")
        yield _rows(batch, QUOTE, quoted, left_N & _is_valid(quoted))


def _rows(
    batch: Linking, kind: int | Array, ids: pa.StringArray, chosen_N: Bools
) -> pa.RecordBatch:
    """Returns the LINK rows of some posts, by the ids that they have or seek."""
    chosen = pa.array(chosen_N)
    ids, named = ids.filter(chosen), batch.posts.column("post_id").filter(chosen)
    time = batch.posts.column("created_at").cast(pa.int64()).filter(chosen)
    return rows_of(
        LINK,
        id_hash(ids),
        hash_texts(ids, seed=ID_SEED + 1),
        np.broadcast_to(np.asarray(kind, np.uint8), len(chosen_N))[chosen_N],
        batch.number_N[chosen_N],
        pc.fill_null(time, NO_TIME),
        named if kind is QUOTE else pa.nulls(len(ids), pa.string()),
    )


def _is_valid(column: pa.Array) -> Bools:
    return np.asarray(column.is_valid())


def rejected_posts(ids: pa.StringArray) -> Linking:
    """Returns posts that clean rejected: they have an id, and nothing more is known of them."""
    n, null = len(ids), pa.nulls(len(ids), pa.string())
    posts = pa.RecordBatch.from_arrays(
        [ids, null, pa.nulls(n, pa.timestamp("us", tz="UTC"))],
        ["post_id", "in_reply_to_id", "created_at"],
    )
    return Linking(posts, np.full(n, NOBODY), np.ones(n, np.bool_), null)


class _Dropped(NamedTuple):
    """Of each kept post of a unit, whether it was dropped, and the leader that dedup names for it."""

    is_dropped_K: Bools
    leader: pa.StringArray


def _dropped(stage: SendLinks, unit: str) -> _Dropped:
    num_kept = len(stage.survivors.places(unit)) + len(row_D := stage.survivors.dropped(unit))
    is_dropped_K = np.zeros(num_kept, np.bool_)
    is_dropped_K[row_D] = True
    done = Done(stage.deduplicated, unit)
    if not done.is_done():
        return _Dropped(is_dropped_K, pa.nulls(num_kept, pa.string()))
    # The rows that dedup drops, and its reject rows, are in the order of the posts.
    row_D = np.concatenate([np.asarray(b.column(0)) for b in read_edge(done, "drops")])
    found = list(_reject_columns(stage.output, done, "duplicate_of", "detail"))
    return _Dropped(is_dropped_K, _leaders(num_kept, row_D, pa.Table.from_batches(found)))


def _leaders(num_kept: int, row_D: Array, rejects: pa.Table) -> pa.StringArray:
    """Returns (K,) string, the leader of each duplicate of a post of this run."""
    of_this_run = pc.is_null(rejects["detail"])
    leader = pc.if_else(of_this_run, rejects["duplicate_of"], None).combine_chunks()
    at_K = np.full(num_kept, -1, np.int64)
    at_K[row_D] = np.arange(len(row_D))
    return leader.take(pa.array(at_K, mask=at_K < 0))


def _reject_columns(output: str, done: Done, *columns: str) -> Iterator[pa.RecordBatch]:
    """Yields columns of the reject rows of a finished unit."""
    path = storage.join(output, done.manifest().files["rejects"].name)
    with storage.open_input(path) as source:
        for batch in pq.ParquetFile(source).iter_batches(columns=list(columns)):
            yield batch.select(list(columns))
