"""Parquet and Arrow files as posts: types, faults, damage, and what no post can have."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sluice.pipeline.inputs.inventory import find_inputs
from sluice.pipeline.inputs.reader import ReadOptions, check_inputs
from sluice.schemas.errors import InputError
from sluice.schemas.post import POST
from tests.pipeline.inputs.test_reader import LINES, read, write

Row = dict[str, Any]
Folder = pytest.TempPathFactory


def _table(num_rows: int = 50) -> pa.Table:
    texts = [f"post {i}" for i in range(num_rows)]
    times = [datetime(2020, 1, 1) + timedelta(hours=i) for i in range(num_rows)]
    media = [None, [], [{"key": "k", "width": 3}, None]] * num_rows
    return pa.table(
        {
            "id": pa.array([2**64 - 1 - i for i in range(num_rows)], pa.uint64()),
            "text": pa.array(texts, pa.large_string()),
            "lang": pa.array(["en", "de"] * (num_rows // 2)).dictionary_encode(),
            "created_at": pa.array(times, pa.timestamp("ms")),
            "author_id": pa.array([-i if i else None for i in range(num_rows)], pa.int32()),
            "media": pa.array(
                media[:num_rows], pa.list_(pa.struct([("key", pa.string()), ("width", pa.int8())]))
            ),
            "other": pa.array([[i] for i in range(num_rows)]),
        }
    )


def _write_table(table: pa.Table, path: Path, rows: int = 20) -> Path:
    if path.suffix == ".parquet":
        pq.write_table(table, path, row_group_size=rows, write_page_checksum=True)
        return path
    new = pa.ipc.new_stream if path.suffix == ".ipc" else pa.ipc.new_file
    with new(path, table.schema) as sink:
        for batch in table.unify_dictionaries().combine_chunks().to_batches(max_chunksize=rows):
            sink.write_batch(batch)
    return path


TABLES = ["a.parquet", "a.arrow", "a.ipc"]


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize(("unit_bytes", "batch_rows"), [(1, 7), (1 << 20, 16_384)])
def test_tables(tmp_path: Path, name: str, unit_bytes: int, batch_rows: int) -> None:
    """Integer ids, large strings, dictionaries, milliseconds and media come out as POST wants them."""
    path = _write_table(_table(), tmp_path / name)
    found = read(path, unit_bytes=unit_bytes, batch_rows=batch_rows)
    assert found.rejected == []
    assert found.rows() == list(range(50))
    assert [row["post_id"] for row in found.posts] == [str(2**64 - 1 - i) for i in range(50)]
    assert found.posts[5] == {
        "post_id": "18446744073709551610",
        "text": "post 5",
        "created_at": datetime(2020, 1, 1, 5, tzinfo=UTC),
        "author_id": "-5",
        "declared_lang": "de",
        "in_reply_to_id": None,
        "conversation_id": None,
        "source": None,
        "media": [{"kind": None, "key": "k", "alt_text": None}, None],
        "source_file": name,
        "source_row": 5,
        "row_key": 5,
    }
    assert [row["media"] for row in found.posts[:2]] == [None, []]


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        (pa.array([1_000], pa.timestamp("s")), "1970-01-01T00:16:40+00:00"),
        (pa.array([1_999], pa.timestamp("ns", "Europe/Riga")), "1970-01-01T00:00:00.000001+00:00"),
        (pa.array([-1_000_001], pa.timestamp("us", "UTC")), "1969-12-31T23:59:58.999999+00:00"),
        (pa.array([3], pa.date32()), "1970-01-04T00:00:00+00:00"),
        (pa.array(["2020-01-01T00:00:00+02:00"]), "2019-12-31T22:00:00+00:00"),
        (pa.array([2**62], pa.timestamp("s")), None),
        (pa.array(["soon"], pa.large_string()), None),
    ],
)
def test_times_of_tables(tmp_path: Path, times: pa.Array, expected: str | None) -> None:
    """Times of any unit or zone, dates and ISO strings are instants; those out of range are null."""
    table = pa.table({"id": ["a"], "text": ["x"], "created_at": times})
    found = read(_write_table(table, tmp_path / "a.arrow"))
    created_at = found.posts[0]["created_at"]
    assert (created_at and created_at.isoformat()) == expected


@pytest.mark.parametrize("name", TABLES)
def test_faults_of_table_rows(tmp_path: Path, name: str) -> None:
    """Null ids and texts and strings that are not UTF-8 are dead letters of their rows alone."""
    texts = pa.array([b"x", None, b"\xff", b"y", b"z"], pa.binary()).view(pa.string())
    authors = pa.array([b"x", b"\xff", b"x", b"y", b"\xe9"], pa.binary()).view(pa.string())
    table = pa.table({"id": ["a", "b", "c", None, "e"], "text": texts, "author_id": authors})
    found = read(_write_table(table, tmp_path / name))
    assert [row["post_id"] for row in found.posts] == ["a"]
    rejected = [(r["source_row"], r["reason"], r["post_id"], r["detail"]) for r in found.rejected]
    assert rejected == [
        (1, "not_utf8", "b", "author_id"),
        (2, "not_utf8", "c", "text"),
        (3, "missing_post_id", None, None),
        (4, "not_utf8", "e", "author_id"),
    ]


@pytest.mark.parametrize("compression", ["zstd", "none"])
def test_a_damaged_row_group(tmp_path: Path, compression: str) -> None:
    """A row group that cannot be decoded, or whose page has another checksum than it says, is a
    dead letter a row, and the groups around it are read."""
    path = tmp_path / "a.parquet"
    options = {"row_group_size": 20, "write_page_checksum": True, "use_dictionary": False}
    pq.write_table(_table(), path, compression=compression, **options)
    column = pq.ParquetFile(path).metadata.row_group(1).column(1)
    data = bytearray(path.read_bytes())
    data[column.data_page_offset + column.total_compressed_size - 2] ^= 1
    path.write_bytes(bytes(data))
    found = read(path)
    assert found.rows() == [*range(20), *range(40, 50)]
    assert found.reasons() == [(i, "corrupt_input") for i in range(20, 40)]


def test_a_damaged_arrow_batch(tmp_path: Path) -> None:
    """Offsets that point nowhere cost the rows of their record batch, not the process."""
    table = pa.table({"id": [str(i) for i in range(60)], "text": [f"post {i}" for i in range(60)]})
    path = _write_table(table, tmp_path / "a.arrow")
    data = bytearray(path.read_bytes())
    offsets = pa.array([f"post {i}" for i in range(20, 40)]).buffers()[1].to_pybytes()[:80]
    start = data.index(offsets)
    data[start + 8 : start + 12] = (2**30).to_bytes(4, "little")
    path.write_bytes(bytes(data))
    found = read(path)
    assert found.reasons() == [(i, "corrupt_input") for i in range(20, 40)]
    assert found.rows() == [*range(20), *range(40, 60)]


def test_a_truncated_arrow_stream(tmp_path: Path) -> None:
    """A stream that breaks off keeps the batches before the break and says so once."""
    path = _write_table(_table(), tmp_path / "a.ipc")
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 3 // 4])
    found = read(path)
    assert found.rows() == list(range(len(found.posts)))
    assert len(found.posts) in (20, 40)
    assert found.reasons() == [(len(found.posts), "corrupt_input")]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (
            {"id": ["a"], "body": ["x"]},
            "no column 'text' for text; it has id, body: set input.columns.text = \"...\"",
        ),
        (
            {"key": ["a"], "text": ["x"]},
            "no column 'post_id' or 'id' for post_id; it has key, text: "
            'set input.columns.post_id = "..."',
        ),
        (
            {"id": ["a"], "text": [b"x"]},
            "column 'text' for text must be a string, got binary: set input.columns.text = \"...\"",
        ),
        (
            {"id": [1.5], "text": ["x"]},
            "column 'id' for post_id must be a string or an integer, got double: "
            'set input.columns.post_id = "..."',
        ),
        (
            {"id": ["a"], "text": ["x"], "created_at": [5]},
            "column 'created_at' for created_at must be a timestamp, a date or an ISO 8601 string, "
            'got int64: set input.columns.created_at = "...", '
            'or leave it out with input.columns.created_at = ""',
        ),
    ],
)
@pytest.mark.parametrize("name", TABLES)
def test_columns_that_no_post_can_have(
    tmp_path: Path, name: str, columns: dict[str, Any], message: str
) -> None:
    """A table without a usable column names file, column, what was found and the key that fixes it."""
    path = _write_table(pa.table(columns), tmp_path / name)
    with pytest.raises(InputError) as error:
        read(path)
    assert str(error.value) == f"{name}: {message}"
    with pytest.raises(InputError):
        check_inputs(find_inputs([str(path)]), ReadOptions())


def test_json_and_parquet_agree(tmp_path: Path) -> None:
    """The posts of a file do not depend on its format."""
    lines = read(write(tmp_path, b"\n".join(LINES))).posts
    (tmp_path / "a.jsonl").unlink()
    table = pa.Table.from_pylist([{name: row[name] for name in POST.names[:9]} for row in lines])
    found = read(_write_table(table.drop_columns(["in_reply_to_id"]), tmp_path / "a.parquet")).posts
    assert found == [{**row, "source_file": "a.parquet"} for row in lines]
