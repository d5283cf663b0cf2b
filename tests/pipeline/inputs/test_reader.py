"""Reading: every row once, whatever the file, the cut, the blocks and the damage."""

import gzip
import json
import tracemalloc
import zlib
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from sluice.pipeline.inputs.inventory import InputUnit, cut, find_inputs
from sluice.pipeline.inputs.reader import ReadOptions, read_unit
from sluice.schemas.counts import ReadTally
from sluice.schemas.errors import InputError
from sluice.schemas.payloads.columns import REASONS
from sluice.schemas.post import PAYLOAD_COLUMNS, POST
from sluice.schemas.reject import REJECT

Row = dict[str, Any]
Folder = pytest.TempPathFactory


class Read(NamedTuple):
    """All rows of all files: posts and dead letters."""

    posts: list[Row]
    rejected: list[Row]

    def reasons(self) -> list[tuple[int, str]]:
        return [(row["source_row"], row["reason"]) for row in self.rejected]

    def rows(self) -> list[int]:
        return [row["source_row"] for row in self.posts]


def read(path: Path, *, unit_bytes: int = 1 << 20, **options: Any) -> Read:
    """Reads a file or folder, checking schemas, validity and batch sizes on the way."""
    posts, rejected = [], []
    settings_ = ReadOptions(**options)
    inventory = find_inputs([str(path)])
    for unit in cut(inventory, unit_bytes=unit_bytes):
        for batch in read_unit(inventory.root, unit, settings_):
            assert batch.posts.schema == POST
            assert batch.rejected.schema == REJECT
            batch.posts.validate(full=True)
            assert batch.posts.num_rows + batch.rejected.num_rows <= settings_.batch_rows
            posts += batch.posts.to_pylist()
            rejected += batch.rejected.to_pylist()
    return Read(posts, rejected)


def line_of(i: int) -> bytes:
    """Returns an invented post as a line."""
    row: Row = {"id": f"p{i}", "text": f"post {i} é\u0000", "created_at": "2020-01-01T00:00:00Z"}
    row |= {"author_id": i % 3 or None, "lang": "en", "media": [{"kind": "photo"}] * (i % 2)}
    return json.dumps(row, ensure_ascii=i % 2 == 0).encode()


LINES = [line_of(i) for i in range(60)]


def compressed(data: bytes, name: str) -> bytes:
    """Returns data as a file of that name holds it."""
    if name.endswith(".gz"):
        return gzip.compress(data, mtime=0)
    return zstandard.ZstdCompressor().compress(data) if name.endswith(".zst") else data


def write(folder: Path, data: bytes, name: str = "a.jsonl") -> Path:
    """Writes a file of that name."""
    path = folder / name
    path.write_bytes(compressed(data, name))
    return path


NAMES = ["a.jsonl", "a.jsonl.gz", "a.jsonl.zst"]

CORRUPTIONS: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "cut off": (lambda line: line[: len(line) // 2], "not_json"),
    "not JSON": (lambda line: b"oops " + line, "not_json"),
    "a word behind": (lambda line: line + b" x", "not_json"),
    "deep": (lambda line: b'{"a":' * 300 + b"1" + b"}" * 300, "not_json"),
    "bare null": (lambda line: b"null", "not_object"),
    "array": (lambda line: b"[" + line + b"]", "not_object"),
    "Latin-1": (lambda line: line.replace(b"post", b"p\xe9st"), "not_utf8"),
    "key twice": (lambda line: line.replace(b"{", b'{"text":"x",', 1), "repeated_key"),
    "no id": (lambda line: line.replace(b'"id"', b'"no"'), "missing_post_id"),
    "null id": (lambda line: b'{"id":null,"text":"x"}', "missing_post_id"),
    "no text": (lambda line: line.replace(b'"text"', b'"no"'), "missing_text"),
    "number text": (lambda line: b'{"id":"x","text":1}', "wrong_type"),
    "float id": (lambda line: b'{"id":1.5,"text":"x"}', "wrong_type"),
    "boolean id": (lambda line: b'{"id":true,"text":"x"}', "wrong_type"),
    "long text": (lambda line: line.replace(b"post", b"x" * 300), "text_too_long"),
    "long line": (lambda line: line + b" " * 3000, "line_too_long"),
}


@pytest.mark.parametrize("name", NAMES)
@given(st.dictionaries(st.integers(0, 59), st.sampled_from(sorted(CORRUPTIONS)), max_size=8))
@settings(max_examples=30)
def test_bad_lines_cost_themselves_alone(
    tmp_path_factory: Folder, name: str, damage: dict[int, str]
) -> None:
    """Lines corrupted in any way are dead letters with the reason, and no other row changes."""
    folder = tmp_path_factory.mktemp("bad")
    limits = {"max_text_bytes": 200, "max_line_bytes": 2500}
    sound = read(write(folder, b"\n".join(LINES), name), **limits)
    lines = [
        CORRUPTIONS[damage[i]][0](line) if i in damage else line for i, line in enumerate(LINES)
    ]
    damaged = read(write(folder, b"\n".join(lines), name), **limits, block_bytes=999)
    assert damaged.reasons() == [(i, CORRUPTIONS[damage[i]][1]) for i in sorted(damage)]
    assert damaged.posts == [row for row in sound.posts if row["source_row"] not in damage]
    assert len(sound.posts) == 60


def test_rejects_hold_no_text(tmp_path: Path) -> None:
    """Every reason is documented, and no dead letter holds a word of its line but the post id."""
    lines = [corrupt(line_of(i)) for i, (corrupt, _) in enumerate(CORRUPTIONS.values())]
    found = read(
        write(tmp_path, b"\n".join(lines)), max_text_bytes=200, max_line_bytes=2500
    ).rejected
    assert len(found) == len(CORRUPTIONS)
    for row in found:
        assert row["reason"] in REASONS
        assert (row["kind"], row["phase"], row["stage"]) == ("malformed", "clean", "read")
        assert "post" not in (row["detail"] or "").replace("post_id", "")
        assert row["source_file"] == "a.jsonl"


MIXED = st.lists(
    st.sampled_from(
        [*LINES[:6], b"", b"  ", b"null", b"x" * 70, b'{"id":5,"text":""}', b'{"id":"\xff"}']
    ),
    max_size=25,
)


@given(MIXED, st.integers(1, 300), st.integers(1, 400), st.integers(1, 7), st.booleans())
def test_cuts_and_blocks_do_not_matter(
    tmp_path_factory: Folder, lines: list[bytes], unit: int, block: int, rows: int, last: bool
) -> None:
    """Units, blocks and batches of any size give the same posts and dead letters."""
    path = write(tmp_path_factory.mktemp("cut"), b"\n".join(lines) + b"\n" * last)
    whole = read(path, max_line_bytes=140)
    parts = read(path, unit_bytes=unit, block_bytes=block, batch_rows=rows, max_line_bytes=140)
    assert parts == whole
    assert len(whole.posts) + len(whole.rejected) == sum(1 for line in lines if line.strip())


@pytest.mark.parametrize("name", NAMES)
def test_compression_does_not_matter(tmp_path: Path, name: str) -> None:
    """The same lines give the same posts, plain or compressed."""
    data = b"\n".join(LINES)
    plain = read(write(tmp_path, data))
    (tmp_path / "a.jsonl").unlink()
    path = write(tmp_path, data, name)
    found = read(path, block_bytes=777).posts
    assert [{**row, "source_file": "a.jsonl"} for row in found] == plain.posts


def test_values(tmp_path: Path) -> None:
    """A post has the columns of its line, and says where it stood."""
    (tmp_path / "b").mkdir()
    write(tmp_path, b"{}", "a.jsonl")
    write(tmp_path / "b", b"\n\n" + LINES[1] + b"\n")
    (post,) = read(tmp_path).posts
    assert post == {
        "post_id": "p1",
        "text": "post 1 é\u0000",
        "created_at": datetime(2020, 1, 1, tzinfo=UTC),
        "author_id": "1",
        "declared_lang": "en",
        "in_reply_to_id": None,
        "conversation_id": None,
        "source": None,
        "edited_at": None,
        "media": [{"kind": "photo", "key": None, "alt_text": None, "link": None}],
        **dict.fromkeys(PAYLOAD_COLUMNS),
        "source_file": "b/a.jsonl",
        "source_row": 0,
        "source_line": 2,
        "source_item": 0,
        "row_key": 1 << 40,
    }


@pytest.mark.parametrize(
    "data",
    [
        b"\xef\xbb\xbf" + b"\n".join(LINES),
        b"\r\n".join(LINES) + b"\r\n",
        b"\n".join(LINES),
        b"\n".join(LINES) + b"\n\n \n",
    ],
)
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("block_bytes", [2, 1 << 20])
def test_line_ends_and_marks(tmp_path: Path, data: bytes, name: str, block_bytes: int) -> None:
    """A byte order mark, CRLF, a missing last line feed and blank lines change no post."""
    found = read(write(tmp_path, data, name), block_bytes=block_bytes)
    assert found.rejected == []
    assert [row["post_id"] for row in found.posts] == [f"p{i}" for i in range(60)]
    assert found.rows() == list(range(60))


def test_marks_at_the_start_of_lines(tmp_path: Path) -> None:
    """A byte order mark at the start of a line, where joined files leave it, is none of the line."""
    path = write(tmp_path, LINES[0] + b"\n\xef\xbb\xbf" + LINES[1] + b"\n")
    for unit_bytes in (1, 1 << 20):
        assert read(path, unit_bytes=unit_bytes).rows() == [0, 1]


@pytest.mark.parametrize("data", [b"", b"\n", b" \r\n\n", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("name", NAMES)
def test_nothing_to_read(tmp_path: Path, data: bytes, name: str) -> None:
    """An empty file and blank lines hold no posts and no dead letters."""
    assert read(write(tmp_path, data, name)) == Read([], [])


@pytest.mark.parametrize("name", ["a.jsonl.gz", "a.jsonl.zst"])
def test_a_truncated_file_keeps_what_came_before(tmp_path: Path, name: str) -> None:
    """Cut off at any byte, a compressed file gives a prefix of its rows and one dead letter after it."""
    data = b"\n".join(LINES[:20]) + b"\n"
    whole = compressed(data, name)
    sound = read(write(tmp_path, data, name)).posts
    lengths = set()
    for stop in range(1, len(whole)):
        (tmp_path / name).write_bytes(whole[:stop])
        found = read(tmp_path / name, block_bytes=4096)
        kept = len(found.posts)
        assert found.posts == sound[:kept]
        assert found.reasons() == [(kept, "truncated_input")]
        assert found.rejected[0]["post_id"] is None
        lengths.add(kept)
    assert 20 in lengths or name.endswith("zst")  # all rows are there before the gzip checksum


def _flushed(lines: list[bytes], name: str) -> bytes:
    """Returns lines compressed so that each can be decoded before the next."""
    if name.endswith(".zst"):
        zstd = zstandard.ZstdCompressor(write_checksum=True).compressobj()
        block = zstandard.COMPRESSOBJ_FLUSH_BLOCK
        return b"".join(zstd.compress(line) + zstd.flush(block) for line in lines) + zstd.flush()
    deflate = zlib.compressobj(wbits=31)
    pieces = [deflate.compress(line) + deflate.flush(zlib.Z_SYNC_FLUSH) for line in lines]
    return b"".join(pieces) + deflate.flush()


@pytest.mark.parametrize("name", ["a.jsonl.gz", "a.jsonl.zst"])
@pytest.mark.parametrize("block_bytes", [512, 1 << 20])
def test_nothing_decodable_is_lost_at_a_break(tmp_path: Path, name: str, block_bytes: int) -> None:
    """Rows that were flushed before a wrong checksum or a cut are all kept, whatever the block."""
    whole = _flushed([line + b"\n" for line in LINES], name)
    wrong_sum = (
        whole[:-6] + bytes([whole[-6] ^ 1]) + whole[-5:]
        if name.endswith("gz")
        else whole[:-1] + bytes([whole[-1] ^ 1])
    )
    (tmp_path / name).write_bytes(wrong_sum)
    found = read(tmp_path / name, block_bytes=block_bytes)
    assert found.rows() == list(range(60))
    assert found.reasons() == [(60, "corrupt_input")]
    (tmp_path / name).write_bytes(whole[: len(whole) // 2])
    found = read(tmp_path / name, block_bytes=block_bytes)
    assert 20 < len(found.posts) < 40
    assert found.reasons() == [(len(found.posts), "truncated_input")]


@pytest.mark.parametrize("name", ["a.jsonl.gz", "a.jsonl.zst"])
@given(st.integers(0, 10**6), st.integers(1, 255), st.sampled_from([600, 1 << 20]))
@settings(max_examples=40)
def test_damage_inside_a_compressed_file(
    tmp_path_factory: Folder, name: str, where: int, flip: int, block_bytes: int
) -> None:
    """A flipped byte gives at most one dead letter for the stream, and rows before the damage stay."""
    whole = bytearray(_flushed([line + b"\n" for line in LINES], name))
    where %= len(whole)
    whole[where] ^= flip
    path = tmp_path_factory.mktemp("flip") / name
    path.write_bytes(bytes(whole))
    found = read(path, block_bytes=block_bytes)
    sound = where * len(LINES) // len(whole) - 10
    assert [row["post_id"] for row in found.posts][: max(0, sound)] == [
        f"p{i}" for i in range(sound)
    ]
    reasons = [reason for _, reason in found.reasons()]
    assert sum(reason in ("corrupt_input", "truncated_input") for reason in reasons) <= 1


@pytest.mark.parametrize("block_bytes", [100, 1 << 20])
def test_gzip_members_and_padding(tmp_path: Path, block_bytes: int) -> None:
    """Members that stand one after another are one file; zeros after them are nothing, junk is damage."""
    path = tmp_path / "a.jsonl.gz"
    members = b"".join(gzip.compress(line + b"\n") for line in LINES) + gzip.compress(b"")
    for tail, reasons in ((b"", []), (b"\0" * 700, []), (b"junk", [(60, "corrupt_input")])):
        path.write_bytes(members + tail)
        found = read(path, block_bytes=block_bytes)
        assert found.rows() == list(range(60))
        assert found.reasons() == reasons


def test_zstd_frames(tmp_path: Path) -> None:
    """Zstandard frames that stand one after another are one file."""
    path = tmp_path / "a.jsonl.zst"
    path.write_bytes(b"".join(compressed(line + b"\n", path.name) for line in LINES))
    assert read(path).rows() == list(range(60))


def test_a_highly_compressed_file_is_read_in_blocks(tmp_path: Path) -> None:
    """64 MB of one line in 64 kB of gzip are passed over, not held, and the rows around it stand."""
    data = LINES[0] + b"\n" + b"x" * (64 << 20) + b"\n" + LINES[1]
    path = write(tmp_path, data, "a.jsonl.gz")
    del data
    tracemalloc.start()
    found = read(path, block_bytes=1 << 20, max_line_bytes=2 << 20)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found.rows() == [0, 2]
    assert found.reasons() == [(1, "line_too_long")]
    assert peak < 16 << 20


def test_columns_by_name(tmp_path: Path) -> None:
    """A mapping replaces a column's default names, and an empty name leaves the column out."""
    path = write(tmp_path, b'{"id":1,"key":"k","text":"no","body":"yes","source":3}\n')
    found = read(path, columns={"post_id": "key", "text": "body", "source": ""})
    assert [(p["post_id"], p["text"], p["source"]) for p in found.posts] == [("k", "yes", None)]


def test_a_file_that_goes_away(tmp_path: Path) -> None:
    """A file that is gone when its unit is read is an error that names it and the system's reason."""
    path = write(tmp_path, LINES[0])
    (unit,) = cut(find_inputs([str(path)]))
    path.unlink()
    with pytest.raises(InputError, match=r"a\.jsonl: cannot be read: No such file"):
        next(read_unit(str(tmp_path), unit, ReadOptions()))


def test_a_file_that_shrinks_under_a_unit(tmp_path: Path) -> None:
    """Rows that were there when the file was cut and are gone now are an error, not a short read."""
    path = write(tmp_path, b"\n".join(LINES))
    (unit,) = cut(find_inputs([str(path)]))
    path.write_bytes(LINES[0])
    with pytest.raises(InputError, match=r"a\.jsonl: has become shorter"):
        list(read_unit(str(tmp_path), unit, ReadOptions()))


def test_units_survive_json(tmp_path: Path) -> None:
    """A unit that went through JSON reads the same rows: units are sent to workers."""
    path = write(tmp_path, b"\n".join(LINES))
    inventory = find_inputs([str(path)])
    units = msgspec.json.decode(
        msgspec.json.encode(cut(inventory, unit_bytes=500)), type=list[InputUnit]
    )
    rows = [b.posts for unit in units for b in read_unit(inventory.root, unit, ReadOptions())]
    assert sum(batch.num_rows for batch in rows) == 60


@pytest.mark.real
def test_the_real_firehose(data: Path) -> None:
    """583,187 lines are 583,187 posts; the time of the six that name no year is null."""
    inventory = find_inputs([str(data / "firehose")])
    counts = ReadTally()
    for unit in cut(inventory):
        for batch in read_unit(inventory.root, unit, ReadOptions()):
            counts += batch.counts
    assert (counts.records, counts.posts, counts.dead_letters) == (583_187, 583_187, 0)
    assert counts.nulled == {"created_at": 6}
