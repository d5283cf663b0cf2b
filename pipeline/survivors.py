"""The posts that are left: what clean kept, less what later phases dropped."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.units import Done

DROPS = pa.schema([("row", pa.uint32())])
"""The `drops` edge: places in the unit's `kept` file that were dropped, ascending."""


@dataclass(frozen=True)
class Survivors:
    """Where the posts that are left are.

    Attributes:
        clean: folder of the clean units.
        drops: folders of phases that dropped posts; a unit without a manifest there lost none.
    """

    clean: str
    drops: tuple[str, ...]

    def dropped(self, unit: str) -> np.ndarray[Any, np.dtype[np.uint32]]:
        """Returns the places in the unit's `kept` file that were dropped, ascending."""
        rows = [np.empty(0, np.uint32)]
        for folder in self.drops:
            if (Path(folder) / f"{unit}.json").exists():
                rows.append(_rows(Done(folder, unit).path("drops")))
        return np.unique(np.concatenate(rows))

    def read(self, unit: str, *, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Yields the unit's posts that are left, in order; of the `kept` edge, only `columns`."""
        dropped_R = self.dropped(unit)
        start = 0
        for batch in read_kept(Done(self.clean, unit), columns=columns):
            stop = start + batch.num_rows
            lo, hi = np.searchsorted(dropped_R, [start, stop])
            if hi > lo:
                keep_N = np.ones(batch.num_rows, np.bool_)
                keep_N[dropped_R[lo:hi].astype(np.int64) - start] = False
                batch = batch.filter(pa.array(keep_N))
            start = stop
            if batch.num_rows:
                yield batch


def _rows(path: str) -> np.ndarray[Any, np.dtype[np.uint32]]:
    with pa.memory_map(path) as file:
        table = pa.ipc.open_file(file).read_all()
        return np.array(table["row"].combine_chunks())


def read_kept(done: Done, *, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """Yields the batches of a clean unit's `kept` file, only `columns`, in that order."""
    with pa.memory_map(done.path("kept")) as file:
        names = pa.ipc.open_file(file).schema.names
        options = pa.ipc.IpcReadOptions(
            included_fields=[names.index(c) for c in columns], use_threads=False
        )
        reader = pa.ipc.open_file(file, options=options)
        for i in range(reader.num_record_batches):
            yield reader.get_batch(i).select(list(columns))
