"""Which collections the heads of the encoder are trained on, and which are held: `sources.toml`."""

from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from sluice.filters.models.training.screen_sources import ALLOWED_LICENCES

HEADS: Final = ("toxicity", "spam", "quality")
"""In the order of the encoder's outputs."""


class HeadSource(NamedTuple):
    """A labelled collection: its name in the column `source`, its licence, its repository."""

    name: str
    licence: str
    where: str


class Head(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one head is trained on.

    Attributes:
        files: below the data folder, that posts are trained on; patterns.
        test_files: that are read after training, to measure.
        most: posts of a source and a label.
        sources: that posts are taken of.
        held: source -> why nothing is trained on it.
        folds: name -> sources that an encoder of that name is not trained on, but measured.
    """

    files: tuple[str, ...]
    test_files: tuple[str, ...]
    most: int
    sources: tuple[HeadSource, ...]
    held: dict[str, str]
    folds: dict[str, tuple[str, ...]]

    def __post_init__(self) -> None:
        names = {source.name for source in self.sources}
        for source in self.sources:
            if source.licence not in ALLOWED_LICENCES:
                raise ValueError(
                    f"{source.name}: licence {source.licence!r} does not allow training"
                )
        if names & set(self.held):
            raise ValueError(f"both used and held: {', '.join(sorted(names & set(self.held)))}")
        if sorted(name for fold in self.folds.values() for name in fold) != sorted(names):
            raise ValueError("the folds must hold each source once")


SOURCES: Final = msgspec.toml.decode(
    Path(__file__).with_name("sources.toml").read_bytes(), type=dict[str, Head]
)
