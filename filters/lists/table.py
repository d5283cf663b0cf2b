"""The entries of all lists as one immutable table of arrays, which processes share as a mapped file."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np

from sluice.filters.lists import kernels as k
from sluice.filters.lists.entries import ListEntry
from sluice.filters.lists.folding import folds
from sluice.filters.lists.spec import Kind
from sluice.filters.text.char_classes import char_classes
from sluice.schemas.arrays import Array

LISTS_VERSION: Final = 1
"""Raised where the same lists name other posts, or the arrays of a table change."""
_HASHED: Final[dict[Kind, int]] = {
    "author": k.NAMES,
    "id": k.NAMES,
    "domain": k.DOMAINS,
    "url": k.URLS,
}


class ListFile(NamedTuple):
    """A file of a list.

    Attributes:
        place: of the list in the recipe, from 0.
        kind: of the list.
        entries: of the file, in order.
    """

    place: int
    kind: Kind
    entries: Sequence[ListEntry]


Table = Mapping[str, Array]
"""The arrays by name; `build` says which there are."""


def build(files: Iterable[ListFile]) -> Table:
    """Returns the table of lists; the same files in the same order give the same arrays.

    A key is what entries are compared as: equal entries of several lists share one. Arrays of a set are
    named after the kind; those of the automaton after what a node has.
    """
    keys: dict[tuple[Kind, str], int] = {}
    rows = [
        (
            keys.setdefault((file.kind, entry.key), len(keys)),
            file.place,
            number,
            entry.line,
            entry.alone,
        )
        for number, file in enumerate(files)
        for entry in file.entries
    ]
    names_B, offsets_K1 = _names([text for _, text in keys])
    kinds = np.array([kind for kind, _ in keys], dtype=object)
    table = {"names_B": names_B, "offsets_K1": offsets_K1, **_entries(rows, len(keys))}
    table["masks_K"] = _masks(table)
    for kind, how in _HASHED.items():
        of_kind_P = np.flatnonzero(kinds == kind).astype(np.int32)
        hashes_S, keys_S = _slots(2 * len(of_kind_P))
        k.fill_set(names_B, offsets_K1, of_kind_P, how, hashes_S, keys_S, shift_of(hashes_S))
        table |= {f"{kind}_hashes_S": hashes_S, f"{kind}_keys_S": keys_S}
    phrases_P = np.flatnonzero(kinds == "phrase").astype(np.int32)
    table["every"] = np.bitwise_or.reduce(table["masks_K"][phrases_P], keepdims=True)
    return table | _automaton(names_B, offsets_K1, phrases_P)


def _names(texts: Sequence[str]) -> tuple[Array, Array]:
    encoded = [text.encode() for text in texts]
    offsets_K1 = np.zeros(len(encoded) + 1, np.int64)
    np.cumsum([len(each) for each in encoded], out=offsets_K1[1:])
    return np.frombuffer(b"".join(encoded) + b"\0", np.uint8), offsets_K1


def _entries(rows: Sequence[tuple[int, int, int, int, bool]], num_keys: int) -> dict[str, Array]:
    """Returns the entries by key, then by list, file and line; a list that has one twice has it once."""
    columns = np.array(rows, np.int64).reshape(-1, 5)
    columns = columns[np.lexsort(columns.T[::-1])]
    same_E = (np.diff(columns[:, [0, 1, 4]], axis=0) == 0).all(axis=1)
    columns = columns[np.concatenate([np.ones(min(len(columns), 1), np.bool_), ~same_E])]
    firsts_K1 = np.searchsorted(columns[:, 0], np.arange(num_keys + 1)).astype(np.int64)
    lists_E, files_E, lines_E, alone_E = (np.ascontiguousarray(c, np.int32) for c in columns.T[1:])
    return {
        "firsts_K1": firsts_K1,
        "lists_E": lists_E,
        "files_E": files_E,
        "lines_E": lines_E,
        "alone_E": alone_E,
    }


def _masks(table: Table) -> Array:
    """Returns (K,) uint64: the lists of each key as bits, by their places."""
    masks_K = np.zeros(len(table["firsts_K1"]) - 1, np.uint64)
    keys_E = np.repeat(np.arange(len(masks_K)), np.diff(table["firsts_K1"]))
    np.bitwise_or.at(masks_K, keys_E, np.uint64(1) << table["lists_E"].astype(np.uint64))
    return masks_K


def _slots(least: int) -> tuple[Array, Array]:
    """Returns the empty slots of a set: a power of two, 2 where it stays empty, else 4 or more."""
    size = 1 << (max(2, int(least - 1).bit_length()) if least else 1)
    return np.zeros(size, np.uint64), np.zeros(size, np.int32)


def shift_of(slots_S: Array) -> np.uint64:
    """Returns by how much a hash is shifted to be a slot."""
    return np.uint64(64 - (len(slots_S).bit_length() - 1))


def _automaton(names_B: Array, offsets_K1: Array, phrases_P: Array) -> dict[str, Array]:
    """Returns the nodes of the automaton of phrases, and the steps between them."""
    classes_U, folds_U = char_classes(), folds()
    most = 1 + sum(
        k.num_words(names_B, offsets_K1[key], offsets_K1[key + 1], classes_U, folds_U)
        for key in phrases_P.tolist()
    )
    edges_S, children_S = _slots(2 * (most - 1))
    outs_M, parents_M, depths_M = np.full(most, -1, np.int32), *np.zeros((2, most), np.int32)
    words_M = np.zeros(most, np.uint64)
    size = k.grow(
        *(
            names_B,
            offsets_K1,
            phrases_P,
            classes_U,
            folds_U,
            edges_S,
            children_S,
            shift_of(edges_S),
        ),
        *(outs_M, parents_M, words_M, depths_M),
    )
    nodes = [np.ascontiguousarray(each[:size]) for each in (outs_M, parents_M, words_M, depths_M)]
    outs_M, parents_M, words_M, depths_M = nodes
    order_M = np.argsort(depths_M, kind="stable").astype(np.int64)
    fails_M, shorter_M = np.zeros((2, size), np.int32)
    k.link(
        order_M,
        edges_S,
        children_S,
        shift_of(edges_S),
        outs_M,
        parents_M,
        words_M,
        fails_M,
        shorter_M,
    )
    first_F = np.zeros(1 << max(6, int(2 * size).bit_length()), np.uint8)
    k.mark_first_words(parents_M, words_M, first_F)
    return {
        "edges_S": edges_S,
        "children_S": children_S,
        "outs_M": outs_M,
        "fails_M": fails_M,
        "shorter_M": shorter_M,
        "depths_M": depths_M,
        "first_F": first_F,
    }
