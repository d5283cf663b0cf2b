"""Containers: whatever posts are wrapped in, each comes out once, in its place."""

import gzip
import lzma
import tarfile
from itertools import accumulate
from pathlib import Path

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from sluice.pipeline.inputs import parts
from sluice.pipeline.inputs.decompression import window_bytes
from sluice.schemas.errors import InputError
from tests.pipeline.inputs.containers import (
    CODECS,
    archive,
    arrow,
    contents,
    json_lines,
    parquet,
)


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("content", ["json", "parquet", "arrow", "arrow_stream"])
def test_every_content_in_every_codec(codec: str, content: str, tmp_path: Path) -> None:
    """JSON, Parquet, Arrow files and streams are read through any compression, whatever the name."""
    data = {
        "json": json_lines(0, 10),
        "parquet": parquet(0, 10),
        "arrow": arrow(0, 10, stream=False),
        "arrow_stream": arrow(0, 10, stream=True),
    }[content]
    (tmp_path / "day").write_bytes(CODECS[codec](data))
    found = contents(tmp_path / "day")
    assert (found.numbers, found.rows) == (list(range(10)), list(range(10)))
    assert found.rejected == []
    assert found.notes == (
        f"1 file whose name does not say what is in it, read as {content}.{codec} by the first bytes: day",
    )


@pytest.mark.parametrize("codec", ["gz", "bz2", "xz", "zst"])
def test_streams_one_after_another(codec: str, tmp_path: Path) -> None:
    """Members, streams and frames that were joined are one file; what is cut off is one dead letter."""
    pieces = [CODECS[codec](json_lines(i, i + 3)) for i in range(0, 30, 3)]
    path = tmp_path / f"a.json.{codec}"
    path.write_bytes(b"".join(pieces))
    assert contents(path).numbers == list(range(30))
    path.write_bytes(b"".join(pieces)[:-1])
    found = contents(path)
    assert found.numbers[:27] == list(range(27))
    assert found.reasons == {"truncated_input": 1}


@pytest.mark.parametrize("codec", ["bz2", "xz"])
@given(where=st.integers(0, 10**6), flip=st.integers(1, 255))
@settings(max_examples=40)
def test_damage_costs_what_follows(
    tmp_path_factory: pytest.TempPathFactory, codec: str, where: int, flip: int
) -> None:
    """A flipped byte gives at most one dead letter for the stream, and streams before it are whole."""
    pieces = [CODECS[codec](json_lines(i, i + 5)) for i in range(0, 30, 5)]
    whole = bytearray(b"".join(pieces))
    where %= len(whole)
    whole[where] ^= flip
    path = tmp_path_factory.mktemp("flip") / f"a.json.{codec}"
    path.write_bytes(bytes(whole))
    found = contents(path)
    ends = [sum(map(len, pieces[: i + 1])) for i in range(len(pieces))]
    sound = 5 * sum(end <= where for end in ends)
    assert found.numbers[:sound] == list(range(sound))
    assert sum(found.reasons[r] for r in ("corrupt_input", "truncated_input")) <= 1


def test_skippable_frames_and_raw_blocks(tmp_path: Path) -> None:
    """Frames that Zstandard says to skip are skipped, at the start too, and blocks of any kind decoded."""
    skipped = b"\x50\x2a\x4d\x18" + (5).to_bytes(4, "little") + b"hello"
    flat = b'{"id": "p1", "text": "' + b"a" * 300_000 + b'"}\n'  # blocks of one repeated byte
    raw = zstandard.ZstdCompressor(level=-7).compress(json_lines(2, 3))
    path = tmp_path / "a.json.zst"
    path.write_bytes(
        skipped + zstandard.compress(json_lines(0, 1)) + skipped + zstandard.compress(flat) + raw
    )
    found = contents(path, max_text_bytes=1 << 20)
    assert (found.numbers, found.rejected) == ([0, 1, 2], [])


@pytest.mark.parametrize("window_log", [28, 31])
def test_long_windows(window_log: int, tmp_path: Path) -> None:
    """Windows that most decoders refuse are read, and a note says how much memory they may take."""
    parameters = zstandard.ZstdCompressionParameters(window_log=window_log)
    stream = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    packed = stream.compress(json_lines(0, 9)) + stream.flush()
    assert window_bytes(packed) == 1 << window_log
    (tmp_path / "a.json.zst").write_bytes(packed)
    found = contents(tmp_path / "a.json.zst")
    assert found.numbers == list(range(9))
    size = {28: "0.25", 31: "2"}[window_log]
    assert found.notes == (f"a.json.zst: decompressing it takes up to {size} GiB of memory more",)


def test_long_dictionaries(tmp_path: Path) -> None:
    """The dictionary of xz counts like a window."""
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": 512 << 20}]
    (tmp_path / "a.json.xz").write_bytes(lzma.compress(json_lines(0, 3), filters=filters))
    found = contents(tmp_path / "a.json.xz")
    assert found.numbers == [0, 1, 2]
    assert found.notes == ("a.json.xz: decompressing it takes up to 0.5 GiB of memory more",)


# --- archives --------------------------------------------------------------------------------

FORMATS = [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("codec", [None, *CODECS])
def test_members_of_every_kind(codec: str | None, format: int, tmp_path: Path) -> None:
    """Each member of an archive is what its own first bytes say, and rows are numbered through."""
    members = [
        ("day/00.json", json_lines(0, 5)),
        ("day/01.json.gz", CODECS["gz"](json_lines(5, 10))),
        ("day/02", CODECS["bz2"](json_lines(10, 15).rstrip())),
        ("day/03.parquet", parquet(15, 20)),
        ("day/empty.json", b""),
        ("day/04.arrow", arrow(20, 25, stream=False)),
        ("day/05.arrows", arrow(25, 30, stream=True)),
        ("x" * 90 + "/" + "y" * 90 + ".json.xz", CODECS["xz"](json_lines(30, 35))),
        ("inner.tar.zst", CODECS["zst"](archive([("a.json", json_lines(35, 40))], format))),
        ("day/README.md", b"# Posts of a day"),
        ("day/._00.json", b"\0\5\x16\7"),
        ("day/picture", b"\x89PNG\r\n\x1a\n" + bytes(99)),
        ("day/06.json", json_lines(40, 45)),
    ]
    data = archive(members, format)
    name = "day.tar" if codec is None else f"day.tar.{codec}"
    (tmp_path / name).write_bytes(data if codec is None else CODECS[codec](data))
    found = contents(tmp_path / name)
    assert (found.numbers, found.rows) == (list(range(45)), list(range(45)))
    assert (found.rejected, found.notes) == ([], ())
    assert found.counts.left_out == {
        "not the name of a data file": 2,
        "an image, which is not read": 1,
    }


def test_a_damaged_member_costs_itself(tmp_path: Path) -> None:
    """A member that breaks off gives its rows and one dead letter that names it; the next one is read."""
    whole = gzip.compress(json_lines(0, 5), mtime=0)
    members = [("a.json.gz", whole[:-8]), ("b.json", json_lines(5, 9)), ("c.json.gz", whole[:-4])]
    (tmp_path / "a.tar").write_bytes(archive(members))
    found = contents(tmp_path / "a.tar")
    assert found.numbers == [*range(9), *range(5)]
    assert [(r["reason"], r["detail"], r["source_row"]) for r in found.rejected] == [
        ("truncated_input", "a.json.gz", 5),
        ("truncated_input", "c.json.gz", 15),
    ]
    assert found.rows == [*range(5), *range(6, 15)]


@given(st.integers(1, 4 * 512 + 10 * 512))
@settings(max_examples=60)
def test_an_archive_that_is_cut_off(tmp_path_factory: pytest.TempPathFactory, length: int) -> None:
    """Cut anywhere, an archive gives the members before the cut, and at most one dead letter for it."""
    members = [(f"{i}.json", json_lines(10 * i, 10 * i + 10)) for i in range(4)]
    data = archive(members)
    path = tmp_path_factory.mktemp("cut") / "a.tar"
    path.write_bytes(data[:length])
    found = contents(path)
    ends = list(accumulate(512 + len(data) + -len(data) % 512 for _, data in members))
    whole = sum(end <= length for end in ends)
    assert found.numbers[: 10 * whole] == list(range(10 * whole))
    assert sum(found.reasons.values()) <= 2  # the cut, and a line that it cuts in two
    assert bool(found.rejected) == (length < ends[-1] and length not in ends)


def test_archives_one_after_another(tmp_path: Path) -> None:
    """Archives that were joined are read to the last one."""
    joined = b"".join(archive([("a.json", json_lines(i, i + 2))]) for i in (0, 2, 4))
    (tmp_path / "a.tar").write_bytes(joined)
    assert contents(tmp_path / "a.tar").numbers == list(range(6))


def test_many_small_members_are_few_batches(tmp_path: Path) -> None:
    """Members of JSON lines that stand one after another are read as one text, with or without line feeds."""
    members = [(f"{i}.json", json_lines(i, i + 1).rstrip(b"\n" * (i % 2))) for i in range(300)]
    (tmp_path / "a.tar").write_bytes(archive(members))
    found = contents(tmp_path / "a.tar")
    assert (found.numbers, found.rejected) == (list(range(300)), [])


def test_a_table_too_large_to_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A Parquet file in a layer is held in memory, and one that is too large is refused by its name."""
    monkeypatch.setattr(parts, "HELD_BYTES", 100)
    (tmp_path / "a.tar").write_bytes(archive([("b.parquet", parquet(0, 9))]))
    with pytest.raises(InputError, match=r"a\.tar: b\.parquet: .* parquet inside .* unpack it"):
        contents(tmp_path / "a.tar")


# --- encodings -------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("mark", ["\ufeff", ""])
@pytest.mark.parametrize("block_bytes", [3, 1 << 20])
def test_utf_16(encoding: str, mark: str, block_bytes: int, tmp_path: Path) -> None:
    """UTF-16 is read by its mark or by the zeros beside the first bracket, characters of two units too."""
    text = mark + '{"id": "p0", "text": "one \U0001f600 two"}\r\n' + '{"id": "p1", "text": "é"}\n'
    (tmp_path / "a.jsonl").write_bytes(text.encode(encoding))
    found = contents(tmp_path / "a.jsonl", block_bytes=block_bytes)
    assert [post["text"] for post in found.posts] == ["one \U0001f600 two", "é"]


def test_half_a_pair_of_utf_16(tmp_path: Path) -> None:
    """Half of a surrogate pair costs that character, and half a unit at the end is a dead letter."""
    data = '\ufeff{"id": "p0", "text": "one \ud83d two"}\n'.encode("utf-16-le", "surrogatepass")
    (tmp_path / "a.jsonl").write_bytes(data + b"{")
    found = contents(tmp_path / "a.jsonl")
    assert [post["text"] for post in found.posts] == ["one \ufffd two"]
    assert found.reasons == {"truncated_input": 1}


@given(st.integers(1, 30), st.lists(st.integers(0, 3), min_size=5, max_size=5))
def test_marks_where_files_were_joined(
    tmp_path_factory: pytest.TempPathFactory, block_bytes: int, marks: list[int]
) -> None:
    """Byte order marks before lines cost nothing, wherever blocks end."""
    lines = [b"\xef\xbb\xbf" * n + json_lines(i, i + 1) for i, n in enumerate(marks)]
    path = tmp_path_factory.mktemp("marks") / "a.jsonl"
    path.write_bytes(b"".join(lines))
    found = contents(path, block_bytes=block_bytes)
    assert (found.numbers, found.rejected) == (list(range(5)), [])
