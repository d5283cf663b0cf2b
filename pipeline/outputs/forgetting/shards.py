"""Token shards without some posts: padding in their places, and each shard replaced as a whole.

Shape suffixes: P places.
"""

from typing import NamedTuple

import numpy as np

from sluice.pipeline.outputs.forgetting.replace import replacing
from sluice.pipeline.storage import files as storage
from sluice.pipeline.storage import local_copies
from sluice.pipeline.storage.sealed import file_digest
from sluice.schemas.manifest import ContractFile
from sluice.schemas.token_shard import ROWS_PER_BATCH
from sluice.tokenizer.places import TokenPlaces, overwritten
from sluice.tokenizer.shards import ShardBatch, ShardReader, ShardWriter


def replace_shard(
    output: str, name: str, places: TokenPlaces, *, stay: tuple[int, ...], pad_id: int
) -> ContractFile:
    """Replaces a shard by one with padding in some places, unless it is such a one; returns what it is then.

    A shard is read and written a record batch at a time.

    Args:
        output: the folder.
        name: of the shard in it.
        places: of the posts, P of them.
        stay: ids of tokens that are no post's, and stay.
        pad_id: of padding.
    """
    write, path = _Overwriting(places, stay, pad_id), storage.join(output, name)
    with local_copies.scope():
        shard = ShardReader(local_copies.fetch(path))
        if write.is_done(shard):
            return described(output, name)
        with replacing(path) as written, ShardWriter(written, format=shard.format) as writer:
            for index in range(shard.num_batches):
                writer.write(*write.batch(shard, index)[0])
    return ContractFile(path=name, bytes=writer.num_bytes, sha256=writer.sha256)


class _Overwriting(NamedTuple):
    """What is overwritten in a shard."""

    places: TokenPlaces
    stay: tuple[int, ...]
    pad_id: int

    def is_done(self, shard: ShardReader) -> bool:
        """Returns whether all of the places hold padding."""
        batches = np.unique(self.places.sequence_P // ROWS_PER_BATCH).tolist()
        return all(self.batch(shard, index)[1] for index in batches)

    def batch(self, shard: ShardReader, index: int) -> tuple[ShardBatch, bool]:
        """Returns a record batch without the posts, and whether it is as it was."""
        batch, first = shard.batch(index), index * ROWS_PER_BATCH
        there = self.places.among(first, first + len(batch.tokens_SL))
        if not len(there.sequence_P):
            return batch, True
        after_SL = overwritten(batch.tokens_SL, there, stay=self.stay, pad_id=self.pad_id)
        return ShardBatch(after_SL, batch.doc_ends), np.array_equal(after_SL, batch.tokens_SL)


def described(output: str, name: str) -> ContractFile:
    """Returns a file of an output as it is."""
    size, sha256 = file_digest(storage.join(output, name))
    return ContractFile(path=name, bytes=size, sha256=sha256)
