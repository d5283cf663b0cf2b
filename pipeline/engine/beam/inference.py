"""A transformer as Beam's RunInference runs it. Beam imports torch with it where it can: two seconds."""

from collections.abc import Iterator, Sequence
from typing import Any

import apache_beam as beam
import msgspec
from apache_beam.ml.inference.base import ModelHandler, PredictionResult, RunInference

from sluice.filters.transformers.load import TransformerScorer, on_cuda
from sluice.pipeline.phases.classify.decide import Classify, ScoredUnit
from sluice.pipeline.phases.classify.inference import load_model, score_unit
from sluice.pipeline.storage import local_copies
from sluice.pipeline.units.failure import report_failure
from sluice.pipeline.units.manifest import Done, Unit


class ScoreUnits(beam.PTransform):  # type: ignore[misc]  # Beam has no types
    """Units in, the same units out, with the scores of a stage's transformer as their payload."""

    def __init__(self, stage: Classify):
        super().__init__(label=f"score {stage.name}")
        self._stage = stage

    def expand(self, units: beam.PCollection) -> beam.PCollection:
        """Adds the inference to the graph."""
        handler, name = TransformerHandler(self._stage), self._stage.name
        scored = units | f"infer {name}" >> RunInference(handler)
        return scored | f"scored {name}" >> beam.Map(_scored_unit).with_output_types(Unit)


def _scored_unit(result: PredictionResult) -> Unit:
    unit: Unit = msgspec.structs.replace(result.example, payload=result.inference)
    return unit


# Beam has no types, so that mypy takes the base for Any.
class TransformerHandler(ModelHandler[Unit, PredictionResult, TransformerScorer]):  # type: ignore[misc]  # as above
    """Loads a transformer, and scores the units that are not done yet.

    On a GPU the model lives once, in a process that all workers of the machine call; on the CPU each
    worker process has its own.
    """

    def __init__(self, stage: Classify):
        super().__init__(min_batch_size=1, max_batch_size=1)  # a unit is a batch of its own
        self._stage = stage

    def load_model(self) -> TransformerScorer:
        """Returns the machine."""
        return load_model(self._stage)

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
        return on_cuda(self._stage.cascade.spec)
