"""What a transformer's scores decide: thresholds, reasons, and the columns that hold the scores.

Apart from `sluice.pipeline.phases.classify.decide`, which imports Beam's inference and so torch: a run
without a transformer, and a look at its output, need neither.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from sluice.filters.base import on_grid
from sluice.filters.batch import Mask, Scores
from sluice.filters.transformers.load import Located
from sluice.pipeline.phases.names import CLASSIFY
from sluice.pipeline.recipes.schema import Classifier
from sluice.schemas.arrays import Int8s

PHASE = CLASSIFY


class Bound(NamedTuple):
    """A label's threshold: above `value`, or below it where `upper` is false, a post is rejected."""

    label: str
    value: float
    upper: bool

    def accepts(self, scores_N: Scores) -> Mask:
        """Returns (N,) bool, true where the score is on the right side of the threshold."""
        return np.asarray(~self.rejects(scores_N))

    def rejects(self, scores_N: Scores) -> Mask:
        """Returns (N,) bool; scores and the threshold are on the grid."""
        value = np.float32(on_grid(self.value))
        return np.asarray(scores_N > value if self.upper else scores_N < value)


def bounds(spec: Classifier) -> tuple[Bound, ...]:
    """Returns the thresholds of a transformer, those of `max_scores` first, in the recipe's order."""
    upper = [Bound(label, value, True) for label, value in spec.max_scores.items()]
    return (*upper, *(Bound(label, value, False) for label, value in spec.min_scores.items()))


def first_bound(scores: Mapping[str, Scores], rules: Sequence[Bound], num_posts: int) -> Int8s:
    """Returns (N,) int8, the first threshold that rejects a post, -1 where none does."""
    found_N = np.full(num_posts, -1, np.int8)
    for i in reversed(range(len(rules))):
        found_N[rules[i].rejects(scores[rules[i].label])] = i
    return found_N


def reason(spec: Classifier, rule: Bound) -> str:
    """Returns the reason that reject rows give: the score's column."""
    return f"{spec.prefix}.{rule.label}"


def score_columns(spec: Classifier, located: Located) -> list[str]:
    """Returns the names of a transformer's score columns, `MODEL.LABEL`."""
    return [f"{spec.prefix}.{label}" for label in located.labels]


def score_schema(spec: Classifier, located: Located) -> pa.Schema:
    """Returns the schema of `scores/MODEL-*.parquet`: one row per post that the transformer scored."""
    fields = [pa.field("post_id", pa.string()), pa.field("language", pa.string())]
    fields.append(pa.field("decided", pa.bool_()))
    return pa.schema(fields + [pa.field(c, pa.float32()) for c in score_columns(spec, located)])
