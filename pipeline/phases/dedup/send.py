"""The stage `ship`: the texts of candidates, by partition of their components."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sluice.filters.dedup.exact_hash import ID_SEED, id_hash
from sluice.filters.dedup.minhash import num_shingles
from sluice.filters.text.hashing import hash_texts
from sluice.filters.text.views import dedup_text
from sluice.pipeline.history import segments
from sluice.pipeline.phases.dedup.candidates import DedupStage, HistoryFile, history_files
from sluice.pipeline.phases.dedup.slicing import CANDIDATE, NEVER, THIS_RUN
from sluice.pipeline.phases.edges import Survivors, exchanged_edge, rows_of, take_kept
from sluice.pipeline.units import exchange
from sluice.pipeline.units.attempt import Attempt
from sluice.pipeline.units.manifest import Done, Unit
from sluice.schemas import hashing
from sluice.schemas.arrays import Array
from sluice.schemas.counts import CandidateCounts
from sluice.schemas.hashing import GOLDEN_RATIO


@dataclass(frozen=True)
class SendTexts(DedupStage):
    """A file's candidates -> their texts, by partition of components.

    Attributes:
        excluded: folders of what was dropped before: such posts join others to components, since one of them
            may have the keys of a text for all its copies, but they are compared with none.
    """

    keep: str
    ngram: int
    num_partitions: int
    excluded: tuple[str, ...] = ()
    counts: ClassVar = CandidateCounts

    @cached_property
    def _history_files(self) -> list[HistoryFile]:
        return history_files(self.posts.history)

    def do(self, unit: Unit, attempt: Attempt) -> CandidateCounts:
        """Sends the candidates of a file."""
        found = pa.Table.from_batches([b for _, b in exchange.read(unit)])
        found = found.combine_chunks().to_batches()[0]
        number, units = unit.index, self.posts.units
        if number < len(units):
            found = self._without_excluded(units[number], found)
            sent = _posts(self, units[number], found)
        else:
            sent = _entries_of(self, self._history_files[number - len(units)], found)
        shape = CANDIDATE, self.num_partitions
        with exchanged_edge(attempt, "candidates", *shape, compressed=True) as writer:
            for rows in sent:
                component_C = np.asarray(rows.column("component"))
                writer.write(rows, partition_of(component_C, self.num_partitions))
        return CandidateCounts(found.num_rows)

    def _without_excluded(self, unit: str, found: pa.RecordBatch) -> pa.RecordBatch:
        if not self.excluded:
            return found
        dropped = Survivors(self.posts.folder, self.excluded).dropped(unit)
        return found.filter(pa.array(~np.isin(np.asarray(found.column("row")), dropped)))


def _posts(stage: SendTexts, unit: str, found: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """Yields the CANDIDATE rows of a clean unit."""
    row_C, first = np.asarray(found.column("row")), 0
    done, columns = Done(stage.posts.folder, unit), ("post_id", "text", "created_at", "edited_at")
    for rows in take_kept(done, row_C, columns=columns):
        text = rows.column("text")
        compared = dedup_text(text)
        # A post without a time is the last to be kept, and the first to be taken for an old delivery.
        time = rows.column("created_at").cast(pa.int64())
        if stage.keep == "earliest":
            rank = pc.fill_null(time, np.iinfo(np.int64).max)
        elif stage.keep == "longest":
            rank = pc.negate(pc.utf8_length(text).cast(pa.int64()))
        else:
            rank = pa.array(-num_shingles(compared, ngram=stage.ngram))
        newest = pc.fill_null(time, NEVER)
        some = found.slice(first, rows.num_rows)
        edited = pc.fill_null(rows.column("edited_at").cast(pa.int64()), NEVER)
        yield _candidates(some, THIS_RUN, rank, newest, edited, rows.column("post_id"), compared)
        first += rows.num_rows


def _entries_of(
    stage: SendTexts, file: HistoryFile, found: pa.RecordBatch
) -> Iterator[pa.RecordBatch]:
    """Yields the CANDIDATE rows of a file of the history: they come before all posts of this run."""
    row_C = np.asarray(found.column("row")).astype(np.int64)
    view = stage.posts.history
    assert view is not None  # only a history has such files
    for start in range(0, len(row_C), segments.BATCH_ROWS):
        some = found.slice(start, segments.BATCH_ROWS)
        rows = segments.take(
            view.folder, file.name, file.file, row_C[start : start + some.num_rows]
        )
        first = pa.repeat(pa.scalar(NEVER, pa.int64()), some.num_rows)
        yield _candidates(
            some, file.segment, first, first, first, rows.column("post_id"), rows.column("text")
        )


def _candidates(
    found: pa.RecordBatch,
    segment: int,
    rank: pa.Array,
    time: pa.Array,
    edited: pa.Array,
    post_id: pa.StringArray,
    text: pa.StringArray,
) -> pa.RecordBatch:
    return rows_of(
        CANDIDATE,
        found.column("component"),
        found.column("post"),
        np.full(found.num_rows, segment, np.int16),
        rank,
        time,
        edited,
        id_hash(post_id),
        hash_texts(post_id, seed=ID_SEED + 1),
        post_id,
        text,
    )


def partition_of(component_C: Array, num_partitions: int) -> Array:
    """Returns the partition of each component, (C,) int64 in [0, num_partitions)."""
    mixed_C = component_C.astype(np.uint64) * GOLDEN_RATIO
    return hashing.partition_of(mixed_C, num_partitions).astype(np.int64)
