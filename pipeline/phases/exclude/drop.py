"""The stage `drop`: what of a clean unit is out -> reject rows, and the rows to drop.

Shape suffixes: F rows found, D posts that are dropped.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pyarrow as pa

from sluice.pipeline.ledger.score_histograms import histogram
from sluice.pipeline.ledger.tally import tally, value_counts
from sluice.pipeline.phases.edges import DROPS, take_kept, write_rows
from sluice.pipeline.phases.exclude.keys import FOUND, REASONS, STAGES, TOO_MANY
from sluice.pipeline.phases.names import EXCLUDE, SCORE
from sluice.pipeline.units import exchange
from sluice.pipeline.units.attempt import Attempt
from sluice.pipeline.units.manifest import Done, Unit
from sluice.pipeline.units.reject_file import RejectFile
from sluice.schemas.arrays import Array
from sluice.schemas.counts import ExcludedCounts, ScreenedTally
from sluice.schemas.post import source_rows
from sluice.schemas.reject import POLICY, reject_batch


@dataclass(frozen=True)
class DropExcluded:
    """One clean unit.

    Attributes:
        output: the output folder, for `rejects/`.
        clean: folder of the clean units.
        files: the source file of each.
        max_per_day: of an author's posts of a day, where there is a cap.
        screens: filters whose scores are counted, for the phases that ask how many are in a band.
    """

    folder: str
    output: str
    clean: str
    files: tuple[str, ...]
    max_per_day: int | None
    screens: tuple[str, ...] = ()
    name: str = "exclude_drop"
    counts: ClassVar = ExcludedCounts

    def do(self, unit: Unit, attempt: Attempt) -> ExcludedCounts:
        """Writes the drops of a clean unit."""
        row_D, reason_D, place_D = _first_reasons([batch for _, batch in exchange.read(unit)])
        columns = ["post_id", "row_key", "language", "created_at", "source", "text"]
        columns += [f"{SCORE}{name}" for name in self.screens]
        posts = pa.concat_batches(take_kept(Done(self.clean, unit.name), row_D, columns=columns))
        file = RejectFile(attempt, self.output, f"{EXCLUDE}-{unit.index:05d}")
        file.write(self._rejects(unit, posts, reason_D, place_D))
        file.finish()
        write_rows(attempt, "drops", DROPS, row_D)
        lost = tally(posts, ScreenedTally)
        lost.screens = {n: histogram(np.asarray(posts.column(f"{SCORE}{n}"))) for n in self.screens}
        return ExcludedCounts(value_counts(_named(REASONS, reason_D)), lost)

    def _rejects(
        self, unit: Unit, posts: pa.RecordBatch, reason_D: Array, place_D: Array
    ) -> pa.RecordBatch:
        has_none_D = reason_D != TOO_MANY
        threshold_D = np.full(len(reason_D), self.max_per_day or 0, np.float32)
        return reject_batch(
            len(reason_D),
            {
                "post_id": posts.column("post_id"),
                "kind": POLICY,
                "phase": EXCLUDE,
                "stage": _named(STAGES, reason_D),
                "reason": _named(REASONS, reason_D),
                "score": pa.array(place_D.astype(np.float32), mask=has_none_D),
                "threshold": pa.array(threshold_D, mask=has_none_D),
                "source_file": self.files[unit.index],
                "source_row": source_rows(posts.column("row_key")),
            },
        )


def _first_reasons(batches: list[pa.RecordBatch]) -> tuple[Array, Array, Array]:
    """Returns (row_D, reason_D, place_D): each row once, ascending, with the least of its reasons."""
    found = pa.Table.from_batches(batches, FOUND)
    row_F, reason_F, place_F = (np.asarray(found[name]) for name in FOUND.names)
    order_F = np.lexsort((reason_F, row_F))
    row_D, at_D = np.unique(row_F[order_F], return_index=True)
    return row_D, reason_F[order_F][at_D], place_F[order_F][at_D]


def _named(names: tuple[str, ...], code_D: Array) -> pa.StringArray:
    return pa.array(names, pa.string()).take(pa.array(code_D.astype(np.int64)))
