"""Which ordinary posts the models of toxicity and spam take for good, and which licences allow training.

The rule: a source is used only if its licence lets anyone use, change and pass on what is made of it,
for any purpose, without obliging them to a licence of ours or theirs. That leaves out licences that
forbid commercial use, share-alike licences, and data without a stated licence. Labelled sources are those
of `encoder/sources.toml`.
"""

from pathlib import Path
from typing import Final, NamedTuple

import msgspec

ALLOWED_LICENCES: Final = ("MIT", "BSD-3-Clause", "Apache-2.0", "CC0 1.0", "CC BY 4.0")


class OrdinarySource(NamedTuple):
    """A collection of posts for another purpose, by which no model takes a language itself for a sign.

    Attributes:
        name: as in the column `source` of the data files.
        licence: one of ALLOWED_LICENCES, as the table in the data's README has it.
        where: its repository.
    """

    name: str
    licence: str
    where: str


class OrdinaryPosts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Posts that a head takes for good unread: a table of `screen_sources.toml`.

    Attributes:
        files: below the data folder, patterns.
        sources: what is used of them.
        not_ordinary: sources made for a model of this kind, whose false alarms are not counted.
    """

    files: tuple[str, ...]
    sources: tuple[OrdinarySource, ...]
    not_ordinary: tuple[str, ...]


ORDINARY: Final = msgspec.toml.decode(
    Path(__file__).with_suffix(".toml").read_bytes(), type=dict[str, OrdinaryPosts]
)
"""By head: toxicity and spam."""
