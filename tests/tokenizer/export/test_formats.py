"""Megatron's and MDS's files, parsed by hand; test_export_readers.py reads them with the libraries."""

import hashlib
import itertools
import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.tokenizer.export import megatron
from sluice.tokenizer.export.mds import Arrays, MdsWriter
from sluice.tokenizer.export.megatron import MegatronWriter

Item = list[int]
ids = st.integers(0, 2**31 - 1)
items_of = st.lists(st.lists(ids, min_size=1, max_size=9), max_size=30)


def arrays(items: list[Item]) -> Arrays:
    """Returns items as a column."""
    lengths_N = np.array([len(item) for item in items], np.int64)
    return Arrays(np.array([i for item in items for i in item], np.int32), lengths_N)


def batches(items: list[Item], cuts: list[int]) -> list[list[Item]]:
    """Returns the items in batches, some of them empty."""
    edges = sorted(min(cut, len(items)) for cut in [0, *cuts, len(items)])
    return [items[a:b] for a, b in itertools.pairwise(edges)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


# --- Megatron ------------------------------------------------------------------------------------


def parse_megatron(prefix: Path) -> tuple[list[Item], list[int]]:
    """Returns items and document indices, read as the docstring of `megatron.py` says."""
    index, tokens = prefix.with_suffix(".idx").read_bytes(), prefix.with_suffix(".bin").read_bytes()
    assert index[:9] == b"MMIDIDX\0\0"
    version, kind, num_items, num_indices = struct.unpack_from("<QBQQ", index, 9)
    assert (version, kind) == (1, 4)
    numbers = struct.unpack_from(f"<{num_items}i{num_items}q{num_indices}q", index, 34)
    assert len(index) == 34 + 12 * num_items + 8 * num_indices
    lengths, starts = numbers[:num_items], numbers[num_items : 2 * num_items]
    items = [
        list(struct.unpack_from(f"<{length}i", tokens, start))
        for length, start in zip(lengths, starts, strict=True)
    ]
    assert len(tokens) == 4 * sum(lengths)
    return items, list(numbers[2 * num_items :])


@given(items=items_of, cuts=st.lists(st.integers(0, 30), max_size=4), at_once=st.integers(1, 8))
def test_megatron_files(
    items: list[Item], cuts: list[int], at_once: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Items come back, each a document, wherever batches and the steps of the index are cut."""
    prefix = tmp_path_factory.mktemp("megatron") / "tokens"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(megatron, "_ITEMS_AT_ONCE", at_once)
        with MegatronWriter(prefix) as writer:
            for batch in batches(items, cuts):
                writer.write(*arrays(batch))
    assert writer.num_items == len(items)
    assert parse_megatron(prefix) == (items, list(range(len(items) + 1)))
    assert sorted(path.name for path in prefix.parent.iterdir()) == ["tokens.bin", "tokens.idx"]


def test_megatron_index_only_at_a_good_end(folder: Path) -> None:
    """Without the end of the block there is no index, so that no reader takes half for the whole."""
    writer = MegatronWriter(folder / "tokens")
    with pytest.raises(ValueError, match="at least 1"), writer:
        writer.write(*arrays([[]]))
    assert [path.name for path in folder.iterdir()] == ["tokens.bin"]


@pytest.mark.parametrize("lengths", [[1, 1], [3, 0], [4, -1], [2]])
def test_megatron_lengths_must_fit(folder: Path, lengths: list[int]) -> None:
    """Lengths that are not those of the tokens are an error, not a broken file."""
    with MegatronWriter(folder / "tokens") as writer:
        with pytest.raises(ValueError, match="at least 1 and add up"):
            writer.write(np.arange(3, dtype=np.int32), np.array(lengths))
        assert writer.num_items == 0


# --- MDS -----------------------------------------------------------------------------------------


def parse_sample(data: bytes, config: dict[str, Any]) -> dict[str, Item]:
    """Returns the arrays of a sample, read as the docstring of `sluice.tokenizer.export.mds` says."""
    sizes, at = [], 0
    for size in config["column_sizes"]:
        if size is None:
            (size,) = struct.unpack_from("<I", data, at)
            at += 4
        sizes.append(size)
    sample = {}
    for name, size, fixed in zip(
        config["column_names"], sizes, config["column_sizes"], strict=True
    ):
        begin, end = at, at + size
        if fixed is None:
            code = data[at] - 4
            begin += 1 + 2**code
            (number,) = struct.unpack_from("<" + "BHI"[code], data, at + 1)
            assert number == (end - begin) // 4
        sample[name] = list(struct.unpack_from(f"<{(end - begin) // 4}i", data, begin))
        at = end
    assert at == len(data)
    return sample


def parse_shard(data: bytes, config: dict[str, Any]) -> list[dict[str, Item]]:
    """Returns the samples of a shard."""
    (number,) = struct.unpack_from("<I", data)
    offsets = struct.unpack_from(f"<{number + 1}I", data, 4)
    head = data[4 * (number + 2) : offsets[0]]
    assert json.loads(head) == config
    assert offsets[-1] == len(data)
    return [parse_sample(data[a:b], config) for a, b in itertools.pairwise(offsets)]


def parse_mds(folder: Path) -> list[list[dict[str, Item]]]:
    """Returns the samples of every shard, after comparing each with its row in index.json."""
    shards = []
    for row in json.loads((folder / "index.json").read_text())["shards"]:
        data = (folder / row["raw_data"]["basename"]).read_bytes()
        assert row["raw_data"]["bytes"] == len(data)
        assert row["raw_data"]["hashes"] == {"sha256": hashlib.sha256(data).hexdigest()}
        config = {k: v for k, v in row.items() if k not in ("samples", "raw_data", "zip_data")}
        shards.append(parse_shard(data, config))
        assert len(shards[-1]) == row["samples"]
    return shards


@given(
    items=items_of, cuts=st.lists(st.integers(0, 30), max_size=4), size_limit=st.integers(1, 1200)
)
def test_mds_files(
    items: list[Item], cuts: list[int], size_limit: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Samples come back, shards keep to their limit and are as full as they can be."""
    folder = tmp_path_factory.mktemp("mds")
    columns = {"tokens": None, "ends": None, "pair": 2}
    with MdsWriter(folder, columns=columns, size_limit=size_limit) as writer:
        for batch in batches(items, cuts):
            pairs = [[item[0], len(item)] for item in batch]
            ends = [item[::-1] for item in batch]
            writer.write({"tokens": arrays(batch), "ends": arrays(ends), "pair": arrays(pairs)})
    shards = parse_mds(folder)
    expected = [{"ends": i[::-1], "pair": [i[0], len(i)], "tokens": i} for i in items]
    assert [sample for shard in shards for sample in shard] == expected
    assert writer.num_samples == len(items)
    sizes = [path.stat().st_size for path in sorted(folder.glob("*.mds"))]
    # Offset, two sizes, two arrays with two bytes before them, the pair.
    firsts = [4 + 8 + 2 * (2 + 4 * len(shard[0]["tokens"])) + 8 for shard in shards]
    for size, shard in zip(sizes, shards, strict=True):
        assert size <= size_limit or len(shard) == 1
    for size, first in zip(sizes[:-1], firsts[1:], strict=True):
        assert size + first > size_limit


@pytest.mark.parametrize("length", [1, 255, 256, 65_535, 65_536])
def test_mds_lengths_of_arrays(folder: Path, length: int) -> None:
    """The number of values takes 1, 2 or 4 bytes, at its bounds too."""
    items = [[7], list(range(length))]
    with MdsWriter(folder, columns={"tokens": None}) as writer:
        writer.write({"tokens": arrays(items)})
    assert parse_mds(folder) == [[{"tokens": item} for item in items]]


def test_mds_index_only_at_a_good_end(folder: Path) -> None:
    """Without the end of the block there is no index."""
    writer = MdsWriter(folder, columns={"tokens": None})
    with pytest.raises(ValueError, match="at least 1"), writer:
        writer.write({"tokens": arrays([[]])})
    assert not (folder / "index.json").exists()


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"tokens": arrays([[1]])}, r"must have the columns \['pair', 'tokens'\]"),
        ({"tokens": arrays([[1]]), "pair": arrays([])}, "same number of samples"),
        ({"tokens": arrays([[]]), "pair": arrays([[1, 2]])}, "tokens: lengths must be at least 1"),
        ({"tokens": arrays([[1]]), "pair": arrays([[1, 2, 3]])}, "pair: every sample must have 2"),
        (
            {
                "tokens": Arrays(np.arange(3, dtype=np.int32), np.array([2])),
                "pair": arrays([[1, 2]]),
            },
            "tokens: lengths must be at least 1 and add up",
        ),
    ],
)
def test_mds_columns_must_fit(folder: Path, columns: dict[str, Arrays], message: str) -> None:
    """Columns that are not the dataset's, or lengths that are not the values', are an error."""
    with MdsWriter(folder, columns={"tokens": None, "pair": 2}) as writer:
        with pytest.raises(ValueError, match=message):
            writer.write(columns)
        assert writer.num_samples == 0
