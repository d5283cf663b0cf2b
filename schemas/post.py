"""POST: the Arrow schema of a post, the row that every stage before the tokens works on."""

import numpy as np
import pyarrow as pa

from sluice.schemas.arrays import Int32s, Int64s

MEDIA = pa.list_(pa.struct([(name, pa.string()) for name in ("kind", "key", "alt_text", "link")]))
"""The media of a post: the kind, as the platform calls it; a key or URL; what it shows, in words; and the
link that stands for it in the text: empty where it comes before the text, null where it comes behind."""

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
        pa.field("platform", pa.string()),
        pa.field("root_id", pa.string()),
        pa.field("quoted_id", pa.string()),
        pa.field("reposted_id", pa.string()),
        pa.field("like_count", pa.int64()),
        pa.field("repost_count", pa.int64()),
        pa.field("reply_count", pa.int64()),
        pa.field("quote_count", pa.int64()),
        pa.field("view_count", pa.int64()),
        pa.field("alias_id", pa.string()),
        pa.field("consent", pa.string()),
        pa.field("author_created_at", pa.timestamp("us", tz="UTC")),
        pa.field("author_followers", pa.int64()),
        pa.field("author_automated", pa.bool_()),
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
`alias_id` is another id that versions and notices of the platform name the post by. `consent` names what the
payload says against its use, joined by blanks; it is empty where the payload has a say and refuses nothing,
null where it says nothing.
`row_key` = file index << 40 | place of the post in its file (see `row_keys`), files in the order of
`source_file`. It is the order of a run: unique, and independent of how the input was cut into units.
"""

ROW_BITS = 40
"""Bits of `row_key` that hold the place in the file: 2**24 files of 2**39 records."""
ITEM_BITS = 12
"""Bits of the place that hold `source_item`, in files whose records give many posts."""
MAX_ITEMS = 1 << ITEM_BITS
"""Posts of a record at most."""
MAX_RECORDS_OF_MANY = 1 << (ROW_BITS - 1 - ITEM_BITS)
"""Records of a file at most, where each may give many posts."""
_MANY = 1 << (ROW_BITS - 1)  # set in the keys of files whose records give many posts


def row_keys(file: int, row_N: Int64s, item_N: Int32s | None = None) -> pa.UInt64Array:
    """Returns (N,) uint64, the row keys of posts of a file: their record, and their place in it if given.

    >>> row_keys(0, np.array([5, 6])).to_pylist()
    [5, 6]
    >>> keys = row_keys(3, np.array([5, 5]), np.array([0, 1], np.int32))
    >>> source_rows(keys).to_pylist(), keys[0].as_py() < keys[1].as_py()
    ([5, 5], True)
    """
    place_N = row_N.astype(np.uint64)
    if item_N is not None:
        place_N = np.uint64(_MANY) | place_N << np.uint64(ITEM_BITS) | item_N.astype(np.uint64)
    return pa.array(np.uint64(file) << np.uint64(ROW_BITS) | place_N, pa.uint64())


def source_rows(row_keys: pa.UInt64Array) -> pa.UInt64Array:
    """Returns the record of each `row_key` in its file.

    >>> source_rows(pa.array([7, (3 << ROW_BITS) | 5], pa.uint64())).to_pylist()
    [7, 5]
    """
    place_N = np.asarray(row_keys) & np.uint64(_MANY - 1)
    many_N = np.asarray(row_keys) & np.uint64(_MANY) != 0
    return pa.array(np.where(many_N, place_N >> np.uint64(ITEM_BITS), place_N), pa.uint64())


PLACE_COLUMNS = ("source_file", "source_row", "source_line", "source_item")
"""Where a post stands in the input."""

INPUT_COLUMNS = tuple(n for n in POST.names if n not in (*PLACE_COLUMNS, "row_key"))
"""The columns that a column mapping may fill."""

TIME_COLUMNS = ("created_at", "edited_at", "author_created_at")
"""Those of them that are times."""

COUNT_COLUMNS = (
    *("like_count", "repost_count", "reply_count", "quote_count", "view_count"),
    "author_followers",
)
"""Those of them that are counts."""

FLAG_COLUMNS = ("author_automated",)
"""Those of them that are true or false."""

PAYLOAD_COLUMNS = (
    *("platform", "root_id", "quoted_id", "reposted_id"),
    *("like_count", "repost_count", "reply_count", "quote_count", "view_count"),
    *("alias_id", "consent", "author_created_at", "author_followers", "author_automated"),
)
"""Those that payloads of platforms have: in other inputs they are null, unless the mapping has them."""

OPTIONAL_COLUMNS = ("media", *PAYLOAD_COLUMNS)
"""Those that are read only where something of a run reads them."""

KEPT_COLUMNS = tuple(name for name in POST.names if name not in (*PLACE_COLUMNS, *OPTIONAL_COLUMNS))
"""What every post keeps when it is clean; its place is known by `row_key`. Of the others it keeps those that
a later phase of its run reads."""

DEFAULT_MAPPING: dict[str, tuple[str, ...]] = {
    **{name: (name,) for name in INPUT_COLUMNS},
    **dict.fromkeys(PAYLOAD_COLUMNS, ()),
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
