"""Handles: @ and a name, and the names of other servers (`@ann@example.social`, `@ann.bsky.social`)."""

from typing import Any

import numpy as np
import pyarrow as pa

from sluice.filters.privacy.kinds import HANDLE, NUMBER_OF_KIND
from sluice.filters.privacy.spans import Spans
from sluice.schemas.kernel import BYTES, OFFSETS, kernel, types, utf8_view

_INT, _INTS = types.int64, types.int32[::1]


def handles(texts: pa.StringArray) -> Spans:
    """Returns the handles of each text, @ and all, as `num_mentions` counts them.

    >>> spans = handles(pa.array(["hi @ann, @bob@example.social. me@example.com"]))
    >>> list(zip(spans.start_M.tolist(), spans.end_M.tolist()))
    [(3, 7), (9, 28)]
    """
    data_B, offsets_N1 = utf8_view(texts)
    room = len(texts) + 64
    while True:
        row_M, start_M, end_M = (np.empty(room, np.int32) for _ in range(3))
        number = _pick_handles(data_B, offsets_N1, row_M, start_M, end_M)
        if number <= room:
            kind_M = np.full(number, NUMBER_OF_KIND[HANDLE], np.uint8)
            return Spans(row_M[:number], start_M[:number], end_M[:number], kind_M)
        room = number


@kernel()
def _is_name(c: Any) -> Any:
    return 48 <= c <= 57 or 65 <= c <= 90 or c == 95 or 97 <= c <= 122


@kernel()
def _is_inside(data_B: Any, j: Any, start: Any) -> Any:
    """Returns whether the @ at `j` follows a name, or the mark of a value (U+FDC0 to U+FDFF)."""
    if j > start and _is_name(data_B[j - 1]):
        return True
    return j >= start + 3 and data_B[j - 3] == 0xEF and data_B[j - 2] == 0xB7


@kernel(_INT(BYTES, _INT, _INT))
def _server_end(data_B: Any, j: Any, end: Any) -> Any:
    """Returns where the name of a server that begins at `j` ends, two labels or more; `j` where none does."""
    k, labels, stop = j, 0, j
    while k < end and _is_name(data_B[k]):
        while k < end and (_is_name(data_B[k]) or data_B[k] == 45):
            k += 1
        labels += 1
        stop = k if labels > 1 and data_B[k - 1] > 57 else stop
        if k >= end or data_B[k] != 46:
            break
        k += 1
    return stop


@kernel(_INT(BYTES, OFFSETS, _INTS, _INTS, _INTS))
def _pick_handles(data_B: Any, offsets_N1: Any, row_M: Any, start_M: Any, end_M: Any) -> Any:
    """Writes the handles, as far as there is room; returns how many there are."""
    m = 0
    for i in range(len(offsets_N1) - 1):
        start, end = np.int64(offsets_N1[i]), np.int64(offsets_N1[i + 1])
        j = start
        while j < end:
            if data_B[j] != 64 or _is_inside(data_B, j, start):
                j += 1
                continue
            k = j + 1
            while k < end and _is_name(data_B[k]):
                k += 1
            if k == j + 1:
                j = k
                continue
            if k < end and data_B[k] == 64:
                server = _server_end(data_B, k + 1, end)
                k = server if server > k + 1 else k
            elif k + 12 <= end and data_B[k] == 46:
                k = _bluesky_end(data_B, k, end)
            if m < len(row_M):
                row_M[m], start_M[m], end_M[m] = i, j - start, k - start
            m += 1
            j = k
    return m


@kernel(_INT(BYTES, _INT, _INT))
def _bluesky_end(data_B: Any, k: Any, end: Any) -> Any:
    """Returns the end of ".bsky.social" at `k`, or `k`."""
    same = True
    for n in range(len(_BLUESKY)):
        same &= data_B[k + n] == _BLUESKY[n]
    return k + len(_BLUESKY) if same else k


_BLUESKY = tuple(b".bsky.social")
