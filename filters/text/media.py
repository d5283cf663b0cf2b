"""Media in the text of posts: a placeholder where each stands, and what it shows in words behind it.

Shape suffixes: N posts, M media of all of them, B bytes.
"""

from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sluice.filters.text.normalize import normalize
from sluice.schemas import placeholders
from sluice.schemas.arrays import Array, Bools, Int64s
from sluice.schemas.kernel import BYTES, OFFSETS, kernel, read_only, types, utf8_array, utf8_view
from sluice.schemas.post import MEDIA

MEDIA_VERSION: Final = 1
"""Raised whenever the same post and media give another text."""

_KINDS: Final = pa.array(placeholders.KINDS)
_NUMBERS: Final = np.array([placeholders.MEDIA.index(t) for t in placeholders.KINDS.values()])
_PLACEHOLDERS: Final = f"[{chr(placeholders.FIRST)}-{chr(placeholders.LAST)}]"
_SIZE: Final = 3
"""Bytes of a placeholder."""
_FIELDS: Final = tuple(field.name for field in MEDIA.value_type)


class WithMedia(NamedTuple):
    """N texts with placeholders, and their media in the order in which they stand there."""

    text: pa.StringArray
    media: pa.ListArray


def with_media(texts: pa.StringArray, media: pa.ListArray, *, alt_text: bool) -> WithMedia:
    r"""Returns texts with a placeholder for each medium of a kind that has one.

    The placeholder is where the medium's link first stands in the text, in place of it and of a blank before
    it; before the text where the link is empty; and behind the text in the order of the media where there is
    none, or where it is not found. Media that share a link stand together.

    Args:
        texts: (N,) string, normalised, never null.
        media: (N,) MEDIA, or null.
        alt_text: whether a medium's alternative text, normalised, follows its placeholder; what comes
            behind it begins a line.

    >>> one = [{"kind": "photo", "key": "k", "alt_text": "A cat", "link": "https://t.co/a"}]
    >>> found = with_media(
    ...     pa.array(["Look https://t.co/a now", "no"]), pa.array([one, None], MEDIA), alt_text=True
    ... )
    >>> found.text.to_pylist()
    ['Look\ufdd0A cat\nnow', 'no']
    """
    lengths_N = pc.list_value_length(media).fill_null(0).to_numpy(zero_copy_only=False)
    row_R = np.flatnonzero(lengths_N)
    if not len(row_R):
        return WithMedia(texts, media)
    items, some = media.flatten(), texts.take(pa.array(row_R))
    first_R1 = np.concatenate([[0], np.cumsum(lengths_N[row_R], dtype=np.int64)])
    number_M = kind_numbers(items.field("kind"))
    place_M, cut_M = _places(some, items.field("link"), first_R1, number_M)
    owner_M = np.repeat(np.arange(len(row_R)), np.diff(first_R1))
    order_M = np.lexsort((place_M, owner_M))
    alts = normalize(items.field("alt_text").take(pa.array(order_M))) if alt_text else None
    written = _written(some, first_R1, place_M[order_M], cut_M[order_M], number_M[order_M], alts)
    mask_N = lengths_N > 0
    ordered = pa.ListArray.from_arrays(
        pa.array(np.concatenate([[0], np.cumsum(lengths_N)]).astype(np.int32)),
        items.take(pa.array(order_M)),
        type=MEDIA,
        mask=media.is_null() if media.null_count else None,
    )
    return WithMedia(pc.replace_with_mask(texts, pa.array(mask_N), written), ordered)


def without_words(media: pa.ListArray) -> pa.ListArray:
    """Returns (N,) MEDIA without alternative texts and links: what is to be known of them is in the texts."""
    items, lengths = media.flatten(), pc.list_value_length(media).fill_null(0)
    nulls = pa.nulls(len(items), pa.string())
    known = [nulls if name in ("alt_text", "link") else items.field(name) for name in _FIELDS]
    structs = pa.StructArray.from_arrays(known, fields=list(MEDIA.value_type))
    offsets = np.concatenate([[0], np.cumsum(np.asarray(lengths))]).astype(np.int32)
    mask = media.is_null() if media.null_count else None
    return pa.ListArray.from_arrays(pa.array(offsets), structs, type=MEDIA, mask=mask)


def without_placeholders(texts: pa.StringArray) -> pa.StringArray:
    """Returns texts with a blank for each placeholder."""
    return pc.replace_substring_regex(texts, _PLACEHOLDERS, " ")


def kind_numbers(kinds: pa.StringArray) -> Int64s:
    """Returns (M,) int64, the number of each medium's placeholder, or -1; `image/png` counts as `image`.

    >>> kind_numbers(pa.array(["image/png", "gifv", "model", None])).tolist()
    [0, 1, -1, -1]
    """
    plain = pc.utf8_lower(pc.replace_substring_regex(kinds, "/.*", ""))
    found = pc.index_in(plain, value_set=_KINDS).fill_null(-1).to_numpy(zero_copy_only=False)
    return np.where(found < 0, -1, _NUMBERS[found]).astype(np.int64)


def _places(
    texts: pa.StringArray, links: pa.StringArray, first_R1: Int64s, number_M: Int64s
) -> tuple[Int64s, Int64s]:
    """Returns the byte of its text that each placeholder stands at, and how many bytes it replaces."""
    place_M, cut_M = np.empty(len(links), np.int64), np.zeros(len(links), np.int64)
    has_M = _is_there(links) & (number_M >= 0)
    views = *utf8_view(texts), first_R1, *utf8_view(links.fill_null(""))
    _find_links(*views, has_M, place_M, cut_M)
    return place_M, cut_M


def _written(
    texts: pa.StringArray,
    first_R1: Int64s,
    place_M: Int64s,
    cut_M: Int64s,
    number_M: Int64s,
    alts: pa.StringArray | None,
) -> pa.StringArray:
    if alts is None:
        alts = pa.array([""] * len(place_M), pa.string())
    data_B, offsets_R1 = utf8_view(texts)
    alt_view = utf8_view(alts)
    room = sum(int(view[-1] - view[0]) for view in (offsets_R1, alt_view.offsets_N1))
    out_B = np.empty(room + (_SIZE + 2) * len(place_M), np.uint8)
    out_offsets_R1 = np.zeros(len(offsets_R1), np.int32)
    of_media = place_M, cut_M, number_M
    _write(data_B, offsets_R1, first_R1, *of_media, *alt_view, out_B, out_offsets_R1)
    return utf8_array(out_B[: out_offsets_R1[-1]], out_offsets_R1)


def _is_there(values: pa.Array) -> Bools:
    return np.asarray(values.is_valid().to_numpy(zero_copy_only=False))


@kernel()
def _is_part_of_word(c: Any) -> Any:
    """Returns whether a byte goes on with a link: a letter, a digit or a byte of another script."""
    return 48 <= c <= 57 or 65 <= c <= 90 or 97 <= c <= 122 or c >= 128


@kernel()
def _find(data_B: Any, j: Any, end: Any, link_B: Any, first: Any, stop: Any) -> Any:
    """Returns where a link first stands in the bytes [j, end), whole; -1 where it does not."""
    size = stop - first
    while j + size <= end:
        k = np.int64(0)
        while k < size and data_B[j + k] == link_B[first + k]:
            k += 1
        if k == size and (j + k == end or not _is_part_of_word(data_B[j + k])):
            return j
        j += 1
    return np.int64(-1)


_INT64S = read_only(types.int64)


@kernel(
    types.void(
        *(BYTES, OFFSETS, _INT64S, BYTES, OFFSETS, types.boolean[::1]),
        *(types.int64[::1], types.int64[::1]),
    )
)
def _find_links(
    data_B: Array,
    offsets_R1: Array,
    first_R1: Array,
    link_B: Array,
    link_M1: Array,
    has_M: Array,
    place_M: Array,
    cut_M: Array,
) -> None:
    """Finds the place of each medium in its text, and the bytes that it replaces."""
    for row in range(len(first_R1) - 1):
        start, end = np.int64(offsets_R1[row]), np.int64(offsets_R1[row + 1])
        for m in range(first_R1[row], first_R1[row + 1]):
            place_M[m], cut_M[m] = end - start, 0
            if not has_M[m]:
                continue
            first, stop = np.int64(link_M1[m]), np.int64(link_M1[m + 1])
            if first == stop:
                place_M[m] = 0
                continue
            found = _find(data_B, start, end, link_B, first, stop)
            if found < 0:
                continue
            if found > start and data_B[found - 1] == 32:
                found -= 1
            place_M[m] = found - start
            cut_M[m] = stop - first + (data_B[found] == 32)


@kernel()
def _copy(data_B: Any, j: Any, end: Any, out_B: Any, o: Any) -> Any:
    while j < end:
        out_B[o] = data_B[j]
        j += 1
        o += 1
    return o


@kernel(
    types.void(
        *(BYTES, OFFSETS, _INT64S, _INT64S, _INT64S, _INT64S, BYTES, OFFSETS),
        *(types.uint8[::1], types.int32[::1]),
    )
)
def _write(
    data_B: Array,
    offsets_R1: Array,
    first_R1: Array,
    place_M: Array,
    cut_M: Array,
    number_M: Array,
    alt_B: Array,
    alt_M1: Array,
    out_B: Array,
    out_offsets_R1: Array,
) -> None:
    """Writes each text with its placeholders, which come in the order of their places."""
    o = np.int64(0)
    for row in range(len(first_R1) - 1):
        start, end = np.int64(offsets_R1[row]), np.int64(offsets_R1[row + 1])
        j, begins_line = start, False
        for m in range(first_R1[row], first_R1[row + 1]):
            if number_M[m] < 0:
                continue
            place = start + place_M[m]
            if place > j:
                if begins_line:
                    j += data_B[j] == 32 or data_B[j] == 10
                    out_B[o] = 10
                    o += 1
                    begins_line = False
                o = _copy(data_B, j, place, out_B, o)
                j = place
            j = max(j, place + cut_M[m])
            if begins_line:
                out_B[o] = 10
                o += 1
            out_B[o], out_B[o + 1], out_B[o + 2] = 0xEF, 0xB7, 0x90 + number_M[m]
            o = _copy(alt_B, np.int64(alt_M1[m]), np.int64(alt_M1[m + 1]), out_B, o + 3)
            begins_line = alt_M1[m + 1] > alt_M1[m]
        if begins_line and j < end:
            j += data_B[j] == 32 or data_B[j] == 10
            out_B[o] = 10
            o += 1
        o = _copy(data_B, j, end, out_B, o)
        out_offsets_R1[row + 1] = o
