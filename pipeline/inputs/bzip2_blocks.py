"""The blocks of a bzip2 file, which begin at any bit: where they are, and one of them decoded alone."""

import bz2
from collections.abc import Iterator
from itertools import islice
from typing import Any, Final, NamedTuple

from sluice.pipeline.inputs.sources import StreamBrokenError

_BLOCK, _END = 0x314159265359, 0x177245385090
_MAGIC_BITS, _SUM_BITS = 48, 32
_CHUNK_BYTES = 8 << 20
_FEW_BLOCKS, _BLOCK_BYTES = 1000, 1024
_OVERLAP = 7  # bytes that a mark may reach into
_HEADER: Final = b"BZh9"  # of any block: up to 900 kB


class BlockSpan(NamedTuple):
    """A block of a compressed file: from its first bit, or byte, to the one after its last."""

    start: int
    stop: int


def most_blocks(num_bytes: int) -> int:
    """Returns more blocks than a file of a size has, unless it was made to have many."""
    return _FEW_BLOCKS + num_bytes // _BLOCK_BYTES


def find_blocks(file: Any, num_bytes: int) -> list[BlockSpan] | None:
    """Returns the blocks of a file in bits, in order; None where they do not follow from end to end.

    Args:
        file: open for reading at any place.
        num_bytes: its size.
    """
    spans, place = [], 0  # where the next stream must begin
    most = most_blocks(num_bytes)
    found = sorted(islice(_marks(file, num_bytes), most))
    if len(found) == most:
        return None
    marks = [*found, (8 * num_bytes, False)]
    following = iter(marks[1:])
    for bit, is_block in marks[:-1]:
        then, _ = next(following)
        if place >= 0 and (bit != place + 32 or not _begins_stream(file, place)):
            return None
        place = -1
        if is_block:
            spans.append(BlockSpan(bit, then))
        else:
            place = -(-(bit + _MAGIC_BITS + _SUM_BITS) // 8) * 8
    return spans if place == 8 * num_bytes and spans else None


def _begins_stream(file: Any, bit: int) -> bool:
    file.seek(bit // 8)
    header = bytes(file.read(4))
    return header[:3] == b"BZh" and b"1" <= header[3:] <= b"9"


def _marks(file: Any, num_bytes: int) -> Iterator[tuple[int, bool]]:
    """Yields (bit, whether a block begins there, else a stream ends), in no order."""
    for start in range(0, num_bytes, _CHUNK_BYTES):
        file.seek(start)
        data = bytes(file.read(min(_CHUNK_BYTES + _OVERLAP - 1, num_bytes - start)))
        for shift in range(8):
            for magic, is_block in ((_BLOCK, True), (_END, False)):
                for byte in _places(data, magic, shift):
                    if byte < _CHUNK_BYTES:
                        yield 8 * (start + byte) + shift, is_block


def _places(data: bytes, magic: int, shift: int) -> Iterator[int]:
    """Yields the bytes in which a mark begins that is shifted by so many bits."""
    pattern = (magic >> shift & (1 << 40) - 1).to_bytes(5, "big")  # what fills whole bytes
    place = data.find(pattern, 1)
    while place > 0:
        around = int.from_bytes(data[place - 1 : place + 6].ljust(7, b"\0"), "big")
        if around >> 8 - shift & (1 << _MAGIC_BITS) - 1 == magic:
            yield place - 1
        place = data.find(pattern, place + 1)


def decode_block(file: Any, span: BlockSpan) -> bytes:
    """Returns what a block holds: it is put into a stream of its own, whose checksum is the block's.

    Raises:
        StreamBrokenError: it is damaged.
    """
    first = span.start // 8
    data = bytes(file.read_at(-(-span.stop // 8) - first, first))
    size = span.stop - span.start
    bits = int.from_bytes(data, "big") >> -span.stop % 8 & (1 << size) - 1
    checksum = bits >> size - _MAGIC_BITS - _SUM_BITS & (1 << _SUM_BITS) - 1
    bits = (bits << _MAGIC_BITS | _END) << _SUM_BITS | checksum
    size += _MAGIC_BITS + _SUM_BITS
    stream = (bits << -size % 8).to_bytes(-(-size // 8), "big")
    try:
        return bz2.decompress(_HEADER + stream)
    except (OSError, ValueError):
        raise StreamBrokenError("corrupt_input") from None
