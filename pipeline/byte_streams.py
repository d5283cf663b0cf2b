"""The bytes of input files, plain or compressed, cut into blocks of whole lines.

A compressed file that breaks off or is damaged gives every byte that can be decoded before the
break, then `StreamBrokenError`: the decoder is run again and fed single bytes near the break, so
that nothing it had already decoded is lost with the call that failed.
"""

import os
import sys
from collections.abc import Iterator
from typing import BinaryIO, Final

import pyarrow as pa
from isal import igzip_lib

_INPUT_BYTES = {"gz": 1 << 20, "zst": 64 << 10}
"""Compressed bytes that are read at a time (by Arrow for zst); a break lies in the last of them."""
_BOM = b"\xef\xbb\xbf"

OVERLONG: Final = None
"""Stands in `line_blocks` for one line of more than the allowed bytes."""


class StreamBrokenError(Exception):
    """A compressed file ends early or is damaged: `reason` is truncated_input or corrupt_input."""

    def __init__(self, reason: str):
        super().__init__(reason)
        self.reason = reason


def plain(path: str, *, start: int, stop: int, block_bytes: int) -> Iterator[bytes]:
    """Yields the bytes from start to stop of a file, `block_bytes` at a time."""
    with open(path, "rb", buffering=0) as file:
        file.seek(start)
        while start < stop and (piece := file.read(min(block_bytes, stop - start))):
            start += len(piece)
            yield piece


def decompressed(path: str, *, codec: str, block_bytes: int) -> Iterator[bytes]:
    """Yields the bytes of a gzip (any number of members) or Zstandard (any frames) file.

    Args:
        path: the file.
        codec: gz or zst.
        block_bytes: the most that one piece may hold, however well the file is compressed.

    Raises:
        StreamBrokenError: after all that could be decoded.
    """
    if os.path.getsize(path) == 0:
        raise StreamBrokenError("truncated_input")
    num_bytes = 0
    with open(path, "rb", buffering=0) as file:
        try:
            for piece in _decode(file, codec=codec, block_bytes=block_bytes):
                num_bytes += len(piece)
                yield piece
            return
        except StreamBrokenError as broken:
            reason = broken.reason
            single_from = max(0, file.tell() - _INPUT_BYTES[codec])
    with open(path, "rb", buffering=0) as file:
        source = _SingleBytes(file, single_from)
        yield from _salvage(source, codec=codec, block_bytes=block_bytes, skip=num_bytes)
    raise StreamBrokenError(reason)


def without_bom(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Yields the same bytes without a byte order mark at their start."""
    head = b""
    for piece in pieces:
        head += piece
        if len(head) >= len(_BOM):
            break
    if head := head.removeprefix(_BOM):
        yield head
    yield from pieces


def line_blocks(pieces: Iterator[bytes], *, max_line_bytes: int) -> Iterator[bytes | None]:
    """Yields blocks of whole lines, the last one perhaps without its line feed, or OVERLONG.

    A line that does not fit `max_line_bytes` and stands across pieces is passed over without being
    held, and counts as one line; one that stands inside a piece stays in its block.
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


class _SingleBytes:
    """A file that gives single bytes from a position on."""

    closed = False

    def __init__(self, file: BinaryIO, single_from: int):
        self._file = file
        self._left = single_from

    def read(self, num_bytes: int) -> bytes:
        take = max(1, min(num_bytes, self._left))
        self._left -= min(take, self._left)
        return self._file.read(take)


Source = BinaryIO | _SingleBytes


def _decode(
    file: Source, *, codec: str, block_bytes: int, coarse_bytes: int = sys.maxsize
) -> Iterator[bytes]:
    if codec == "gz":
        return _gunzip(file, block_bytes)
    return _unzstd(file, block_bytes, coarse_bytes=coarse_bytes)


def _gunzip(file: Source, block_bytes: int) -> Iterator[bytes]:
    data = file.read(_INPUT_BYTES["gz"])
    while data:
        decoder = igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_GZIP)
        while not decoder.eof:
            if decoder.needs_input and not data and not (data := file.read(_INPUT_BYTES["gz"])):
                raise StreamBrokenError("truncated_input")
            try:
                piece = decoder.decompress(data, block_bytes)
            except igzip_lib.IsalError:  # type: ignore[misc]
                raise StreamBrokenError("corrupt_input") from None
            data = b""
            if piece:
                yield piece
        data = decoder.unused_data.lstrip(b"\0")  # gzip files may be padded with zeros
        while not data and (data := file.read(_INPUT_BYTES["gz"])):
            data = data.lstrip(b"\0")


def _unzstd(file: Source, block_bytes: int, *, coarse_bytes: int) -> Iterator[bytes]:
    """Yields whole blocks up to `coarse_bytes`, then bytes: a read that fails gives nothing."""
    stream = pa.CompressedInputStream(pa.PythonFile(file, mode="r"), "zstd")
    try:
        while piece := stream.read(block_bytes if coarse_bytes >= block_bytes else 1):
            coarse_bytes -= len(piece)
            yield piece
    except OSError as error:
        if error.errno is not None:
            raise
        truncated = "runcated" in str(error)
        raise StreamBrokenError("truncated_input" if truncated else "corrupt_input") from None


def _salvage(source: Source, *, codec: str, block_bytes: int, skip: int) -> Iterator[bytes]:
    """Yields what a broken file holds after `skip` decoded bytes, as much as can be decoded."""
    try:
        for piece in _decode(source, codec=codec, block_bytes=block_bytes, coarse_bytes=skip):
            if len(piece) > skip:
                yield piece[skip:]
            skip = max(0, skip - len(piece))
    except StreamBrokenError:
        return
