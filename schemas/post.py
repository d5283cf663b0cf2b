"""POST: the Arrow schema of a post, the row that every stage before the tokens works on."""

import pyarrow as pa
import pyarrow.compute as pc

MEDIA = pa.list_(
    pa.struct([("kind", pa.string()), ("key", pa.string()), ("alt_text", pa.string())])
)

POST = pa.schema(
    [
        pa.field("post_id", pa.string(), nullable=False),
        pa.field("text", pa.string(), nullable=False),
        pa.field("created_at", pa.timestamp("us", tz="UTC")),
        pa.field("author_id", pa.string()),
        pa.field("declared_lang", pa.string()),
        pa.field("in_reply_to_id", pa.string()),
        pa.field("conversation_id", pa.string()),
        pa.field("source", pa.string()),
        pa.field("edited_at", pa.timestamp("us", tz="UTC")),
        pa.field("media", MEDIA),
        pa.field("source_file", pa.string(), nullable=False),
        pa.field("source_row", pa.int64(), nullable=False),
        pa.field("source_line", pa.int64()),
        pa.field("source_item", pa.int32()),
        pa.field("row_key", pa.uint64(), nullable=False),
    ]
)
"""What a reader yields. `post_id` and `text` are required of the input, the rest is null where it has none.

`source_file` is relative to the longest common folder of the inputs, `source_row` the 0-based ordinal of the
record in it, `source_line` the 0-based line that the record begins in, null where the file has no lines, and
`source_item` the post's place in its record, 0 where that is one post.
`row_key` = file index << 40 | ordinal of the post in its file, files in the order of `source_file`.
`row_key` is the order of a run: unique, and independent of how the input was cut into units.
"""

ROW_BITS = 40
"""Bits of `row_key` that hold the row; 2**24 files of 2**40 rows."""


def source_rows(row_keys: pa.UInt64Array) -> pa.UInt64Array:
    """Returns the row of each `row_key` in its file.

    >>> source_rows(pa.array([7, (3 << ROW_BITS) | 5], pa.uint64())).to_pylist()
    [7, 5]
    """
    return pc.bit_wise_and(row_keys, pa.scalar((1 << ROW_BITS) - 1, pa.uint64()))


PLACE_COLUMNS = ("source_file", "source_row", "source_line", "source_item")
"""Where a post stands in the input."""

INPUT_COLUMNS = tuple(n for n in POST.names if n not in (*PLACE_COLUMNS, "row_key"))
"""The columns that a column mapping may fill."""

TIME_COLUMNS = ("created_at", "edited_at")
"""Those of them that are times."""

DEFAULT_MAPPING: dict[str, tuple[str, ...]] = {
    **{name: (name,) for name in INPUT_COLUMNS},
    "post_id": ("post_id", "id"),
    "text": (
        *("note_tweet.text", "note_tweet.note_tweet_results.result.text"),
        *("extended_tweet.full_text", "full_text", "text", "body", "selftext"),
    ),
    "created_at": ("created_at", "created_utc", "createdAt", "timestamp", "published_at", "date"),
    "author_id": ("author_id", "author.id", "user_id", "user.id_str", "user.id", "author"),
    "declared_lang": ("declared_lang", "lang"),
    "in_reply_to_id": (
        *("in_reply_to_id", "in_reply_to_status_id_str", "in_reply_to_status_id", "parent_id"),
        "referenced_tweets.replied_to.id",
    ),
    "conversation_id": ("conversation_id", "link_id"),
}
"""POST column -> names it is looked for under; the first that is not null gives a row's value.

A name with points is inside another (or stands so in the input). The whole text of a long post of X comes
before the `text` that X cuts; `body`, `created_utc`, `author`, `parent_id` and `link_id` are Reddit's.
"""
