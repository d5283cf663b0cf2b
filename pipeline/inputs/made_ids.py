"""Ids of posts that the input does not have, or has once a file only: `input.ids` says how they are made.

Shape suffixes: N rows, B bytes, D hexadecimal digits of an id.
"""

from collections.abc import Mapping
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sluice.filters.text.hashing import hash_texts
from sluice.pipeline.recipes.schema import MADE_IDS, IdRule
from sluice.schemas.payloads.columns import RawPosts
from sluice.schemas.payloads.mapping import ColumnMapping, Sources, column_mapping

OF_POSTS: Final = (
    *("post_id", "in_reply_to_id", "conversation_id", "root_id", "quoted_id", "reposted_id"),
)
"""Columns that name posts, so that where ids count within a file they do so in all of them."""

CONTENT_SEEDS: Final = (3, 4)
"""Of the two hashes that an id of rule `content` is written from; no other hash has these seeds."""

_HEX = np.frombuffer(b"0123456789abcdef", np.uint8)


def id_mapping(columns: Mapping[str, Sources], ids: IdRule) -> ColumnMapping:
    """Returns the column mapping of a recipe; where ids are made, no column is read for them.

    >>> id_mapping({"text": "body"}, "content")["post_id"], id_mapping({}, "column")["post_id"]
    ((), ('post_id', 'id'))

    Raises:
        InputError: see `column_mapping`.
    """
    mapping = column_mapping(columns)
    return {**mapping, "post_id": ()} if ids in MADE_IDS else mapping


def make_ids(raw: RawPosts, *, ids: IdRule, path: str) -> RawPosts:
    """Returns the rows with the ids that a rule gives them.

    `per_file` puts the file before the id, and before the ids of the post that is replied to and of the
    conversation; `file_row` is the file and the row; `content` is 128 bits of hash of the text, as
    32 hexadecimal digits: equal texts have equal ids.

    Args:
        raw: N rows; `post_id` is not looked at by the rules in `MADE_IDS`.
        ids: the recipe's `input.ids`.
        path: of their file, relative to the inputs' root.

    >>> rows = RawPosts({"post_id": pa.array(["7", None])}, np.array([0, 1]))
    >>> make_ids(rows, ids="per_file", path="a.jsonl").columns["post_id"].to_pylist()
    ['a.jsonl:7', None]
    >>> make_ids(rows, ids="file_row", path="a.jsonl").columns["post_id"].to_pylist()
    ['a.jsonl:0', 'a.jsonl:1']
    """
    if ids == "column":
        return raw
    if ids == "content":
        made = {"post_id": content_ids(raw.columns["text"])}
    elif ids == "file_row":
        made = {"post_id": _in_file(path, _places(raw))}
    else:
        named = [name for name in OF_POSTS if name in raw.columns]
        made = {name: _in_file(path, raw.columns[name]) for name in named}
    return raw._replace(columns=raw.columns | made)


def content_ids(texts: pa.StringArray) -> pa.StringArray:
    """Returns (N,) string, never null: an id of 32 hexadecimal digits that only the bytes of a text decide.

    Texts that differ have the same id by chance alone: among 10**12 of them with odds of 1 in 10**15.

    >>> content_ids(pa.array(["", "abc", "abc"])).to_pylist()[1:]
    ['2bd60d36955db7034cae0d84933bc718', '2bd60d36955db7034cae0d84933bc718']
    """
    hash_N2 = np.column_stack([hash_texts(texts, seed=seed) for seed in CONTENT_SEEDS])
    byte_NB = hash_N2.astype(">u8").view(np.uint8).reshape(len(texts), 16)
    digit_ND = np.stack([_HEX[byte_NB >> 4], _HEX[byte_NB & 15]], axis=-1)
    offsets_N1 = np.arange(0, 32 * len(texts) + 1, 32, dtype=np.int32)
    buffers = [None, pa.py_buffer(offsets_N1), pa.py_buffer(np.ascontiguousarray(digit_ND))]
    return pa.Array.from_buffers(pa.string(), len(texts), buffers)


def _places(raw: RawPosts) -> pa.StringArray:
    """Returns the row of each post, and behind it the place in the record of one that is not its first."""
    rows = pa.array(raw.source_row_N).cast(pa.string())
    if raw.source_item_N is None:
        return rows
    items = pc.binary_join_element_wise(rows, pa.array(raw.source_item_N).cast(pa.string()), ":")
    return pc.if_else(pa.array(raw.source_item_N == 0), rows, items)


def _in_file(path: str, ids: pa.StringArray) -> pa.StringArray:
    """Returns ids with the file before them; null and the empty id stay as they are."""
    whole = pc.binary_join_element_wise(pa.scalar(path), ids, ":")
    return pc.if_else(pc.equal(pc.binary_length(ids), 0), ids, whole)
