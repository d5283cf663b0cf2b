"""Inputs: which files a pattern means, and that cutting them shows in nothing."""

import gzip
import hashlib
import os
from pathlib import Path

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.pipeline.inputs.inventory import InputUnit, Inventory, cut, find_inputs
from sluice.pipeline.inputs.jsonl_scan import scan_lines
from sluice.schemas.errors import InputError


def _tree(folder: Path, names: list[str]) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())


NAMES = [
    "b/z.jsonl",
    "b/a.ndjson.gz",
    "a/2.parquet",
    "a/10.JSON.ZST",
    "c.arrow",
    "b/deep/er/x.feather",
]


def test_files_of_a_folder(tmp_path: Path) -> None:
    """A folder means all files below it, by relative path, without what starts with a dot or a bar."""
    _tree(tmp_path, [*NAMES, "_SUCCESS", ".hidden.jsonl", "_temporary/0/x.jsonl", "b/.tmp/y.jsonl"])
    inventory = find_inputs([str(tmp_path)])
    assert inventory.root == str(tmp_path)
    assert [file.path for file in inventory.files] == sorted(NAMES)
    formats = {file.path: str(file.format) for file in inventory.files}
    assert formats == {
        "b/z.jsonl": "json",
        "b/a.ndjson.gz": "json.gz",
        "a/2.parquet": "parquet",
        "a/10.JSON.ZST": "json.zst",
        "c.arrow": "arrow_stream",
        "b/deep/er/x.feather": "arrow_stream",
    }


def test_identity_of_a_file(tmp_path: Path) -> None:
    """A file is known by its relative path, its size and the sha256 of its bytes."""
    (tmp_path / "a.jsonl").write_bytes(b"x" * 3_000_000)
    (file,) = find_inputs([str(tmp_path / "a.jsonl")]).files
    assert (file.path, file.bytes) == ("a.jsonl", 3_000_000)
    assert file.sha256 == hashlib.sha256(b"x" * 3_000_000).hexdigest()


def test_patterns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`*` is one level, `**` any; a file that two patterns find is one file; roots are as long as can be."""
    _tree(tmp_path, [*NAMES, "b/[1].jsonl"])
    monkeypatch.chdir(tmp_path)
    assert [f.path for f in find_inputs(["b/*.jsonl", "b/z.jsonl", "./b/../b/z*"]).files] == [
        "[1].jsonl",
        "z.jsonl",
    ]
    assert find_inputs(["b/*.jsonl"]).root == str(tmp_path / "b")
    assert [f.path for f in find_inputs(["b/[1].jsonl"]).files] == ["[1].jsonl"]
    assert [f.path for f in find_inputs(["**/*.feather", "c.arrow"]).files] == [
        "b/deep/er/x.feather",
        "c.arrow",
    ]
    assert find_inputs(["b/deep/**/*.feather"]).root == str(tmp_path / "b/deep/er")


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("b/zz.jsonl", "no file matches b/zz.jsonl: no zz.jsonl in {}/b; did you mean 'z.jsonl'"),
        ("bb/*.jsonl", "no file matches bb/*.jsonl: no bb in {}; did you mean 'b'?"),
        ("empty/*", "no file matches empty/*: no * in {}/empty; it is empty"),
        ("b/dee*", "b/dee*: only folders there; add /** to read what is in them"),
        (
            "note.txt",
            "{}/note.txt: neither JSON nor CSV, and no other format that is read; read are ",
        ),
    ],
)
def test_pattern_errors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pattern: str, message: str
) -> None:
    """A pattern that gives nothing to read says what is there instead."""
    _tree(tmp_path, [*NAMES, "note.txt"])
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError) as error:
        find_inputs([pattern])
    assert str(error.value).startswith(message.format(tmp_path))


def test_no_pattern() -> None:
    """No pattern at all is an error, not an empty run."""
    with pytest.raises(InputError, match="no input"):
        find_inputs([])


def test_unreadable_file(tmp_path: Path) -> None:
    """A file that cannot be opened is named, with the system's reason and number."""
    (tmp_path / "gone.jsonl").symlink_to(tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"gone\.jsonl: cannot be read: No such file .*errno 2"):
        find_inputs([str(tmp_path / "gone.jsonl")])


def test_a_file_that_shrinks(tmp_path: Path) -> None:
    """A file cut after it became shorter than its inventory says is an error, not an endless loop."""
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"{}\n" * 100)
    inventory = find_inputs([str(path)])
    path.write_bytes(b"{}\n")
    with pytest.raises(InputError, match="has become shorter"):
        cut(inventory, unit_bytes=10)


def _cut_bytes(folder: Path, data: bytes, unit_bytes: int) -> list[InputUnit]:
    path = folder / "a.jsonl"
    path.write_bytes(data)
    return cut(find_inputs([str(path)]), unit_bytes=unit_bytes)


@given(
    st.lists(st.binary(max_size=12).map(lambda line: line.replace(b"\n", b"")), max_size=30),
    st.integers(1, 40),
    st.booleans(),
)
def test_cuts_of_lines(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes], unit_bytes: int, last: bool
) -> None:
    """Units of lines join to the file, end after line feeds, number their lines, and are small enough."""
    data = b"\n".join([b"{}", *lines]) + b"\n" * last  # the first line says that these are lines
    units = _cut_bytes(tmp_path_factory.mktemp("cut"), data, unit_bytes)
    assert b"".join(data[unit.start : unit.stop] for unit in units) == data
    assert [unit.start for unit in units] == [0, *[unit.stop for unit in units]][: len(units)]
    for unit in units:
        piece = data[unit.start : unit.stop]
        assert piece.endswith(b"\n") or unit.stop == len(data)
        line = 0 if unit.place is None else unit.place.line
        assert line == data.count(b"\n", 0, unit.start)
        assert (unit.place is None) == (len(data) <= unit_bytes)  # one unit is not looked into
        before = scan_lines(data[: unit.start], max_line_bytes=99).starts_L
        assert unit.first_row == len(before)
        assert len(piece) <= unit_bytes or piece.count(b"\n") <= 1
        assert unit.bytes == len(piece)


def test_a_line_longer_than_the_search(tmp_path: Path) -> None:
    """A line of megabytes in small units is one unit, and the rows after it are numbered on."""
    data = b"{}\n" + b"x" * 2_500_000 + b"\n{}\n"
    units = _cut_bytes(tmp_path, data, 4)
    assert [(unit.start, unit.stop, unit.first_row) for unit in units] == [
        (0, 3, 0),
        (3, 2_500_004, 1),
        (2_500_004, 2_500_007, 2),
    ]


def test_empty_file_has_no_units(tmp_path: Path) -> None:
    """There is nothing to read in an empty file."""
    assert _cut_bytes(tmp_path, b"", 10) == []


def _table() -> pa.Table:
    return pa.table({"id": pa.array(range(100)), "text": [f"post {i}" for i in range(100)]})


def _groups(units: list[InputUnit]) -> list[tuple[int, int, int, tuple[int, ...]]]:
    return [(unit.start, unit.stop, unit.first_row, unit.group_rows) for unit in units]


def test_cuts_of_parquet(tmp_path: Path) -> None:
    """Parquet is cut between row groups: as many as fit, at least one, rows numbered through."""
    pq.write_table(_table(), tmp_path / "a.parquet", row_group_size=30)
    inventory = find_inputs([str(tmp_path)])
    rows = (30, 30, 30, 10)
    assert _groups(cut(inventory, unit_bytes=1)) == [
        (i, i + 1, 30 * i, rows[i : i + 1]) for i in range(4)
    ]
    assert _groups(cut(inventory)) == [(0, 4, 0, rows)]


def test_cuts_of_arrow(tmp_path: Path) -> None:
    """An Arrow file is cut between record batches; an Arrow stream, which has no index, is whole."""
    batches = _table().to_batches(max_chunksize=40)
    with pa.ipc.new_file(tmp_path / "a.arrow", batches[0].schema) as file:
        for batch in batches:
            file.write(batch)
    with pa.ipc.new_stream(tmp_path / "b.arrow", batches[0].schema) as stream:
        for batch in batches:
            stream.write(batch)
    units = cut(find_inputs([str(tmp_path)]), unit_bytes=1)
    assert [unit.kind for unit in units] == ["groups"] * 3 + ["whole"]
    assert _groups(units[:3]) == [(0, 1, 0, (40,)), (1, 2, 40, (40,)), (2, 3, 80, (20,))]


def test_compressed_files_are_whole(tmp_path: Path) -> None:
    """A compressed file is one unit, however small units should be."""
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(b"{}\n" * 1000))
    (unit,) = cut(find_inputs([str(tmp_path)]), unit_bytes=1)
    assert (unit.kind, unit.start, unit.stop) == (
        "whole",
        0,
        os.path.getsize(tmp_path / "a.jsonl.gz"),
    )


def test_broken_footer(tmp_path: Path) -> None:
    """A Parquet or Arrow file that has no layout is an error that names the file."""
    for name in ("a.parquet", "a.arrow"):
        (tmp_path / name).write_bytes(b"ARROW1 nothing of the kind")
        with pytest.raises(InputError, match=f"{name}: no readable"):
            cut(find_inputs([str(tmp_path / name)]))


def test_units_and_inventories_are_json(tmp_path: Path) -> None:
    """Both go through JSON and come back the same: they are parts of fingerprints and manifests."""
    pq.write_table(_table(), tmp_path / "a.parquet", row_group_size=30)
    (tmp_path / "b.jsonl").write_bytes(b"{}\n" * 5)
    inventory = find_inputs([str(tmp_path)])
    units = cut(inventory, unit_bytes=7)
    assert msgspec.json.decode(msgspec.json.encode(inventory), type=Inventory) == inventory
    assert msgspec.json.decode(msgspec.json.encode(units), type=list[InputUnit]) == units
