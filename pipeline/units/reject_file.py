"""The Parquet file of the rejects of a unit."""

import pyarrow as pa
import pyarrow.parquet as pq

from sluice.pipeline.storage.sealed import file_digest
from sluice.schemas.reject import REJECT


class RejectFile:
    """A Parquet file of REJECT rows."""

    def __init__(self, path: str):
        self._path = path
        self._writer = pq.ParquetWriter(path, REJECT, compression="zstd", compression_level=1)
        self._held: list[pa.RecordBatch] = []

    def write(self, rows: pa.RecordBatch) -> None:
        """Holds rows until a row group is full."""
        self._held.append(rows)
        if sum(b.num_rows for b in self._held) >= 1 << 16:
            self._flush()

    def _flush(self) -> None:
        if self._held:
            self._writer.write_table(pa.Table.from_batches(self._held))
            self._held = []

    def close(self) -> None:
        """Writes what is held and the footer."""
        self._flush()
        self._writer.close()

    def size_and_sha256(self) -> tuple[int, str]:
        """Returns the size in bytes and the SHA-256 of the closed file."""
        return file_digest(self._path)
