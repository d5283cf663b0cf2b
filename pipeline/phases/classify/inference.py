"""RunInference over units: loads a transformer once, and scores what a unit has for it."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import pyarrow as pa
from apache_beam.ml.inference.base import ModelHandler, PredictionResult

from sluice.filters.base import on_grid
from sluice.filters.batch import Batch, Scores
from sluice.filters.partition import Verdicts, concat_rejects, isolate_failures
from sluice.filters.transformers.load import Located, TransformerScorer, load
from sluice.pipeline.phases.classify.cascade import Cascade
from sluice.pipeline.phases.classify.thresholds import PHASE
from sluice.pipeline.storage import local_copies
from sluice.pipeline.units.failure import report_failure
from sluice.pipeline.units.manifest import Done, Unit
from sluice.pipeline.units.stage import Stage
from sluice.schemas.arrays import Array, Int64s
from sluice.schemas.reject import reject_batch


class TransformerStage(Stage, Protocol):
    """A stage whose units a transformer scores first."""

    @property
    def cascade(self) -> Cascade:
        """Which posts it sees."""
        ...

    @property
    def located(self) -> Located:
        """The model's files."""
        ...


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


def score_posts(
    posts: pa.RecordBatch, model: TransformerScorer, labels: Sequence[str], *, stage: str
) -> PostScores:
    """Returns the scores of posts; one that makes the model fail takes no other with it.

    Args:
        posts: (N,) with `post_id`, `text`, `source_file` and `source_row`.
        model: the machine, or a proxy of it in another process: only its method is called.
        labels: of the model.
        stage: that dead letters name.
    """
    tokens, truncated, seconds = 0, 0, 0.0

    def apply(batch: Batch) -> Verdicts:
        nonlocal tokens, truncated, seconds
        found = model.score(batch.text)
        tokens += int(found.tokens_N.sum())
        truncated += int(found.truncated_N.sum())
        seconds += found.seconds
        columns = {label: on_grid(found.scores_NL[:, i]) for i, label in enumerate(labels)}
        return Verdicts(batch, columns, reject_batch(0, {}), {})

    numbered = posts.append_column("row", pa.array(np.arange(posts.num_rows, dtype=np.int64)))
    parts = list(isolate_failures(Batch(numbered), apply, phase=PHASE, stage=stage))
    good = [p for p in parts if p.scores]
    return PostScores(
        _joined((np.asarray(p.kept.posts.column("row")) for p in good), np.int64),
        {label: _joined((p.scores[label] for p in good), np.float32) for label in labels},
        tokens,
        truncated,
        concat_rejects([p.rejected for p in parts]),
        seconds,
    )


def _joined(parts: Iterable[Any], dtype: Any) -> Array:
    return np.concatenate([np.empty(0, dtype), *parts])


def score_unit(stage: TransformerStage, model: TransformerScorer, unit: Unit) -> ScoredUnit:
    """Returns the scores of what a unit has for the transformer."""
    cascade = stage.cascade
    labels, name = stage.located.labels, cascade.spec.prefix
    posts = cascade.read(unit)
    seen = posts.filter(pa.array(cascade.choose(posts).seen_N))
    survivors = score_posts(seen, model, labels, stage=name)
    screened = score_posts(cascade.read_screened(unit.name), model, labels, stage=name)
    return ScoredUnit(survivors, screened)


# Beam has no types, so that mypy takes the base for Any.
class TransformerHandler(ModelHandler[Unit, PredictionResult, TransformerScorer]):  # type: ignore[misc]
    """Loads a transformer, and scores the units that are not done yet.

    On a GPU the model lives once, in a process that all workers of the machine call; on the CPU each
    worker process has its own.
    """

    def __init__(self, stage: TransformerStage):
        super().__init__(min_batch_size=1, max_batch_size=1)  # a unit is a batch of its own
        self._stage = stage

    def load_model(self) -> TransformerScorer:
        """Returns the machine."""
        try:
            return load(self._stage.cascade.spec, self._stage.located)
        except Exception as failure:
            report_failure(self._stage.folder, self._stage.name, Unit("model"), failure)
            raise

    def run_inference(
        self,
        batch: Sequence[Unit],
        model: TransformerScorer,
        inference_args: dict[str, Any] | None = None,
    ) -> Iterator[PredictionResult]:
        """Yields for each unit its ScoredUnit, or None where it is done already."""
        for unit in batch:
            done = Done(self._stage.folder, unit.name).is_done()
            yield PredictionResult(unit, None if done else self._score(model, unit))

    def _score(self, model: TransformerScorer, unit: Unit) -> ScoredUnit:
        try:
            with local_copies.scope():
                return score_unit(self._stage, model, unit)
        except Exception as failure:
            report_failure(self._stage.folder, self._stage.name, unit, failure)
            raise

    def get_num_bytes(self, batch: Sequence[Unit]) -> int:
        """Returns 0: a unit names its posts, and holds none."""
        return 0

    def get_metrics_namespace(self) -> str:
        """Returns the stage's name."""
        return self._stage.name

    def share_model_across_processes(self) -> bool:
        """Returns whether the model runs on a GPU."""
        import torch

        device = self._stage.cascade.spec.device
        return device == "cuda" or (device == "auto" and torch.cuda.is_available())
