"""What the entries of a table name in a batch of posts: one pass over the texts, and look-ups of ids."""

from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa

from sluice.filters.lists import kernels as k
from sluice.filters.lists.folding import folds
from sluice.filters.lists.spec import Kind
from sluice.filters.lists.table import Table, shift_of
from sluice.filters.text.char_classes import char_classes
from sluice.schemas.arrays import Array, Bools, Int64s
from sluice.schemas.kernel import utf8_view

_ROOM: Final = 256
"""Hits that there is room for at first."""
_LONG_URL: Final = 1 << 14
"""Bytes of a URL that are compared, at most."""
COLUMNS: Final[dict[Kind, tuple[str, ...]]] = {
    "id": ("post_id", "alias_id", "reposted_id"),
    "author": ("author_id",),
}
"""The columns that entries of a kind are compared with; a batch may lack those that are optional."""


class Hits(NamedTuple):
    """Where entries name posts: H places, in no order.

    Attributes:
        row_H: the post.
        list_H: the place of the list in the recipe.
        file_H: the number of the file, of all lists' files.
        line_H: the line of the entry.
        start_H: the first byte in the buffer of texts, 0 where a column names the post.
        stop_H: the byte behind the last.
    """

    row_H: Int64s
    list_H: Array
    file_H: Array
    line_H: Array
    start_H: Int64s
    stop_H: Int64s

    def where(self, mask_H: Array) -> "Hits":
        """Returns the hits where the mask is true."""
        return Hits(*(each[mask_H] for each in self))

    def of_rows(self, mask_N: Bools) -> "Hits":
        """Returns the hits in the posts where the mask is true."""
        return self.where(mask_N[self.row_H])


def search(posts: pa.RecordBatch, table: Table) -> Hits:
    """Returns the hits in N posts of POST's columns; a post's hits are the same in every batch.

    Of several phrases of a list that end at one place, the longest is one. A key of several lists is a hit
    of each of them, which may add a shorter phrase of a list to a longer one.
    """
    found = [_in_texts(posts.column("text"), table)]
    for kind, columns in COLUMNS.items():
        if len(table[f"{kind}_keys_S"]) > 2:
            there = [name for name in columns if name in posts.schema.names]
            found += [_in_column(posts.column(name), table, kind) for name in there]
    return _expanded(np.concatenate(found), table)


def _in_column(names: pa.StringArray, table: Table, kind: str) -> Array:
    """Returns (H, 5) int64, the hits of a column of ids."""
    keys_N = np.empty(len(names), np.int32)
    hashes_S = table[f"{kind}_hashes_S"]
    k.find_names(
        *utf8_view(names),
        *(hashes_S, table[f"{kind}_keys_S"], shift_of(hashes_S)),
        *(table["names_B"], table["offsets_K1"], keys_N),
    )
    rows_H = np.flatnonzero(keys_N >= 0)
    hits_H5 = np.zeros((len(rows_H), 5), np.int64)
    hits_H5[:, k.ROW], hits_H5[:, k.KEY] = rows_H, keys_N[rows_H]
    return hits_H5


def _in_texts(texts: pa.StringArray, table: Table) -> Array:
    """Returns (H, 5) int64, the hits of domains, URLs and phrases."""
    sets = [
        (table[f"{kind}_hashes_S"], table[f"{kind}_keys_S"], shift_of(table[f"{kind}_hashes_S"]))
        for kind in ("domain", "url")
    ]
    edges_S, first_F, depths_M = table["edges_S"], table["first_F"], table["depths_M"]
    if all(len(keys_S) == 2 for _, keys_S, _ in sets) and len(depths_M) == 1:
        return np.zeros((0, 5), np.int64)
    starts_D = np.zeros(1 << int(depths_M.max()).bit_length(), np.int64)
    scratch_B, room = np.empty(_LONG_URL, np.uint8), _ROOM
    while True:
        hits_H5 = np.zeros((room, 5), np.int64)
        number = k.find_in_texts(
            *(*utf8_view(texts), char_classes(), folds(), table["names_B"], table["offsets_K1"]),
            *(*sets[0], *sets[1]),
            *(edges_S, table["children_S"], shift_of(edges_S)),
            *(table["outs_M"], table["fails_M"], table["shorter_M"], depths_M),
            *(first_F, np.uint64(shift_of(first_F) - 3), table["masks_K"], table["every"][0]),
            *(len(texts), scratch_B, starts_D, hits_H5),
        )
        if number <= room:
            return hits_H5[:number]
        room = number


def _expanded(hits_H5: Array, table: Table) -> Hits:
    """Returns a hit for each list that has the key; what is below a domain that stands alone is none."""
    firsts_K1, keys_H = table["firsts_K1"], hits_H5[:, k.KEY]
    many_H = firsts_K1[keys_H + 1] - firsts_K1[keys_H]
    hits_H5 = np.repeat(hits_H5, many_H, axis=0)
    before_H = np.repeat(np.cumsum(many_H) - many_H, many_H)
    entry_H = np.repeat(firsts_K1[keys_H], many_H) + np.arange(len(hits_H5)) - before_H
    hits = Hits(
        hits_H5[:, k.ROW],
        table["lists_E"][entry_H],
        table["files_E"][entry_H],
        table["lines_E"][entry_H],
        hits_H5[:, k.START],
        hits_H5[:, k.STOP],
    )
    return hits.where((table["alone_E"][entry_H] == 0) | (hits_H5[:, k.WHOLE] != 0))
