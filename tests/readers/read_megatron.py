"""Reads datasets with megatron-core, and writes them again with it."""

import numpy as np
import torch
from megatron.core.datasets.indexed_dataset import IndexedDataset, IndexedDatasetBuilder


def main(prefix: str, target: str) -> None:
    """TARGET.npz has what IndexedDataset sees; TARGET.bin and .idx are what its builder makes of it."""
    read = IndexedDataset(prefix)
    items = [read[i] for i in range(len(read))]
    np.savez(
        f"{target}.npz",
        tokens=np.concatenate(items),
        lengths=read.sequence_lengths,
        document_indices=read.document_indices,
    )
    builder = IndexedDatasetBuilder(f"{target}.bin", dtype=np.int32)
    for item in items:
        builder.add_item(torch.from_numpy(item.copy()))
        builder.end_document()
    builder.finalize(f"{target}.idx")
