"""Labels of links that are their addresses, shortened for the eye: the whole address is the text.

Hacker News, Bluesky and X cut long addresses and end them with three points or an ellipsis.
"""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sluice.schemas.arrays import Int64s
from sluice.schemas.kernel import BYTES, OFFSETS, kernel, types, utf8_array, utf8_view

_TEXTS = (BYTES, types.int64, types.int64)
_LABELS = ((types.uint8[::1], types.int64, types.int64), _TEXTS)


@kernel(*(types.boolean(*label) for label in _LABELS))
def has_ellipsis(label_B: Any, first: Any, stop: Any) -> Any:
    """Returns whether a label ends with three points or an ellipsis, behind something else."""
    if stop - first < 4:
        return False
    a, b, c = label_B[stop - 3], label_B[stop - 2], label_B[stop - 1]
    return (a == 0x2E and b == 0x2E and c == 0x2E) or (a == 0xE2 and b == 0x80 and c == 0xA6)


@kernel(*(types.boolean(*label, *_TEXTS) for label in _LABELS))
def is_shortened(label_B: Any, first: Any, stop: Any, data_B: Any, i: Any, end: Any) -> Any:
    """Returns whether a label is the beginning of an address, with or without `https://` and `www.`."""
    if not has_ellipsis(label_B, first, stop):
        return False
    stop -= 3
    bare = _after(data_B, i, end, np.int64(0))
    return (
        _starts_with(label_B, first, stop, data_B, i, end)
        or _starts_with(label_B, first, stop, data_B, bare, end)
        or _starts_with(label_B, first, stop, data_B, _after(data_B, bare, end, np.int64(1)), end)
    )


@kernel(*(types.boolean(*label, *_TEXTS) for label in _LABELS))
def _starts_with(label_B: Any, first: Any, stop: Any, data_B: Any, i: Any, end: Any) -> Any:
    """Returns whether the bytes at i begin with those of a text."""
    if stop - first > end - i:
        return False
    k = np.int64(0)
    while k < stop - first and label_B[first + k] == data_B[i + k]:
        k += 1
    return k == stop - first


@kernel(types.int64(*_TEXTS, types.int64))
def _after(data_B: Any, i: Any, end: Any, which: Any) -> Any:
    """Returns where an address goes on after its scheme (0) or www. (1), if it has that."""
    if which == 1:
        if end - i > 4 and data_B[i] == 0x77 and data_B[i + 1] == 0x77 and data_B[i + 2] == 0x77:
            return i + 4 if data_B[i + 3] == 0x2E else i
        return i
    j = i
    for c in (0x68, 0x74, 0x74, 0x70):
        if j >= end or data_B[j] != c:
            return i
        j += 1
    if j < end and data_B[j] == 0x73:
        j += 1
    for c in (0x3A, 0x2F, 0x2F):
        if j >= end or data_B[j] != c:
            return i
        j += 1
    return j


def whole_links(
    texts: pa.StringArray, rows_M: Int64s, spans_M2: Int64s, addresses: pa.StringArray
) -> pa.StringArray:
    r"""Returns texts with addresses in place of labels that are shortened; other links stay as they are.

    Args:
        texts: (N,) string.
        rows_M: (M,) int64, the text of each link, ascending; links of a text in their order.
        spans_M2: (M, 2) int64, bytes of its text: where the label begins and ends. What is out of bounds or
            begins before the end of the link before it is nothing.
        addresses: (M,) string.

    >>> rows_M, spans_M2 = np.array([0]), np.array([[4, 12]])
    >>> whole_links(pa.array(["see a.b/c... now"]), rows_M, spans_M2, pa.array(["http://a.b/cd"])).to_pylist()
    ['see http://a.b/cd now']
    """
    if not len(rows_M):
        return texts
    text_view, address_view = utf8_view(texts), utf8_view(addresses)
    room = len(text_view.data_B) + len(address_view.data_B)
    out_B, ends_N1 = np.empty(room, np.uint8), np.zeros(len(texts) + 1, np.int32)
    spans = np.ascontiguousarray(spans_M2[:, 0]), np.ascontiguousarray(spans_M2[:, 1])
    _put_links(*text_view, rows_M, *spans, *address_view, out_B, ends_N1)
    whole = utf8_array(out_B, ends_N1)
    return pc.if_else(texts.is_valid(), whole, None) if texts.null_count else whole


_INT64S = types.int64[::1]


@kernel(
    types.void(
        BYTES,
        OFFSETS,
        _INT64S,
        _INT64S,
        _INT64S,
        BYTES,
        OFFSETS,
        types.uint8[::1],
        types.int32[::1],
    )
)
def _put_links(
    data_B: Any,
    offsets_N1: Any,
    rows_M: Any,
    starts_M: Any,
    stops_M: Any,
    links_B: Any,
    links_M1: Any,
    out_B: Any,
    ends_N1: Any,
) -> None:
    """Writes the texts one behind the other, each with its whole links."""
    o, m = np.int64(0), np.int64(0)
    for n in range(len(ends_N1) - 1):
        i, end = np.int64(offsets_N1[n]), np.int64(offsets_N1[n + 1])
        begin = i
        while m < len(rows_M) and rows_M[m] == n:
            first, stop = begin + starts_M[m], begin + stops_M[m]
            link, link_end = np.int64(links_M1[m]), np.int64(links_M1[m + 1])
            m += 1
            if first < i or stop > end or stop < first:
                continue
            if not is_shortened(data_B, first, stop, links_B, link, link_end):
                continue
            while i < first:
                out_B[o] = data_B[i]
                i, o = i + 1, o + 1
            for k in range(link, link_end):
                out_B[o] = links_B[k]
                o += 1
            i = stop
        while i < end:
            out_B[o] = data_B[i]
            i, o = i + 1, o + 1
        ends_N1[n + 1] = o
