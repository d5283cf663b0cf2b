"""The stage `count`: the posts of a unit -> what of evaluation sets is in them, and in which surroundings."""

from dataclasses import dataclass
from typing import ClassVar

import msgspec
import numpy as np

from sluice.filters.decontamination.common import SURROUNDINGS, Surroundings, distinct, surroundings
from sluice.pipeline.inputs.evaluation_sets import opened_table
from sluice.pipeline.inputs.inventory import InputUnit
from sluice.pipeline.inputs.reader import ReadOptions, read_unit
from sluice.pipeline.phases.clean.batches import clean_texts
from sluice.pipeline.phases.edges import write_rows
from sluice.pipeline.recipes.schema import MediaSection
from sluice.pipeline.units.attempt import Attempt
from sluice.pipeline.units.manifest import Unit
from sluice.schemas.counts import SurroundingCounts


@dataclass(frozen=True)
class CountSurroundings:
    """Reads one input unit and looks for n-grams and short items in its posts.

    Attributes:
        root: the folder that source paths are relative to.
        table: path of the table of all items.
    """

    folder: str
    root: str
    options: ReadOptions
    media: MediaSection
    table: str
    name: str = "phrases_count"
    counts: ClassVar = SurroundingCounts

    def do(self, unit: Unit, attempt: Attempt) -> SurroundingCounts:
        """Writes each n-gram and each surrounding of it in the unit once."""
        arrays, posts = opened_table(self.table).arrays, 0
        found = [_none()]
        for read in read_unit(self.root, msgspec.convert(unit.payload, InputUnit), self.options):
            texts = clean_texts(read.posts, self.media).column("text")
            found.append(surroundings(texts, arrays))
            posts += len(texts)
        pairs = distinct(found)
        write_rows(attempt, "surroundings", SURROUNDINGS, *pairs)
        return SurroundingCounts(posts, len(pairs.what_M))


def _none() -> Surroundings:
    return Surroundings(np.empty(0, np.uint64), np.empty(0, np.uint64), np.empty(0, np.bool_))
