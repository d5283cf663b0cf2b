"""Dense numbers of kept posts: post `row` of clean unit u is `first[u] + row`."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from sluice.pipeline.phases.edges import take_kept
from sluice.pipeline.units.manifest import Done
from sluice.schemas.arrays import Array, Int64s, Uint32s


@dataclass(frozen=True)
class PostNumbers:
    """The dense numbers of what clean kept.

    Attributes:
        folder: of the clean units.
        units: their names, in order.
        first: (U + 1,) number of each unit's first kept post; the last is the total.
    """

    folder: str
    units: tuple[str, ...]
    first: tuple[int, ...]

    def unit_of(self, post_N: Array) -> Int64s:
        """Returns (N,) int64, the unit that each post is of."""
        return np.searchsorted(np.asarray(self.first), post_N, side="right") - 1

    def ids(self, post_C: Uint32s) -> pa.StringArray:
        """Returns the ids of posts by their numbers, which ascend; reads the units that have one."""
        found = [pa.array([], pa.string())]
        unit_C = self.unit_of(post_C)
        for unit in np.unique(unit_C).tolist():
            row_M = post_C[unit_C == unit].astype(np.int64) - self.first[unit]
            done = Done(self.folder, self.units[unit])
            found += [b.column(0) for b in take_kept(done, row_M, columns=("post_id",))]
        return pa.concat_arrays(found)
