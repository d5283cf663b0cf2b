"""Large compressed files of JSON lines, cut between blocks of bzip2 or frames of Zstandard.

A piece of a file is some whole blocks of it, of which the first bytes belong to the piece before. To know
which records are in which, all blocks are decoded once, as many at a time as there are cores.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, Final, NamedTuple

import msgspec

from sluice.pipeline.inputs.bzip2_blocks import BlockSpan, decode_block, find_blocks
from sluice.pipeline.inputs.formats import FileFormat
from sluice.pipeline.inputs.json_records import HEAD_BYTES, MAX_LINE_BYTES, JsonPlace, json_place
from sluice.pipeline.inputs.jsonl_scan import records_in_lines
from sluice.pipeline.inputs.sources import StreamBrokenError
from sluice.pipeline.inputs.zstd_frames import decode_frame, find_frames
from sluice.pipeline.processes.cores import usable_cores
from sluice.pipeline.storage import files as storage

_FIND: Final[dict[str, Callable[[Any, int], list[BlockSpan] | None]]] = {
    "bz2": find_blocks,
    "zst": find_frames,
}
_DECODE: Final[dict[str, Callable[[Any, BlockSpan], bytes]]] = {
    "bz2": decode_block,
    "zst": decode_frame,
}


class Blocks(msgspec.Struct, frozen=True, kw_only=True):
    """A piece of a compressed file.

    Attributes:
        spans: the blocks that are decoded: bits of bzip2, bytes of Zstandard.
        skip: decoded bytes at their start that are of the piece before.
        num_bytes: decoded bytes of the piece.
    """

    spans: tuple[tuple[int, int], ...]
    skip: int
    num_bytes: int


class FilePiece(NamedTuple):
    """Some records of a file, and where they begin."""

    blocks: Blocks
    first_row: int
    place: JsonPlace


def can_be_cut(format: FileFormat) -> bool:
    """Returns whether files of a format may consist of blocks that can be decoded alone."""
    return (
        format.content == "json"
        and format.encoding == "utf-8"
        and len(format.layers) == 1
        and format.layers[0] in _FIND
    )


def pieces_of(path: str, *, codec: str, num_bytes: int, piece_bytes: int) -> list[FilePiece] | None:
    """Returns the pieces of a file, or None where it has to be read from front to end.

    That is so where it is damaged, where its records are not lines, and for Zstandard where frames are
    large or do not say how much they hold.

    Args:
        path: where the file is.
        codec: bz2 or zst.
        num_bytes: its size.
        piece_bytes: decoded bytes of a piece, about.
    """
    with storage.open_input(path) as file:
        spans = _FIND[codec](file, num_bytes)
        if spans is None or len(spans) < 2:
            return None
        try:
            place = json_place(_head(file, codec, spans))
            if place.layout != "lines":
                return None
            looked = partial(_look, file, codec)
            looks = storage.in_threads(looked, spans, at_once=usable_cores())
            return list(_Cutting(spans, place, piece_bytes).pieces(looks))
        except StreamBrokenError:
            return None


def _head(file: Any, codec: str, spans: Sequence[BlockSpan]) -> bytes:
    head = b""
    for span in spans:
        head += _DECODE[codec](file, span)
        if len(head) >= HEAD_BYTES:
            break
    return head


def decoded_piece(path: str, *, codec: str, blocks: Blocks) -> Iterator[bytes]:
    """Yields the bytes of a piece, block by block.

    Raises:
        StreamBrokenError: a block is damaged.
    """
    skip, left = blocks.skip, blocks.num_bytes
    with storage.open_input(path) as file:
        for span in blocks.spans:
            data = _DECODE[codec](file, BlockSpan(*span))[skip : skip + left]
            skip, left = 0, left - len(data)
            if data:
                yield data


class _Look(NamedTuple):
    """What is in a block: whole lines, and the ends of lines that begin or end in others.

    Attributes:
        num_bytes: decoded.
        head: up to its first line feed.
        tail: behind its last line feed; empty where it has none.
        has_lines: whether it has a line feed.
        records: in the lines between.
        line_feeds: in the lines between, the first one not counted.
    """

    num_bytes: int
    head: bytes
    tail: bytes
    has_lines: bool
    records: int
    line_feeds: int


def _look(file: Any, codec: str, span: BlockSpan) -> _Look:
    data = _DECODE[codec](file, span)
    first, last = data.find(b"\n") + 1, data.rfind(b"\n") + 1
    if not first:
        return _Look(len(data), data, b"", False, 0, 0)
    between = data[first:last]
    counts = records_in_lines(between, stop=len(between), max_line_bytes=MAX_LINE_BYTES)
    return _Look(len(data), data[:first], data[last:], True, *(counts if between else (0, 0)))


class _Cutting:
    """Where a file is cut: behind the first line feed of a block, once a piece is large enough."""

    def __init__(self, spans: Sequence[BlockSpan], place: JsonPlace, piece_bytes: int):
        self._spans, self._place, self._piece_bytes = spans, place, piece_bytes
        self._open = b""  # the line that is open, as far as one may be long
        self._open_bytes = 0
        self._row = self._line = 0  # of the next record, the next line

    def pieces(self, looks: Iterator[_Look]) -> Iterator[FilePiece]:
        """Yields the pieces, with what each block holds."""
        first = skip = held = first_row = 0
        place = self._place
        for index, look in enumerate(looks):
            self._add(look.head)
            if look.has_lines:
                self._close()
                if held + len(look.head) - skip >= self._piece_bytes:
                    size = held + len(look.head) - skip
                    yield FilePiece(self._blocks(first, index + 1, skip, size), first_row, place)
                    first, skip, held = index, len(look.head), 0
                    first_row, place = self._row, self._at_line()
                self._row, self._line = self._row + look.records, self._line + look.line_feeds
                self._add(look.tail)
            held += look.num_bytes
        if held > skip:
            yield FilePiece(
                self._blocks(first, len(self._spans), skip, held - skip), first_row, place
            )

    def _blocks(self, first: int, stop: int, skip: int, num_bytes: int) -> Blocks:
        spans = tuple((span.start, span.stop) for span in self._spans[first:stop])
        return Blocks(spans=spans, skip=skip, num_bytes=num_bytes)

    def _at_line(self) -> JsonPlace:
        return msgspec.structs.replace(self._place, line=self._line)

    def _add(self, data: bytes) -> None:
        self._open_bytes += len(data)
        is_long = self._open_bytes > MAX_LINE_BYTES + 1
        self._open = b"" if is_long else self._open + data

    def _close(self) -> None:
        """Counts the line that is open."""
        records = 1
        if self._open_bytes <= MAX_LINE_BYTES + 1:
            stop = len(self._open)
            records, _ = records_in_lines(self._open, stop=stop, max_line_bytes=MAX_LINE_BYTES)
        self._row, self._line = self._row + records, self._line + 1
        self._open, self._open_bytes = b"", 0
