"""Large compressed files: cut between blocks or frames, they give the same records, lines and places."""

import bz2
import json
import time
from pathlib import Path

import pyarrow as pa
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from sluice.pipeline.inputs import inventory
from sluice.pipeline.inputs.bzip2_blocks import decode_block, find_blocks
from sluice.pipeline.inputs.inventory import cut, find_inputs
from sluice.pipeline.inputs.zstd_frames import find_frames
from tests.pipeline.inputs.containers import contents, json_lines

CODECS = ("bz2", "zst")


@pytest.fixture(autouse=True)
def _every_file_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inventory, "LARGE_UNITS", 0)


def packed(data: bytes, codec: str, piece_bytes: int) -> bytes:
    """Returns data in streams or frames of so many bytes each, wherever lines end."""
    pieces = [data[i : i + piece_bytes] for i in range(0, len(data), piece_bytes)]
    return b"".join(map(bz2.compress if codec == "bz2" else zstandard.compress, pieces))


def kinds(path: Path, unit_bytes: int) -> list[str]:
    """Returns the kinds of the units that a file is cut into."""
    return [unit.kind for unit in cut(find_inputs([str(path)]), unit_bytes=unit_bytes)]


LINES = st.sampled_from(
    [
        *(b"", b"  \r", b"not json", b'{"id": "p1", "text": "one"}', b'{"id": "p2", "text": 7}'),
        b'{"id": "p3", "text": "two"}{"id": "p4", "text": "three"}',
        b'\xef\xbb\xbf{"id": "p5", "text": "' + b"long " * 30 + b'"}',
    ]
)


@pytest.mark.parametrize("codec", CODECS)
@given(
    lines=st.lists(LINES, min_size=4, max_size=40),
    last=st.booleans(),
    piece_bytes=st.integers(20, 400),
    unit_bytes=st.integers(1, 600),
)
@settings(max_examples=60)
def test_cuts_show_in_nothing(
    tmp_path_factory: pytest.TempPathFactory,
    codec: str,
    lines: list[bytes],
    last: bool,
    piece_bytes: int,
    unit_bytes: int,
) -> None:
    """Posts, dead letters, rows and lines are those of the plain file, wherever blocks and units end."""
    data = b'{"id": "p0", "text": "first"}\n' + b"\n".join(lines) + b"\n" * last
    folder = tmp_path_factory.mktemp("cuts")
    plain, path = folder / "a.json", folder / f"a.json.{codec}"
    plain.write_bytes(data)
    path.write_bytes(packed(data, codec, piece_bytes))
    found, wanted = contents(path, unit_bytes=unit_bytes), contents(plain)
    assert_same(found.posts, wanted.posts)
    assert_same(found.rejected, wanted.rejected)
    assert found.counts == wanted.counts


def assert_same(found: list[dict[str, object]], wanted: list[dict[str, object]]) -> None:
    """Compares rows, but for the name of their file."""
    assert [{**row, "source_file": ""} for row in found] == [
        {**row, "source_file": ""} for row in wanted
    ]


@pytest.mark.parametrize("codec", CODECS)
def test_a_large_file_is_cut(codec: str, tmp_path: Path) -> None:
    """Units are of about the size that is wanted, and number their rows and lines through."""
    path = tmp_path / f"a.json.{codec}"
    path.write_bytes(packed(json_lines(0, 2000), codec, 5000))
    units = cut(find_inputs([str(path)]), unit_bytes=20_000)
    assert {unit.kind for unit in units} == {"blocks"}
    assert 4 <= len(units) <= 6
    assert all(unit.place and unit.place.line == unit.first_row for unit in units)
    assert contents(path, unit_bytes=20_000).rows == list(range(2000))


@pytest.mark.parametrize("codec", CODECS)
def test_what_is_damaged_or_no_lines_is_whole(codec: str, tmp_path: Path) -> None:
    """A damaged file, and one that holds an array, are not cut; all that can be decoded is read."""
    path = tmp_path / f"a.json.{codec}"
    sound = packed(json_lines(0, 500), codec, 5000)
    flipped = bytearray(sound)
    flipped[len(sound) // 2] ^= 0x10
    for data, lost in ((sound[:-1], "truncated_input"), (sound + b"junk", "corrupt_input")):
        path.write_bytes(data)
        assert kinds(path, 9000) == ["whole"]
        assert contents(path, unit_bytes=9000).reasons[lost] == 1
    path.write_bytes(bytes(flipped))
    assert kinds(path, 9000) == ["whole"]
    array = json.dumps([json.loads(line) for line in json_lines(0, 500).splitlines()]).encode()
    path.write_bytes(packed(array, codec, 5000))
    assert kinds(path, 9000) == ["whole"]


def test_only_large_files_are_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is a small part of the input, or has few bytes, is not decoded twice."""
    monkeypatch.setattr(inventory, "LARGE_UNITS", 2)
    data = packed(json_lines(0, 100), "bz2", 1000)
    for i in range(17):
        (tmp_path / f"{i}.json.bz2").write_bytes(data)
    assert set(kinds(tmp_path, 1)) == {"whole"}
    assert set(kinds(tmp_path / "0.json.bz2", len(data))) == {"whole"}
    assert set(kinds(tmp_path / "0.json.bz2", len(data) // 3)) == {"blocks"}


@given(st.lists(st.binary(max_size=3000), max_size=6), st.integers(1, 9))
def test_blocks_of_bzip2(texts: list[bytes], level: int) -> None:
    """Blocks that begin at any bit are found and decoded alone; empty streams have none."""
    data = b"".join(bz2.compress(text, level) for text in texts)
    file = pa.BufferReader(data)
    spans = find_blocks(file, len(data))
    if not any(texts):
        assert spans is None
        return
    assert spans is not None
    assert b"".join(decode_block(file, span) for span in spans) == b"".join(texts)


def test_a_file_of_marks_is_not_cut() -> None:
    """A file that was made to have blocks without number is given up on before they are all held."""
    for data, find in (
        (b"BZh9" + b"1AY&SY" * 1_000_000, find_blocks),
        (zstandard.compress(b"") * 100_000, find_frames),
        ((b"\x50\x2a\x4d\x18" + bytes(4)) * 100_000, find_frames),
        (b"\x28\xb5\x2f\xfd\x20\x00" + bytes(3) * 1_000_000, find_frames),
    ):
        before = time.process_time()
        assert find(pa.BufferReader(data), len(data)) is None
        assert time.process_time() - before < 2


def test_blocks_of_one_stream() -> None:
    """The blocks of one long stream, which begin at no byte, are found and decoded alone."""
    text = json_lines(0, 30_000)
    data = bz2.compress(text, 1)
    spans = find_blocks(pa.BufferReader(data), len(data))
    assert spans is not None
    assert len(spans) > 10
    assert any(span.start % 8 for span in spans)
    assert b"".join(decode_block(pa.BufferReader(data), span) for span in spans) == text
