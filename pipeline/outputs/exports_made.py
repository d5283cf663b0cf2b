"""The exports of an output: where each went and when, so that a forget can name what it cannot reach."""

import contextlib
import datetime
import hashlib
import logging
from collections.abc import Iterator
from typing import Final

import msgspec

from sluice.pipeline.storage import files as storage
from sluice.pipeline.storage.sealed import write_json
from sluice.schemas.errors import StorageError
from sluice.schemas.report import ExportMade

FOLDER: Final = "report/exports"
"""Of an output: a file for each folder that it was exported to."""
_log = logging.getLogger("sluice")


@contextlib.contextmanager
def exporting_to(output: str, folder: str, format: str) -> Iterator[None]:
    """Notes in an output that an export of it begins; the note goes where the export fails.

    One export does not take another's note: each folder has its own. An output that cannot be written to is
    exported all the same, with a warning.
    """
    path = storage.join(output, FOLDER, f"{_hash(storage.absolute(folder))}.json")
    at = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    try:
        write_json(path, ExportMade(folder=folder, format=format, at=at))
    except (OSError, StorageError) as error:
        told = "%s: cannot be written (%s): a `sluice forget` will not name this export"
        _log.warning(told, path, error)
    try:
        yield
    except BaseException:
        with contextlib.suppress(OSError, StorageError):
            storage.delete(path)
        raise


def _hash(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def exports_made(output: str) -> list[ExportMade]:
    """Returns the exports of an output, the oldest first; one whose note cannot be read is named by it."""
    paths = storage.paths(storage.join(output, FOLDER), ending=".json")
    return sorted(map(_read, paths), key=lambda made: (made.at, made.folder))


def _read(path: str) -> ExportMade:
    try:
        return msgspec.json.decode(storage.read_bytes(path), type=ExportMade)
    except (OSError, msgspec.DecodeError):
        return ExportMade(folder=f"unknown ({path} cannot be read)")
