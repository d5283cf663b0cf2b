"""TOMBSTONE: the Arrow schema of what an output remembers of posts that `sluice forget` took out of it."""

from typing import Final

import pyarrow as pa

KEY_CHECK: Final = b"sluice.key_check"
"""The key of a file's metadata that holds `IdKey.check`: which key its hashes are of."""

TOMBSTONE: Final = pa.schema(
    [
        pa.field("post_key", pa.string(), nullable=False),
        pa.field("author_key", pa.string()),
        pa.field("num_tokens", pa.int32(), nullable=False),
        pa.field("tokens_key", pa.string()),
        pa.field("forgotten_at", pa.timestamp("us", tz="UTC"), nullable=False),
    ]
)
"""What `OUTPUT/forgotten/*.parquet` hold: a row for each post that was forgotten, copies of it not counted.

- `post_key`: `IdKey.post` of its id. Posts that share an id have a row each.
- `author_key`: `IdKey.author` of its author, where the provenance had it.
- `num_tokens`: of its text, all pieces together, as they stood in sequences: the special tokens that begin
  and end documents and stand between posts are not the post's, and are not counted. 0 where it had none.
- `tokens_key`: `IdKey.tokens` of these tokens in the order of its pieces; null where it had none: it was
  only among the rejects.
- `forgotten_at`: when.
"""
