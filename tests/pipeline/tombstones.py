"""Tombstones of given posts, as `sluice forget` writes them."""

import datetime
from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa

from sluice.filters.privacy.keyed_ids import IdKey
from sluice.pipeline.storage import tombstones
from sluice.pipeline.storage.tombstones import Tombstones, tombstone_name
from sluice.schemas.tombstone import TOMBSTONE

SECRET = bytes(7 * n for n in range(32))
"""Not counted up by one, as numbers of rows are in files of columns: where it is found it is the key."""
KEY = IdKey(SECRET)


def tombstones_of(ids: Iterable[str], *, key: IdKey = KEY) -> Tombstones:
    """Returns the tombstones of posts without tokens."""
    time = datetime.datetime(2026, 12, 1, tzinfo=datetime.UTC)
    rows = [{"post_key": key.post(i), "num_tokens": 0, "forgotten_at": time} for i in ids]
    return Tombstones(pa.Table.from_pylist(rows, TOMBSTONE), key.check)


def write_tombstones(folder: Path, ids: Iterable[str], *, key: IdKey = KEY) -> Path:
    """Writes a file of tombstones of posts without tokens into a folder; returns the folder."""
    path = folder / tombstone_name(len(list(folder.glob("*.parquet"))))
    tombstones.write_tombstones(str(path), tombstones_of(ids, key=key).rows, key_check=key.check)
    return folder


def key_file(folder: Path, secret: bytes = SECRET) -> Path:
    """Writes a file that holds a key."""
    path = folder / f"key-{secret[0]}"
    path.write_bytes(secret)
    return path
