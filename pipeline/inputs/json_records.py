"""The records of a JSON text, however it is written: lines, arrays, objects over many lines or on one."""

import re
from collections.abc import Generator, Iterator
from itertools import chain
from typing import Final, Literal

import msgspec
import numpy as np

from sluice.pipeline.inputs import json_values
from sluice.pipeline.inputs.byte_streams import OVERLONG, line_blocks
from sluice.pipeline.inputs.json_values import Values, find_values
from sluice.pipeline.inputs.jsonl_scan import Lines, mark_not_utf8, scan_lines
from sluice.pipeline.inputs.sources import StreamBrokenError
from sluice.schemas.arrays import Int64s, Uint8s

MAX_LINE_BYTES: Final = 8 << 20
"""Bytes of a record at most; a longer one is a dead letter, and is not held in memory."""
HEAD_BYTES: Final = 1 << 20
"""First bytes of a text that say how its records are written."""
MAX_RECORDS: Final = 1 << 16
"""Records of a block at most."""
_TAIL_BYTES = 1 << 12
_BLANKS = b" \t\r\n\xef\xbb\xbf"

_ASSIGNED = re.compile(rb"\s*window\.YTD\.(?:tweets?|note_tweet)\.part\d+\s*=(?=\s*(?:\[|$))")

Layout = Literal["lines", "values"]


class JsonPlace(msgspec.Struct, frozen=True, kw_only=True, tag="json"):
    """Where reading begins in a JSON text, and how its records are written.

    Attributes:
        layout: lines, where each line holds one record; values, where records are in arrays, go over
            many lines, or follow one another in a line.
        key: the first key of the text's first object, with its quotes: what the next one is known by
            behind a broken one.
        line: the lines before the place.
        in_array: whether the place is in an array.
        indent: bytes of white space before the place in its line, -1 where something else is before it.
        goes_on: whether more records follow behind the bytes that are read from the place on.
    """

    layout: Layout
    key: bytes = b""
    line: int = 0
    in_array: bool = False
    indent: int = 0
    goes_on: bool = False


def json_place(head: bytes) -> JsonPlace:
    r"""Returns how the records of a text are written, by its first `HEAD_BYTES`.

    They are lines, unless the text begins with an array (but for one of one line that lines of objects
    follow), with an object that has line feeds in it, or with one that another follows in its line.

    >>> texts = b'{"id":1}\n{', b'[{"id":1}', b'{"id":1}{"id":2}', b'{\n "id":1'
    >>> [json_place(text).layout for text in texts]
    ['lines', 'values', 'values', 'values']
    """
    head = without_name(head[:HEAD_BYTES])
    block_B = np.frombuffer(head, np.uint8)
    first = _next_byte(head, 0)
    begin = _next_byte(head, first + 1) if head[first : first + 1] == b"[" else first
    layout: Layout = "values" if _are_values(block_B, head, first) else "lines"
    return JsonPlace(layout=layout, key=json_values.first_key(block_B, begin))


def without_name(head: bytes) -> bytes:
    r"""Returns the first bytes of a text, blanks for the name that a file of X's archive assigns them to.

    >>> without_name(b"window.YTD.tweets.part0 = [ {")
    b'                          [ {'
    """
    found = _ASSIGNED.match(head)
    return head if found is None else b" " * found.end() + head[found.end() :]


def _unnamed(pieces: Iterator[bytes]) -> Iterator[bytes]:
    for piece in pieces:
        yield without_name(piece)
        break
    yield from pieces


def _next_byte(head: bytes, start: int) -> int:
    """Returns the first place from `start` on that holds no white space and no mark."""
    return len(head) - len(head[start:].lstrip(_BLANKS + b"\x1e"))


def _are_values(block_B: Uint8s, head: bytes, first: int) -> bool:
    is_array = head[first : first + 1] == b"["
    if not is_array and head[first : first + 1] != b"{":
        return False
    end, whole = json_values.end_of_value(block_B, first)
    if not whole:  # a line that breaks off is a broken line, unless another object follows in it
        several = b"\n" in head[first:end].rstrip(_BLANKS)
        return is_array or several or _goes_on_in_line(head, first)
    following = _next_byte(head, end)
    then = head[following : following + 1]
    if b"\n" in head[first:end] or b"\n" not in head[end:following]:
        return is_array or b"\n" in head[first:end] or then in (b"{", b",")
    return is_array and then != b"{"


def _goes_on_in_line(head: bytes, first: int) -> bool:
    """Returns whether another object begins behind a broken one in its line."""
    line_B = np.frombuffer(head[first:].partition(b"\n")[0], np.uint8)
    own_key = json_values.first_key(line_B, 0)
    found = json_values.next_start(
        line_B, start=1, key=own_key, own_key=own_key, indent=0, in_array=False
    )
    return found >= 0


class JsonRecords:
    """The records of a JSON text, or of the part of one that begins at a place, in bounded memory.

    Args:
        pieces: the bytes from the place on, UTF-8.
        place: where that is; None for the beginning of a text, whose first bytes then say how it is written.
        max_line_bytes: see `MAX_LINE_BYTES`.

    Attributes:
        place: of the next record that was not given, where the layout is values.
        position: bytes before it, from the first piece on, where the layout is values.
    """

    def __init__(
        self,
        pieces: Iterator[bytes],
        *,
        place: JsonPlace | None = None,
        max_line_bytes: int = MAX_LINE_BYTES,
    ):
        self._max_bytes = max_line_bytes
        pieces = _unnamed(pieces)
        if place is None:
            head, pieces = headed(pieces)
            place = json_place(head)
        self.place, self._pieces, self.position = place, pieces, 0

    def __iter__(self) -> Iterator[Lines | str]:
        """Yields blocks of records, and the reason of a dead letter for a record that is in no block."""
        return self._of_lines() if self.place.layout == "lines" else self._of_values()

    def _of_lines(self) -> Iterator[Lines | str]:
        line = self.place.line
        for block in line_blocks(self._pieces, max_line_bytes=self._max_bytes):
            if block is OVERLONG:
                yield "line_too_long"
                line += 1
                continue
            lines = scan_lines(block, max_line_bytes=self._max_bytes, first_line=line)
            yield lines
            line += lines.num_lines

    def _of_values(self) -> Iterator[Lines | str]:
        rest, is_whole = b"", True
        for piece in chain(self._pieces, [None]):
            block = rest + (piece or b"")
            while block:
                found, lines = self._values(block, is_last=piece is None)
                is_whole = found.is_whole if len(found.starts_R) else is_whole
                block = self._moved(block, found)
                if len(lines.starts_L):
                    yield lines
                if len(lines.starts_L) < MAX_RECORDS:
                    break
            rest = block
            if len(rest) > self._max_bytes + len(self.place.key):
                rest = yield from self._pass_over(rest)
        if self.place.in_array and is_whole and not self.place.goes_on:
            yield "truncated_input"

    def _values(self, block: bytes, *, is_last: bool) -> tuple[Values, Lines]:
        """Returns the values of a block, and the same as records."""
        line_feeds = np.flatnonzero(np.frombuffer(block, np.uint8) == 0x0A)
        data = bytearray(block)
        found = find_values(
            np.frombuffer(data, np.uint8),
            at=0,
            in_array=self.place.in_array,
            indent=self.place.indent,
            is_last=is_last,
            key=self.place.key,
            max_bytes=self._max_bytes,
            max_records=MAX_RECORDS,
        )
        whole = bytes(memoryview(data)[: found.at])
        numbers_L: Int64s = self.place.line + np.searchsorted(line_feeds, found.starts_R)
        spans = found.starts_R, found.stops_R
        lines = Lines(whole, *spans, found.shapes_R, numbers_L, num_lines=0)
        mark_not_utf8(lines, whole)
        return found, lines

    def _moved(self, block: bytes, found: Values) -> bytes:
        """Moves the place behind what was found, and returns the rest of the block."""
        self._move(block[: found.at], in_array=found.in_array, indent=found.indent)
        return block[found.at :]

    def _move(self, passed: bytes, *, in_array: bool, indent: int) -> None:
        line = self.place.line + passed.count(b"\n")
        self.position += len(passed)
        self.place = msgspec.structs.replace(
            self.place, line=line, in_array=in_array, indent=indent
        )

    def _pass_over(self, rest: bytes) -> Generator[str, None, bytes]:
        """Passes over a record that is too long, without holding it; returns the bytes behind it."""
        own_key = json_values.first_key(np.frombuffer(rest[:_TAIL_BYTES], np.uint8), 0)
        is_object, place = self.place.in_array or rest.startswith(b"{"), self.place
        start = 1
        while True:
            block_B = np.frombuffer(rest, np.uint8)
            if is_object:
                found = json_values.next_start(
                    *(block_B,),
                    start=start,
                    key=place.key,
                    own_key=own_key,
                    indent=place.indent,
                    in_array=place.in_array,
                )
            else:
                found = json_values.stray_end(block_B, start)
            if found >= 0:
                break
            passed = max(0, len(rest) - _TAIL_BYTES)
            self._move(rest[:passed], in_array=place.in_array, indent=place.indent)
            piece = next(self._pieces, None)
            if piece is None:
                found = len(rest) - passed
                rest = rest[passed:]
                break
            rest, start = rest[passed:] + piece, 1
        last_line = rest[:found].rpartition(b"\n")[2]
        indent = -1 if last_line.strip(b" \t") else len(last_line)
        self._move(rest[:found], in_array=place.in_array, indent=indent)
        yield "line_too_long"
        return rest[found:]


def headed(pieces: Iterator[bytes]) -> tuple[bytes, Iterator[bytes]]:
    """Returns the first `HEAD_BYTES` of a text, or more, and all its pieces."""
    head, size = [], 0
    try:
        for piece in pieces:
            head.append(piece)
            size += len(piece)
            if size >= HEAD_BYTES:
                break
    except StreamBrokenError as broken:
        return b"".join(head), _broken_off(head, broken)
    return b"".join(head), chain(head, pieces)


def _broken_off(pieces: list[bytes], broken: StreamBrokenError) -> Iterator[bytes]:
    yield from pieces
    raise broken
