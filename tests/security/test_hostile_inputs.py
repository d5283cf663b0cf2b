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
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sluice.pipeline.inputs.inventory import cut, find_inputs
from sluice.pipeline.inputs.reader import ReadOptions, read_unit
from sluice.schemas.errors import InputError, SluiceError
from sluice.tokenizer.training.train import freeze

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


def write_bomb(kind: str, folder: Path) -> Path:
    """Writes a small file that decodes to gigabytes."""
    folder.mkdir(exist_ok=True)
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


@pytest.mark.parametrize("kind", ["zeros", "lines", "posts", "parquet", "arrow"])
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
    expected = {"zeros": 1, "lines": 0, "posts": 30, "parquet": ROWS, "arrow": ROWS}
    assert (posts, rejected) == (0, expected[kind])


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
        '{"id":"1","text":"\\ud800"}',
    ],
    ids=["lists", "objects", "id", "number", "exponent", "keys", "surrogate"],
)
def test_json_that_breaks_readers(bad: str, tmp_path: Path) -> None:
    """Depth, digits, keys: the line is a dead letter, and the post after it is read."""
    (tmp_path / "a.jsonl").write_text(bad + '\n{"id":"2","text":"y"}\n')
    assert read(tmp_path / "a.jsonl") == (1, 1)
