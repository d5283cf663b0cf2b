"""The stage `deletions`: the notices that met no post of the run -> `OUTPUT/deletions`, for later days."""

from dataclasses import dataclass
from typing import ClassVar

import pyarrow.parquet as pq

from sluice.pipeline.phases.edges import read_edge
from sluice.pipeline.units import exchange
from sluice.pipeline.units.attempt import Attempt
from sluice.pipeline.units.manifest import Unit
from sluice.schemas.counts import DeletionCounts
from sluice.schemas.notice import DELETIONS

FILE = "deletions/deletions-00000.parquet"
"""The one file: it is there, and may be empty, wherever a run reads notices."""


@dataclass(frozen=True)
class WriteDeletions:
    """All partitions' notices for later days, one after the other."""

    folder: str
    output: str
    name: str = "exclude_deletions"
    counts: ClassVar = DeletionCounts

    def do(self, unit: Unit, attempt: Attempt) -> DeletionCounts:
        """Writes the file."""
        path, num_rows = attempt.contract_path(self.output, FILE), 0
        with pq.ParquetWriter(path, DELETIONS, compression="zstd", compression_level=1) as file:
            for done in exchange.gathered(unit):
                if "deletions" in done.manifest().files:
                    for batch in read_edge(done, "deletions"):
                        if batch.num_rows:
                            file.write_batch(batch)
                            num_rows += batch.num_rows
        attempt.add_contract("deletions", FILE)
        return DeletionCounts(rows=num_rows)
