"""The exports of an output: where each went and when, so that a forget can name what it cannot reach."""

import datetime
import hashlib
import logging
from typing import Final

import msgspec

from sluice.pipeline.storage import files as storage
from sluice.pipeline.storage.sealed import write_json
from sluice.schemas.errors import StorageError
from sluice.schemas.report import ExportMade

FOLDER: Final = "exports"
"""Of an output: a file for each folder that it was exported to."""
_log = logging.getLogger("sluice")


def note_export(output: str, folder: str, format: str) -> str | None:
    """Notes in an output that an export of it begins; returns the path of the note.

    One export cannot take another's note, as each folder has its own. An output that cannot be written is
    exported all the same, with a warning; None is returned.
    """
    name = hashlib.blake2b(storage.absolute(folder).encode(), digest_size=8).hexdigest()
    path = storage.join(output, FOLDER, f"{name}.json")
    at = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    try:
        write_json(path, ExportMade(folder=folder, format=format, at=at))
    except (OSError, StorageError) as error:
        _log.warning(
            "%s: cannot be written (%s): `sluice forget` will not name this export", path, error
        )
        return None
    return path


def exports_made(output: str) -> list[ExportMade]:
    """Returns the exports of an output, the oldest first; one whose note cannot be read is named by it."""
    paths = storage.paths(storage.join(output, FOLDER), ending=".json")
    return sorted(map(_read, paths), key=lambda made: (made.at, made.folder))


def _read(path: str) -> ExportMade:
    try:
        return msgspec.json.decode(storage.read_bytes(path), type=ExportMade)
    except (OSError, msgspec.DecodeError):
        return ExportMade(folder=f"unknown ({path} cannot be read)")
