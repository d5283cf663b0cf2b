"""JSON records, however they are written: each comes out once, and a broken one costs itself alone."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sluice.pipeline.inputs.inventory import cut, find_inputs
from sluice.pipeline.inputs.json_records import JsonRecords, json_place
from sluice.pipeline.inputs.reader import ReadOptions, read_unit

Folder = pytest.TempPathFactory

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-9, 9)
    | st.floats(allow_nan=False)
    | st.text(max_size=5)
)
TEXTS = st.text(st.sampled_from('ab{}[]":,\\\n\ufeff é\x1e'), max_size=9)
NESTED = st.recursive(
    SCALARS | TEXTS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=6,
)
RECORDS = st.lists(
    st.tuples(TEXTS, NESTED).map(lambda pair: {"id": pair[0], "x": pair[1]}), min_size=1, max_size=8
)


def _pretty(rows: list[Any]) -> str:
    return "\n".join(json.dumps(row, indent=2) for row in rows)


WAYS = {
    "lines": lambda rows: "\n".join(map(json.dumps, rows)),
    "array": json.dumps,
    "array of lines": lambda rows: "[" + ",\n".join(map(json.dumps, rows)) + "\n]\n",
    "pretty array": lambda rows: json.dumps(rows, indent=4),
    "unescaped": lambda rows: json.dumps(rows, ensure_ascii=False, indent=1),
    "one after the other": lambda rows: "".join(map(json.dumps, rows)),
    "marks between": lambda rows: "\ufeff".join(map(json.dumps, rows)),
    "pretty": _pretty,
    "CR": lambda rows: "\r".join(map(json.dumps, rows)),
    "lines of two": lambda rows: "".join(
        json.dumps(row) + " \n"[i % 2] for i, row in enumerate(rows)
    ),
    "text sequence": lambda rows: "".join(f"\x1e{json.dumps(row)}\n" for row in rows),
    "arrays": lambda rows: "\n".join(json.dumps([row]) for row in rows),
    "comma at the end": lambda rows: "[" + "".join(json.dumps(row) + "," for row in rows) + "]",
}


def records_of(data: bytes, size: int = 1 << 20, **options: int) -> list[bytes | str]:
    """Returns the records of a text that comes in pieces of a size, and the reasons of others."""
    pieces = (data[i : i + size] for i in range(0, len(data), size))
    found: list[bytes | str] = []
    for block in JsonRecords(pieces, **options):
        if isinstance(block, str):
            found.append(block)
        else:
            found += [block.line(i) for i in range(len(block.starts_L))]
    return found


@pytest.mark.parametrize("way", WAYS)
@given(RECORDS, st.integers(1, 50))
def test_every_way_gives_the_records(way: str, rows: list[Any], size: int) -> None:
    """Objects with anything in them come back, whatever is between them, in pieces of any size."""
    data = WAYS[way](rows).encode()
    found = records_of(data, size)
    assert [json.loads(record) for record in found] == rows


@pytest.mark.parametrize("way", WAYS)
def test_the_line_of_a_record(way: str) -> None:
    """A record is said to be in the line of the file that it begins in, however blocks are cut."""
    rows = [{"id": f"{i}", "x": [i]} for i in range(9)]
    data = WAYS[way](rows).encode()
    for size in (3, 1 << 20):
        pieces = (data[i : i + size] for i in range(0, len(data), size))
        blocks = [block for block in JsonRecords(pieces) if not isinstance(block, str)]
        numbers = [n for block in blocks for n in block.numbers_L.tolist()]
        places = [data.index(b'"id": "%d"' % i) for i in range(9)]
        starts = [data.rindex(b"{", 0, place) for place in places]
        assert numbers == [data.count(b"\n", 0, start) for start in starts]


def _without_quote(record: str) -> str:
    """Returns a record whose text is never closed."""
    start, _, end = record.rpartition('"')
    return start + end


DAMAGE = {
    "cut": lambda record: record[: len(record) // 2],
    "cut in the text": lambda record: record[:-3],
    "no brace": lambda record: record[:-1],
    "a brace too many": lambda record: record.replace('"n"', '{"n"'),
    "a line feed in the text": lambda record: record.replace("text", "te\nxt"),
    "no quote": _without_quote,
    "a bracket": lambda record: record.replace(': "', ': ]"'),
    "a comma too many": lambda record: record.replace(",", ",,", 1),
    "deep": lambda record: record.replace('"n"', '"m": ' + "[" * 300 + "]" * 300 + ', "n"'),
}
ROWS = [
    {"id": f"{i}", "n": {"id": i, "of": [{"a": 1}, {"a": 2}]}, "text": f"text {i}"}
    for i in range(7)
]
LAYOUTS = {
    "array": lambda records: "[" + ", ".join(records) + "]",
    "tight array": lambda records: "[" + ",".join(records) + "]",
    "array of lines": lambda records: "[" + ",\n".join(records) + "\n]",
    "one after the other": "".join,
    "blanks between": " ".join,
}


@pytest.mark.parametrize("layout", LAYOUTS)
@given(
    st.dictionaries(st.integers(1, 5), st.sampled_from(sorted(DAMAGE)), max_size=3),
    st.integers(1, 90),
)
def test_a_broken_record_costs_itself_alone(layout: str, damage: dict[int, str], size: int) -> None:
    """Whatever is wrong with records, the others are read, and as many are bad as were broken."""
    records = [
        DAMAGE[damage[i]](r) if i in damage else r for i, r in enumerate(map(json.dumps, ROWS))
    ]
    data = LAYOUTS[layout](records).encode()
    found = records_of(data, size)
    assert [_id(record) for record in found] == [None if i in damage else f"{i}" for i in range(7)]


def _id(record: bytes | str) -> Any:
    """Returns the id of a record, None of a broken one."""
    try:
        row = json.loads(record)
    except (ValueError, RecursionError):
        return None
    return row["id"] if "deep" not in row and '"m"' not in json.dumps(row) else None


@pytest.mark.parametrize("indent", [1, 4])
@pytest.mark.parametrize("array", [True, False])
@given(st.integers(1, 5), st.sampled_from(sorted(DAMAGE)), st.integers(1, 90))
def test_a_broken_record_over_many_lines(
    indent: int, array: bool, which: int, how: str, size: int
) -> None:
    """A broken record among pretty-printed ones ends before the next that is indented as it is."""
    pretty = [json.dumps(row, indent=indent) for row in ROWS]
    if array:
        blanks = " " * indent
        pretty = [blanks + record.replace("\n", "\n" + blanks) for record in pretty]
    pretty[which] = DAMAGE[how](pretty[which])
    data = ("[\n" + ",\n".join(pretty) + "\n]" if array else "\n".join(pretty)).encode()
    found = records_of(data, size)
    assert [_id(record) for record in found] == [None if i == which else f"{i}" for i in range(7)]


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b'[{"id":1},{"id":2}', [b'{"id":1}', b'{"id":2}', "truncated_input"]),
        (b'[{"id":1},{"id":', [b'{"id":1}', b'{"id":']),
        (b"[", ["truncated_input"]),
        (b"[]", []),
        (
            b'[1, "a{", null, [2, {"id":3}], {"id":4}]',
            [b"1", b'"a{"', b"null", b'[2, {"id":3}]', b'{"id":4}'],
        ),
        (b'{"id":1}{"id":2}}{"id":3}', [b'{"id":1}', b'{"id":2}', b"}", b'{"id":3}']),
        (
            b'{"id":1}{"id":2}rest\nof it\n{"id":3}',
            [b'{"id":1}', b'{"id":2}', b"rest", b"of it", b'{"id":3}'],
        ),
        (b'[{"id":1}]\n{"id":2}', [b'[{"id":1}]', b'{"id":2}']),
    ],
)
def test_odd_texts(data: bytes, found: list[Any]) -> None:
    """What is no object is a record, too, and an array that is not closed has one more, once."""
    for size in (1, 2, 1 << 20):
        assert records_of(data, size) == found


@pytest.mark.parametrize("size", [10, 1000, 1 << 20])
@pytest.mark.parametrize(
    "long",
    [
        '{"id":"1","text":"' + "x" * 5000 + '"}',
        '{"id":"1","text":"' + "x" * 5000,
        "x" * 5000,
    ],
)
def test_a_long_record(long: str, size: int) -> None:
    """A record of more than the allowed bytes is one, whether it is held in one piece or passed over."""
    data = ('{"id":"0"}{"id":"9"}' + long + '{"id":"2"}\n{"id":"3"}').encode()
    found = records_of(data, size, max_line_bytes=400)
    ids = [_id(record) if record != "line_too_long" else None for record in found]
    assert ids[:2] + ids[-2:] == ["0", "9", "2", "3"]
    assert all(record == "line_too_long" or len(record) > 400 for record in found[2:-2])
    assert len(found) == 5


@given(
    st.sampled_from(sorted(LAYOUTS)),
    st.dictionaries(st.integers(1, 6), st.sampled_from(sorted(DAMAGE)), max_size=3),
    st.integers(1, 900),
    st.integers(1, 200),
    st.integers(1, 4),
)
@example("array", {6: "cut"}, 100, 50, 2)
def test_cuts_do_not_matter(
    tmp_path_factory: Folder, layout: str, damage: dict[int, str], unit: int, block: int, size: int
) -> None:
    """Units, blocks and batches of any size give the same posts and dead letters, numbered by record."""
    records = [
        DAMAGE[damage[i]](r) if i in damage else r for i, r in enumerate(map(json.dumps, ROWS))
    ]
    path = tmp_path_factory.mktemp("cut") / "a.json"
    path.write_bytes(LAYOUTS[layout](records).encode())
    whole = _read(path, 1 << 20)
    assert _read(path, unit, block_bytes=block, batch_rows=size) == whole
    numbers = [row["source_row"] for row in whole]
    assert sorted(numbers) == list(range(len(numbers)))
    assert len({row["row_key"] for row in whole if "row_key" in row}) == len(ROWS) - len(damage)


def _read(path: Path, unit_bytes: int, **options: int) -> list[dict[str, Any]]:
    """Returns the posts and the dead letters of a file."""
    rows: list[dict[str, Any]] = []
    inventory = find_inputs([str(path)])
    for unit in cut(inventory, unit_bytes=unit_bytes):
        for batch in read_unit(inventory.root, unit, ReadOptions(**options)):
            rows += batch.posts.to_pylist() + batch.rejected.to_pylist()
    return sorted(rows, key=lambda row: row["source_row"])


@pytest.mark.parametrize(
    ("head", "layout"),
    [
        (b"", "lines"),
        (b"no JSON\n[", "lines"),
        (b'{"id":1}', "lines"),
        (b'\n\n {"id":1} \r\n{"id":2}', "lines"),
        (b'{"id":1,"te\n{"id":2}', "lines"),
        (b'{"id":1,\n{"id":2}', "lines"),
        (b'{"id":1} x\n', "lines"),
        (b'{"id":1,"n":{"id":2}, {"x":1', "lines"),
        (b'{"id":1,"te{"id":2}', "values"),
        (b'{"id":1},\n{"id":2},\n', "values"),
        (b'\xef\xbb\xbf{"id":1}\xef\xbb\xbf{"id":2}', "values"),
        (b'{\n"id":1,\n"text":"a\n{\n"id":2', "values"),
        (b"\n [", "values"),
        (b"[1]\n[2]", "values"),
    ],
)
def test_layouts(head: bytes, layout: str) -> None:
    """The first record says how records are written; a line that breaks off is a broken line."""
    assert json_place(head).layout == layout
