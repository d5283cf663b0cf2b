"""Tombstones: they come back as they were written, and files that are none are refused."""

from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sluice.pipeline.storage.tombstones import (
    read_tombstones,
    tombstone_name,
    write_tombstones,
)
from sluice.schemas.errors import OutputError
from sluice.schemas.tombstone import TOMBSTONE

AT = datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC)


def _rows(*keys: str) -> pa.Table:
    rows = [
        {
            "post_key": key,
            "author_key": None,
            "num_tokens": 3,
            "tokens_key": "ab",
            "forgotten_at": AT,
        }
        for key in keys
    ]
    return pa.Table.from_pylist(rows, schema=TOMBSTONE)


def _write(folder: Path, number: int, rows: pa.Table, *, check: str = "k") -> None:
    write_tombstones(str(folder / tombstone_name(number)), rows, key_check=check)


def test_round_trip(tmp_path: Path) -> None:
    """The rows of several forgets come back in their order, with the check of their key."""
    folder = tmp_path / "forgotten"
    _write(folder, 1, _rows("b", "c"))
    _write(folder, 0, _rows("a"))
    found = read_tombstones(str(folder))
    assert found.rows.equals(_rows("a", "b", "c"))
    assert found.key_check == "k"


def test_no_folder(tmp_path: Path) -> None:
    """An output from which nothing was forgotten has no tombstones, and no key."""
    found = read_tombstones(str(tmp_path / "forgotten"))
    assert (found.rows.num_rows, found.key_check) == (0, None)


def test_two_keys(tmp_path: Path) -> None:
    """Hashes of two keys cannot be compared: both files are named."""
    _write(tmp_path, 0, _rows("a"), check="one")
    _write(tmp_path, 1, _rows("a"), check="two")
    with pytest.raises(OutputError, match=r"different keys: .*00000\.parquet, .*00001\.parquet"):
        read_tombstones(str(tmp_path))


@pytest.mark.parametrize("columns", [{"post_id": ["1"]}, _rows("a").to_pydict()])
def test_other_columns(tmp_path: Path, columns: dict[str, list[object]]) -> None:
    """A Parquet file of other columns, or without the check of its key, is named."""
    pq.write_table(pa.table(columns), tmp_path / tombstone_name(0))
    with pytest.raises(OutputError, match=r"00000\.parquet: is not a file of tombstones"):
        read_tombstones(str(tmp_path))


def test_damaged(tmp_path: Path) -> None:
    """A file that was cut is named."""
    (tmp_path / tombstone_name(0)).write_bytes(b"PAR1")
    with pytest.raises(OutputError, match=r"00000\.parquet: cannot be read"):
        read_tombstones(str(tmp_path))
