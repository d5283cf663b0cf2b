"""What the shipped screens are trained on: every source, with its licence, and why the others are not.

The rule: a source is used only if its licence lets anyone use, change and pass on what is made of it,
for any purpose, without obliging them to a licence of ours or theirs. That leaves out licences that
forbid commercial use, share-alike licences, and data without a stated licence.
"""

from pathlib import Path
from typing import NamedTuple

import msgspec

ALLOWED_LICENCES = ("MIT", "BSD-3-Clause", "Apache-2.0", "CC0 1.0", "CC BY 4.0")


class ScreenSource(NamedTuple):
    """A labelled collection of posts.

    Attributes:
        name: as in the column `source` of the data files.
        licence: one of ALLOWED_LICENCES, as the table in the data's README has it.
        where: its repository.
        as_clean: taken as label 0 whatever its label: ordinary posts, collected for another purpose,
            that keep a model from taking a language itself for a sign. The figure is the most
            posts per language.
    """

    name: str
    licence: str
    where: str
    as_clean: int = 0


class ScreenRecipe(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How one of the shipped screens is made: a table of `screen_sources.toml`.

    Attributes:
        name: of the model and of its files, `spam` or `toxicity`.
        positive: the label whose probability is the score.
        negative: the other label.
        train_files: below the data folder; only these are read for training and calibration.
        clean_files: the files of the `as_clean` sources.
        test_files: their labels are read after training, to fill the model card.
        sources: what is used of the training files.
        left_out: source -> why it is not.
        not_ordinary: sources made for a model of this kind, whose false alarms are not counted.
        most: posts per source and label.
        clean_weight: what all ordinary posts weigh together; a source's posts of one label weigh 1.
        seeds_weight: what all made posts (`screen_seeds.py`) weigh together; 0 for none.
        shape: whether the features of `sluice.filters.screens.shape` are used.
        l2: penalty on the weights of n-grams.
        l2_shape: penalty on the weights of shape features.
        min_posts: an n-gram has a weight if it is in so many training posts; sets the file's size.
    """

    name: str
    positive: str
    negative: str
    train_files: tuple[str, ...]
    clean_files: tuple[str, ...]
    test_files: tuple[str, ...]
    sources: tuple[ScreenSource, ...]
    left_out: dict[str, str]
    not_ordinary: tuple[str, ...]
    most: int
    clean_weight: float
    seeds_weight: float
    shape: bool
    l2: float
    l2_shape: float
    min_posts: int

    @property
    def labelled(self) -> list[str]:
        """The names of the sources whose labels are used."""
        return [source.name for source in self.sources if not source.as_clean]

    @property
    def clean(self) -> list[str]:
        """The names of the sources that are taken as clean."""
        return [source.name for source in self.sources if source.as_clean]


RECIPES = msgspec.toml.decode(
    Path(__file__).with_suffix(".toml").read_bytes(), type=dict[str, ScreenRecipe]
)
