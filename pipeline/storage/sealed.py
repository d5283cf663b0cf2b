"""JSON records that end with a checksum of their own text."""

import hashlib
from typing import Any, TypeVar

import msgspec

from sluice.pipeline.storage import files as storage
from sluice.pipeline.storage.checksums import seal, unsealed

_T = TypeVar("_T")
_HASHED_BYTES = 8 << 20


def file_digest(path: str) -> tuple[int, str]:
    """Returns the size in bytes and the SHA-256 in hex of a file."""
    size, digest = 0, hashlib.sha256()
    with storage.open_input(path) as file:
        while data := file.read(_HASHED_BYTES):
            size += len(data)
            digest.update(data)
    return size, digest.hexdigest()


def write_json(path: str, value: Any) -> None:
    """Writes JSON, so that a reader sees all of it or none."""
    storage.write_bytes(path, _json(value))


def write_sealed(path: str, value: Any) -> None:
    """Writes a JSON object with its checksum, so that a reader sees all of it or none."""
    storage.write_bytes(path, seal(_json(value)))


def read_sealed(path: str, type: type[_T]) -> _T:
    """Returns what `write_sealed` wrote.

    Raises:
        ValueError: it was cut or changed, or is of another type.
        FileNotFoundError: it is not there.
    """
    return msgspec.json.decode(unsealed(storage.read_bytes(path)), type=type)


def _json(value: Any) -> bytes:
    return msgspec.json.format(msgspec.json.encode(value, order="deterministic"), indent=1)
