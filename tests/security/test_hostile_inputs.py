"""Hostile input files: nothing in them runs, and none makes a reader grow without bound or go on for ever."""

import contextlib
import gzip
import io
import json
import os
import pickle
import struct
import subprocess
import sys
import tarfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from sluice.pipeline.inputs.inventory import cut, find_inputs
from sluice.pipeline.inputs.reader import ReadOptions, read_unit
from sluice.schemas.errors import InputError, SluiceError
from sluice.tokenizer.training.train import freeze
from tests.pipeline.inputs.containers import CODECS, archive, contents

ROWS = 20_000


class Poison:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


@pytest.fixture
def poison(tmp_path: Path) -> bytes:
    pickled = pickle.dumps(Poison(tmp_path / "ran"))
    pickle.loads(pickled)
    (tmp_path / "ran").rmdir()  # it works
    return pickled


def read(path: Path) -> tuple[int, int]:
    """Returns the posts and the dead letters of a file."""
    inventory = find_inputs([str(path)])
    posts = rejected = 0
    for unit in cut(inventory):
        for batch in read_unit(inventory.root, unit, ReadOptions()):
            posts, rejected = posts + batch.posts.num_rows, rejected + batch.rejected.num_rows
    return posts, rejected


def columns(rows: int = 2) -> dict[str, pa.Array]:
    ids = pa.array(np.arange(rows).astype(str))
    return {"id": ids, "text": ids}


@pytest.mark.parametrize("name", ["a.parquet", "a.arrow", "a.jsonl.gz", "a.jsonl.zst", "a.jsonl"])
def test_a_pickle_by_another_name(poison: bytes, name: str, tmp_path: Path) -> None:
    """A pickle that is called a file of posts is refused, or gives dead letters; it does not run."""
    (tmp_path / name).write_bytes(poison)
    with contextlib.suppress(InputError):
        assert read(tmp_path / name)[0] == 0
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("kind", ["arrow", "stream", "parquet"])
@pytest.mark.parametrize("extension", ["arrow.py_extension_type", "pandas.period", "arrow.opaque"])
def test_extension_types_are_not_unpickled(
    poison: bytes, kind: str, extension: str, tmp_path: Path
) -> None:
    """A type of Arrow that carries a pickle, and pandas metadata that do, are bytes to us."""
    metadata = {b"ARROW:extension:name": extension.encode(), b"ARROW:extension:metadata": poison}
    table = pa.table({**columns(), "source": columns()["id"]})
    fields = [
        field.with_metadata(metadata if field.name == "source" else None) for field in table.schema
    ]
    table = table.cast(pa.schema(fields, metadata={b"pandas": poison, b"huggingface": poison}))
    path = tmp_path / ("a.parquet" if kind == "parquet" else "a.arrow")
    if kind == "parquet":
        pq.write_table(table, path)
    else:
        new = pa.ipc.new_file if kind == "arrow" else pa.ipc.new_stream
        with new(str(path), table.schema) as writer:
            writer.write_table(table)
    with contextlib.suppress(InputError):
        assert read(path) == (2, 0)
    assert not (tmp_path / "ran").exists()


def test_a_poisoned_tokenizer(poison: bytes, tmp_path: Path) -> None:
    """A frozen tokenizer that is a pickle, or JSON of endless depth, is an error."""
    for text in (poison, b"[" * 1_000_000, b'{"model":' * 100_000):
        (tmp_path / "tokenizer.json").write_bytes(text)
        with pytest.raises((SluiceError, ValueError)):
            freeze(str(tmp_path / "tokenizer.json"), output=tmp_path / "made")
    assert not (tmp_path / "ran").exists()


# --- sizes that are not true -----------------------------------------------------------------


def dictionary(texts: int, rows: int = ROWS) -> pa.DictionaryArray:
    """Returns rows that are all the one text of a dictionary."""
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(rows, np.int32)), ["x" * texts])


def write_layered(kind: str, folder: Path) -> Path:
    """Writes a small file of a codec or an archive that decodes to hundreds of megabytes."""
    zeros = bytes(200 << 20)
    if kind == "tar":
        members = [(f"{i}.json", b"x" * (30 << 20)) for i in range(5)]
        packed = gzip.compress(archive([("a.json.gz", gzip.compress(zeros, 1)), *members]), 9)
    elif kind == "window":
        parameters = zstandard.ZstdCompressionParameters(window_log=31)
        packed = zstandard.ZstdCompressor(compression_params=parameters).compress(zeros)
        packed = (
            packed[:4] + b"\x00" + bytes([21 << 3]) + packed[4:][-3:]
        )  # no size, a window of 2 GiB
    else:
        packed = CODECS[kind](zeros)
    name = {"tar": "a.tar.gz", "window": "a.json.zst"}.get(kind, f"a.json.{kind}")
    (folder / name).write_bytes(packed)
    return folder / name


def write_bomb(kind: str, folder: Path) -> Path:
    """Writes a small file that decodes to gigabytes."""
    folder.mkdir(exist_ok=True)
    if kind in ("bz2", "xz", "zst", "tar", "window"):
        return write_layered(kind, folder)
    if kind in ("zeros", "lines", "posts"):
        block = {
            "zeros": bytes(1 << 20),
            "lines": b"\n" * (1 << 20),
            "posts": b'{"id":"1","text":"' + b"a" * (7 << 20) + b'"}\n',
        }[kind]
        with gzip.open(folder / "a.jsonl.gz", "wb", compresslevel=1) as file:
            for _ in range({"zeros": 400, "lines": 30, "posts": 30}[kind]):
                file.write(block)
        return folder / "a.jsonl.gz"
    if kind == "parquet":
        pq.write_table(
            pa.table({**columns(ROWS), "text": dictionary(300_000)}), folder / "a.parquet"
        )
        return folder / "a.parquet"
    table = pa.table({**columns(ROWS), "text": dictionary(300_000)})
    with pa.ipc.new_file(str(folder / "a.arrow"), table.schema) as writer:
        writer.write_table(table)
    return folder / "a.arrow"


@pytest.mark.parametrize(
    "kind",
    ["zeros", "lines", "posts", "parquet", "arrow", "bz2", "xz", "zst", "tar", "window"],
)
def test_a_bomb_is_read_in_bounded_memory(kind: str, tmp_path: Path) -> None:
    """A file of at most 2 MB that decodes to up to 6 GB makes its reader grow by 400 MiB at most."""
    path = write_bomb(kind, tmp_path)
    assert path.stat().st_size < 2_000_000
    code = (
        "import resource, sys; from pathlib import Path\n"
        "from tests.security.test_hostile_inputs import read\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss; print(*read(Path(sys.argv[1])))\n"
        "print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) >> 10)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code, path], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    (posts, rejected), (grown,) = (map(int, line.split()) for line in ran.stdout.splitlines())
    assert grown < 400
    expected = {"lines": 0, "posts": 30, "parquet": ROWS, "arrow": ROWS, "tar": 6}
    assert (posts, rejected) == (0, expected.get(kind, 1))


def test_a_window_beyond_all_bounds(tmp_path: Path) -> None:
    """A Zstandard frame that wants a window of 3.75 TiB is one dead letter that says so."""
    header = b"\x28\xb5\x2f\xfd\x00" + bytes([31 << 3 | 7])
    (tmp_path / "a.json.zst").write_bytes(zstandard.compress(b'{"id":"1","text":"a"}') + header)
    found = contents(tmp_path / "a.json.zst")
    assert [(r["reason"], r["detail"]) for r in found.rejected] == [
        ("corrupt_input", "a window of 4,123,168,604,160 bytes")
    ]


def test_an_archive_of_many_empty_members(tmp_path: Path) -> None:
    """100,000 members of no bytes, 5 kB on the disk, are passed over in less than ten seconds of CPU."""
    member = archive([("a.json", b"")])[:512]
    (tmp_path / "a.tar.zst").write_bytes(zstandard.compress(member * 100_000))
    before = time.process_time()
    assert read(tmp_path / "a.tar.zst") == (0, 0)
    assert time.process_time() - before < 10


@pytest.mark.parametrize("kind", [b"0", b"x", b"L"])
@pytest.mark.parametrize("size", [b"77777777777\0", b"\x80" + bytes(3) + b"\x7f" * 8])
def test_an_archive_that_lies_about_sizes(kind: bytes, size: bytes, tmp_path: Path) -> None:
    """A member, a name or a header that claims gigabytes is one dead letter; nothing is held for it."""
    block = bytearray(archive([("a.json", b"")])[:512])
    block[124:136], block[156:157] = size, kind
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    posts = archive([("b.json", b'{"id":"1","text":"a"}\n')])[: 2 * 512]
    (tmp_path / "a.tar").write_bytes(posts + bytes(block) + b"{}\n" * 100)
    found = contents(tmp_path / "a.tar")
    assert [post["post_id"] for post in found.posts] == ["1"]
    assert found.reasons.keys() <= {"truncated_input", "corrupt_input", "missing_post_id"}
    assert found.reasons["truncated_input"] + found.reasons["corrupt_input"] == 1


def test_a_sparse_member_is_left_out(tmp_path: Path) -> None:
    """A member that says it is sparse, and so of any size, is left out and counted."""
    for name, block in sparse_members().items():
        posts = archive([("b.json", b'{"id":"1","text":"a"}\n')])
        (tmp_path / name).write_bytes(block + posts)
        found = contents(tmp_path / name)
        assert (len(found.posts), found.rejected) == (1, [])
        assert found.counts.left_out == {"a sparse file": 1}


def sparse_members() -> dict[str, bytes]:
    """Returns a sparse member as GNU tar wrote it, and as PAX records say it."""
    old = bytearray(archive([("a.json", b"x" * 512)])[:1024])
    old[156:157], old[148:156] = b"S", b" " * 8
    old[148:156] = b"%06o\0 " % sum(old[:512])
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as tar:
        info = tarfile.TarInfo("a.json")
        info.size, info.pax_headers = 1, {"GNU.sparse.major": "1", "GNU.sparse.realsize": "9" * 15}
        tar.addfile(info, io.BytesIO(b"x"))
    return {"old.tar": bytes(old), "pax.tar": file.getvalue()}


def test_an_arrow_header_that_lies(tmp_path: Path) -> None:
    """A batch that says it has 10^12 rows is an error, not 10^12 dead letters."""
    with pa.ipc.new_file(str(tmp_path / "a.arrow"), pa.table(columns()).schema) as writer:
        writer.write_table(pa.table(columns(12_345)))
    true, false = struct.pack("<q", 12_345), struct.pack("<q", 10**12)
    (tmp_path / "a.arrow").write_bytes((tmp_path / "a.arrow").read_bytes().replace(true, false))
    with pytest.raises(InputError, match=r"a\.arrow: its header claims 1,000,000,000,000 rows"):
        read(tmp_path / "a.arrow")


def test_a_parquet_footer_that_lies(tmp_path: Path) -> None:
    """Nor is a row group that says so."""
    pq.write_table(pa.table(columns(12_345)), tmp_path / "a.parquet")
    data = (tmp_path / "a.parquet").read_bytes()
    start = len(data) - 8 - struct.unpack("<I", data[-8:-4])[0]
    footer = data[start:-8].replace(varint(12_345), varint(10**12))
    size = struct.pack("<I", len(footer))
    (tmp_path / "a.parquet").write_bytes(data[:start] + footer + size + b"PAR1")
    with pytest.raises(InputError, match=r"a\.parquet: its header claims 1,000,000,000,000 rows"):
        read(tmp_path / "a.parquet")


def varint(number: int) -> bytes:
    """Returns a number as Thrift's compact protocol writes it."""
    number, encoded = number << 1, io.BytesIO()
    while number > 127:
        encoded.write(bytes([number & 127 | 128]))
        number >>= 7
    encoded.write(bytes([number]))
    return encoded.getvalue()


@pytest.mark.parametrize(
    "bad",
    [
        '{"id":"1","text":"x","a":' + "[" * 200_000 + "]" * 200_000 + "}",
        '{"id":"1","text":"x","a":' + '{"a":' * 200_000 + "1" + "}" * 200_001,
        '{"id":' + "9" * 1_000_000 + ',"text":null}',
        '{"id":"1","text":' + "9" * 1_000_000 + "}",
        '{"id":"1","text":1e999999999}',
        json.dumps({"id": "1", "text": None, **dict.fromkeys(map(str, range(50_000)), 0)}),
    ],
    ids=["lists", "objects", "id", "number", "exponent", "keys"],
)
def test_json_that_breaks_readers(bad: str, tmp_path: Path) -> None:
    """Depth, digits, keys: the line is a dead letter, and the post after it is read."""
    (tmp_path / "a.jsonl").write_text(bad + '\n{"id":"2","text":"y"}\n')
    assert read(tmp_path / "a.jsonl") == (1, 1)


TEXTS = {
    "an array without an end": (b'[{"id":"1","text":"x"},', b"[" * 8),
    "a string without an end": (b'[{"id":"1","text":"x"},{"text":"', b"xxxxxxxx"),
    "objects that break at once": (b'{"id":"1","text":"x"}{"id":"2"}', b'{"x" {"x" '),
    "lines that nest": (b'[{"id":"1","text":"x"},', b'{"x":[\n'),
    "a CSV of one quote": (b'id,text\n1,x\n"', b"xxxxxxxx"),
    "a CSV of quotes": (b"id,text\n1,x\n", b'""""""""'),
    "a CSV of one line": (b"id,text\n1,x\n", b",,,,,,,,"),
    "quotes that never fit": (b"id,text\n1,x\n", b'"""a\n'),
}


@pytest.mark.parametrize("kind", TEXTS)
def test_a_text_that_never_ends_well(kind: str, tmp_path: Path) -> None:
    """Records that are broken to the last byte cost time by their bytes, and the sound one is read."""
    head, repeated = TEXTS[kind]
    path = tmp_path / ("a.csv" if b"id,text" in head else "a.json")
    seconds = []
    for num_bytes in (250_000, 1_000_000):
        path.write_bytes(head + repeated * (num_bytes // len(repeated)))
        start = time.process_time()
        posts, rejected = read(path)
        seconds.append(time.process_time() - start)
        assert posts >= 1
        assert rejected >= 1
    assert seconds[1] < 12 * seconds[0] + 1


@pytest.mark.parametrize("line", [b"\n", b'{"a":[\n', b'{"a":"\n', b"{", b'{"a":1,\n', b"[[[["])
def test_a_text_that_says_of_no_format_what_it_is(line: bytes, tmp_path: Path) -> None:
    """Megabytes of blanks, or of objects that do not end, are looked at in bounded time: CI ends."""
    first = b"" if line.strip() else b'{"id":"1","text":"a"}\n'
    (tmp_path / "a.json").write_bytes(first + line * (4_000_000 // len(line)))
    begun = time.process_time()
    (file,) = find_inputs([str(tmp_path / "a.json")]).files
    assert file.payload == "rows"
    assert time.process_time() - begun < 30
