"""The frames of a Zstandard file, which can be decoded alone: where they are, and one of them decoded."""

from typing import Any, Final

import zstandard

from sluice.pipeline.inputs.bzip2_blocks import BlockSpan, most_blocks
from sluice.pipeline.inputs.sources import StreamBrokenError

MAX_FRAME_BYTES: Final = 64 << 20
"""A file with a larger frame, or with one that does not say how much it holds, is read from front to end."""
_SKIPPED_MAGIC = 0x184D2A50
_HEADER_BYTES = 18
_RLE, _RESERVED = 1, 3


def find_frames(file: Any, num_bytes: int) -> list[BlockSpan] | None:
    """Returns the frames of a file in bytes, in order; None where it cannot be read frame by frame.

    Args:
        file: open for reading at any place.
        num_bytes: its size.
    """
    spans, start = [], 0
    most = most_blocks(num_bytes)
    while start < num_bytes:
        if (most := most - 1) < 0:
            return None
        header = bytes(file.read_at(_HEADER_BYTES, start))
        if int.from_bytes(header[:4], "little") & ~0xF == _SKIPPED_MAGIC:
            start += 8 + int.from_bytes(header[4:8], "little")
            continue
        stop, most = _end_of_frame(file, start, header, most)
        if most < 0 or stop > num_bytes:
            return None
        spans.append(BlockSpan(start, stop))
        start = stop
    return spans if start == num_bytes else None


def _end_of_frame(file: Any, start: int, header: bytes, most: int) -> tuple[int, int]:
    """Returns (where a frame ends, the blocks that may follow: -1 where the frame is not taken)."""
    try:
        about = zstandard.get_frame_parameters(header)
    except zstandard.ZstdError:
        return start, -1
    if about.content_size > MAX_FRAME_BYTES:  # the size of a frame that does not say it is 2^64 - 1
        return start, -1
    place = start + zstandard.frame_header_size(header)
    is_last = False
    while not is_last and most >= 0:
        most -= 1
        block = bytes(file.read_at(3, place))
        number = int.from_bytes(block, "little")
        is_last, kind = bool(number & 1), number >> 1 & 3
        place += 3 + (1 if kind == _RLE else number >> 3)
        if len(block) < 3 or kind == _RESERVED or place - start > MAX_FRAME_BYTES:
            return start, -1
    return place + 4 * about.has_checksum, most


def decode_frame(file: Any, span: BlockSpan) -> bytes:
    """Returns what a frame holds: at most `MAX_FRAME_BYTES`.

    Raises:
        StreamBrokenError: it is damaged.
    """
    data = bytes(file.read_at(span.stop - span.start, span.start))
    try:
        return zstandard.ZstdDecompressor().decompress(data)
    except zstandard.ZstdError:
        raise StreamBrokenError("corrupt_input") from None
