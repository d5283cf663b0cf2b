"""Phase tokens: survivors -> ids -> partitions by seeded hash -> packed sequences -> shards."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import apache_beam as beam

from sluice.pipeline.phases.tokens.deal import Deal
from sluice.pipeline.phases.tokens.encode import Encode
from sluice.pipeline.phases.tokens.pack import Pack
from sluice.pipeline.phases.tokens.shard import Shard
from sluice.pipeline.units import exchange
from sluice.pipeline.units.stage import DoUnits

PHASE = "tokens"


@dataclass(frozen=True)
class TokensPlan:
    """The stages of the phase."""

    encode: Encode
    pack: Pack
    deal: Deal
    shard: Shard

    def stages(self) -> Iterator[Any]:
        """Yields the stages in order."""
        yield from (self.encode, self.pack, self.deal, self.shard)


class Tokens(beam.PTransform):  # type: ignore[misc]
    """Units of survivors in, written shards out."""

    def __init__(self, plan: TokensPlan):
        super().__init__(label="Tokens")
        self._plan = plan

    def expand(self, units: beam.PCollection) -> beam.PCollection:
        """Adds the phase to the graph."""
        return (
            units
            | DoUnits(self._plan.encode)
            | exchange.Exchange("documents", name="partition")
            | DoUnits(self._plan.pack)
            | exchange.OneUnit("dealt")
            | DoUnits(self._plan.deal)
            | exchange.Scatter("dealt", name="shard")
            | DoUnits(self._plan.shard)
        )
