"""The bytes of input files as UTF-8 text, cut into blocks of whole lines."""

import codecs
import re
from collections.abc import Iterator
from typing import Final

from sluice.pipeline.inputs.formats import Encoding
from sluice.pipeline.inputs.sources import Source, StreamBrokenError
from sluice.pipeline.storage import files as storage
from sluice.schemas.errors import InputError

_SURROGATE = re.compile("[\ud800-\udfff]")

OVERLONG: Final = None
"""Stands in `line_blocks` for one line of more than the allowed bytes."""


def plain(path: str, *, start: int, stop: int, block_bytes: int) -> Iterator[bytes]:
    """Yields the bytes from start to stop of a file, `block_bytes` at a time.

    Raises:
        InputError: the file is shorter than that.
    """
    with storage.open_input(path) as file:
        file.seek(start)
        while start < stop and (piece := file.read(min(block_bytes, stop - start))):
            start += len(piece)
            yield piece
    if start < stop:
        raise InputError(f"{path}: has become shorter since it was cut into units")


def blocks(source: Source, *, block_bytes: int) -> Iterator[bytes]:
    """Yields all bytes of a source: at least `block_bytes` at a time, but for the last, at most twice.

    Raises:
        StreamBrokenError: after all bytes before the break.
    """
    held: list[bytes] = []
    num_held = 0
    try:
        while data := source.read(block_bytes):
            held.append(data)
            num_held += len(data)
            if num_held >= block_bytes:
                yield b"".join(held)
                held, num_held = [], 0
    except StreamBrokenError:
        if held:
            yield b"".join(held)
        raise
    if held:
        yield b"".join(held)


def as_utf8(pieces: Iterator[bytes], *, encoding: Encoding) -> Iterator[bytes]:
    """Yields a text in UTF-8; half of a surrogate pair of UTF-16 becomes U+FFFD.

    Raises:
        StreamBrokenError: a UTF-16 text ends in the middle of a character.
    """
    if encoding == "utf-8":
        yield from pieces
        return
    decoder = codecs.getincrementaldecoder(encoding)("surrogatepass")
    for piece in pieces:
        if text := decoder.decode(piece):
            yield _encoded(text)
    if decoder.getstate()[0]:
        raise StreamBrokenError("truncated_input")


def _encoded(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        return _SURROGATE.sub("\ufffd", text).encode()


def line_blocks(pieces: Iterator[bytes], *, max_line_bytes: int) -> Iterator[bytes | None]:
    """Yields blocks of whole lines, the last one perhaps without its line feed, or OVERLONG.

    A line that does not fit `max_line_bytes` and continues in another piece is passed over without being
    held, and counts as one line; one that is inside a piece stays in its block.
    """
    rest = b""
    passing_over = False
    for piece in pieces:
        if passing_over:
            _, newline, piece = piece.partition(b"\n")
            if not newline:
                continue
            passing_over = False
            yield OVERLONG
        stop = piece.rfind(b"\n") + 1
        if stop:
            yield b"".join((rest, memoryview(piece)[:stop]))
            rest = piece[stop:]
        else:
            rest += piece
        if len(rest) > max_line_bytes:
            rest, passing_over = b"", True
    if passing_over:
        yield OVERLONG
    elif rest:
        yield rest
