"""The cascade: which posts a transformer sees, and which of them it decides on.

A transformer costs a thousand times what everything before it costs. With a `screen` it decides only
on the posts in the band, whose screen score is at least `edge`; above the filter's own bound, the
band's upper end, the screen has rejected the post already. A seeded sample of all posts that reached
the screen goes to both, to measure how far they agree: it decides nothing.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sluice.filters.batch import Mask
from sluice.pipeline.ledger import score_histograms
from sluice.pipeline.ledger.score_histograms import band_edge
from sluice.pipeline.phases.edges import SCREENED, Survivors, read_edge
from sluice.pipeline.phases.names import SCORE
from sluice.pipeline.recipes.schema import Classifier
from sluice.pipeline.units.manifest import Done, Unit
from sluice.schemas.counts import ScreenedTally
from sluice.schemas.post import POST, source_rows

LANGUAGE = pa.field("language", pa.string())
READ = pa.schema(
    [POST.field(n) for n in ("post_id", "text", "row_key", "created_at", "source")] + [LANGUAGE]
)
"""What is read of a survivor, beside its screen score."""


class Chosen(NamedTuple):
    """Posts by why the transformer sees them.

    Attributes:
        band_N: (N,) bool, it decides on them.
        sample_N: (N,) bool, they are in the sample.
    """

    band_N: Mask
    sample_N: Mask

    @property
    def seen_N(self) -> Mask:
        """(N,) bool, the transformer scores them."""
        return np.asarray(self.band_N | self.sample_N)


@dataclass(frozen=True)
class Cascade:
    """Where a transformer's posts are, and which of them it sees.

    Attributes:
        survivors: the posts that came so far.
        files: source file of each clean unit.
        spec: the recipe's table.
        edge: screen scores from here on are in the band; 0 without a screen.
        seed: of the sample.
    """

    survivors: Survivors
    files: tuple[str, ...]
    spec: Classifier
    edge: float
    seed: int

    def read(self, unit: Unit) -> pa.RecordBatch:
        """Returns the unit's posts that are left, in one batch: READ, the screen's score, the source."""
        schema, screen = READ, self.spec.screen
        if screen is not None:
            schema = schema.append(pa.field(f"{SCORE}{screen}", pa.float32()))
        batches = list(self.survivors.read(unit.name, columns=schema.names))
        posts = pa.concat_batches(batches) if batches else _no_posts(schema)
        file = self.files[unit.index]
        rows = source_rows(posts.column("row_key"))
        return _from(posts, source_file=file, source_row=rows)

    def choose(self, posts: pa.RecordBatch) -> Chosen:
        """Returns which of N survivors the transformer sees."""
        spec, n = self.spec, posts.num_rows
        if spec.screen is None:
            return Chosen(np.ones(n, np.bool_), np.zeros(n, np.bool_))
        scores_N = np.asarray(posts.column(f"{SCORE}{spec.screen}"))
        sample_N = score_histograms.sampled(posts.column("post_id"), spec.sample, seed=self.seed)
        return Chosen(scores_N >= np.float32(self.edge), sample_N)

    def read_screened(self, unit: str) -> pa.RecordBatch:
        """Returns the sample of what the screen rejected in the unit."""
        read = list(read_edge(Done(self.survivors.clean, unit), "screened"))
        posts = pa.concat_batches(read) if read else _no_posts(SCREENED)
        mine_N = score_histograms.sampled(posts.column("post_id"), self.spec.sample, seed=self.seed)
        mine_N &= np.asarray(pc.equal(posts.column("screen"), self.spec.screen or ""), np.bool_)
        found = posts.filter(pa.array(mine_N))
        nowhere = pa.repeat(pa.scalar(0, pa.int64()), found.num_rows)
        return _from(found, source_file="", source_row=nowhere)


def _no_posts(schema: pa.Schema) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist([], schema=schema)


def _from(posts: pa.RecordBatch, *, source_file: str, source_row: pa.Array) -> pa.RecordBatch:
    """Returns the posts with their place in the input."""
    file = pa.repeat(pa.scalar(source_file), posts.num_rows)
    return posts.append_column("source_file", file).append_column("source_row", source_row)


def band_of(spec: Classifier, survivors: ScreenedTally) -> float:
    """Returns the screen score from which on posts go to a transformer, 0 without a screen.

    The budget is a share of what duplicates left; a transformer that follows another sees fewer.
    """
    edge = spec.min_screen or 0.0
    if spec.screen is None or spec.max_share is None:
        return edge
    scores = survivors.screens.get(spec.screen, {})
    return max(edge, band_edge(scores, max_share=spec.max_share))
