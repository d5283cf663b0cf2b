"""Parquet and Arrow files as posts: types, faults, damage, and what no post can have."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sluice.pipeline.inputs.inventory import cut, find_inputs
from sluice.pipeline.inputs.reader import ReadOptions, check_inputs, read_unit
from sluice.schemas.counts import ReadTally
from sluice.schemas.errors import InputError
from sluice.schemas.payloads.mapping import Constant
from sluice.schemas.post import INPUT_COLUMNS, PAYLOAD_COLUMNS, POST
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
        "edited_at": None,
        **dict.fromkeys(PAYLOAD_COLUMNS),
        "media": [{"kind": None, "key": "k", "alt_text": None, "link": None}, None],
        "source_file": name,
        "source_row": 5,
        "source_line": None,
        "source_item": 0,
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
    table = pa.table({"id": ["a"], "text": ["x"], "created_at": times, "edited_at": times})
    (post,) = read(_write_table(table, tmp_path / "a.arrow")).posts
    for time in (post["created_at"], post["edited_at"]):
        assert (time and time.isoformat()) == expected


@pytest.mark.parametrize("name", TABLES)
def test_faults_of_table_rows(tmp_path: Path, name: str) -> None:
    """Null ids and texts, and texts that are not UTF-8, are dead letters of their rows alone."""
    texts = pa.array([b"x", None, b"\xff", b"y", b"z"], pa.binary()).view(pa.string())
    authors = pa.array([b"x", b"\xff", b"x", b"y", b"\xe9"], pa.binary()).view(pa.string())
    table = pa.table({"id": ["a", "b", "c", None, "e"], "text": texts, "author_id": authors})
    found = read(_write_table(table, tmp_path / name))
    assert [(row["post_id"], row["author_id"]) for row in found.posts] == [("a", "x"), ("e", None)]
    rejected = [(r["source_row"], r["reason"], r["post_id"], r["detail"]) for r in found.rejected]
    assert rejected == [
        (1, "missing_text", "b", None),
        (2, "not_utf8", "c", "text"),
        (3, "missing_post_id", None, None),
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
            {"id": ["a"], "words": ["x"]},
            "no column 'full_text' or 'text' or 'body' or 'selftext' for text; it has id, words: "
            'set input.columns.text = "..."',
        ),
        (
            {"key": ["a"], "text": ["x"]},
            "no column 'post_id' or 'id' for post_id; it has key, text: "
            'set input.columns.post_id = "...", or make ids with input.ids = "file_row" or "content"',
        ),
        (
            {"id": ["a"], "text": [True]},
            "column 'text' for text must be a string, got bool: set input.columns.text = \"...\"",
        ),
        (
            {"id": [True], "text": ["x"]},
            "column 'id' for post_id must be a string or a number, got bool: "
            'set input.columns.post_id = "..."',
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
    table = pa.Table.from_pylist([{name: row[name] for name in INPUT_COLUMNS} for row in lines])
    found = read(_write_table(table.drop_columns(["in_reply_to_id"]), tmp_path / "a.parquet")).posts
    of_parquet = {"source_file": "a.parquet", "source_line": None}
    assert found == [{**row, **of_parquet} for row in lines]


def counts(path: Path) -> ReadTally:
    """Returns what the readers counted in a file."""
    inventory, total = find_inputs([str(path)]), ReadTally()
    for unit in cut(inventory):
        for batch in read_unit(inventory.root, unit, ReadOptions()):
            total += batch.counts
    return total


def _values(path: Path, column: str, **options: Any) -> list[Any]:
    """Returns a column of the posts of a file, none of whose rows is a dead letter."""
    found = read(path, **options)
    assert found.rejected == []
    return [row[column] for row in found.posts]


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        (pa.array([2**64 - 1], pa.uint64()), "18446744073709551615"),
        (pa.array([Decimal(10**30)], pa.decimal128(38, 0)), str(10**30)),
        (pa.array([Decimal("12.00")], pa.decimal128(38, 2)), "12"),
        (pa.array([2.0**53 - 1]), "9007199254740991"),
        (pa.array(["a"]).dictionary_encode(), "a"),
        (pa.array([7]).dictionary_encode(), "7"),
        (pa.array([b"a"]), "a"),
        (pa.array([b"a"], pa.large_binary()), "a"),
    ],
)
def test_ids_of_tables(tmp_path: Path, name: str, ids: pa.Array, expected: str) -> None:
    """Ids of any numeric type, dictionaries and bytes are exact."""
    table = pa.table({"id": ids, "text": ["x"], "author_id": ids})
    path = _write_table(table, tmp_path / name)
    assert _values(path, "post_id") == _values(path, "author_id") == [expected]


@pytest.mark.parametrize("kind", [pa.string_view(), pa.binary_view(), pa.large_binary()])
def test_views_and_bytes(tmp_path: Path, kind: pa.DataType) -> None:
    """Texts as views or bytes are texts, and those that are not UTF-8 cost their row alone."""
    texts = pa.array([b"x", b"\xff", "é".encode()], pa.binary())
    texts = texts.view(pa.string()).cast(kind) if kind == pa.string_view() else texts.cast(kind)
    table = pa.table({"id": ["a", "b", "c"], "text": texts})
    found = read(_write_table(table, tmp_path / "a.arrow"))
    assert [row["text"] for row in found.posts] == ["x", "é"]
    assert found.reasons() == [(1, "not_utf8")]


@pytest.mark.parametrize("name", TABLES)
def test_floats_that_name_no_post(tmp_path: Path, name: str) -> None:
    """An optional id is unknown where it is no whole float below 2**53, a post's own is a dead letter."""
    floats = pa.array([7.0, None, float("nan"), 1.5, 1.5e18])
    table = pa.table({"id": [*"abcde"], "text": ["x"] * 5, "in_reply_to_id": floats})
    path = _write_table(table, tmp_path / name)
    assert _values(path, "in_reply_to_id") == ["7", None, None, None, None]
    assert counts(path).nulled == {"in_reply_to_id": 2}
    table = pa.table({"id": floats, "text": ["x"] * 5})
    found = read(_write_table(table, tmp_path / name))
    reasons = ["missing_post_id", "missing_post_id", "wrong_type", "inexact_id"]
    assert found.reasons() == list(enumerate(reasons, 1))


@pytest.mark.parametrize("name", TABLES)
def test_null_typed_columns_and_no_rows(tmp_path: Path, name: str) -> None:
    """Columns of nulls alone are nulls, and a table without rows has no posts, whatever its columns."""
    table = pa.table({"id": ["a"], "text": ["x"], **dict.fromkeys(POST.names[2:9], pa.nulls(1))})
    (post,) = read(_write_table(table, tmp_path / name)).posts
    assert [post[column] for column in POST.names[2:9]] == [None] * 7
    assert read(_write_table(table.slice(0, 0), tmp_path / name)).posts == []
    if not name.endswith("ipc"):
        assert read(_write_table(pa.table({"z": pa.nulls(0)}), tmp_path / name)).posts == []


@pytest.mark.parametrize("name", TABLES)
def test_a_column_of_no_use_is_left_out(tmp_path: Path, name: str) -> None:
    """An optional column found by its name costs no post and is noted; one that is named is refused."""
    sources = pa.array([{"name": "web"}, None])
    table = pa.table(
        {"id": ["a", "b"], "text": ["x", "y"], "source": sources, "media": [["u"], []]}
    )
    path = _write_table(table, tmp_path / name)
    assert _values(path, "source") == _values(path, "media") == [None, None]
    notes = check_inputs(find_inputs([str(path)]), ReadOptions())
    assert [note.partition(" left out")[0] for note in notes[-2:]] == [
        f"{name}: column 'source'",
        f"{name}: column 'media'",
    ]
    with pytest.raises(InputError, match="column 'source' for author_id must be a string"):
        read(path, columns={"author_id": "source"})
    assert _values(path, "source", columns={"source": "source.name"}) == ["web", None]


@pytest.mark.parametrize("name", TABLES)
def test_fields_inside_columns(tmp_path: Path, name: str) -> None:
    """Paths, columns whose names have points, fallbacks and constants are read as those of JSON are."""
    table = pa.table(
        {
            "id": ["a", "b", "c"],
            "text": ["cut", "y", "z"],
            "note_tweet": pa.array([{"text": "whole"}, {"text": None}, None]),
            "user": pa.array([{"id": 5, "z": [1]}, None, {"id": None, "z": []}]),
            "user.name": [None, "n", None],
        }
    )
    path = _write_table(table, tmp_path / name)
    given = {"author_id": ("user.name", "user.id"), "source": ("nothing", Constant("forum"))}
    assert _values(path, "text", columns=given) == ["whole", "y", "z"]
    assert _values(path, "author_id", columns=given) == ["5", "n", None]
    assert _values(path, "source", columns=given) == ["forum"] * 3


@pytest.mark.parametrize(
    "kind", [pa.list_view, pa.large_list_view, pa.large_list, lambda item: pa.list_(item, 1)]
)
def test_lists_of_media(tmp_path: Path, kind: Any) -> None:
    """Media in any type of list are media."""
    lists = pa.array([[{"kind": "photo"}], None], kind(pa.struct([("kind", pa.string())])))
    table = pa.table({"id": ["a", "b"], "text": ["x", "y"], "media": lists})
    expected = [[{"kind": "photo", "key": None, "alt_text": None, "link": None}], None]
    assert _values(_write_table(table, tmp_path / "a.arrow"), "media") == expected


def test_int96(tmp_path: Path) -> None:
    """Times as Spark and Hive wrote them are times."""
    times = pa.array([datetime(2023, 5, 1, 10)], pa.timestamp("ns"))
    table = pa.table({"id": ["a"], "text": ["x"], "created_at": times})
    pq.write_table(table, tmp_path / "a.parquet", use_deprecated_int96_timestamps=True)
    assert _values(tmp_path / "a.parquet", "created_at") == [datetime(2023, 5, 1, 10, tzinfo=UTC)]
