import hashlib
import json
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import fs

from sluice.schemas.errors import InputError, SluiceError, VerifyError
from sluice.schemas.token_shard import ShardFormat, shard_name
from sluice.tokenizer.loader import files as loader_files
from sluice.tokenizer.loader.files import ShardSet
from tests.tokenizer.shard_files import write_shard

LENGTH = 8
FORMAT = ShardFormat(LENGTH, 2**20, 0, 2)
NUM_SHARDS, EACH = 3, 300


def sequence(number: int) -> tuple[list[int], list[int]]:
    """Returns invented (tokens, ends): the first token says which sequence it is."""
    random = np.random.default_rng(number)
    cuts = random.choice(np.arange(1, LENGTH + 1), size=random.integers(1, 5), replace=False)
    ends = sorted(cuts.tolist())
    tokens = [10 + number, *random.integers(3, 2**20, LENGTH - 1).tolist()]
    for end in ends:
        tokens[end - 1] = tokens[end - 1] if end == 1 else 2
    return [t if k < ends[-1] else 0 for k, t in enumerate(tokens)], ends


def numbers_of(tokens_BL: Any) -> list[int]:
    """Returns which sequences these are, by their first tokens."""
    return [int(first) - 10 for first in tokens_BL[:, 0]]


def write_output(folder: Path, *, num_shards: int, each: int) -> Path:
    """Writes what a loader reads of a run's output, of invented sequences."""
    (folder / "tokens").mkdir(parents=True)
    shards = []
    for shard in range(num_shards):
        rows = [sequence(shard * each + row) for row in range(each)]
        tokens_SL = np.array([tokens for tokens, _ in rows], np.int32)
        ends = pa.array([ends for _, ends in rows], pa.list_(pa.field("item", pa.int32())))
        path = f"tokens/{shard_name(shard, num_shards=num_shards)}"
        made = write_shard(folder / path, [(tokens_SL, ends)], format=FORMAT)
        entry = {"path": path, "bytes": made.num_bytes, "sha256": made.sha256}
        shards.append({**entry, "sequences": each, "tokens": int(tokens_SL.astype(bool).sum())})
    form = {**FORMAT._asdict(), "sequences_per_shard": each}
    manifest = {"manifest_version": 1, "sluice": "0", "format": form, "shards": shards}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    (folder / "COMPLETED").write_text("x\n")
    return folder


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_output(tmp_path_factory.mktemp("files") / "out", num_shards=NUM_SHARDS, each=EACH)


def expected(numbers: list[int]) -> tuple[list[list[int]], list[list[int]]]:
    rows = [sequence(number) for number in numbers]
    return [tokens for tokens, _ in rows], [ends for _, ends in rows]


def ends_of(rows: Any) -> list[list[int]]:
    return pa.ListArray.from_arrays(pa.array(rows.offsets_B1), pa.array(rows.ends_K)).to_pylist()


@given(numbers=st.lists(st.integers(0, NUM_SHARDS * EACH - 1), min_size=1, max_size=12))
def test_rows_are_those_written(output: Path, numbers: list[int]) -> None:
    """Any sequences in any order, repeated or not, come as they were written."""
    rows = ShardSet(output).rows(np.array(numbers))
    assert (rows.tokens_BL.tolist(), ends_of(rows)) == expected(numbers)


@pytest.mark.parametrize(("first", "count"), [(0, 1), (5, 7), (250, 6), (256, 44), (856, 44)])
def test_neighbours_are_views(output: Path, first: int, count: int) -> None:
    """Neighbours of one record batch are the mapped memory itself, and cannot be written."""
    before = pa.total_allocated_bytes()
    numbers = list(range(first, first + count))
    rows = ShardSet(output).rows(np.array(numbers))
    assert (rows.tokens_BL.tolist(), ends_of(rows)) == expected(numbers)
    assert not rows.tokens_BL.flags.writeable
    assert not rows.tokens_BL.flags.owndata
    assert pa.total_allocated_bytes() == before


@pytest.mark.parametrize("numbers", [[255, 256], [299, 300], [4, 3], [3, 5], [3, 3]])
def test_others_are_copies(output: Path, numbers: list[int]) -> None:
    """Two record batches, two shards, and gaps make a copy, which belongs to the caller."""
    rows = ShardSet(output).rows(np.array(numbers))
    assert (rows.tokens_BL.tolist(), ends_of(rows)) == expected(numbers)
    assert rows.tokens_BL.flags.writeable


def in_memory(output: Path) -> tuple[str, fs.FileSystem]:
    memory = fsspec.filesystem("memory")
    memory.put(str(output), "/bucket/run", recursive=True)
    return "bucket/run", fs.PyFileSystem(fs.FSSpecHandler(memory))


PLACES: dict[str, Callable[[Path], tuple[str, fs.FileSystem | None]]] = {
    "path": lambda output: (str(output), None),
    "slash": lambda output: (f"{output}/", None),
    "uri": lambda output: (output.as_uri(), None),
    "subtree": lambda output: (
        output.name,
        fs.SubTreeFileSystem(str(output.parent), fs.LocalFileSystem()),
    ),
    "memory": in_memory,
}


@pytest.mark.parametrize("place", PLACES)
def test_places(output: Path, place: str) -> None:
    """A path, a URI and file systems that cannot be mapped give the same, also after pickling."""
    name, filesystem = PLACES[place](output)
    shards = ShardSet(name, filesystem=filesystem)
    assert shards.is_mapped == (place in ("path", "slash", "uri"))
    assert shards.fingerprint == ShardSet(output).fingerprint
    shards.keep(2)  # fewer than are read below
    numbers = [0, 899, 256, 300, 1, 599, 257]
    for found in (shards, pickle.loads(pickle.dumps(shards))):
        rows = found.rows(np.array(numbers))
        assert (rows.tokens_BL.tolist(), ends_of(rows)) == expected(numbers)


def test_a_path_may_be_relative(output: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was opened by a relative path stays where it is when the process moves."""
    monkeypatch.chdir(output.parent)
    shards = ShardSet(output.name)
    monkeypatch.chdir(output)
    assert numbers_of(shards.rows(np.array([7])).tokens_BL) == [7]


def test_the_fingerprint_is_that_of_the_shards(output: Path, tmp_path: Path) -> None:
    """It stays where only other parts of the manifest change, and changes with a shard's bytes."""
    copy = shutil.copytree(output, tmp_path / "copy")
    manifest = json.loads((copy / "manifest.json").read_text())
    manifest["sluice"] = "another"
    (copy / "manifest.json").write_text(json.dumps(manifest))
    assert ShardSet(copy).fingerprint == ShardSet(output).fingerprint
    manifest["shards"][1]["sha256"] = hashlib.sha256(b"").hexdigest()
    (copy / "manifest.json").write_text(json.dumps(manifest))
    assert ShardSet(copy).fingerprint != ShardSet(output).fingerprint


# --- what is wrong ---------------------------------------------------------------------------


def edit(**changes: Any) -> Callable[[Path], None]:
    """Returns a change of manifest.json by dotted keys, __ for a dot."""

    def change(folder: Path) -> None:
        manifest = json.loads((folder / "manifest.json").read_text())
        for key, value in changes.items():
            *parents, last = [int(k) if k.isdigit() else k for k in key.split("__")]
            at = manifest
            for parent in parents:
                at = at[parent]
            at[last] = value
        (folder / "manifest.json").write_text(json.dumps(manifest))

    return change


def second(folder: Path) -> Path:
    return folder / "tokens" / shard_name(1, num_shards=NUM_SHARDS)


def truncate(folder: Path) -> None:
    os.truncate(second(folder), second(folder).stat().st_size - 100)


def overwrite(data: bytes) -> Callable[[Path], None]:
    """Returns a change of the second shard's first bytes; its size stays."""

    def change(folder: Path) -> None:
        with second(folder).open("r+b") as file:
            file.write(data)
            file.seek(-len(data), os.SEEK_END)
            file.write(data)

    return change


def another(folder: Path, *, num_sequences: int = EACH, form: ShardFormat = FORMAT) -> None:
    """Replaces the second shard by another valid one; its size is in the manifest."""
    rows = [sequence(row) for row in range(num_sequences)]
    tokens_SL = np.array([tokens for tokens, _ in rows], np.int32)
    ends = pa.array([ends for _, ends in rows], pa.list_(pa.field("item", pa.int32())))
    write_shard(second(folder), [(tokens_SL, ends)], format=form)
    edit(shards__1__bytes=second(folder).stat().st_size)(folder)


def ends_outside(folder: Path) -> None:
    """The first end of the second shard's second record batch becomes 1000."""
    data = second(folder).read_bytes()
    ends = np.array([e for n in range(EACH + 256, 2 * EACH) for e in sequence(n)[1]], np.int32)
    at = data.index(ends.tobytes())
    bad = np.array([1000], np.int32).tobytes()
    second(folder).write_bytes(data[:at] + bad + data[at + 4 :])


AT_ONCE = [
    (
        lambda f: (f / "manifest.json").unlink(),
        InputError,
        "finished run, but has no manifest.json",
    ),
    (lambda f: (f / "COMPLETED").unlink(), InputError, "has no COMPLETED: its run did not finish"),
    (
        lambda f: (f / "manifest.json").write_text("{"),
        VerifyError,
        r"manifest.json: must be JSON: .*line 1",
    ),
    (
        lambda f: (f / "manifest.json").write_text("{}"),
        VerifyError,
        r"manifest.json: \$\.manifest_version is missing",
    ),
    (
        lambda f: (f / "manifest.json").write_text("[]"),
        VerifyError,
        r"\$ must be an object, got list",
    ),
    (edit(format__pad_id="0"), VerifyError, r"\$\.format\.pad_id must be of type int, got '0'"),
    (
        edit(shards__1__bytes=True),
        VerifyError,
        r"\$\.shards\[1\]\.bytes must be of type int, got True",
    ),
    (edit(shards__1={}), VerifyError, r"\$\.shards\[1\]\.path is missing"),
    (edit(manifest_version=2), VerifyError, "manifest_version must be 1, got 2"),
    (edit(shards=[], format__sequences_per_shard=0), InputError, "its shards hold no sequence"),
    (edit(shards__1__sequences=7), VerifyError, r"shards\[1\].sequences must be 300, got 7"),
    (edit(shards__0__path="../tokens.arrow"), VerifyError, r"shards\[0\].path must be tokens/"),
    (lambda f: second(f).unlink(), VerifyError, "tokens-00001-of-00003.arrow: is missing"),
    (lambda f: shutil.rmtree(f / "tokens"), VerifyError, "tokens-00000-of-00003.arrow: is missing"),
    (truncate, VerifyError, r"00001-of-00003.arrow: must have \d+ bytes, got \d+"),
]
WHEN_READ = [
    (overwrite(b"garbage!"), r"00001-of-00003.arrow: .*Arrow file"),
    (lambda f: another(f, num_sequences=200), "must have 2 record batches .* got 1 of"),
    (lambda f: another(f, num_sequences=299), "record batch 1: must have 44 rows, got 43"),
    (
        lambda f: another(f, form=FORMAT._replace(eod_id=3)),
        r"00001-of-00003.arrow: must have .*eod_id=2\), got .*eod_id=3",
    ),
    (ends_outside, "shard 1, record batch 1: doc_ends must increase inside"),
]


@pytest.mark.parametrize(("change", "kind", "message"), AT_ONCE)
def test_what_is_refused_at_once(
    output: Path,
    tmp_path: Path,
    change: Callable[[Path], None],
    kind: type[SluiceError],
    message: str,
) -> None:
    """An output that is not whole is refused before anything is read, and the message names the file."""
    copy = shutil.copytree(output, tmp_path / "copy")
    change(copy)
    with pytest.raises(kind, match=message) as failure:
        ShardSet(copy)
    assert str(copy) in str(failure.value)


@pytest.mark.parametrize(("change", "message"), WHEN_READ)
def test_what_is_refused_when_read(
    output: Path, tmp_path: Path, change: Callable[[Path], None], message: str
) -> None:
    """A shard that is not what its manifest says is refused when it is read; no other is in its way."""
    copy = shutil.copytree(output, tmp_path / "copy")
    change(copy)
    shards = ShardSet(copy)
    assert numbers_of(shards.rows(np.array([EACH - 1])).tokens_BL) == [EACH - 1]
    with pytest.raises(VerifyError, match=message) as failure:
        shards.rows(np.array([EACH + 256]))
    assert str(copy) in str(failure.value)


def test_a_file_that_goes_away(output: Path, tmp_path: Path) -> None:
    """A shard that can no longer be opened is an error of its own, not one of what it holds."""
    copy = shutil.copytree(output, tmp_path / "copy")
    shards = ShardSet(copy)
    second(copy).unlink()
    with pytest.raises(InputError, match=r"00001-of-00003.arrow: cannot be read: "):
        shards.rows(np.array([EACH]))


@pytest.mark.parametrize(("limit", "expected"), [(100, 50), (10**6, 4096), (-1, 4096)])
def test_open_files_stay_below_the_limit(
    limit: int, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half of what the process may open, 4,096 at most, also where there is no limit."""
    monkeypatch.setattr(loader_files.resource, "getrlimit", lambda which: (limit, limit))
    assert loader_files._max_open_shards() == expected


def test_few_open_files_do(output: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With one open shard and one view at hand, what was given before stays whole."""
    monkeypatch.setattr(loader_files, "MAX_OPEN_SHARDS", 1)
    shards = ShardSet(output)
    shards.keep(1)
    numbers = [0, 300, 600, 1, 301]
    given = [shards.rows(np.array([number])) for number in numbers]
    assert [rows.tokens_BL[0].tolist() for rows in given] == expected(numbers)[0]


def test_unknown_places(tmp_path: Path) -> None:
    """A folder that is not there, and a URI of no file system, are refused."""
    with pytest.raises(InputError, match=r"nowhere: must be the output of a finished run"):
        ShardSet(tmp_path / "nowhere")
    with pytest.raises(InputError, match="must be a folder or a URI"):
        ShardSet("gopher://bucket/run")
