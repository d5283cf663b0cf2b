"""REJECT: one row for every post that did not become a document, and why."""

from typing import Any, Final

import pyarrow as pa

POLICY: Final = "policy"
DUPLICATE: Final = "duplicate"
MALFORMED: Final = "malformed"
ERROR: Final = "error"
"""policy: a filter rejected it; duplicate: it repeats a kept post; malformed: the input is invalid; error:
our code failed."""

REDELIVERED: Final = "redelivered"
EXACT: Final = "exact"
NEAR: Final = "near"
ID_CONFLICT: Final = "id_conflict"
EMPTY_TEXT: Final = "empty_text"
FORGOTTEN: Final = "forgotten"

REJECT = pa.schema(
    [
        pa.field("post_id", pa.string()),
        pa.field("kind", pa.string(), nullable=False),
        pa.field("phase", pa.string(), nullable=False),
        pa.field("stage", pa.string(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),
        pa.field("score", pa.float32()),
        pa.field("threshold", pa.float32()),
        pa.field("detail", pa.string()),
        pa.field("source_file", pa.string(), nullable=False),
        pa.field("source_row", pa.int64(), nullable=False),
        pa.field("duplicate_of", pa.string()),
    ]
)
"""`post_id` is null only where a malformed line gave none; `detail` never holds the text of the post."""

ORIGIN: Final = ["post_id", "source_file", "source_row"]
"""What a reject row says of the post itself."""


def reject_batch(num_rows: int, columns: dict[str, Any]) -> pa.RecordBatch:
    """Returns a REJECT batch of `num_rows`; a scalar fills its column, a missing column is null.

    >>> rows = {"post_id": ["1", "2"], "kind": POLICY, "reason": "too_short", "score": pa.array([3.0, 4.0])}
    >>> rows |= {"phase": "clean", "stage": "min_chars", "source_file": "a.jsonl", "source_row": [0, 1]}
    >>> reject_batch(2, rows).select(["post_id", "kind", "score", "duplicate_of"]).to_pylist()[1]
    {'post_id': '2', 'kind': 'policy', 'score': 4.0, 'duplicate_of': None}
    """
    arrays = []
    for field in REJECT:
        value = columns.get(field.name)
        if isinstance(value, pa.Array):
            arrays.append(value if value.type == field.type else value.cast(field.type))
        elif isinstance(value, list):
            arrays.append(pa.array(value, field.type))
        else:
            arrays.append(pa.repeat(pa.scalar(value, field.type), num_rows))
    return pa.RecordBatch.from_arrays(arrays, schema=REJECT)


def rejects_of(posts: pa.RecordBatch, **columns: Any) -> pa.RecordBatch:
    """Returns a REJECT row for each post, with its id and place; `columns` as `reject_batch` takes them."""
    origin = {name: posts.column(name) for name in ORIGIN}
    return reject_batch(posts.num_rows, origin | columns)
