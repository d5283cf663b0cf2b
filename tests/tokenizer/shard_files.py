"""Shards of given sequences."""

from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa

from sluice.schemas.arrays import Int32s
from sluice.schemas.token_shard import ShardFormat
from sluice.tokenizer.shards import ShardWriter


def write_shard(
    path: Path, batches: Iterable[tuple[Int32s, pa.ListArray]], *, format: ShardFormat
) -> ShardWriter:
    """Writes a shard of (tokens_SL, doc_ends) pairs and returns the finished writer: its sums."""
    with ShardWriter(path, format=format) as writer:
        for tokens_SL, doc_ends in batches:
            writer.write(tokens_SL, doc_ends)
    return writer
