"""The stage `places`: the places of a clean unit's posts in their documents, by row."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sluice.pipeline.phases.conversations.names import (
    PLACE,
    document_hashes,
    document_names,
)
from sluice.pipeline.phases.conversations.trees import NO_TIME
from sluice.pipeline.phases.edges import read_edge, rows_of, write_rows
from sluice.pipeline.units import exchange
from sluice.pipeline.units.attempt import Attempt
from sluice.pipeline.units.manifest import Done, Unit
from sluice.schemas.arrays import Uint32s
from sluice.schemas.counts import NoCounts

IN_DOCUMENT = pa.schema([field for field in PLACE if field.name != "row"])
"""Where a post stands: `order` and `name` are hashes of its document's name, the rest is its place there."""


@dataclass(frozen=True)
class SortPlaces:
    """PLACE rows of a clean unit -> the same, by row."""

    folder: str
    name: str = "conversations_places"
    counts: ClassVar = NoCounts

    def do(self, unit: Unit, attempt: Attempt) -> NoCounts:
        """Sorts the rows of a unit."""
        rows = pa.concat_batches([batch for _, batch in exchange.read(unit)])
        write_rows(
            attempt, "places", PLACE, *rows.take(pc.sort_indices(rows.column("row"))).columns
        )
        return NoCounts()


@dataclass(frozen=True)
class UnitPlaces:
    """Where the posts of a clean unit stand in their documents.

    Attributes:
        moved: PLACE rows, by row: those of posts that links of the run join.
        seed: of the hashes of documents.
    """

    moved: pa.Table
    seed: int

    @classmethod
    def read(cls, folder: str, unit: str, *, seed: int) -> "UnitPlaces":
        """Returns those of a unit; a unit of which no post is linked has no file."""
        done = Done(folder, unit)
        moved = list(read_edge(done, "places")) if done.is_done() else []
        return cls(pa.Table.from_batches(moved, PLACE).combine_chunks(), seed)

    def of(self, posts: pa.RecordBatch, row_N: Uint32s) -> pa.RecordBatch:
        """Returns IN_DOCUMENT rows of posts, which are at these rows of the unit's kept posts.

        Args:
            posts: (N,) with `post_id`, `conversation_id` and `created_at`.
            row_N: (N,) uint32, ascending.
        """
        n, time = posts.num_rows, posts.column("created_at").cast(pa.int64())
        columns = [
            *document_hashes(document_names(posts), seed=self.seed),
            np.array(pc.fill_null(time, NO_TIME)),
            np.zeros(n, np.int32),
            np.zeros(n, np.bool_),
        ]
        row_M = self.moved["row"].to_numpy()
        at_N = np.flatnonzero(np.isin(row_N, row_M, assume_unique=True))
        at_M = np.searchsorted(row_M, row_N[at_N])
        for name, column_N in zip(IN_DOCUMENT.names, columns, strict=True):
            moved = self.moved[name].to_numpy()
            column_N[at_N] = moved[at_M]
        return rows_of(IN_DOCUMENT, *columns)
