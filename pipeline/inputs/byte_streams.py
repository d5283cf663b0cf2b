"""The bytes of input files, plain or compressed, cut into blocks of whole lines.

A compressed file that breaks off or is damaged gives every byte that can be decoded before the
break, then `StreamBrokenError`: the decoder is run again and goes in small steps near the break, so
that nothing it had already decoded is lost with the call that failed.
"""

from collections.abc import Iterator
from typing import Any, Final

import pyarrow as pa
from isal import igzip_lib

from sluice.pipeline.storage import files as storage
from sluice.schemas.errors import InputError

_INPUT_BYTES = 1 << 20
_SALVAGE_STEPS = (1024, 1)
_BOM = b"\xef\xbb\xbf"

_DAMAGED: Any = igzip_lib.IsalError  # its stub takes the class for an instance

OVERLONG: Final = None
"""Stands in `line_blocks` for one line of more than the allowed bytes."""


class StreamBrokenError(Exception):
    """A compressed file ends early or is damaged: `reason` is truncated_input or corrupt_input."""

    def __init__(self, reason: str):
        super().__init__(reason)
        self.reason = reason


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


def decompressed(path: str, *, codec: str, block_bytes: int) -> Iterator[bytes]:
    """Yields the bytes of a gzip (any number of members) or Zstandard (any frames) file.

    Args:
        path: the file.
        codec: gz or zst.
        block_bytes: what a piece holds at least, but for the last, and at most twice.

    Raises:
        StreamBrokenError: after all that could be decoded.
    """
    held = bytearray()
    try:
        for piece in _decoded(path, codec=codec, block_bytes=block_bytes):
            held += piece
            if len(held) >= block_bytes:
                yield bytes(held)
                held.clear()
    except StreamBrokenError:
        if held:
            yield bytes(held)
        raise
    if held:
        yield bytes(held)


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


def _decoded(path: str, *, codec: str, block_bytes: int) -> Iterator[bytes]:
    """Yields pieces of at most `block_bytes`; near a break, small ones."""
    if storage.size(path) == 0:
        raise StreamBrokenError("truncated_input")
    decode = _gunzip if codec == "gz" else _unzstd
    num_bytes = intact_bytes = 0  # bytes yielded; compressed bytes that are known to be intact
    broken = None
    with storage.open_input(path) as file:
        for step in (block_bytes, *_SALVAGE_STEPS):
            file.seek(0)
            source = _Source(file, coarse_bytes=intact_bytes, step=step)
            position = 0
            try:
                for piece in decode(source, block_bytes, coarse_bytes=num_bytes, step=step):
                    position += len(piece)
                    if position > num_bytes:
                        yield piece[num_bytes - position :]
                        num_bytes = position
                return
            except StreamBrokenError as error:
                broken = error
                intact_bytes = max(0, source.position - step)
    assert broken is not None
    raise broken


class _Source:
    """A file that gives `step` bytes at a time from a position on; no decoder closes it."""

    closed = False

    def __init__(self, file: Any, *, coarse_bytes: int, step: int):
        self._file = file
        self._coarse_bytes = coarse_bytes
        self._step = step
        self.position = 0

    def read(self, num_bytes: int) -> bytes:
        coarse = self._coarse_bytes - self.position
        data: bytes = self._file.read(min(num_bytes, coarse if coarse > 0 else self._step))
        self.position += len(data)
        return data

    def close(self) -> None:
        """Does nothing."""


def _gunzip(file: _Source, block_bytes: int, *, coarse_bytes: int, step: int) -> Iterator[bytes]:
    """Yields what each read of the source decodes to, at most `block_bytes` at a time."""
    data = file.read(_INPUT_BYTES)
    while data:
        if not data.startswith(b"\x1f"):
            raise StreamBrokenError("corrupt_input")
        decoder = igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_GZIP)
        while not decoder.eof:
            if decoder.needs_input and not data and not (data := file.read(_INPUT_BYTES)):
                raise StreamBrokenError("truncated_input")
            try:
                piece = decoder.decompress(data, block_bytes)
            except _DAMAGED:
                raise StreamBrokenError("corrupt_input") from None
            data = b""
            if piece:
                yield piece
        data = decoder.unused_data.lstrip(b"\0")  # gzip files may be padded with zeros
        while not data and (data := file.read(_INPUT_BYTES)):
            data = data.lstrip(b"\0")


def _unzstd(file: _Source, block_bytes: int, *, coarse_bytes: int, step: int) -> Iterator[bytes]:
    """Yields blocks up to `coarse_bytes`, then `step` bytes at a time: a failed read gives none."""
    stream = pa.CompressedInputStream(pa.PythonFile(file, mode="r"), "zstd")
    try:
        while piece := stream.read(min(block_bytes, coarse_bytes) if coarse_bytes > 0 else step):
            coarse_bytes -= len(piece)
            yield piece
    except OSError as error:
        if error.errno is not None:
            raise
        truncated = "runcated" in str(error)
        raise StreamBrokenError("truncated_input" if truncated else "corrupt_input") from None
