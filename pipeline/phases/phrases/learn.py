"""The stage `learn`: surroundings of all units -> the table of evaluation sets without common phrases."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from sluice.filters.decontamination.common import (
    MIN_SURROUNDINGS,
    SURROUNDINGS,
    Surroundings,
    common_of,
    distinct,
    without_common,
)
from sluice.filters.decontamination.table_file import packed_table
from sluice.pipeline.inputs.evaluation_sets import TABLE, opened_table
from sluice.pipeline.phases.edges import read_edge
from sluice.pipeline.units import exchange
from sluice.pipeline.units.attempt import Attempt
from sluice.pipeline.units.manifest import Done, Unit
from sluice.schemas.counts import CommonCounts, SetCounts, SurroundingCounts


@dataclass(frozen=True)
class LearnPhrases:
    """Leaves out of the table what stands in many different surroundings.

    Attributes:
        table: path of the table of all items.
        ratio: of the posts that were looked at; a phrase in more surroundings is common.
    """

    folder: str
    table: str
    ratio: float
    name: str = "phrases_learn"
    counts: ClassVar = CommonCounts

    def do(self, unit: Unit, attempt: Attempt) -> CommonCounts:
        """Writes the table that clean maps."""
        units, table = exchange.gathered(unit), opened_table(self.table)
        posts = sum(done.manifest().counted(SurroundingCounts).posts for done in units)
        most = max(MIN_SURROUNDINGS, int(self.ratio * posts))
        common = common_of(distinct(_surroundings(units)), table, most=most)
        left = without_common(table, common)
        path = attempt.path(TABLE, suffix=".items")
        Path(path).write_bytes(packed_table(left))
        attempt.add(TABLE, path)
        sets = zip(left.items.sets, left.figures, strict=True)
        counted = {name: SetCounts(**figures._asdict()) for name, figures in sets}
        return CommonCounts(len(common.key_K), len(common.texts), counted)


def _surroundings(units: list[Done]) -> Iterator[Surroundings]:
    for done in units:
        for rows in read_edge(done, "surroundings", columns=SURROUNDINGS.names):
            yield Surroundings(*(column.to_numpy(zero_copy_only=False) for column in rows.columns))
