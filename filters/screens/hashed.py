"""A screen that reads the hashed table: the mean of its column, shape features, and the calibration."""

from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from sluice.filters.base import on_grid
from sluice.filters.batch import Batch, Scores
from sluice.filters.hashed.table import HashedTable, Sums
from sluice.filters.hashed.views import sums_of
from sluice.filters.screens.shape import shape_features
from sluice.filters.text.features import TextFeatures
from sluice.schemas.arrays import Float64s


@dataclass(frozen=True, eq=False)
class HashedScreen:
    """Scores texts by a head of a table: the logistic function of what it finds and how the post looks.

    Attributes:
        table: what all screens read.
        head: the column's name.
        slope: of the mean of the column.
        intercept: of the calibration.
        shape_K: (K,) float64, weights of the shape features (`shape.py`); (0,) where none is used.
    """

    table: HashedTable
    head: str
    slope: float = 1.0
    intercept: float = 0.0
    shape_K: Float64s = field(default_factory=lambda: np.zeros(0))

    def __call__(self, batch: Batch) -> Scores:
        """Returns (N,) float32 in [0, 1] on the grid; 0 for a text without a word."""
        features = batch.features if len(self.shape_K) else None
        return self._scores(sums_of(batch, self.table), features)

    def score(self, texts: pa.StringArray, features: TextFeatures | None = None) -> Scores:
        """Returns the scores of classifier texts, (N,) float32 in [0, 1] on the grid.

        Args:
            texts: (N,) classifier texts.
            features: of the texts they were made of; None only where no shape feature is used.

        Raises:
            TypeError: the screen uses shape features, and there are none.
        """
        return self._scores(self.table.read(texts), features)

    def logits(self, texts: pa.StringArray, features: TextFeatures | None = None) -> Float64s:
        """Returns (N,) float64, the log odds of the scores, before they are put on the grid."""
        return self._logits(self.table.read(texts), features)

    def _scores(self, sums: Sums, features: TextFeatures | None) -> Scores:
        scores_N = on_grid(1.0 / (1.0 + np.exp(-self._logits(sums, features))))
        scores_N[sums.num_N == 0] = 0
        return scores_N

    def _logits(self, sums: Sums, features: TextFeatures | None) -> Float64s:
        total_N = self.slope * self.table.means(sums, head=self.head) + self.intercept
        if not len(self.shape_K):
            return total_N
        if features is None:
            raise TypeError("this screen reads shape features: pass those of the posts")
        # column by column: a matrix product may add in another order for another number of rows
        for column_N, weight in zip(shape_features(features).T, self.shape_K, strict=True):
            total_N += column_N * weight
        return total_N
