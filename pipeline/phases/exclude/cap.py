"""The stage `cap`: the posts of a partition of authors -> those beyond the first N of a day.

Shape suffixes: N rows of a partition, P posts.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pyarrow as pa

from sluice.pipeline.phases.edges import exchanged_edge, rows_of
from sluice.pipeline.phases.exclude.keys import AUTHORED, FOUND, TOO_MANY
from sluice.pipeline.units import exchange
from sluice.pipeline.units.attempt import Attempt
from sluice.pipeline.units.manifest import Unit
from sluice.schemas.arrays import Array, Int64s
from sluice.schemas.counts import CapCounts

_DAY: int = 24 * 60 * 60 * 1_000_000


@dataclass(frozen=True)
class CapAuthors:
    """One partition of authors.

    Attributes:
        max_per_day: posts of an author and a day that stay.
        num_units: of clean.
    """

    folder: str
    max_per_day: int
    num_units: int
    name: str = "exclude_cap"
    counts: ClassVar = CapCounts

    def do(self, unit: Unit, attempt: Attempt) -> CapCounts:
        """Writes which posts are too many."""
        batches = [batch for _, batch in exchange.read(unit)]
        rows = pa.Table.from_batches(batches, AUTHORED).combine_chunks().to_batches()[0]
        posts = _left(rows)
        posts, place_P = places_in_day(posts)
        over_P = np.flatnonzero(place_P > self.max_per_day)
        over = posts.take(pa.array(over_P))
        with exchanged_edge(attempt, "found", FOUND, self.num_units) as writer:
            reason = np.full(len(over_P), TOO_MANY, np.uint8)
            found = rows_of(FOUND, over.column("row"), reason, place_P[over_P].astype(np.uint32))
            writer.write(found, np.asarray(over.column("unit")))
        return CapCounts(posts=posts.num_rows)


def _left(rows: pa.RecordBatch) -> pa.RecordBatch:
    """Returns the posts that are not out yet."""
    is_out_N = rows.column("is_out").to_numpy(zero_copy_only=False)
    place_N = np.asarray(rows.column("unit")).astype(np.int64) << 32 | np.asarray(
        rows.column("row")
    )
    return rows.filter(pa.array(~is_out_N & ~np.isin(place_N, place_N[is_out_N])))


def places_in_day(posts: pa.RecordBatch) -> tuple[pa.RecordBatch, Int64s]:
    """Returns AUTHORED posts in another order, and the place of each in its author's UTC day, from 1.

    The earliest is the first, of one time that with the lesser id; deliveries of one post share a place.
    """
    day_P = np.asarray(posts.column("time")) // _DAY
    table = pa.Table.from_batches([posts]).append_column("day", pa.array(day_P))
    keys = ("author", "author_check", "day", "time", "post_id", "unit", "row")
    table = table.sort_by([(key, "ascending") for key in keys]).combine_chunks()
    begins_P = _begins(table, ("author", "author_check", "day"))
    is_next_P = begins_P | _begins(table, ("time", "post_id"))
    rank_P = np.cumsum(is_next_P)
    first_P = rank_P[np.flatnonzero(begins_P)][np.cumsum(begins_P) - 1] if len(rank_P) else rank_P
    ordered = table.select(AUTHORED.names).combine_chunks().to_batches()
    return (ordered[0] if ordered else posts), rank_P - first_P + 1


def _begins(table: pa.Table, names: tuple[str, ...]) -> Array:
    """Returns (P,) bool: whether a row differs in a column from the one before it."""
    begins_P = np.ones(table.num_rows, np.bool_)
    begins_P[1:] = False
    for name in names:
        column = table[name].combine_chunks()
        codes_P = np.asarray(column.dictionary_encode().indices)
        begins_P[1:] |= codes_P[1:] != codes_P[:-1]
    return begins_P
