"""The Parquet files of the rejects of a unit, and of those that are for people to read."""

import pyarrow as pa
import pyarrow.parquet as pq

from sluice.pipeline.units.attempt import Attempt
from sluice.schemas.reject import REJECT

ROWS_IN_GROUP = 1 << 16


class RejectFile:
    """A Parquet file of rows of a schema, REJECT if none is given: `OUTPUT/rejects/NAME.parquet`."""

    def __init__(
        self,
        attempt: Attempt,
        output: str,
        name: str,
        *,
        folder: str = "rejects",
        schema: pa.Schema = REJECT,
    ):
        self._attempt, self._folder, self._name = attempt, folder, f"{folder}/{name}.parquet"
        path = attempt.contract_path(output, self._name)
        self._writer = pq.ParquetWriter(path, schema, compression="zstd", compression_level=1)
        self._held: list[pa.RecordBatch] = []

    def write(self, rows: pa.RecordBatch) -> None:
        """Holds rows until a row group is full."""
        self._held.append(rows)
        if sum(b.num_rows for b in self._held) >= ROWS_IN_GROUP:
            self._flush()

    def _flush(self) -> None:
        if self._held:
            self._writer.write_table(pa.Table.from_batches(self._held))
            self._held = []

    def close(self) -> None:
        """Writes what is held and the footer."""
        self._flush()
        self._writer.close()

    def finish(self) -> None:
        """Closes the file and records it as one of the unit's."""
        self.close()
        self._attempt.add_contract(self._folder, self._name)
