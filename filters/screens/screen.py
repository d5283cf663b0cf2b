"""The screens that ship, which read one hashed table, and those of one's own, which are fastText models."""

from dataclasses import dataclass
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
from sluice.filters.hashed.table import read_table
from sluice.filters.screens.hashed import HashedScreen
from sluice.filters.screens.shape import SHAPE_NAMES
from sluice.schemas.arrays import Bools
from sluice.schemas.errors import InputError

FOLDER = Path(__file__).parents[1] / "models"
TABLE = "screens.table"
"""The file of the table that all shipped screens read."""


class Calibration(msgspec.Struct, frozen=True, kw_only=True):
    """The calibration of a shipped screen, in `NAME.json` beside the table.

    Attributes:
        label: the label of a fastText model that takes the screen's place.
        sha256: of the table's file.
        slope: of the mean of the screen's column; more than 0.
        intercept: added to it.
        shape: weights of the features of `sluice.filters.screens.shape`, added too; all of them, or none.
        max_score: the default threshold; None where more is better, and there is no default.
        figures: what was measured, as in the model card.
    """

    label: str
    sha256: str
    slope: float
    intercept: float
    shape: dict[str, float] = {}
    max_score: float | None
    figures: dict[str, Any]


@cache
def calibration(name: str) -> Calibration:
    """Returns the calibration of a shipped screen, `spam`, `toxicity` or `quality`."""
    return msgspec.json.decode((FOLDER / f"{name}.json").read_bytes(), type=Calibration)


def default_max(name: str) -> float:
    """Returns the default threshold of a shipped screen of which high scores are rejected."""
    most = calibration(name).max_score
    assert most is not None
    return most


@cache
def model_sha256(model: str | None) -> str:
    """Returns the sha256 of what a screen reads: the shipped table, or a model by its path.

    Raises:
        InputError: the file cannot be read, or one of the user's is not a supervised fastText model.
    """
    return file_sha256(FOLDER / TABLE) if model is None else read_model(Path(model)).sha256


@dataclass(frozen=True, eq=False)
class FastTextScreen:
    """Scores texts by the probability that a fastText model of one's own gives a label.

    Attributes:
        classifier: the model.
        label: whose probability is the score.
    """

    classifier: FastTextClassifier
    label: str

    def __call__(self, batch: Batch) -> Scores:
        """Returns (N,) float32 in [0, 1] on the grid; 0 for a blank text."""
        return self.score(batch.classifier_text, hiddens_of(batch).get(self.classifier))

    @property
    def classifiers(self) -> tuple[FastTextClassifier, ...]:
        """The models that it reads texts with."""
        return (self.classifier,)

    def score(self, texts: pa.StringArray, hidden: Hidden | None = None) -> Scores:
        """Returns the scores of classifier texts, (N,) float32 in [0, 1] on the grid.

        Args:
            texts: (N,) classifier texts.
            hidden: what the model makes of the texts, where that is known already.
        """
        read = texts if hidden is None else hidden
        scores_N = on_grid(self.classifier.probability_of(read, label=self.label).clip(0, 1))
        scores_N[_blank(texts)] = 0
        return scores_N


def build_screen(name: str, *, model: str | None) -> HashedScreen | FastTextScreen:
    """Returns the shipped screen of that name, or one with a model by its path.

    Args:
        name: `spam`, `toxicity` or `quality`.
        model: a supervised fastText model with the screen's label; its probability is the score as it is,
            for only the shipped screens are calibrated. None for the shipped one.

    Raises:
        InputError: the model cannot be read, has no such label, or the table is not the one of the
            calibration.
    """
    known = calibration(name)
    if model is not None:
        loaded = read_model(Path(model))
        if known.label not in loaded.labels:
            raise InputError(
                f"{loaded.path}: a {name} model must have the label {known.label!r}; "
                f"has {', '.join(loaded.labels[:8])}"
            )
        return FastTextScreen(FastTextClassifier(loaded), known.label)
    found = model_sha256(None)
    if found != known.sha256:
        raise InputError(
            f"{FOLDER / TABLE}: is not the table that {name}.json calibrates: sha256 must be "
            f"{known.sha256}, is {found}; install the package again, or run `make models`"
        )
    shape_K = np.array([known.shape[feature] for feature in SHAPE_NAMES if known.shape])
    return HashedScreen(read_table(FOLDER / TABLE), name, known.slope, known.intercept, shape_K)


class ScreenFilter(Filter, frozen=True, kw_only=True):
    """The base of the filters that decide by a screen. A subclass adds its bound, in [0, 1], and `model`.

    `model` is the path of a supervised fastText model, or None for the shipped screen.
    """

    version: ClassVar[int] = 3
    costly: ClassVar[bool] = True
    screen: ClassVar[bool] = True

    model: str | None = None

    def __post_init__(self) -> None:
        threshold = getattr(self, self.bound)
        if not 0 <= threshold <= 1:
            raise ValueError(f"{self.bound} must be in [0, 1], got {threshold}")

    @property
    def model_sha256(self) -> str:
        """The sha256 of what it reads, for the fingerprint of a run."""
        return model_sha256(self.model)

    def build(self) -> Scorer:
        """Returns the scorer: (N,) float32 in [0, 1].

        Raises:
            InputError: the model cannot be read, or has not the label of the screen.
        """
        return build_screen(self.name, model=self.model)


def _blank(texts: pa.StringArray) -> Bools:
    """Returns (N,) bool, true where a text is null, empty or white space alone."""
    lengths = pc.fill_null(pc.binary_length(pc.utf8_ltrim_whitespace(texts)), 0)
    return np.asarray(lengths.to_numpy(zero_copy_only=False) == 0)
