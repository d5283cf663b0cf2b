"""Inference over units: loads a transformer once, and scores what a unit has for it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from sluice.filters.base import on_grid
from sluice.filters.batch import Batch
from sluice.filters.partition import Verdicts, concat_rejects, isolate_failures
from sluice.filters.transformers.load import TransformerScorer, load
from sluice.pipeline.phases.classify.decide import Classify, PostScores, ScoredUnit
from sluice.pipeline.phases.classify.thresholds import PHASE
from sluice.pipeline.units.attempt import Attempt
from sluice.pipeline.units.failure import report_failure
from sluice.pipeline.units.manifest import Unit
from sluice.schemas.arrays import Array
from sluice.schemas.counts import Counts
from sluice.schemas.reject import reject_batch


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


def score_unit(stage: Classify, model: TransformerScorer, unit: Unit) -> ScoredUnit:
    """Returns the scores of what a unit has for the transformer."""
    cascade = stage.cascade
    labels, name = stage.located.labels, cascade.spec.prefix
    posts = cascade.read(unit)
    seen = posts.filter(pa.array(cascade.choose(posts).seen_N))
    survivors = score_posts(seen, model, labels, stage=name)
    screened = score_posts(cascade.read_screened(unit.name), model, labels, stage=name)
    return ScoredUnit(survivors, screened)


def load_model(stage: Classify) -> TransformerScorer:
    """Returns the machine of a stage; a failure is left in the stage's folder too."""
    try:
        return load(stage.cascade.spec, stage.located)
    except Exception as failure:
        report_failure(stage.folder, stage.name, Unit("model"), failure)
        raise


@dataclass(frozen=True)
class WithModel:
    """A stage that scores each unit itself and then decides on it, for an engine without inference."""

    stage: Classify

    @property
    def name(self) -> str:
        """The stage's."""
        return self.stage.name

    @property
    def folder(self) -> str:
        """The stage's."""
        return self.stage.folder

    @property
    def counts(self) -> type[Counts]:
        """The stage's."""
        return self.stage.counts

    @cached_property
    def _model(self) -> TransformerScorer:
        return load_model(self.stage)

    def do(self, unit: Unit, attempt: Attempt) -> Counts:
        """Scores a unit, and decides on it."""
        scored = score_unit(self.stage, self._model, unit)
        return self.stage.do(msgspec.structs.replace(unit, payload=scored), attempt)
