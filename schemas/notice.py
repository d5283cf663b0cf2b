"""NOTICES: the Arrow schema of what platforms say of posts and authors, where a run acts on it."""

from typing import Final

import pyarrow as pa

NOTICES: Final = pa.schema(
    [
        pa.field("platform", pa.string()),
        pa.field("kind", pa.string(), nullable=False),
        pa.field("act", pa.string(), nullable=False),
        pa.field("id", pa.string()),
        pa.field("author_id", pa.string()),
        pa.field("time", pa.timestamp("us", tz="UTC")),
        pa.field("source_row", pa.int64(), nullable=False),
    ]
)
"""A notice that acts: its kind and what it does (`sluice.schemas.payloads.format.ACTS`), the post that it is
about or, where `id` is null, the author, when it was given, null where it does not say, and its record."""

DELETIONS: Final = pa.schema(
    [
        pa.field("platform", pa.string()),
        pa.field("id", pa.string()),
        pa.field("author_id", pa.string()),
        pa.field("time", pa.timestamp("us", tz="UTC")),
    ]
)
"""What `OUTPUT/deletions/*.parquet` hold: posts to be used no more or, where `id` is null, authors."""


def no_notices() -> pa.RecordBatch:
    """Returns a batch of NOTICES without a row."""
    return pa.RecordBatch.from_pylist([], schema=NOTICES)
