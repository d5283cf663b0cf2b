"""Phase classify: survivors -> transformer scores -> what to drop.

Transformers come after everything else that drops posts. Each is a stage of two steps: RunInference
scores a unit's posts (`sluice.pipeline.phases.classify.inference`; which of them,
`sluice.pipeline.phases.classify.cascade`), and the stage decides on them and commits the unit, as every
stage does. A later transformer sees what an earlier one left.
"""

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from sluice.filters.batch import Mask, Scores
from sluice.filters.transformers.load import Located
from sluice.pipeline.ledger import score_histograms
from sluice.pipeline.ledger.tally import tally, value_counts
from sluice.pipeline.phases.classify.cascade import Cascade, Chosen
from sluice.pipeline.phases.classify.thresholds import (
    PHASE,
    bounds,
    first_bound,
    reason,
    score_schema,
)
from sluice.pipeline.phases.edges import DROPS, write_rows
from sluice.pipeline.recipes.schema import Classifier
from sluice.pipeline.units.attempt import Attempt
from sluice.pipeline.units.manifest import Unit
from sluice.pipeline.units.reject_file import RejectFile
from sluice.schemas.arrays import Int8s, Int64s
from sluice.schemas.counts import (
    AgreementCounts,
    ClassifyCounts,
    DecisionCounts,
    PostTally,
    ScreenCounts,
    Table,
)
from sluice.schemas.reject import POLICY, rejects_of


class PostScores(NamedTuple):
    """What a transformer said of the posts that it was given.

    Attributes:
        row_M: (M,) int64, their places among the posts given, ascending; posts that made it fail are
            not there.
        scores: label -> (M,) float32 on the grid.
        tokens: that the model read, without padding.
        truncated: posts that were longer than `max_tokens`.
        failed: dead letters of the others.
        seconds: that the model was busy with them.
    """

    row_M: Int64s
    scores: dict[str, Scores]
    tokens: int
    truncated: int
    failed: pa.RecordBatch
    seconds: float


class ScoredUnit(NamedTuple):
    """What inference gives for a unit; the stage decides from it.

    Attributes:
        survivors: of the posts in the band or the sample.
        screened: of the sample of what the screen rejected.
    """

    survivors: PostScores
    screened: PostScores


@dataclass(frozen=True)
class Classify:
    """One transformer over the survivors of a clean unit.

    Attributes:
        folder: where its units' files are.
        output: the output folder, for `scores/` and `rejects/`.
        cascade: which posts it sees.
        located: the model's files.
    """

    folder: str
    output: str
    cascade: Cascade
    located: Located
    counts: ClassVar = ClassifyCounts

    @property
    def name(self) -> str:
        """The stage's name, in counts and in the graph."""
        return f"{PHASE}_{self.cascade.spec.prefix}"

    def do(self, unit: Unit, attempt: Attempt) -> ClassifyCounts:
        """Writes a unit's scores, rejects and drops; `unit.payload` is its ScoredUnit."""
        scored: ScoredUnit = unit.payload
        posts = self.cascade.read(unit)
        chosen = self.cascade.choose(posts)
        place_S = np.flatnonzero(chosen.seen_N)
        place_M = place_S[scored.survivors.row_M]
        seen = _Seen(
            posts.take(pa.array(place_M)),
            place_M,
            chosen.band_N[place_M],
            first_bound(scored.survivors.scores, bounds(self.cascade.spec), len(place_M)),
        )
        failed_F = np.setdiff1d(place_S, place_M, assume_unique=True)
        lost_L = np.sort(np.concatenate([place_M[seen.dropped_M], failed_F]))
        name = f"{self.cascade.spec.prefix}-{unit.index:05d}"
        _write_scores(self, f"scores/{name}.parquet", seen, scored.survivors, attempt)
        _write_rejects(
            self, RejectFile(attempt, self.output, f"{PHASE}-{name}"), seen, scored.survivors
        )
        write_rows(attempt, "drops", DROPS, self.cascade.survivors.places(unit.name)[lost_L])
        seconds = scored.survivors.seconds + scored.screened.seconds
        attempt.times[self.cascade.spec.prefix] = round(1e6 * seconds)
        return ClassifyCounts(
            posts=posts.num_rows,
            band=int(chosen.band_N.sum()),
            sample=int(chosen.sample_N.sum()) + len(scored.screened.row_M),
            scored=len(place_M) + len(scored.screened.row_M),
            tokens=scored.survivors.tokens + scored.screened.tokens,
            truncated=scored.survivors.truncated + scored.screened.truncated,
            policy=_reasons(self.cascade.spec, seen),
            errors={self.cascade.spec.prefix: len(failed_F)} if len(failed_F) else {},
            lost=tally(posts.take(pa.array(lost_L)), PostTally),
            screens=_by_language(self.cascade.spec, seen, scored.survivors),
            agreement=_agreement(self.cascade.spec, seen, chosen, scored.screened),
        )


class _Seen(NamedTuple):
    """The posts that the transformer scored, and what follows.

    Attributes:
        posts: M of them.
        place_M: (M,) int64, among the unit's survivors.
        band_M: (M,) bool, the transformer decides on them.
        bound_M: (M,) int8, the first threshold that rejects, or -1.
    """

    posts: pa.RecordBatch
    place_M: Int64s
    band_M: Mask
    bound_M: Int8s

    @property
    def dropped_M(self) -> Mask:
        """(M,) bool, what the transformer rejects, where it decides."""
        return np.asarray(self.band_M & (self.bound_M >= 0))


def _write_scores(
    stage: Classify, name: str, seen: _Seen, scored: PostScores, attempt: Attempt
) -> None:
    schema = score_schema(stage.cascade.spec, stage.located)
    columns = [seen.posts.column("post_id"), seen.posts.column("language"), pa.array(seen.band_M)]
    columns += [pa.array(scored.scores[label]) for label in stage.located.labels]
    path = attempt.contract_path(stage.output, name)
    pq.write_table(pa.Table.from_arrays(columns, schema=schema), path, compression="zstd")
    attempt.add_contract("scores", name)


def _write_rejects(stage: Classify, file: RejectFile, seen: _Seen, scored: PostScores) -> None:
    file.write(scored.failed)
    for i, rule in enumerate(bounds(stage.cascade.spec)):
        mine_M = seen.dropped_M & (seen.bound_M == i)
        rows = seen.posts.filter(pa.array(mine_M))
        rejects = rejects_of(
            rows,
            kind=POLICY,
            phase=PHASE,
            stage=stage.cascade.spec.prefix,
            reason=reason(stage.cascade.spec, rule),
            score=pa.array(scored.scores[rule.label][mine_M]),
            threshold=rule.value,
        )
        file.write(rejects)
    file.finish()


def _reasons(spec: Classifier, seen: _Seen) -> Table:
    names = pa.array([reason(spec, rule) for rule in bounds(spec)], pa.string())
    return value_counts(names.take(pa.array(seen.bound_M[seen.dropped_M])))


def _by_language(
    spec: Classifier, seen: _Seen, scored: PostScores
) -> dict[str, dict[str, ScreenCounts]]:
    """Returns for every label with a threshold how the posts that it decides on fare, by language."""
    language = seen.posts.column("language").filter(pa.array(seen.band_M))
    found = {}
    for rule in bounds(spec):
        scores_B = scored.scores[rule.label][seen.band_M]
        found[reason(spec, rule)] = score_histograms.by_language(
            language, scores_B, rule.rejects(scores_B)
        )
    return found


def _agreement(
    spec: Classifier, seen: _Seen, chosen: Chosen, screened: PostScores
) -> AgreementCounts:
    """Returns the transformer's decisions on the sample, by the zone of the screen's score."""
    sample_M = chosen.sample_N[seen.place_M]
    no_M = seen.bound_M >= 0
    no_H = first_bound(screened.scores, bounds(spec), len(screened.row_M)) >= 0
    zones = no_M[sample_M & ~seen.band_M], no_M[sample_M & seen.band_M], no_H
    return AgreementCounts(*(DecisionCounts(int((~no).sum()), int(no.sum())) for no in zones))
