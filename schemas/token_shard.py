"""The token shard, version 1: a file of packed sequences for pre-training.

A shard is one Arrow IPC **file** (random access; magic `ARROW1`), uncompressed, so that a reader
maps it and uses the tokens without a copy. Its columns:

- `tokens`: fixed_size_list<item: int32>[sequence_length]. The ids of one sequence, all in
  [0, vocabulary_size). Documents, or parts of one, follow each other from offset 0; after the last
  one the rest is `pad_id`. Inside documents it stands in the places of posts that were taken out since
  (`sluice forget`), and nowhere else: each token of such a post's text is `pad_id`.
- `doc_ends`: list<int32>. Where documents and parts of one end inside the sequence: strictly
  increasing, each in [1, sequence_length]; part k is `tokens[doc_ends[k - 1]:doc_ends[k]]`, the first
  begins at 0. So `cu_seqlens = [0, *doc_ends]`, position ids restart at every end, and the last end is
  where padding begins. Never empty: a sequence has at least one part of a document.

`eod_id` is at ends only. Where the run ends documents with it, a part without it is one that
continues in another sequence, or a document that was truncated; a run may also do without it, or begin
documents with a token of their own, and then `doc_ends` alone says where they are.

Neither column has nulls. Record batches hold `ROWS_PER_BATCH` sequences, the last one the rest, so
sequence i is row i % ROWS_PER_BATCH of batch i // ROWS_PER_BATCH. The schema's metadata holds the
format's version and the numbers of `ShardFormat`, as decimal strings under `sluice.` keys; it holds
no time, host or path: equal content is equal bytes.

The shards of a run are named `tokens-00003-of-00016.arrow`, and all hold the same number of
sequences.
"""

from typing import Any, Final, NamedTuple

import pyarrow as pa

from sluice.schemas.errors import VerifyError

VERSION: Final = 1
ROWS_PER_BATCH: Final = 256

_VERSION_KEY = b"sluice.token_shard"
_PREFIX = b"sluice."


class ShardFormat(NamedTuple):
    """The numbers that a reader of a shard needs; equal in all shards of a run.

    >>> numbers = ShardFormat(sequence_length=4, vocabulary_size=131072, pad_id=0, eod_id=1)
    >>> numbers.schema.field("tokens").type
    FixedSizeListType(fixed_size_list<item: int32>[4])
    >>> ShardFormat.of(numbers.schema) == numbers
    True

    Attributes:
        sequence_length: tokens in a sequence, padding included.
        vocabulary_size: ids are 0 to vocabulary_size - 1.
        pad_id: fills a sequence after its last document.
        eod_id: ends documents, where the run's recipe says so; is nowhere else.
    """

    sequence_length: int
    vocabulary_size: int
    pad_id: int
    eod_id: int

    @property
    def schema(self) -> pa.Schema:
        """The Arrow schema, with its metadata."""
        columns = [
            pa.field("tokens", pa.list_(pa.field("item", pa.int32()), self.sequence_length)),
            pa.field("doc_ends", pa.list_(pa.field("item", pa.int32()))),
        ]
        numbers = {_PREFIX + k.encode(): str(v).encode() for k, v in self._asdict().items()}
        return pa.schema(columns, {_VERSION_KEY: str(VERSION).encode(), **numbers})

    @classmethod
    def of(cls, schema: pa.Schema) -> "ShardFormat":
        """Reads the numbers back from a file's schema.

        Raises:
            VerifyError: the schema is not that of a token shard of this version.
        """
        metadata: dict[bytes, bytes] = schema.metadata or {}
        version = metadata.get(_VERSION_KEY)
        if version is None:
            raise VerifyError(
                "must be a token shard: the schema's metadata has no sluice.token_shard"
            )
        if version != str(VERSION).encode():
            raise VerifyError(f"must be a token shard of version {VERSION}, got {_shown(version)}")
        shard_format = cls(*(_number(metadata, name) for name in cls._fields))
        if not schema.equals(shard_format.schema):
            raise VerifyError(
                f"must have the columns {shard_format.schema.types}, got {schema.types}"
            )
        return shard_format


def shard_name(index: int, *, num_shards: int) -> str:
    """Returns the file name of shard `index`, which counts from 0.

    >>> shard_name(3, num_shards=16)
    'tokens-00003-of-00016.arrow'
    """
    return f"tokens-{index:05d}-of-{num_shards:05d}.arrow"


def _number(metadata: dict[bytes, bytes], name: str) -> int:
    value = metadata.get(_PREFIX + name.encode())
    try:
        return int(value or b"")
    except ValueError:
        raise VerifyError(f"metadata sluice.{name} must be a number, got {_shown(value)}") from None


def _shown(value: Any) -> str:
    return repr(value.decode("utf-8", "replace")) if isinstance(value, bytes) else "nothing"
