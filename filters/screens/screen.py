"""A screen: a binary fastText model, shape features, and the calibration that makes them a score."""

from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sluice.filters.base import Filter, Scorer, on_grid
from sluice.filters.batch import Batch, Scores
from sluice.filters.fasttext.classifier import FastTextClassifier
from sluice.filters.fasttext.kernels.output import Hidden
from sluice.filters.fasttext.model import file_sha256, read_model
from sluice.filters.fasttext.views import hiddens_of
from sluice.filters.screens.shape import SHAPE_NAMES, shape_features
from sluice.filters.text.features import TextFeatures
from sluice.schemas.arrays import Bools, Float64s
from sluice.schemas.errors import InputError

FOLDER = Path(__file__).parents[1] / "models"
SMALLEST = 1e-5
"""fastText adds it to every probability, so nothing below it, or as near to 1, tells texts apart."""


class Calibration(msgspec.Struct, frozen=True, kw_only=True):
    """The calibration of a shipped model, in `NAME.json` beside it.

    Attributes:
        label: the label whose probability is calibrated.
        sha256: of the model's file.
        slope: of the model's log odds; more than 0.
        intercept: added to them.
        shape: weights of the features of `sluice.filters.screens.shape`, added too; all of them, or none.
        max_score: the default threshold.
        figures: what was measured, as in the model card.
    """

    label: str
    sha256: str
    slope: float
    intercept: float
    shape: dict[str, float] = {}
    max_score: float
    figures: dict[str, Any]


@cache
def calibration(name: str) -> Calibration:
    """Returns the calibration of a shipped model, `spam` or `toxicity`."""
    return msgspec.json.decode((FOLDER / f"{name}.json").read_bytes(), type=Calibration)


@cache
def model_sha256(name: str, model: str | None) -> str:
    """Returns the sha256 of the model's file: the shipped one of that name, or one by its path.

    Raises:
        InputError: the file cannot be read, or one of the user's is not a supervised fastText model.
    """
    path = _path(name, model)
    return file_sha256(path) if model is None else read_model(path).sha256


@dataclass(frozen=True, eq=False)
class Screen:
    """Scores texts with a binary model: the logistic function of what it finds and how the post looks.

    Attributes:
        classifier: the model.
        label: the label that is bad.
        slope: of the model's log odds.
        intercept: of the calibration.
        shape_K: (K,) float64, weights of the shape features (`shape.py`); (0,) where none is used.
    """

    classifier: FastTextClassifier
    label: str
    slope: float = 1.0
    intercept: float = 0.0
    shape_K: Float64s = field(default_factory=lambda: np.zeros(0))

    def __call__(self, batch: Batch) -> Scores:
        """Returns (N,) float32 in [0, 1] on the grid, higher is worse; 0 for a blank text."""
        features = batch.features if len(self.shape_K) else None
        return self.score(batch.classifier_text, features, hiddens_of(batch).get(self.classifier))

    @property
    def classifiers(self) -> tuple[FastTextClassifier, ...]:
        """The models that it reads texts with."""
        return (self.classifier,)

    def score(
        self,
        texts: pa.StringArray,
        features: TextFeatures | None = None,
        hidden: Hidden | None = None,
    ) -> Scores:
        """Returns the scores of classifier texts, (N,) float32 in [0, 1] on the grid.

        Args:
            texts: (N,) classifier texts.
            features: of the texts they were made of; None only where no shape feature is used.
            hidden: what the model makes of the texts, where that is known already.

        Raises:
            TypeError: the screen uses shape features, and there are none.
        """
        logits_N = self.logits(texts if hidden is None else hidden, features)
        scores_N = on_grid(1.0 / (1.0 + np.exp(-logits_N)))
        scores_N[_blank(texts)] = 0
        return scores_N

    def logits(
        self, texts: pa.StringArray | Hidden, features: TextFeatures | None = None
    ) -> Float64s:
        """Returns (N,) float64, the log odds of the scores, before they are put on the grid."""
        total_N = self.slope * self.log_odds(texts) + self.intercept
        if not len(self.shape_K):
            return total_N
        if features is None:
            raise TypeError("this screen reads shape features: pass those of the posts")
        # column by column: a matrix product may add in another order for another number of rows
        for column_N, weight in zip(shape_features(features).T, self.shape_K, strict=True):
            total_N += column_N * weight
        return total_N

    def log_odds(self, texts: pa.StringArray | Hidden) -> Float64s:
        """Returns (N,) float64, the log odds of the fastText model alone."""
        probability_N = self.classifier.probability_of(texts, label=self.label).astype(np.float64)
        probability_N = np.clip(probability_N, SMALLEST, 1 - SMALLEST)
        return np.asarray(np.log(probability_N / (1 - probability_N)))


def build_screen(name: str, *, model: str | None) -> Screen:
    """Returns the shipped screen of that name, or one with a model by its path.

    Args:
        name: `spam` or `toxicity`.
        model: a supervised fastText model with the shipped model's bad label; its probability is the
            score as it is, for only the shipped models are calibrated. None for the shipped one.

    Raises:
        InputError: the model cannot be read, has no such label, or is not the one of its calibration.
    """
    known = calibration(name)
    loaded = read_model(_path(name, model))
    if known.label not in loaded.labels:
        raise InputError(
            f"{loaded.path}: a {name} model must have the label {known.label!r}; "
            f"has {', '.join(loaded.labels[:8])}"
        )
    if model is not None:
        return Screen(FastTextClassifier(loaded), known.label)
    if loaded.sha256 != known.sha256:
        raise InputError(
            f"{loaded.path}: is not the model that {name}.json calibrates: sha256 must be "
            f"{known.sha256}, is {loaded.sha256}; install the package again, or run `make models`"
        )
    shape_K = np.array([known.shape[name] for name in SHAPE_NAMES if known.shape])
    return Screen(FastTextClassifier(loaded), known.label, known.slope, known.intercept, shape_K)


class ScreenFilter(Filter, frozen=True, kw_only=True):
    """The base of the filters that decide by a screen. A subclass adds its bound, in [0, 1], and `model`.

    `model` is the path of a supervised fastText model, or None for the shipped one.
    """

    version: ClassVar[int] = 2
    costly: ClassVar[bool] = True
    screen: ClassVar[bool] = True

    model: str | None = None

    def __post_init__(self) -> None:
        threshold = getattr(self, self.bound)
        if not 0 <= threshold <= 1:
            raise ValueError(f"{self.bound} must be in [0, 1], got {threshold}")

    @property
    def model_sha256(self) -> str:
        """The sha256 of the model's file, for the fingerprint of a run."""
        return model_sha256(self.name, self.model)

    def build(self) -> Scorer:
        """Returns the scorer: (N,) float32 in [0, 1].

        Raises:
            InputError: the model cannot be read, or has not the label of the shipped one.
        """
        return build_screen(self.name, model=self.model)


def _path(name: str, model: str | None) -> Path:
    return FOLDER / f"{name}.ftz" if model is None else Path(model)


def _blank(texts: pa.StringArray) -> Bools:
    """Returns (N,) bool, true where a text is null, empty or white space alone."""
    lengths = pc.fill_null(pc.binary_length(pc.utf8_ltrim_whitespace(texts)), 0)
    return np.asarray(lengths.to_numpy(zero_copy_only=False) == 0)
