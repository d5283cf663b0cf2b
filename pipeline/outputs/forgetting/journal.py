"""The journal of a forget: what it does to which file, by places and keyed hashes; no plain id, no text.

It is written whole before any file changes and removed when all have: one that is there is a forget that did
not end. It says the same of a file whether that has changed yet or not, so that it can be followed again.
"""

import datetime
from typing import Final

import msgspec

from sluice.pipeline.outputs.forgetting.replace import flush
from sluice.pipeline.storage import files as storage
from sluice.pipeline.storage.sealed import read_sealed, write_sealed
from sluice.pipeline.storage.tombstones import PENDING
from sluice.schemas.counts import Counts
from sluice.schemas.errors import OutputError
from sluice.schemas.report import ExportMade

FORMAT: Final = 1


class Edit(msgspec.Struct, kw_only=True):
    """Ids of a column of a file that become keyed hashes.

    Attributes:
        column: its name.
        rows: their numbers in the file, ascending.
        keys: for each row the number of its hash in `Journal.keys`.
    """

    column: str
    rows: list[int]
    keys: list[int]


class Tombstone(msgspec.Struct, kw_only=True, array_like=True):
    """A row of `sluice.schemas.tombstone` but for its time; `post` is a number in `Journal.keys`."""

    post: int
    author_key: str | None
    num_tokens: int
    tokens_key: str | None


class ForgetCounts(Counts):
    """What a forget takes out.

    Attributes:
        posts: that were kept.
        rejected: posts that were in no sequence.
        tokens: that are overwritten, copies of a post counted.
        copies: duplicates of the posts, which were rejected by the run.
        id_sum: see `sluice.schemas.manifest.ForgottenCounts`.
    """

    posts: int = 0
    rejected: int = 0
    tokens: int = 0
    copies: int = 0
    id_sum: int = 0


class Journal(msgspec.Struct, kw_only=True):
    """A forget that is to be done.

    Attributes:
        number: of the forget, from 0.
        forgotten_at: when it began.
        key_check: `IdKey.check` of the key of all hashes.
        asked: what it was asked by, `ids` or `authors`.
        keys: keyed hashes of ids.
        edits: file -> its columns that change.
        tokens: file of tokens -> how many of them are overwritten; its provenance has the places.
        tombstones: of the posts.
        exports: made before it began.
    """

    format: int = FORMAT
    number: int
    forgotten_at: datetime.datetime
    key_check: str
    asked: str
    keys: list[str]
    edits: dict[str, list[Edit]]
    tokens: dict[str, int]
    tombstones: list[Tombstone]
    counts: ForgetCounts
    exports: list[ExportMade]


def journal_path(output: str) -> str:
    """Returns where the journal of an output is."""
    return storage.join(output, PENDING)


def read_journal(output: str) -> Journal | None:
    """Returns the forget that did not end; None where there is none.

    Raises:
        OutputError: its journal cannot be read.
    """
    path = journal_path(output)
    try:
        journal = read_sealed(path, Journal)
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise OutputError(
            f"{path}: {error}; use the version of Sluice that wrote it, or, if it was damaged, restore it"
        ) from None
    if journal.format != FORMAT:
        raise OutputError(
            f"{path}: is of format {journal.format}, this version reads {FORMAT}: finish the forget with "
            f"the version of Sluice that began it"
        )
    return journal


def write_journal(output: str, journal: Journal) -> None:
    """Writes the journal, and waits until it is on the disk."""
    path = journal_path(output)
    write_sealed(path, journal)
    flush([path])
