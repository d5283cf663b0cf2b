"""Links in posts of X: its own short ones, `t.co`, become the addresses that they stand for.

X writes every link as `https://t.co/` and ten letters, and shows the address, shortened; payloads have both.
A link that X does not show is left out: that of a quoted post, which stands below it, and those of the post
itself, by which old programs came to its pictures or to the rest of its text.

Source: X, "Entities object" (v1.1: `urls`, `media`; v2: `entities.urls`) of the documentation.
"""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sluice.schemas.kernel import BYTES, OFFSETS, kernel, read_only, types, utf8_array, utf8_view
from sluice.schemas.payloads.consent import any_of
from sluice.schemas.payloads.format import Columns

LINK_FIELDS: Final[Mapping[str, tuple[str, ...]]] = {
    "url": ("url",),
    "address": ("unwound_url", "unwound.url", "expanded_url"),
    "shown": ("display_url",),
    "media_key": ("media_key",),
}
"""Field of a link -> its paths in an entity."""
_SHOWN_AS: Final = r"^pic\.(twitter|x)\.com/"
_STATUS: Final = (
    r"^https?://(?:www\.|mobile\.)?(?:twitter|x)\.com/(?P<who>[^/]+(?:/web)?)/status/(?P<id>\d+)"
)
_NOBODY: Final = "i/web"
"""What stands in the place of an author in the address of a post that was cut."""


def is_picture(links: pa.StructArray) -> pa.BooleanArray:
    """Returns (M,) bool, whether each link is shown as that of a medium."""
    return pc.match_substring_regex(links.field("shown"), _SHOWN_AS).fill_null(False)


def with_addresses(
    columns: Columns, texts: pa.StringArray, quoted: pa.StringArray, has_place: pa.BooleanArray
) -> pa.StringArray:
    """Returns texts with the addresses of links in the place of short ones.

    Args:
        columns: `post_id`, and the list `links` of LINK_FIELDS in the order of the text.
        texts: (N,) string, entities decoded.
        quoted: (N,) string, the post that each quotes.
        has_place: (N,) bool, the posts whose links of media stay for a placeholder.

    >>> link = {"url": "https://t.co/a", "address": "https://a.example/b", "shown": "a.example/b"}
    >>> quote = link | {"url": "https://t.co/q", "address": "https://x.com/someone/status/12"}
    >>> columns = {"post_id": pa.array(["1"]), "links": pa.array([[link, quote]])}
    >>> texts = pa.array(["see https://t.co/a https://t.co/q"])
    >>> with_addresses(columns, texts, pa.array(["12"]), pa.array([True])).to_pylist()
    ['see https://a.example/b']
    """
    links = columns["links"]
    items, rows = links.flatten(), pc.list_parent_indices(links)
    if not len(items):
        return texts
    addresses = items.field("address")
    status = pc.extract_regex(addresses, _STATUS)
    post = pc.struct_field(status, "id")
    is_left_out = any_of(
        pc.equal(post, quoted.take(rows)),
        pc.equal(post, columns["post_id"].take(rows)),
        pc.equal(pc.struct_field(status, "who"), _NOBODY),
    )
    stays = pc.and_(is_picture(items), has_place.take(rows))
    given = pc.if_else(is_left_out, "", addresses)
    return _replaced(texts, links, pc.if_else(stays, items.field("url"), given))


def without_links(texts: pa.StringArray, links: pa.ListArray) -> pa.StringArray:
    """Returns texts without some links, each once."""
    items = links.flatten()
    if not len(items):
        return texts
    return _replaced(texts, links, pa.repeat(pa.scalar(""), len(items)))


def _replaced(
    texts: pa.StringArray, links: pa.ListArray, addresses: pa.StringArray
) -> pa.StringArray:
    """Returns texts with each link's address in its place, once; a null address changes nothing."""
    urls = links.flatten().field("url")
    addresses = pc.coalesce(addresses, urls)
    counts_N = pc.list_value_length(links).fill_null(0).to_numpy(zero_copy_only=False)
    first_N1 = np.concatenate([[0], np.cumsum(counts_N, dtype=np.int64)])
    text_view = utf8_view(texts)
    url_view, address_view = utf8_view(urls.fill_null("")), utf8_view(addresses.fill_null(""))
    room = len(text_view.data_B) + len(address_view.data_B)
    out_B, ends_N1 = np.empty(room, np.uint8), np.zeros(len(texts) + 1, np.int32)
    used_M = np.zeros(len(urls), np.bool_)
    _put_addresses(*text_view, first_N1, *url_view, *address_view, used_M, out_B, ends_N1)
    whole = utf8_array(out_B[: ends_N1[-1]], ends_N1)
    return pc.if_else(texts.is_valid(), whole, None) if texts.null_count else whole


@kernel(types.int64(BYTES, types.int64, types.int64, BYTES, types.int64, types.int64))
def _end_of(data_B: Any, i: Any, end: Any, url_B: Any, first: Any, stop: Any) -> Any:
    """Returns where a link that stands whole at i ends, -1 where it does not."""
    size = stop - first
    if size < 1 or i + size > end:
        return np.int64(-1)
    for k in range(size):
        if data_B[i + k] != url_B[first + k]:
            return np.int64(-1)
    if i + size < end:
        c = data_B[i + size]
        if 48 <= c <= 57 or 65 <= c <= 90 or 97 <= c <= 122:
            return np.int64(-1)
    return i + size


@kernel(
    types.void(
        *(BYTES, OFFSETS, read_only(types.int64), BYTES, OFFSETS, BYTES, OFFSETS),
        *(types.boolean[::1], types.uint8[::1], types.int32[::1]),
    )
)
def _put_addresses(
    data_B: Any,
    offsets_N1: Any,
    first_N1: Any,
    url_B: Any,
    url_M1: Any,
    address_B: Any,
    address_M1: Any,
    used_M: Any,
    out_B: Any,
    ends_N1: Any,
) -> None:
    """Writes the texts one behind the other; a link that is left out takes a blank before it along."""
    o = np.int64(0)
    for n in range(len(ends_N1) - 1):
        i, end = np.int64(offsets_N1[n]), np.int64(offsets_N1[n + 1])
        begin = o
        while i < end:
            after = np.int64(-1)
            if data_B[i] == 0x68:  # h
                for m in range(first_N1[n], first_N1[n + 1]):
                    if used_M[m]:
                        continue
                    after = _end_of(
                        data_B, i, end, url_B, np.int64(url_M1[m]), np.int64(url_M1[m + 1])
                    )
                    if after < 0:
                        continue
                    used_M[m] = True
                    first, stop = np.int64(address_M1[m]), np.int64(address_M1[m + 1])
                    for k in range(first, stop):
                        out_B[o] = address_B[k]
                        o += 1
                    if first == stop and o > begin and out_B[o - 1] == 0x20:
                        o -= 1
                    i = after
                    break
            if after < 0:
                out_B[o] = data_B[i]
                i, o = i + 1, o + 1
        ends_N1[n + 1] = o
