"""The fields of JSON objects that are read: where each stands in its line and what it is, in one pass.

A compiled reader checks each line against RFC 8259 (and takes NaN and Infinity, as pandas writes them)
and notes the first and last byte of the values that a mapping names, at any depth. Strings are copied
out of the lines only then, column by column.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa

from sluice.pipeline.inputs.eight_bytes import HIGHS, ONES, first_byte, store8, zero_bytes
from sluice.pipeline.inputs.record_shapes import MAX_DEPTH
from sluice.schemas.arrays import Bools, Int64s, Uint8s
from sluice.schemas.kernel import BYTES, kernel, load8, types

NULL, STRING, ESCAPED, INTEGER, NUMBER, BOOLEAN, INFINITE, OBJECT, ARRAY, SPLIT = range(10)
"""Kinds of a value. NULL: not there, null or NaN; ESCAPED: a string with escapes; NUMBER: one with a
point or an exponent; INFINITE: Infinity or -Infinity; SPLIT: an array whose objects are in `SplitItems`."""
KIND_NAMES: Final = (
    *("null", "a string", "a string", "an integer", "a number", "a boolean", "an infinite number"),
    *("an object", "an array", "an array"),
)
"""What errors call a kind."""

_BUCKETS = 256
_ROOM = 8  # bytes behind texts, which are copied eight at a time
_FEW_ITEMS, _ITEM_BYTES = 1 << 10, 64  # for how many items of arrays there is room at first


class Paths(NamedTuple):
    """The paths that are looked for, as a table of keys: an edge leads from an object to a value of it.

    Attributes:
        keys_B: the keys of all edges, one after the other.
        starts_E1: (E + 1,) where each key starts.
        nodes_E: (E,) the object that an edge is of; 0 is the line's.
        children_E: (E,) the object that it leads to, or -1.
        paths_E: (E,) the path that ends there, or -1.
        next_E: (E,) the next edge of the same bucket, or -1.
        heads_K: (K,) the first edge of each bucket, or -1.
    """

    keys_B: Uint8s
    starts_E1: Int64s
    nodes_E: Int64s
    children_E: Int64s
    paths_E: Int64s
    next_E: Int64s
    heads_K: Int64s


class Fields(NamedTuple):
    """FieldValues of P paths in N lines.

    Attributes:
        data: what the lines are in.
        kinds_PN: (P, N) uint8, NULL to ARRAY.
        starts_PN: (P, N) int64, the first byte of each value; of strings, after the quote.
        stops_PN: (P, N) int64, the byte after the last; of strings, the closing quote.
        read_N: (N,) bool, whether a line is one object and was read. A line whose keys that matter are
            repeated or written with escapes was not.
    """

    data: bytes
    kinds_PN: Uint8s
    starts_PN: Int64s
    stops_PN: Int64s
    read_N: Bools

    def of_lines(self, chosen_N: Bools) -> "Fields":
        """Returns the values of some of the lines."""
        if chosen_N.all():
            return self
        return Fields(
            self.data,
            np.ascontiguousarray(self.kinds_PN[:, chosen_N]),
            np.ascontiguousarray(self.starts_PN[:, chosen_N]),
            np.ascontiguousarray(self.stops_PN[:, chosen_N]),
            self.read_N[chosen_N],
        )


class SplitItems(NamedTuple):
    """The M objects in arrays that were split: their bytes are not read yet, and may be no JSON.

    Attributes:
        lines_M: (M,) int64, ascending, the line that each is in.
        starts_M: (M,) int64, its first byte.
        stops_M: (M,) int64, the byte after its last.
    """

    lines_M: Int64s
    starts_M: Int64s
    stops_M: Int64s


class FieldValues(NamedTuple):
    """A value for each of N lines: its kind and where it stands."""

    kinds_N: Uint8s
    starts_N: Int64s
    stops_N: Int64s


class Strings(NamedTuple):
    """N texts; `replaced` is how many halves of surrogate pairs became U+FFFD in them."""

    texts: pa.StringArray
    replaced: int


def paths_of(names: Sequence[str]) -> Paths:
    """Returns the table of some paths; path p is that of `names[p]`.

    A name with points is looked for as it stands, and as keys of nested objects.
    """
    edges: dict[tuple[int, bytes], list[int]] = {}  # -> [child, path]
    nodes = 1
    for path, name in enumerate(names):
        edges.setdefault((0, name.encode()), [-1, -1])[1] = path
        node, keys = 0, name.split(".")
        for key in keys[:-1]:
            edge = edges.setdefault((node, key.encode()), [-1, -1])
            if edge[0] < 0:
                edge[0], nodes = nodes, nodes + 1
            node = edge[0]
        edges.setdefault((node, keys[-1].encode()), [-1, -1])[1] = path
    return _table(edges)


def _table(edges: dict[tuple[int, bytes], list[int]]) -> Paths:
    keys = [key for _, key in edges]
    nodes_E = _int64s(node for node, _ in edges)
    next_E, heads_K = np.full(len(keys), -1, np.int64), np.full(_BUCKETS, -1, np.int64)
    for edge, (node, key) in enumerate(edges):
        bucket = (len(key) * 7 + key[0] * 31 + key[-1] * 131 + node * 17) % _BUCKETS if key else 0
        next_E[edge], heads_K[bucket] = heads_K[bucket], edge
    return Paths(
        np.frombuffer(b"".join(keys) or b"\0", np.uint8),
        np.concatenate([[0], np.cumsum([len(key) for key in keys], dtype=np.int64)]),
        nodes_E,
        _int64s(child for child, _ in edges.values()),
        _int64s(path for _, path in edges.values()),
        next_E,
        heads_K,
    )


def _int64s(values: Iterable[int]) -> Int64s:
    return np.fromiter(values, np.int64)


def read_fields(
    data: bytes, starts_N: Int64s, stops_N: Int64s, paths: Paths, num_paths: int
) -> Fields:
    """Finds the values of paths in lines.

    Args:
        data: what the lines are in.
        starts_N: (N,) the first byte of each line.
        stops_N: (N,) the byte after its last.
        paths: what is looked for.
        num_paths: how many paths there are.
    """
    none_P = np.zeros(num_paths, np.bool_)
    return read_split_fields(data, starts_N, stops_N, paths, none_P)[0]


def read_split_fields(
    data: bytes, starts_N: Int64s, stops_N: Int64s, paths: Paths, splits_P: Bools
) -> tuple[Fields, SplitItems]:
    """Finds the values of paths in lines, and the objects in arrays at some of the paths.

    What is in such an object is passed over: whoever reads the objects finds out whether they are JSON.

    Args:
        data: what the lines are in.
        starts_N: (N,) the first byte of each line.
        stops_N: (N,) the byte after its last.
        paths: what is looked for.
        splits_P: (P,) bool, the paths whose arrays are split; none may lead on to another path.
    """
    n, num_paths = len(starts_N), len(splits_P)
    data_B = np.frombuffer(data, np.uint8)
    room = _FEW_ITEMS + len(data) // _ITEM_BYTES if splits_P.any() else 0
    while True:  # a second time only where items are small
        kinds_PN = np.zeros((num_paths, n), np.uint8)
        starts_PN = np.zeros((num_paths, n), np.int64)
        stops_PN = np.zeros((num_paths, n), np.int64)
        read_N = np.zeros(n, np.bool_)
        items_3M = np.empty((3, room), np.int64)
        total = int(
            _read_fields(
                data_B,
                starts_N,
                stops_N,
                *paths,
                splits_P,
                kinds_PN,
                starts_PN,
                stops_PN,
                read_N,
                items_3M,
            )
        )
        if total <= room:
            break
        room = total
    fields = Fields(data, kinds_PN, starts_PN, stops_PN, read_N)
    return fields, SplitItems(*items_3M[:, :total])


def first_values(fields: Fields, paths: Sequence[int]) -> FieldValues:
    """Returns, line by line, the first value of some paths that is not NULL."""
    kinds_N, starts_N, stops_N = (
        part[paths[0]] for part in (fields.kinds_PN, fields.starts_PN, fields.stops_PN)
    )
    for path in paths[1:]:
        others_N = fields.kinds_PN[path]
        if others_N.any():
            first_N = kinds_N != NULL
            starts_N = np.where(first_N, starts_N, fields.starts_PN[path])
            stops_N = np.where(first_N, stops_N, fields.stops_PN[path])
            kinds_N = np.where(first_N, kinds_N, others_N)
    return FieldValues(kinds_N, starts_N, stops_N)


def strings(data: bytes, values: FieldValues, wanted_N: Bools) -> Strings:
    """Returns the texts of the wanted values, strings decoded and numbers as they stand; others null."""
    data_B, n = np.frombuffer(data, np.uint8), len(wanted_N)
    offsets_N1 = np.zeros(n + 1, np.int64)
    escaped_N = (values.kinds_N == ESCAPED) & wanted_N
    spans = values.starts_N, values.stops_N
    replaced = _measure(data_B, *spans, wanted_N, escaped_N, offsets_N1)
    out_B = np.empty(int(offsets_N1[-1]) + _ROOM, np.uint8)
    _copy(data_B, *spans, wanted_N, escaped_N, offsets_N1, out_B)
    bits = None if wanted_N.all() else pa.array(wanted_N).buffers()[1]
    offsets = pa.py_buffer(offsets_N1.astype(np.int32))
    texts = pa.StringArray.from_buffers(n, offsets, pa.py_buffer(out_B[: offsets_N1[-1]]), bits)
    return Strings(texts, int(replaced))


def array_items(data: bytes, values: FieldValues) -> tuple[Int64s, FieldValues]:
    """Returns (how many items each array has, 0 for other values; the items of all of them)."""
    data_B = np.frombuffer(data, np.uint8)
    is_array_N = values.kinds_N == ARRAY
    spans = values.starts_N, values.stops_N
    room = _FEW_ITEMS + int(np.where(is_array_N, spans[1] - spans[0], 0).sum()) // _ITEM_BYTES
    while True:  # a second time only where items are small
        lengths_N = np.zeros(len(is_array_N), np.int64)
        starts_M, stops_M = np.empty(room, np.int64), np.empty(room, np.int64)
        kinds_M = np.empty(room, np.uint8)
        _items(data_B, *spans, is_array_N, lengths_N, starts_M, stops_M, kinds_M)
        total = int(lengths_N.sum())
        if total <= room:
            break
        room = total
    items = FieldValues(kinds_M[:total], starts_M[:total], stops_M[:total])
    return lengths_N, items


# --- kernels ---------------------------------------------------------------------------------

_QUOTES, _SLASHES, _BLANKS = (ONES * np.uint64(byte) for byte in (0x22, 0x5C, 0x20))
_HEX = np.full(256, 255, np.uint8)
for _i, _c in enumerate(b"0123456789abcdef"):
    _HEX[_c] = _i
for _i, _c in enumerate(b"ABCDEF"):
    _HEX[_c] = 10 + _i
_ESCAPE = np.zeros(256, np.uint8)  # the byte after a backslash -> what it stands for
_ESCAPE[list(b'"\\/bfnrt')] = list(b'"\\/\b\f\n\r\t')
_INT64S = types.int64[::1]
_PAIR = types.UniTuple(types.int64, 2)


@kernel()
def _behind_blanks(data_B: Any, i: Any) -> Any:
    """Returns the first byte that is no white space within a line, at i or later."""
    while data_B[i] == 0x20 or data_B[i] == 0x09 or data_B[i] == 0x0D:
        i += 1
    return i


@kernel(_PAIR(BYTES, types.int64))
def _string(data_B: Any, i: Any) -> Any:
    """Returns (the closing quote of the string whose first byte is at i, STRING or ESCAPED), or (-1, 0)."""
    kind, last = np.int64(STRING), len(data_B) - 8
    while True:
        ends = np.uint64(0)
        while i <= last:
            word = load8(data_B, i)
            ends = zero_bytes(word ^ _QUOTES) | zero_bytes(word ^ _SLASHES)
            ends |= (word - _BLANKS) & ~word & HIGHS
            if ends:
                i += first_byte(ends)
                break
            i += 8
        if not ends:
            while data_B[i] >= 0x20 and data_B[i] != 0x22 and data_B[i] != 0x5C:
                i += 1
        c = data_B[i]
        if c == 0x22:
            return i, kind
        if c != 0x5C:
            return np.int64(-1), np.int64(0)
        kind = np.int64(ESCAPED)
        c = data_B[i + 1]
        if c == 0x75:  # u
            for k in range(2, 6):
                if _HEX[data_B[i + k]] == 255:
                    return np.int64(-1), np.int64(0)
            i += 6
        elif _ESCAPE[c]:
            i += 2
        else:
            return np.int64(-1), np.int64(0)


@kernel(_PAIR(BYTES, types.int64))
def _number(data_B: Any, i: Any) -> Any:
    """Returns (the end of the number at i, INTEGER or NUMBER), or (-1, 0)."""
    kind = np.int64(INTEGER)
    if data_B[i] == 0x2D:
        i += 1
    first = data_B[i]
    if not 0x30 <= first <= 0x39:
        return np.int64(-1), np.int64(0)
    i += 1
    while first != 0x30 and 0x30 <= data_B[i] <= 0x39:
        i += 1
    if data_B[i] == 0x2E:
        kind = np.int64(NUMBER)
        i += 1
        if not 0x30 <= data_B[i] <= 0x39:
            return np.int64(-1), np.int64(0)
        while 0x30 <= data_B[i] <= 0x39:
            i += 1
    if data_B[i] | 0x20 == 0x65:
        kind = np.int64(NUMBER)
        i += 1
        if data_B[i] == 0x2B or data_B[i] == 0x2D:
            i += 1
        if not 0x30 <= data_B[i] <= 0x39:
            return np.int64(-1), np.int64(0)
        while 0x30 <= data_B[i] <= 0x39:
            i += 1
    return i, kind


_LITERALS = (b"null", b"true", b"false", b"NaN", b"Infinity", b"-Infinity")
_LITERAL_B = np.frombuffer(b"".join(_LITERALS), np.uint8)
_LITERAL_STARTS = np.concatenate([[0], np.cumsum([len(text) for text in _LITERALS])])
_LITERAL_KINDS = np.array([NULL, BOOLEAN, BOOLEAN, NULL, INFINITE, INFINITE])


@kernel(_PAIR(BYTES, types.int64))
def _literal(data_B: Any, i: Any) -> Any:
    """Returns (the end of the literal at i, its kind), or (-1, 0)."""
    for index in range(len(_LITERAL_KINDS)):
        first, stop = _LITERAL_STARTS[index], _LITERAL_STARTS[index + 1]
        k = first
        while k < stop and data_B[i + k - first] == _LITERAL_B[k]:
            k += 1
        if k == stop:
            return i + stop - first, np.int64(_LITERAL_KINDS[index])
    return np.int64(-1), np.int64(0)


@kernel(types.int64(BYTES, types.int64, types.int64, types.int64, BYTES, *([_INT64S] * 6)))
def _edge(
    data_B: Any,
    first: Any,
    stop: Any,
    node: Any,
    keys_B: Any,
    starts_E1: Any,
    nodes_E: Any,
    children_E: Any,
    paths_E: Any,
    next_E: Any,
    heads_K: Any,
) -> Any:
    """Returns the edge of a key of an object, or -1."""
    length = stop - first
    if length == 0:
        bucket = np.int64(0)
    else:
        bucket = length * 7 + np.int64(data_B[first]) * 31 + np.int64(data_B[stop - 1]) * 131
        bucket = (bucket + node * 17) & (_BUCKETS - 1)
    edge = heads_K[bucket]
    while edge >= 0:
        at = starts_E1[edge]
        if nodes_E[edge] == node and starts_E1[edge + 1] - at == length:
            k = np.int64(0)
            while k < length and keys_B[at + k] == data_B[first + k]:
                k += 1
            if k == length:
                return edge
        edge = next_E[edge]
    return np.int64(-1)


@kernel(types.int64(BYTES, types.int64))
def _behind_object(data_B: Any, i: Any) -> Any:
    """Returns the byte behind the object that begins at i, by its brackets and strings alone, or -1."""
    depth = 0
    while data_B[i] != 0x0A:
        c = data_B[i]
        if c == 0x22:
            i, _ = _string(data_B, i + 1)
            if i < 0:
                return i
        elif c | 0x20 == 0x7B:  # { or [
            depth += 1
        elif c | 0x20 == 0x7D:
            depth -= 1
            if depth == 0:
                return i + 1
        i += 1
    return np.int64(-1)


_BROKEN, _NOT_SPLIT = -1, -2


@kernel(_PAIR(BYTES, types.int64, types.int64, types.int64[:, ::1], types.int64))
def _split(data_B: Any, i: Any, n: Any, items_3M: Any, m: Any) -> Any:
    """Returns (the byte behind the array at i, _BROKEN, or _NOT_SPLIT as arrays are in it; items so far)."""
    begin = m
    i = _behind_blanks(data_B, i + 1)
    if data_B[i] == 0x5D:
        return i + 1, m
    while True:
        first, c = i, data_B[i]
        if c == 0x7B:
            i = _behind_object(data_B, i)
            if i >= 0 and m < items_3M.shape[1]:
                items_3M[0, m], items_3M[1, m], items_3M[2, m] = n, first, i
            m += 1
        elif c == 0x5B:
            return np.int64(_NOT_SPLIT), begin
        elif c == 0x22:
            i, _ = _string(data_B, i + 1)
            i += i >= 0
        elif 0x30 <= c <= 0x39 or (c == 0x2D and data_B[i + 1] != 0x49):
            i, _ = _number(data_B, i)
        else:
            i, _ = _literal(data_B, i)
        if i < 0:
            return np.int64(_BROKEN), begin
        i = _behind_blanks(data_B, i)
        if data_B[i] == 0x5D:
            return i + 1, m
        if data_B[i] != 0x2C:
            return np.int64(_BROKEN), begin
        i = _behind_blanks(data_B, i + 1)


@kernel(
    types.int64(
        BYTES,
        *([_INT64S] * 2),
        BYTES,
        *([_INT64S] * 6),
        types.boolean[::1],
        types.uint8[:, ::1],
        types.int64[:, ::1],
        types.int64[:, ::1],
        types.boolean[::1],
        types.int64[:, ::1],
    )
)
def _read_fields(
    data_B: Any,
    starts_N: Any,
    stops_N: Any,
    keys_B: Any,
    starts_E1: Any,
    nodes_E: Any,
    children_E: Any,
    paths_E: Any,
    next_E: Any,
    heads_K: Any,
    splits_P: Any,
    kinds_PN: Any,
    starts_PN: Any,
    stops_PN: Any,
    read_N: Any,
    items_3M: Any,
) -> Any:
    """Fills the arrays of `Fields`, and of `SplitItems` while there is room; returns how many they are."""
    num_items = np.int64(0)
    closes_D = np.empty(MAX_DEPTH + 1, np.uint8)
    nodes_D = np.empty(MAX_DEPTH + 1, np.int64)
    paths_D = np.empty(MAX_DEPTH + 1, np.int64)
    begins_D = np.empty(MAX_DEPTH + 1, np.int64)
    seen_E = np.full(len(nodes_E), -1, np.int64)
    for n in range(len(starts_N)):
        i, depth = _behind_blanks(data_B, starts_N[n]), 0
        node, path, sound = np.int64(0), np.int64(-1), data_B[i] == 0x7B
        closed = np.int64(
            -1
        )  # where the object ends: a string that is not closed may go on in another line
        going = sound
        while going:  # from a value to the next one
            c, kind, opened = data_B[i], np.int64(0), False
            if c == 0x22:
                first = i + 1
                i, kind = _string(data_B, first)
                sound = i >= 0
                if sound and path >= 0:
                    kinds_PN[path, n] = kind
                    starts_PN[path, n], stops_PN[path, n] = first, i
                i += 1
            elif c == 0x7B or c == 0x5B:
                sound, end = depth < MAX_DEPTH, np.int64(_NOT_SPLIT)
                if c == 0x5B and path >= 0 and splits_P[path]:
                    end, num_items = _split(data_B, i, np.int64(n), items_3M, num_items)
                    sound = sound and end != _BROKEN
                if sound and end >= 0:
                    kinds_PN[path, n] = SPLIT
                    starts_PN[path, n], stops_PN[path, n] = i, end
                    i = end
                elif sound:
                    closes_D[depth] = c + 2
                    nodes_D[depth] = node if c == 0x7B else -1
                    paths_D[depth], begins_D[depth] = path, i
                    depth += 1
                    i = _behind_blanks(data_B, i + 1)
                    opened = data_B[i] != c + 2
            else:
                first = i
                if 0x30 <= c <= 0x39 or (c == 0x2D and data_B[i + 1] != 0x49):
                    i, kind = _number(data_B, i)
                else:
                    i, kind = _literal(data_B, i)
                sound = i >= 0
                if sound and path >= 0:
                    kinds_PN[path, n] = kind
                    starts_PN[path, n], stops_PN[path, n] = first, i
            going = sound
            while going and not opened:  # behind a value: what it closes, to the comma
                i = _behind_blanks(data_B, i)
                c = data_B[i]
                if c == 0x2C:  # ,
                    i = _behind_blanks(data_B, i + 1)
                    break
                sound = c == closes_D[depth - 1]
                going = sound and depth > 1
                if sound:
                    i += 1
                    depth -= 1
                    path, closed = paths_D[depth], i
                    if path >= 0:
                        kinds_PN[path, n] = OBJECT if c == 0x7D else ARRAY
                        starts_PN[path, n], stops_PN[path, n] = begins_D[depth], i
            node, path = np.int64(-1), np.int64(-1)
            if going and closes_D[depth - 1] == 0x7D:
                sound = data_B[i] == 0x22
                first = i + 1
                if sound:
                    i, kind = _string(data_B, first)
                    sound = i >= 0
                if sound and nodes_D[depth - 1] >= 0:
                    edge = _edge(
                        data_B,
                        first,
                        i,
                        nodes_D[depth - 1],
                        keys_B,
                        starts_E1,
                        nodes_E,
                        children_E,
                        paths_E,
                        next_E,
                        heads_K,
                    )
                    sound = kind == STRING
                    if edge >= 0:
                        sound = sound and seen_E[edge] != n
                        seen_E[edge] = n
                        node, path = children_E[edge], paths_E[edge]
                        sound = sound and (path < 0 or stops_PN[path, n] == 0)
                if sound:
                    i = _behind_blanks(data_B, i + 1)
                    sound = data_B[i] == 0x3A  # :
                    i = _behind_blanks(data_B, i + 1)
                going = sound
        i = _behind_blanks(data_B, i) if sound else i
        read_N[n] = sound and closed <= stops_N[n] <= i
    return num_items


@kernel(types.int64(BYTES, types.int64))
def _four_hex(data_B: Any, i: Any) -> Any:
    """Returns the number of the four hexadecimal digits at i."""
    value = np.int64(0)
    for k in range(4):
        value = value << 4 | np.int64(_HEX[data_B[i + k]])
    return value


@kernel(types.UniTuple(types.int64, 3)(BYTES, types.int64, types.int64))
def _escaped(data_B: Any, i: Any, stop: Any) -> Any:
    """Returns (the code point of the escape at i, where it ends, whether half of a pair stands alone)."""
    if data_B[i + 1] != 0x75:
        return np.int64(_ESCAPE[data_B[i + 1]]), i + 2, np.int64(0)
    unit = _four_hex(data_B, i + 2)
    i += 6
    if unit < 0xD800 or unit > 0xDFFF:
        return unit, i, np.int64(0)
    if unit < 0xDC00 and i + 6 <= stop and data_B[i] == 0x5C and data_B[i + 1] == 0x75:
        low = _four_hex(data_B, i + 2)
        if 0xDC00 <= low <= 0xDFFF:
            return 0x10000 + ((unit - 0xD800) << 10) + low - 0xDC00, i + 6, np.int64(0)
    return np.int64(0xFFFD), i, np.int64(1)


@kernel(types.int64(BYTES, types.int64, types.int64))
def _next_escape(data_B: Any, i: Any, stop: Any) -> Any:
    """Returns the place of the next backslash, or the end."""
    while i + 8 <= stop:
        slashes = zero_bytes(load8(data_B, i) ^ _SLASHES)
        if slashes:
            return i + first_byte(slashes)
        i += 8
    while i < stop and data_B[i] != 0x5C:
        i += 1
    return i


@kernel(types.void(BYTES, types.int64, types.int64, types.uint8[::1], types.int64))
def _put(data_B: Any, i: Any, stop: Any, out_B: Any, o: Any) -> None:
    """Copies bytes; up to seven behind them are written, too."""
    while i < stop and i + 8 <= len(data_B):
        store8(out_B, o, load8(data_B, i))
        i += 8
        o += 8
    while i < stop:
        out_B[o] = data_B[i]
        i += 1
        o += 1


@kernel(types.int64(BYTES, _INT64S, _INT64S, types.boolean[::1], types.boolean[::1], _INT64S))
def _measure(
    data_B: Any, starts_N: Any, stops_N: Any, wanted_N: Any, escaped_N: Any, offsets_N1: Any
) -> Any:
    """Fills in where each text will start; returns how many halves of pairs stand alone in them."""
    replaced, total = np.int64(0), np.int64(0)
    for n in range(len(wanted_N)):
        if escaped_N[n]:
            i, stop = starts_N[n], stops_N[n]
            while i < stop:
                escape = _next_escape(data_B, i, stop)
                total += escape - i
                i = escape
                if i < stop:
                    point, i, alone = _escaped(data_B, i, stop)
                    replaced += alone
                    total += 1 + (point >= 0x80) + (point >= 0x800) + (point >= 0x10000)
        elif wanted_N[n]:
            total += stops_N[n] - starts_N[n]
        offsets_N1[n + 1] = total
    return replaced


@kernel(
    types.void(
        BYTES, _INT64S, _INT64S, types.boolean[::1], types.boolean[::1], _INT64S, types.uint8[::1]
    )
)
def _copy(
    data_B: Any,
    starts_N: Any,
    stops_N: Any,
    wanted_N: Any,
    escaped_N: Any,
    offsets_N1: Any,
    out_B: Any,
) -> None:
    """Copies each text to its place, escapes decoded."""
    for n in range(len(wanted_N)):
        o, i, stop = offsets_N1[n], starts_N[n], stops_N[n]
        if escaped_N[n]:
            while i < stop:
                escape = _next_escape(data_B, i, stop)
                _put(data_B, i, escape, out_B, o)
                i, o = escape, o + escape - i
                if i == stop:
                    break
                point, i, _ = _escaped(data_B, i, stop)
                if point < 0x80:
                    out_B[o] = point
                    o += 1
                    continue
                more = 1 + (point >= 0x800) + (point >= 0x10000)
                out_B[o] = (0xF00 >> (more + 1) & 0xFF) | point >> (6 * more)
                for k in range(1, more + 1):
                    out_B[o + k] = 0x80 | (point >> (6 * (more - k)) & 0x3F)
                o += more + 1
        elif wanted_N[n]:
            _put(data_B, i, stop, out_B, o)


@kernel(
    types.void(
        BYTES, _INT64S, _INT64S, types.boolean[::1], _INT64S, _INT64S, _INT64S, types.uint8[::1]
    )
)
def _items(
    data_B: Any,
    starts_N: Any,
    stops_N: Any,
    is_array_N: Any,
    lengths_N: Any,
    starts_M: Any,
    stops_M: Any,
    kinds_M: Any,
) -> None:
    """Counts the items of sound arrays, and fills in where they are, as far as there is room for them."""
    m = 0
    for n in range(len(is_array_N)):
        if not is_array_N[n]:
            continue
        i, stop, depth, count = starts_N[n] + 1, stops_N[n] - 1, 0, 0
        first = np.int64(-1)
        while i <= stop:
            c = data_B[i]
            if depth == 0 and (c == 0x2C or i == stop):
                if first >= 0:
                    if m < len(starts_M):
                        last = i
                        while data_B[last - 1] <= 0x20:
                            last -= 1
                        start = data_B[first]
                        starts_M[m], stops_M[m] = first, last
                        kinds_M[m] = OBJECT if start == 0x7B else NULL if start == 0x6E else BOOLEAN
                        m += 1
                    count += 1
                first = np.int64(-1)
            elif c > 0x20 and first < 0:
                first = i
            if c == 0x22:
                i, _ = _string(data_B, i + 1)
            elif c == 0x7B or c == 0x5B:
                depth += 1
            elif (c == 0x7D or c == 0x5D) and i < stop:
                depth -= 1
            i += 1
        lengths_N[n] = count
