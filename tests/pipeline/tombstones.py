"""Tombstones of given posts, as `sluice forget` writes them."""

import datetime
from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from sluice.filters.privacy.keyed_ids import IdKey
from sluice.schemas.tombstone import KEY_CHECK, TOMBSTONE

SECRET = bytes(range(32))
KEY = IdKey(SECRET)


def write_tombstones(folder: Path, ids: Iterable[str], *, key: IdKey = KEY) -> Path:
    """Writes a file of tombstones of posts without tokens into a folder; returns the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    time = datetime.datetime(2026, 12, 1, tzinfo=datetime.UTC)
    rows = [{"post_key": key.post(i), "num_tokens": 0, "forgotten_at": time} for i in ids]
    schema = TOMBSTONE.with_metadata({KEY_CHECK: key.check.encode()})
    number = len(list(folder.glob("*.parquet")))
    pq.write_table(pa.Table.from_pylist(rows, schema), folder / f"tombstones-{number:05d}.parquet")
    return folder


def key_file(folder: Path, secret: bytes = SECRET) -> Path:
    """Writes a file that holds a key."""
    path = folder / f"key-{secret[0]}"
    path.write_bytes(secret)
    return path
