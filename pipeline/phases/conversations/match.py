"""The stage `match`: who seeks an id and who has it -> edges between posts, by partition of ids.

Shape suffixes: R rows of a partition, E edges, Q rows that quote.
"""

from dataclasses import dataclass
from typing import ClassVar, Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sluice.pipeline.phases.edges import rows_of, write_rows
from sluice.pipeline.units import exchange
from sluice.pipeline.units.attempt import Attempt
from sluice.pipeline.units.manifest import Unit
from sluice.schemas.arrays import Array, Bools, Int64s
from sluice.schemas.counts import ReplyCounts

LINK: Final = pa.schema(
    [
        ("high", pa.uint64()),
        ("low", pa.uint64()),
        ("kind", pa.uint8()),
        ("post", pa.uint32()),
        ("time", pa.int64()),
        ("post_id", pa.string()),
    ]
)
"""The `links` edge: a post has an id (`high` and `low` are two hashes of it), or seeks the one that has it.

`post` is a dense number, `time` its `created_at` or NO_TIME, and `post_id` is there where it quotes."""

BEGINS, ANSWERS, ALIASED, DUPLICATE, GONE = 0, 1, 2, 3, 4
"""Kinds of rows that have an id: a survivor that answers no post, one that does, one by its `alias_id`, a
duplicate that was dropped and answers none, any other post that was read and did not survive."""
REPLY, QUOTE, FOLLOWER = 5, 6, 7
"""Kinds of rows that seek one: an answer, a quote, a duplicate that seeks its leader."""

EDGE: Final = pa.schema(
    [
        ("kind", pa.uint8()),
        ("post", pa.uint32()),
        ("to", pa.uint32()),
        ("time", pa.int64()),
        ("to_time", pa.int64()),
    ]
)
"""The `edges` edge: from a post to another, with the times of both; see `EdgeKind`."""


class EdgeKind:
    """Kinds of EDGE rows."""

    REPLY = 0
    """`post` answers the survivor `to`."""
    REPLY_TO_DUPLICATE = 1
    """`post` answers the duplicate `to`, which answers none."""
    REPLY_TO_GONE = 2
    """`post` answers a post that did not survive; `to` says nothing."""
    LEADER = 3
    """The duplicate `post` has the survivor `to` for its leader, which answers none either."""
    QUOTE = 4
    """`post` is quoted by `to` first."""
    SHARED_ID = 5
    """`post` has the id of a survivor before it; `to` says nothing."""


NOBODY = np.uint32(0xFFFFFFFF)
"""The `post` of a row whose post has no dense number, and the `to` of an edge that says nothing by it."""


@dataclass(frozen=True)
class MatchLinks:
    """Rows of one partition of ids -> edges."""

    folder: str
    name: str = "conversations_match"
    counts: ClassVar = ReplyCounts

    def do(self, unit: Unit, attempt: Attempt) -> ReplyCounts:
        """Finds the edges of a partition."""
        rows = pa.concat_batches([batch for _, batch in exchange.read(unit)])
        found = match(rows)
        write_rows(attempt, "edges", EDGE, *found.edges.columns)
        return found.counts


class Matched(NamedTuple):
    """What the rows of a partition say."""

    edges: pa.RecordBatch
    counts: ReplyCounts


def match(rows: pa.RecordBatch) -> Matched:
    """Returns the edges (EDGE) that LINK rows of the same ids make; the order of the rows does not matter.

    Of several survivors with an id, the first in the order of the input is the one that others mean.
    """
    rows = rows.take(pa.array(_by_id(rows)))
    high_R, low_R, kind_R, post_R, time_R = (np.asarray(rows.column(n)) for n in LINK.names[:5])
    begins_R = np.append(True, (high_R[1:] != high_R[:-1]) | (low_R[1:] != low_R[:-1]))[: len(rows)]
    has_R = np.flatnonzero(begins_R)[np.cumsum(begins_R) - 1]
    had_R = kind_R[has_R]
    survives_R = had_R <= ALIASED
    reply_R = kind_R == REPLY
    quote_Q = np.flatnonzero((kind_R == QUOTE) & survives_R & (post_R != post_R[has_R]))
    quote_Q = _first_to_quote(rows, quote_Q, has_R)
    chosen = {
        EdgeKind.REPLY: reply_R & survives_R,
        EdgeKind.REPLY_TO_DUPLICATE: reply_R & (had_R == DUPLICATE),
        EdgeKind.REPLY_TO_GONE: reply_R & (had_R == GONE),
        EdgeKind.LEADER: (kind_R == FOLLOWER) & (had_R == BEGINS),
        EdgeKind.SHARED_ID: (kind_R <= ANSWERS) & ~begins_R,
    }
    parts = [
        _edges(kind, np.flatnonzero(chosen_R), has_R, post_R, time_R)
        for kind, chosen_R in chosen.items()
    ]
    quoted = rows_of(
        EDGE,
        np.full(len(quote_Q), EdgeKind.QUOTE, np.uint8),
        *(post_R[has_R[quote_Q]], post_R[quote_Q], time_R[has_R[quote_Q]], time_R[quote_Q]),
    )
    counts = ReplyCounts(
        replies=int(reply_R.sum()), orphans=int((reply_R & (had_R >= REPLY)).sum())
    )
    return Matched(pa.concat_batches([*parts, quoted]), counts)


def _by_id(rows: pa.RecordBatch) -> Int64s:
    """Returns (R,) the rows by id; those that have it first, of which survivors first, by number."""
    high_R, low_R, kind_R, post_R = (np.asarray(rows.column(n)) for n in LINK.names[:4])
    return np.lexsort((post_R, np.maximum(kind_R, ANSWERS), low_R, high_R))


def _edges(
    kind: int, row_E: Int64s, has_R: Int64s, post_R: Array, time_R: Int64s
) -> pa.RecordBatch:
    """Returns edges from the posts of rows to those that have the ids of these rows."""
    to_E = has_R[row_E]
    kinds = np.full(len(row_E), kind, np.uint8)
    return rows_of(EDGE, kinds, post_R[row_E], post_R[to_E], time_R[row_E], time_R[to_E])


def _first_to_quote(rows: pa.RecordBatch, row_Q: Int64s, has_R: Int64s) -> Int64s:
    """Returns of rows that quote those that are the first to quote their post: by time, then by id."""
    quoting = rows.take(pa.array(row_Q)).select(["time", "post_id"])
    quoting = quoting.append_column("has", pa.array(has_R[row_Q]))
    keys = [(name, "ascending") for name in ("has", "time", "post_id")]
    order_Q = np.asarray(pc.sort_indices(quoting, sort_keys=keys), np.int64)
    has_Q = has_R[row_Q][order_Q]
    first_Q: Bools = np.append(True, has_Q[1:] != has_Q[:-1])[: len(has_Q)]
    return row_Q[order_Q][first_Q]
