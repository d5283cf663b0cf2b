"""Reads shards with Hugging Face datasets."""

import tempfile

import numpy as np
import pyarrow as pa
from datasets import Dataset, load_dataset


def main(target: str, *shards: str) -> None:
    """TARGET.npz has the rows, as load_dataset reads them and as they are mapped."""
    with tempfile.TemporaryDirectory() as cache:
        loaded = load_dataset("arrow", data_files=list(shards), split="train", cache_dir=cache)
        loaded = loaded.with_format("numpy")
        ends = [row["doc_ends"] for row in loaded]
        tokens = np.stack([row["tokens"] for row in loaded])
    mapped = Dataset(pa.concat_tables(map(table_of, shards))).with_format("numpy")
    np.savez(
        f"{target}.npz",
        tokens=tokens,
        doc_ends=np.concatenate(ends),
        num_ends=np.array([len(row) for row in ends]),
        mapped=np.stack([row["tokens"] for row in mapped]),
    )


def table_of(shard: str) -> pa.Table:
    return pa.ipc.open_file(pa.memory_map(shard)).read_all()
