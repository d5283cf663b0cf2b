"""Compressed bytes, decoded: gzip, bzip2, xz and Zstandard.

A file that breaks off or is damaged gives every byte that can be decoded before the break, then
`StreamBrokenError`: the decoder is run again and goes in small steps near the break, so that
nothing it had already decoded is lost with the call that failed. Zstandard needs no second run:
it is decoded block by block, at most 128 KiB each.
"""

import bz2
import lzma
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

import zstandard
from isal import igzip_lib

from sluice.pipeline.inputs.formats import Codec
from sluice.pipeline.inputs.sources import Source, StreamBrokenError, pieces_source
from sluice.pipeline.inputs.telegram_export import message_lines

MAX_WINDOW: Final = 1 << 31
"""The longest window of Zstandard, and the most memory that an xz dictionary takes: 2 GiB."""
ORDINARY_WINDOW: Final = 128 << 20
"""Up to this size a window is part of what every worker is reckoned to need."""
_INPUT_BYTES = 1 << 20
_SALVAGE_STEPS = (1024, 1)


class _StreamCodec(NamedTuple):
    """A codec of streams that stand one after another; its decoders have one interface.

    Attributes:
        magic: how each stream begins.
        decoder: makes the decoder of a stream.
        damaged: what it raises.
        is_padded: whether zeros may stand after a stream.
    """

    magic: bytes
    decoder: Callable[[], Any]
    damaged: tuple[type[Exception], ...]
    is_padded: bool


_IGZIP_ERROR: Any = igzip_lib.IsalError  # its stub takes the class for an instance
_STREAM_CODECS: dict[str, _StreamCodec] = {
    "gz": _StreamCodec(
        b"\x1f",
        lambda: igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_GZIP),
        (_IGZIP_ERROR,),
        True,
    ),
    "bz2": _StreamCodec(b"B", bz2.BZ2Decompressor, (OSError, ValueError), False),
    "xz": _StreamCodec(
        b"\xfd", lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, MAX_WINDOW), (lzma.LZMAError,), True
    ),
}


def decoded(source: Source, *, codec: Codec, block_bytes: int) -> Iterator[bytes]:
    """Yields what compressed bytes decode to, any number of members, streams or frames.

    Args:
        source: the compressed bytes.
        codec: how they are compressed.
        block_bytes: what a piece holds at most.

    Raises:
        StreamBrokenError: after all that could be decoded; of a source that cannot be read again,
            after all but what the last MiB of compressed bytes gave.
    """
    if not source.peek(1):
        raise StreamBrokenError("truncated_input")
    if codec == "zst":
        return _zstd_frames(source)
    if codec == "telegram":
        return message_lines(source, block_bytes=_INPUT_BYTES)
    return _streams(source, _STREAM_CODECS[codec], block_bytes)


def _streams(source: Source, codec: _StreamCodec, block_bytes: int) -> Iterator[bytes]:
    """Yields pieces of at most `block_bytes`; near a break, small ones."""
    num_bytes = intact_bytes = 0  # bytes yielded; compressed bytes that are known to be intact
    broken = None
    for step in (_INPUT_BYTES, *_SALVAGE_STEPS):
        if broken is not None and not source.rewind():
            break
        steps = _Steps(source, coarse_bytes=intact_bytes, step=step)
        position = 0
        try:
            for piece in _decoded_streams(steps, codec, block_bytes):
                position += len(piece)
                if position > num_bytes:
                    yield piece[num_bytes - position :]
                    num_bytes = position
            return
        except StreamBrokenError as error:
            broken = error
            intact_bytes = max(0, steps.position - step)
    assert broken is not None
    raise broken


class _Steps:
    """A source that gives `step` bytes at a time from a position on."""

    def __init__(self, source: Source, *, coarse_bytes: int, step: int):
        self._source, self._coarse_bytes, self._step = source, coarse_bytes, step
        self.position = 0

    def read(self) -> bytes:
        coarse = self._coarse_bytes - self.position
        data = self._source.read(min(_INPUT_BYTES, coarse if coarse > 0 else self._step))
        self.position += len(data)
        return data


def _decoded_streams(steps: _Steps, codec: _StreamCodec, block_bytes: int) -> Iterator[bytes]:
    """Yields what each read of the source decodes to, at most `block_bytes` at a time."""
    data = steps.read()
    while data:
        if not data.startswith(codec.magic):
            raise StreamBrokenError("corrupt_input")
        decoder = codec.decoder()
        while not decoder.eof:
            if decoder.needs_input and not data and not (data := steps.read()):
                raise StreamBrokenError("truncated_input")
            try:
                piece = decoder.decompress(data, block_bytes)
            except codec.damaged:
                raise StreamBrokenError("corrupt_input") from None
            data = b""
            if piece:
                yield piece
        data = _after_stream(decoder.unused_data, codec)
        while not data and (data := steps.read()):
            data = _after_stream(data, codec)


def _after_stream(data: bytes, codec: _StreamCodec) -> bytes:
    return data.lstrip(b"\0") if codec.is_padded else data


# --- Zstandard -------------------------------------------------------------------------------

_FRAME_MAGIC, _SKIPPED_MAGIC = 0xFD2FB528, 0x184D2A50
_RLE, _RESERVED = 1, 3


class FrameHeader(NamedTuple):
    """The header of a Zstandard frame.

    Attributes:
        data: its bytes, the magic number included.
        window_bytes: what decoding keeps of what it has decoded.
        has_checksum: whether four bytes follow the last block.
    """

    data: bytes
    window_bytes: int
    has_checksum: bool


def dictionary_bytes(head: bytes) -> int:
    """Returns the dictionary of the first block of an xz file, 0 where its first bytes do not tell.

    >>> import lzma
    >>> dictionary_bytes(lzma.compress(b"", preset=9)), dictionary_bytes(lzma.compress(b"a", preset=9))
    (0, 67108864)
    """
    if len(head) < 14 or head[12] == 0 or head[13] & 3:  # no block, or several filters
        return 0
    place = 14
    for bit in (0x40, 0x80):  # the sizes of the block, numbers of seven bits a byte
        if head[13] & bit:
            place += next(
                (n + 1 for n, byte in enumerate(head[place : place + 9]) if byte < 128), 9
            )
    lzma2 = head[place : place + 3]
    if lzma2[:2] != b"\x21\x01" or len(lzma2) < 3 or lzma2[2] > 40:
        return 0
    return min((2 | lzma2[2] & 1) << lzma2[2] // 2 + 11, (1 << 32) - 1)


def window_bytes(head: bytes) -> int:
    """Returns the window of the first frame of a Zstandard file, 0 where its first bytes do not tell."""
    source = pieces_source(iter([head]))
    try:
        frame = _next_frame(source)
    except StreamBrokenError:
        return 0
    return frame.window_bytes if frame else 0


def _zstd_frames(source: Source) -> Iterator[bytes]:
    """Yields one piece for each block: at most 128 KiB, or what the header of the frame says."""
    buffered = pieces_source(iter(lambda: source.read(_INPUT_BYTES), b""))
    while (frame := _next_frame(buffered)) is not None:
        yield from _zstd_blocks(buffered, frame)


def _zstd_blocks(source: Source, frame: FrameHeader) -> Iterator[bytes]:
    if frame.window_bytes > MAX_WINDOW:
        raise StreamBrokenError("corrupt_input", f"a window of {frame.window_bytes:,} bytes")
    decoder = zstandard.ZstdDecompressor(max_window_size=MAX_WINDOW).decompressobj()
    try:
        decoder.decompress(frame.data)
        is_last = False
        while not is_last:
            header = _needed(source, 3)
            about = int.from_bytes(header, "little")
            is_last, kind = bool(about & 1), about >> 1 & 3
            if kind == _RESERVED:
                raise StreamBrokenError("corrupt_input")
            block = _needed(source, 1 if kind == _RLE else about >> 3)
            if piece := decoder.decompress(header + block):
                yield piece
        if frame.has_checksum:
            decoder.decompress(_needed(source, 4))
    except (zstandard.ZstdError, MemoryError) as error:
        detail = "not enough memory for its window" if isinstance(error, MemoryError) else None
        raise StreamBrokenError("corrupt_input", detail) from None


def _next_frame(source: Source) -> FrameHeader | None:
    """Returns the header of the next frame with data, read; None at the end."""
    while magic := source.exactly(4):
        number = int.from_bytes(magic, "little")
        if len(magic) < 4:
            raise StreamBrokenError("truncated_input")
        if number == _FRAME_MAGIC:
            return _frame_header(source, magic)
        if number & ~0xF != _SKIPPED_MAGIC:
            raise StreamBrokenError("corrupt_input")
        size = int.from_bytes(_needed(source, 4), "little")
        if source.skip(size) < size:
            raise StreamBrokenError("truncated_input")
    return None


def _frame_header(source: Source, magic: bytes) -> FrameHeader:
    about = _needed(source, 1)
    flags = about[0]
    is_single, has_checksum = bool(flags & 32), bool(flags & 4)
    num_id = (0, 1, 2, 4)[flags & 3]
    num_size = (int(is_single), 2, 4, 8)[flags >> 6]
    rest = _needed(source, (not is_single) + num_id + num_size)
    if is_single:
        window = int.from_bytes(rest[num_id:], "little") + (256 if num_size == 2 else 0)
    else:
        base = 1 << (10 + (rest[0] >> 3))
        window = base + base // 8 * (rest[0] & 7)
    return FrameHeader(magic + about + rest, window, has_checksum)


def _needed(source: Source, num_bytes: int) -> bytes:
    data = source.exactly(num_bytes)
    if len(data) < num_bytes:
        raise StreamBrokenError("truncated_input")
    return data
