"""Notices: JSON objects that are known to hold no post, such as the deletes among the posts of X's streams.

A record is looked at only where it gave neither an id nor a text. It is a notice of the kind that one of its
keys, not those of objects inside it, names.

Source: X, "Consuming streaming data": messages of the v1.1 streams, and events of the compliance streams.
"""

from typing import Any, Final

import numpy as np
import pyarrow as pa

from sluice.pipeline.inputs.jsonl_scan import Lines
from sluice.schemas.arrays import Int64s
from sluice.schemas.counts import ReadTally
from sluice.schemas.kernel import BYTES, kernel, types
from sluice.schemas.payloads.columns import RawPosts

KINDS: Final[dict[str, str]] = {
    **{
        name: name
        for name in (
            *("delete", "scrub_geo", "limit", "status_withheld", "user_withheld", "disconnect"),
            *("warning", "friends", "event", "control", "drop", "undrop", "user_delete"),
            *("user_undelete", "user_protect", "user_unprotect", "user_suspend", "user_unsuspend"),
        )
    },
    "friends_str": "friends",
}
"""Key of an object -> the kind of notice that it is."""

_NAMES = tuple(KINDS)
_NAMES_B = np.frombuffer("".join(_NAMES).encode(), np.uint8)
_OFFSETS_K1 = np.cumsum([0, *map(len, _NAMES)])


def without_notices(raw: RawPosts, lines: Lines, *, first_row: int) -> RawPosts:
    """Returns the rows that are no notices, and the notices counted by kind.

    Args:
        raw: N rows of records of a block.
        lines: the block.
        first_row: `source_row` of its first record.
    """
    row_M = _without_id_and_text(raw)
    if not len(row_M):
        return raw
    at_M = raw.source_row_N[row_M] - first_row
    key_M = np.full(len(row_M), -1, np.int64)
    data_B = np.frombuffer(lines.data, np.uint8)
    _find_keys(data_B, lines.starts_L[at_M], lines.stops_L[at_M], _NAMES_B, _OFFSETS_K1, key_M)
    keys, counts = np.unique(key_M[key_M >= 0], return_counts=True)
    if not len(keys):
        return raw
    tally = ReadTally() if raw.counts is None else raw.counts
    for key, count in zip(keys.tolist(), counts.tolist(), strict=True):
        tally += ReadTally(notices={KINDS[_NAMES[key]]: count})
    stays_N = np.ones(len(raw.source_row_N), np.bool_)
    stays_N[row_M[key_M >= 0]] = False
    mask = pa.array(stays_N)
    columns = {name: values.filter(mask) for name, values in raw.columns.items()}
    return raw._replace(columns=columns, source_row_N=raw.source_row_N[stays_N], counts=tally)


def _without_id_and_text(raw: RawPosts) -> Int64s:
    """Returns (M,) int64, the places of rows that have neither."""
    post_id, text = raw.columns["post_id"], raw.columns["text"]
    if not post_id.null_count or not text.null_count:
        return np.empty(0, np.int64)
    has_none_N = [values.is_null().to_numpy(zero_copy_only=False) for values in (post_id, text)]
    return np.flatnonzero(has_none_N[0] & has_none_N[1])


@kernel(
    types.void(
        BYTES,
        types.int64[::1],
        types.int64[::1],
        BYTES,
        types.int64[::1],
        types.int64[::1],
    )
)
def _find_keys(
    data_B: Any, starts_M: Any, stops_M: Any, names_B: Any, offsets_K1: Any, key_M: Any
) -> None:
    """Sets, for each object, which name is the first of its own keys that has one; the rest stay -1."""
    for index in range(len(starts_M)):
        i, stop = starts_M[index], stops_M[index]
        depth, is_key = 0, False
        while i < stop and key_M[index] < 0:
            c = data_B[i]
            i += 1
            if c == 0x22:
                begin = i
                while i < stop and data_B[i] != 0x22:
                    i += 2 if data_B[i] == 0x5C else 1
                if is_key and depth == 1:
                    for k in range(len(offsets_K1) - 1):
                        size = offsets_K1[k + 1] - offsets_K1[k]
                        same = size == i - begin
                        j = 0
                        while same and j < size:
                            same = data_B[begin + j] == names_B[offsets_K1[k] + j]
                            j += 1
                        if same:
                            key_M[index] = k
                i += 1
                is_key = False
            elif c == 0x7B or c == 0x5B:
                depth += 1
                is_key = c == 0x7B
            elif c == 0x7D or c == 0x5D:
                depth -= 1
            elif c == 0x2C:
                is_key = depth == 1
