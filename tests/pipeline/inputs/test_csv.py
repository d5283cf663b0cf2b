"""CSV and TSV: what RFC 4180 says, what others write, and that damage costs one record."""

import csv
import io
import json
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.pipeline.inputs.csv_records import CsvBlock, CsvRecords, csv_place
from sluice.pipeline.inputs.inventory import cut, find_inputs
from sluice.pipeline.inputs.reader import ReadOptions, read_unit
from sluice.schemas.errors import InputError

Folder = pytest.TempPathFactory
Table = list[list[str]]

CELLS = st.text(st.sampled_from('ab",;\t|\r\n é'), max_size=6)
TABLES = st.integers(2, 4).flatmap(
    lambda width: st.lists(st.lists(CELLS, min_size=width, max_size=width), max_size=12)
)


def written(
    rows: Table, *, delimiter: str = ",", end: str = "\r\n", quoting: Any = csv.QUOTE_MINIMAL
) -> bytes:
    """Returns rows as the standard library writes them, under a header of as many columns."""
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter, lineterminator=end, quoting=quoting)
    width = len(rows[0]) if rows else 2
    writer.writerow([f"c{i}" for i in range(width)])
    writer.writerows(rows)
    return text.getvalue().encode()


def blocks_of(data: bytes, size: int, **options: Any) -> list[CsvBlock | str]:
    """Returns the records of a text that comes in pieces of a size."""
    place = csv_place(data, content="csv", name="a.csv")
    pieces = (data[i : i + size] for i in range(0, len(data), size))
    return list(CsvRecords(pieces, place=place, wanted=place.names, **options))


def rows_of(data: bytes, size: int = 1 << 20, **options: Any) -> list[Any]:
    """Returns the whole records of a text in order, and the reasons of the others."""
    found: list[Any] = []
    for block in blocks_of(data, size, **options):
        if isinstance(block, str):
            found.append(block)
            continue
        rows: dict[int, Any] = {fault.source_row: fault.reason for fault in block.faults}
        values = [list(row.values()) for row in block.rows.to_pylist()]
        rows |= dict(zip(block.at_M.tolist(), values, strict=True))
        assert sorted(rows) == list(range(block.num_records))
        found += [rows[i] for i in range(block.num_records)]
    return found


@given(
    TABLES,
    st.sampled_from(",;\t|"),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    st.integers(1, 40),
    st.booleans(),
)
def test_what_the_standard_library_writes(
    rows: Table, delimiter: str, end: str, quoting: int, size: int, last: bool
) -> None:
    """Any strings come back, however they are parted, quoted and cut into pieces; an empty one is null."""
    if end != "\r\n":  # the library does not quote the other line ends
        quoting = csv.QUOTE_ALL
    data = written(rows, delimiter=delimiter, end=end, quoting=quoting)
    data = data if last else data.removesuffix(end.encode())
    expected = [[cell or None for cell in row] for row in rows]
    assert rows_of(data, size) == expected
    assert rows_of(data, size, max_records=2) == expected


GOOD = ['1,"a, ""b""",x', '2,"line\nbreak",y', "3,,", '4,5" pipe,z', '"6","",""']
BROKEN = ['7,"never closed,x', '8,"closed" early,x', "9,two", "9,one,too,many", '10,"a\nb"c,x']


@given(st.lists(st.sampled_from(GOOD + BROKEN), max_size=12), st.integers(1, 60))
def test_a_broken_record_costs_itself_alone(lines: list[str], size: int) -> None:
    """Those around broken records are read, and broken ones in a row are a dead letter or more."""
    lines = [*lines, GOOD[0], GOOD[2]]
    found = rows_of("\n".join(["id,text,lang", *lines]).encode(), size)
    whole = [row[0] for row in found if isinstance(row, list)]
    assert whole == [next(iter(csv.reader([line])))[0] for line in lines if line in GOOD]
    dead = [list(run) for is_row, run in groupby(found, key=_is_row) if not is_row]
    bad = [list(run) for is_good, run in groupby(lines, key=GOOD.__contains__) if not is_good]
    assert len(dead) == len(bad)
    assert all(1 <= len(found) <= len(broken) for found, broken in zip(dead, bad, strict=True))


def _is_row(found: Any) -> bool:
    return isinstance(found, list)


def test_a_long_record(tmp_path: Path) -> None:
    """A record of more than the allowed bytes is one dead letter, held or not."""
    long = "x" * 3000
    for size in (7, 100, 1 << 20):
        for bad in (f"8,{long},y", f'8,"{long}",y', f'8,"{long}'):
            data = f"id,text,lang\n1,a,x\n{bad}\n2,b,y\n".encode()
            assert rows_of(data, size, max_line_bytes=200) == [
                ["1", "a", "x"],
                "line_too_long",
                ["2", "b", "y"],
            ]
        data = ('id,text,lang\n1,a,x\n8,"' + "l\n" * 300 + '",y\n2,b,y\n').encode()
        found = rows_of(data, size, max_line_bytes=200)
        assert (found[0], found[1], found[-1]) == (
            ["1", "a", "x"],
            "line_too_long",
            ["2", "b", "y"],
        )


@pytest.mark.parametrize(
    ("head", "delimiter", "names"),
    [
        (b"id,text\n", b",", ("id", "text")),
        (b"\xef\xbb\xbfid;text;a,b\r\n", b";", ("id", "text", "a,b")),
        (b"sep=|\nid,x|text\n", b"|", ("id,x", "text")),
        (b'\n"id"\t"te\nxt"\t"a ""b"""\n', b"\t", ("id", "te\nxt", 'a "b"')),
        (b"text\n", b",", ("text",)),
    ],
)
def test_headers(head: bytes, delimiter: bytes, names: tuple[str, ...]) -> None:
    """The header says what parts fields, behind a mark, empty lines and a line `sep=`."""
    place = csv_place(head + b"1", content="csv", name="a.csv")
    assert (place.delimiter, place.names) == (delimiter, names)
    assert place.skip == len(head)


@pytest.mark.parametrize("head", [b'"id,text\n1,2\n', b"id,\xff\n"])
def test_no_header(head: bytes) -> None:
    """A header that cannot be read is an error that names the file."""
    with pytest.raises(InputError, match=r"a\.csv: its "):
        csv_place(head, content="csv", name="a.csv")


def read(path: Path, *, unit_bytes: int, **options: int) -> tuple[list[Any], list[Any]]:
    """Returns the posts and the dead letters of a file."""
    posts, rejected = [], []
    inventory = find_inputs([str(path)])
    for unit in cut(inventory, unit_bytes=unit_bytes):
        for batch in read_unit(inventory.root, unit, ReadOptions(**options)):
            posts += batch.posts.to_pylist()
            rejected += batch.rejected.to_pylist()
    return posts, rejected


@given(TABLES.filter(len), st.integers(1, 400), st.integers(1, 99), st.integers(1, 5))
def test_cuts_do_not_matter(
    tmp_path_factory: Folder, rows: Table, unit_bytes: int, block: int, size: int
) -> None:
    """Units, blocks and batches of any size give the same posts and dead letters, numbered by record."""
    path = tmp_path_factory.mktemp("cut") / "a.csv"
    table = [[str(i), json.dumps(row), *row] for i, row in enumerate(rows)]
    table.insert(len(table) // 2, ["x"])
    data = written(table).split(b"\r\n", 1)[1]
    path.write_bytes(
        b"id,text" + b",c" * 0 + b"".join(b",c%d" % i for i in range(len(rows[0]))) + b"\r\n" + data
    )
    whole = read(path, unit_bytes=1 << 20)
    assert read(path, unit_bytes=unit_bytes, block_bytes=block, batch_rows=size) == whole
    posts, rejected = whole
    assert [row["source_row"] for row in rejected] == [len(rows) // 2]
    assert [json.loads(post["text"]) for post in posts] == rows
    assert sorted(row["source_row"] for row in posts + rejected) == list(range(len(table)))


def test_a_missing_column(tmp_path: Path) -> None:
    """A file without a column that posts must have is an error that names file, column and key."""
    (tmp_path / "a.csv").write_text("id,words\n1,x\n")
    with pytest.raises(InputError, match=r"a\.csv: no column .* for text; .*input\.columns\.text"):
        read(tmp_path / "a.csv", unit_bytes=100)
