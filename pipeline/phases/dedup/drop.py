"""The stage `drop`: the verified duplicates of a clean unit -> reject rows, and the rows to drop."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sluice.filters.dedup.clusters import KEPT_CODE, REASONS
from sluice.pipeline.ledger.score_histograms import histogram
from sluice.pipeline.ledger.tally import tally, value_counts
from sluice.pipeline.phases.dedup.candidates import PHASE, DedupStage
from sluice.pipeline.phases.dedup.slicing import THIS_RUN
from sluice.pipeline.phases.edges import COPIES, DROPS, take_kept, write_rows
from sluice.pipeline.phases.names import SCORE
from sluice.pipeline.units import exchange
from sluice.pipeline.units.attempt import Attempt
from sluice.pipeline.units.manifest import Done, Unit
from sluice.pipeline.units.reject_file import RejectFile
from sluice.schemas.counts import DropCounts, ScreenedTally
from sluice.schemas.post import source_rows
from sluice.schemas.reject import DUPLICATE, reject_batch

HISTORY_DETAIL = "history "
"""Begins the `detail` of a duplicate of a post that an earlier run kept; the day follows."""


@dataclass(frozen=True)
class Drop(DedupStage):
    """A clean unit's verified duplicates -> reject rows, the rows to drop, and what the ledger loses.

    Attributes:
        screens: filters whose scores are counted, for the phases that ask how many are in a band.
    """

    output: str
    threshold: float
    screens: tuple[str, ...] = ()
    counts: ClassVar = DropCounts

    def do(self, unit: Unit, attempt: Attempt) -> DropCounts:
        """Writes the drops of a clean unit."""
        index = unit.index
        found = pa.Table.from_batches([batch for _, batch in exchange.read(unit)])
        found = found.combine_chunks().sort_by("post").to_batches()[0]
        stays = pc.equal(found.column("reason"), KEPT_CODE)
        _write_copies(self, index, found.filter(stays), attempt)
        found = found.filter(pc.invert(stays))
        row_D = np.asarray(found.column("post")) - np.uint32(self.posts.first[index])
        columns = ["post_id", "row_key", "language", "created_at", "source", "text"]
        columns += [f"{SCORE}{name}" for name in self.screens]
        done = Done(self.posts.folder, self.posts.units[index])
        posts = pa.concat_batches(take_kept(done, row_D, columns=columns))
        reasons = pc.take(pa.array(REASONS), found.column("reason"))
        source_row = source_rows(posts.column("row_key"))
        days = pa.array([*(f"{HISTORY_DETAIL}{day}" for day in self.posts.days), None], pa.string())
        rejects = reject_batch(
            len(row_D),
            {
                "post_id": posts.column("post_id"),
                "kind": DUPLICATE,
                "phase": PHASE,
                "stage": "minhash",
                "reason": reasons,
                "score": found.column("similarity"),
                "threshold": self.threshold,
                "detail": days.take(_day_numbers(found.column("segment"), len(days) - 1)),
                "source_file": self.posts.files[index],
                "source_row": source_row,
                "duplicate_of": found.column("duplicate_of"),
            },
        )
        file = RejectFile(attempt, self.output, f"{PHASE}-{index:05d}")
        file.write(rejects)
        file.finish()
        write_rows(attempt, "drops", DROPS, row_D)
        lost = tally(posts, ScreenedTally)
        lost.screens = {n: histogram(np.asarray(posts.column(f"{SCORE}{n}"))) for n in self.screens}
        earlier = reasons.filter(pc.not_equal(found.column("segment"), THIS_RUN))
        return DropCounts(value_counts(reasons), value_counts(earlier), lost)


def _day_numbers(segment: pa.Array, this_run: int) -> pa.Array:
    """Returns places in the list of days: the segment's, or the one for this run."""
    return pc.if_else(pc.equal(segment, THIS_RUN), this_run, segment.cast(pa.int64()))


def _write_copies(stage: Drop, index: int, stays: pa.RecordBatch, attempt: Attempt) -> None:
    row_S = np.asarray(stays.column("post")) - np.uint32(stage.posts.first[index])
    write_rows(attempt, "copies", COPIES, row_S, stays.column("copies"))
