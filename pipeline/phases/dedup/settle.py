"""The stage `settle`: whole components with their texts -> verified duplicates, by clean unit."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import numpy as np
import pyarrow as pa

from sluice.pipeline.phases.dedup.candidates import DedupStage
from sluice.pipeline.phases.dedup.resolve import FOUND, Rules, settle
from sluice.pipeline.units import exchange
from sluice.pipeline.units.attempt import Attempt
from sluice.pipeline.units.manifest import Unit
from sluice.pipeline.units.stage import Work
from sluice.schemas.counts import ResolveCounts


@dataclass(frozen=True)
class Settle(DedupStage):
    """Whole components with their texts -> verified duplicates, by clean unit."""

    rules: Rules
    counts: ClassVar = ResolveCounts

    def open(self) -> Work:
        """Returns the function that settles a partition of components."""
        return partial(_settle, self)


def _settle(stage: Settle, unit: Unit, attempt: Attempt) -> ResolveCounts:
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
    return ResolveCounts(
        unverified=settled.num_unverified,
        slices=settled.num_slices,
        cluster_sizes=settled.cluster_sizes,
        component_sizes=settled.component_sizes,
    )
