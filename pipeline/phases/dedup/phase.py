"""Phase dedup: band keys -> candidates -> components -> verified duplicates -> what to drop.

A shared key is only a candidate. Posts that any chain of keys connects form a component; a component is
brought together once, with its texts, and settled there by exact comparison with the posts that stay
(`sluice.pipeline.phases.dedup.resolve`). So every text of a candidate crosses machines once, whatever
number of bands it has. Posts that earlier runs kept are candidates too, where the recipe names a history;
they stay.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sluice.filters.dedup.clusters import EXACT_CODE, KEPT_CODE, NEAR_CODE, REDELIVERED_CODE
from sluice.filters.dedup.exact_hash import ID_SEED, id_hash
from sluice.filters.dedup.minhash import num_shingles
from sluice.filters.text.hashing import hash_texts
from sluice.filters.text.views import dedup_text
from sluice.pipeline.ledger.score_histograms import histogram
from sluice.pipeline.ledger.tally import Counts, tally, value_counts
from sluice.pipeline.phases.dedup.candidates import (
    PHASE,
    Buckets,
    DedupStage,
    HistoryFile,
    Join,
    history_files,
)
from sluice.pipeline.phases.dedup.resolve import FOUND, Rules, settle
from sluice.pipeline.phases.dedup.slicing import CANDIDATE, THIS_RUN
from sluice.pipeline.phases.edges import COPIES, DROPS, SCORE, read_kept
from sluice.pipeline.phases.history import segments
from sluice.pipeline.units import exchange
from sluice.pipeline.units.attempt import Attempt
from sluice.pipeline.units.manifest import Done, Unit
from sluice.pipeline.units.reject_file import RejectFile
from sluice.pipeline.units.stage import DoUnits, Work
from sluice.schemas.post import ROW_BITS
from sluice.schemas.reject import DUPLICATE, EXACT, NEAR, REDELIVERED, reject_batch

HISTORY_DETAIL = "history "
"""Begins the `detail` of a duplicate of a post that an earlier run kept; the day follows."""
REASONS = {REDELIVERED_CODE: REDELIVERED, EXACT_CODE: EXACT, NEAR_CODE: NEAR}


@dataclass(frozen=True)
class Ship(DedupStage):
    """A file's candidates -> their texts, by partition of components."""

    keep: str
    ngram: int
    num_partitions: int

    def open(self) -> Work:
        """Returns the function that ships a file's candidates."""
        return partial(_ship, self, history_files(self.posts.history))


def _ship(stage: Ship, files: Sequence[HistoryFile], unit: Unit, attempt: Attempt) -> Counts:
    found = pa.Table.from_batches([b for _, b in exchange.read(unit)])
    found = found.combine_chunks().to_batches()[0]
    number, path = unit.payload["partition"], attempt.path("candidates")
    with exchange.Writer(
        path, schema=CANDIDATE, num_partitions=stage.num_partitions, compression="lz4"
    ) as writer:
        if number < len(stage.posts.units):
            shipped = _posts(stage, stage.posts.units[number], found)
        else:
            shipped = _entries_of(stage, files[number - len(stage.posts.units)], found)
        for rows in shipped:
            component_C = np.asarray(rows.column("component"))
            writer.write(rows, partition_of(component_C, stage.num_partitions))
    attempt.add("candidates", path, ranges=writer.ranges)
    return {"candidates": found.num_rows}


def _posts(stage: Ship, unit: str, found: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """Yields the CANDIDATE rows of a clean unit."""
    row_C, start = np.asarray(found.column("row")), 0
    for batch in read_kept(
        Done(stage.posts.folder, unit), columns=("post_id", "text", "created_at")
    ):
        lo, hi = np.searchsorted(row_C, [start, start + batch.num_rows])
        rows = batch.take(pa.array(row_C[lo:hi].astype(np.int64) - start))
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
        newest = pc.fill_null(time, np.iinfo(np.int64).min)
        yield _candidates(
            found.slice(lo, hi - lo), THIS_RUN, rank, newest, rows.column("post_id"), compared
        )
        start += batch.num_rows


def _entries_of(stage: Ship, file: HistoryFile, found: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """Yields the CANDIDATE rows of a file of the history: they come before all posts of this run."""
    row_C = np.asarray(found.column("row")).astype(np.int64)
    view = stage.posts.history
    assert view is not None  # only a history has such files
    for start in range(0, len(row_C), segments.BATCH_ROWS):
        some = found.slice(start, segments.BATCH_ROWS)
        rows = segments.take(
            view.folder, file.name, file.file, row_C[start : start + some.num_rows]
        )
        first = pa.repeat(pa.scalar(np.iinfo(np.int64).min, pa.int64()), some.num_rows)
        yield _candidates(
            some, file.segment, first, first, rows.column("post_id"), rows.column("text")
        )


def _candidates(
    found: pa.RecordBatch,
    segment: int,
    rank: pa.Array,
    time: pa.Array,
    post_id: pa.StringArray,
    text: pa.StringArray,
) -> pa.RecordBatch:
    columns = [
        found.column("component"),
        found.column("post"),
        pa.array(np.full(found.num_rows, segment, np.int16)),
        rank,
        time,
        pa.array(id_hash(post_id)),
        pa.array(hash_texts(post_id, seed=ID_SEED + 1)),
        post_id,
        text,
    ]
    return pa.RecordBatch.from_arrays(columns, schema=CANDIDATE)


def partition_of(component_C: np.ndarray[Any, Any], num_partitions: int) -> np.ndarray[Any, Any]:
    """Returns the partition of each component, (C,) int64 in [0, num_partitions)."""
    mixed_C = component_C.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    return ((mixed_C >> np.uint64(32)) * np.uint64(num_partitions) >> np.uint64(32)).astype(
        np.int64
    )


@dataclass(frozen=True)
class Settle(DedupStage):
    """Whole components with their texts -> verified duplicates, by clean unit."""

    rules: Rules

    def open(self) -> Work:
        """Returns the function that settles a partition of components."""
        return partial(_settle, self)


def _settle(stage: Settle, unit: Unit, attempt: Attempt) -> Counts:
    def read() -> Iterator[pa.RecordBatch]:
        return (batch for _, batch in exchange.read(unit))

    settled = settle(read, stage.rules, scratch=attempt.path("scratch", suffix=""))
    first_U = np.asarray(stage.posts.first, np.int64)
    path, num_units = attempt.path("found"), len(stage.posts.units)
    with exchange.Writer(path, schema=FOUND, num_partitions=num_units, compression="lz4") as writer:
        for found in settled.found:
            post_D = np.asarray(found.column("post"))
            writer.write(found, np.searchsorted(first_U, post_D, side="right") - 1)
    attempt.add("found", path, ranges=writer.ranges)
    return {
        "unverified": settled.num_unverified,
        "slices": settled.num_slices,
        "cluster_sizes": settled.cluster_sizes,
        "component_sizes": settled.component_sizes,
    }


@dataclass(frozen=True)
class Drop(DedupStage):
    """A clean unit's verified duplicates -> reject rows, the rows to drop, and what the ledger loses.

    Attributes:
        screens: filters whose scores are counted, for the phases that ask how many are in a band.
    """

    output: str
    threshold: float
    screens: tuple[str, ...] = ()

    def open(self) -> Work:
        """Returns the function that writes a unit's drops."""
        return partial(_drop, self)


def _drop(stage: Drop, unit: Unit, attempt: Attempt) -> Counts:
    index = unit.payload["partition"]
    found = pa.Table.from_batches([batch for _, batch in exchange.read(unit)])
    found = found.combine_chunks().sort_by("post").to_batches()[0]
    stays = pc.equal(found.column("reason"), KEPT_CODE)
    _write_copies(stage, index, found.filter(stays), attempt)
    found = found.filter(pc.invert(stays))
    row_D = np.asarray(found.column("post")) - np.uint32(stage.posts.first[index])
    columns = ["post_id", "row_key", "language", "created_at", "source", "text"]
    columns += [f"{SCORE}{name}" for name in stage.screens]
    posts = _take_rows(Done(stage.posts.folder, stage.posts.units[index]), row_D, columns)
    reasons = pc.take(pa.array([REASONS.get(i, "") for i in range(4)]), found.column("reason"))
    source_row = pc.bit_wise_and(
        posts.column("row_key"), pa.scalar((1 << ROW_BITS) - 1, pa.uint64())
    )
    days = pa.array([*(f"{HISTORY_DETAIL}{day}" for day in stage.posts.days), None], pa.string())
    rejects = reject_batch(
        len(row_D),
        {
            "post_id": posts.column("post_id"),
            "kind": DUPLICATE,
            "phase": PHASE,
            "stage": "minhash",
            "reason": reasons,
            "score": found.column("similarity"),
            "threshold": stage.threshold,
            "detail": days.take(_day_numbers(found.column("segment"), len(days) - 1)),
            "source_file": stage.posts.files[index],
            "source_row": source_row,
            "duplicate_of": found.column("duplicate_of"),
        },
    )
    name = f"rejects/dedup-{index:05d}.parquet"
    file = RejectFile(attempt.contract_path(stage.output, name))
    file.write(rejects)
    file.close()
    size, sha256 = file.size_and_sha256()
    attempt.add_contract("rejects", name, size=size, sha256=sha256)
    path = attempt.path("drops")
    with pa.ipc.new_file(path, DROPS) as drops:
        drops.write_batch(pa.RecordBatch.from_arrays([pa.array(row_D)], schema=DROPS))
    attempt.add("drops", path)
    lost = tally(
        language=posts.column("language"),
        created_at=posts.column("created_at"),
        source=posts.column("source"),
        amounts={"text_bytes": pc.binary_length(posts.column("text")).cast(pa.int64())},
    )
    of_screens = {n: histogram(np.asarray(posts.column(f"{SCORE}{n}"))) for n in stage.screens}
    lost["screens"] = of_screens
    earlier = reasons.filter(pc.not_equal(found.column("segment"), THIS_RUN))
    return {"duplicates": value_counts(reasons), "earlier": value_counts(earlier), "lost": lost}


def _day_numbers(segment: pa.Array, this_run: int) -> pa.Array:
    """Returns places in the list of days: the segment's, or the one for this run."""
    return pc.if_else(pc.equal(segment, THIS_RUN), this_run, segment.cast(pa.int64()))


def _write_copies(stage: Drop, index: int, stays: pa.RecordBatch, attempt: Attempt) -> None:
    row_S = np.asarray(stays.column("post")) - np.uint32(stage.posts.first[index])
    path = attempt.path("copies")
    with pa.ipc.new_file(path, COPIES) as file:
        columns = [pa.array(row_S), stays.column("copies")]
        file.write_batch(pa.RecordBatch.from_arrays(columns, schema=COPIES))
    attempt.add("copies", path)


def _take_rows(done: Done, row_D: np.ndarray[Any, Any], columns: Sequence[str]) -> pa.RecordBatch:
    """Returns the rows at ascending places of a unit's `kept` file."""
    parts, start = [], 0
    for batch in read_kept(done, columns=columns):
        lo, hi = np.searchsorted(row_D, [start, start + batch.num_rows])
        parts.append(batch.take(pa.array(row_D[lo:hi].astype(np.int64) - start)))
        start += batch.num_rows
    return pa.concat_batches(parts)


@dataclass(frozen=True)
class DedupPlan:
    """The stages of the phase, made by `plan`."""

    buckets: Buckets
    join: Join
    ship: Ship
    settle: Settle
    drop: Drop


class Dedup(beam.PTransform):  # type: ignore[misc]
    """Cleaned units in, units with their drops out."""

    def __init__(self, plan: DedupPlan):
        super().__init__(label="Dedup")
        self._plan = plan

    def expand(self, cleaned: beam.PCollection) -> beam.PCollection:
        """Adds the phase to the graph."""
        return (
            cleaned
            | exchange.Exchange("keys", name="bucket")
            | DoUnits(self._plan.buckets)
            | exchange.OneUnit("all")
            | DoUnits(self._plan.join)
            | exchange.Scatter("components", name="candidates")
            | DoUnits(self._plan.ship)
            | exchange.Exchange("candidates", name="component")
            | DoUnits(self._plan.settle)
            | exchange.Exchange("found", name="unit")
            | DoUnits(self._plan.drop)
        )
