"""Reads datasets with mosaicml-streaming, and writes them again with it."""

import json
from pathlib import Path

import numpy as np
from streaming import LocalDataset, MDSWriter, StreamingDataset


def main(folder: str, target: str) -> None:
    """TARGET.npz has the values of every column and the length of each sample's array, and the sums of
    samples in an epoch and in order; TARGET is the folder that MDSWriter makes of the samples.
    """
    read = LocalDataset(folder)
    samples = [read[i] for i in range(len(read))]
    saved = {}
    for name in samples[0]:
        arrays = [sample[name] for sample in samples]
        saved[name] = np.concatenate(arrays)
        saved[f"{name}_lengths"] = np.array([len(array) for array in arrays])
    epoch = StreamingDataset(local=folder, batch_size=1, shuffle=True, validate_hash="sha256")
    saved["epoch"] = np.sort([sample["tokens"].sum() for sample in epoch])
    saved["once"] = np.sort([sample["tokens"].sum() for sample in samples])
    np.savez(f"{target}.npz", **saved)
    rewrite(samples, json.loads((Path(folder) / "index.json").read_text())["shards"][0], target)


def rewrite(samples: list[dict[str, np.ndarray]], index: dict[str, object], target: str) -> None:
    columns = dict(zip(index["column_names"], index["column_encodings"], strict=True))
    settings = {"hashes": index["hashes"], "size_limit": index["size_limit"]}
    with MDSWriter(out=target, columns=columns, **settings) as writer:
        for sample in samples:
            writer.write(sample)
