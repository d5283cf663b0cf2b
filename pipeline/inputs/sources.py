"""Bytes that are read from front to end, whose first ones can be looked at before."""

from collections.abc import Callable, Iterator
from typing import Any, Final

REPLAYED_BYTES: Final = 32 << 20
"""A member of an archive up to this size is kept while it is read, to be read again where it is damaged."""


class StreamBrokenError(Exception):
    """A file or a part of it ends early or is damaged.

    Attributes:
        reason: truncated_input or corrupt_input.
        detail: what was found, where that is more than the reason says.
    """

    def __init__(self, reason: str, detail: str | None = None):
        super().__init__(reason)
        self.reason, self.detail = reason, detail


class Source:
    """Bytes from front to end. What its `read` raises is raised once, after the bytes before it.

    Args:
        read: gives at most so many bytes, none at the end.
        rewind: begins again from the first byte, or returns False where that cannot be.
        forget: is called when nobody will rewind, so that nothing need be kept for it.

    Attributes:
        broken: whether a StreamBrokenError has been raised; the source has ended then.
    """

    closed = False  # pyarrow asks

    def __init__(
        self,
        read: Callable[[int], bytes],
        rewind: Callable[[], bool] = lambda: False,
        forget: Callable[[], None] = lambda: None,
    ):
        self._read, self._rewind, self.forget = read, rewind, forget
        self._head = b""
        self._error: StreamBrokenError | None = None
        self.broken = False

    def peek(self, num_bytes: int) -> bytes:
        """Returns the next bytes without reading them: so many, fewer only at the end."""
        while len(self._head) < num_bytes and self._error is None and not self.broken:
            try:
                data = self._read(num_bytes - len(self._head))
            except StreamBrokenError as error:
                self._error = error
                break
            if not data:
                break
            self._head += data
        return self._head[:num_bytes]

    @property
    def is_damaged(self) -> bool:
        """Whether a break has been met, by looking or by reading."""
        return self.broken or self._error is not None

    def read(self, num_bytes: int) -> bytes:
        """Returns at most so many bytes, none at the end."""
        if self._head:
            data, self._head = self._head[:num_bytes], self._head[num_bytes:]
            return data
        if self.broken:
            return b""
        error, self._error = self._error, None
        try:
            if error is not None:
                raise error
            return self._read(num_bytes)
        except StreamBrokenError:
            self.broken = True
            raise

    def exactly(self, num_bytes: int) -> bytes:
        """Returns so many bytes, fewer only at the end."""
        data = self.read(num_bytes)
        while len(data) < num_bytes and (more := self.read(num_bytes - len(data))):
            data += more
        return data

    def skip(self, num_bytes: int) -> int:
        """Reads bytes and forgets them; returns how many there were."""
        left = num_bytes
        while left and (data := self.read(min(left, 1 << 20))):
            left -= len(data)
        return num_bytes - left

    def rewind(self) -> bool:
        """Begins again from the first byte; returns False where that cannot be."""
        if not self._rewind():
            return False
        self._head, self._error, self.broken = b"", None, False
        return True

    def close(self) -> None:
        """Does nothing: whoever opened the file closes it."""


def file_source(file: Any, *, num_bytes: int | None = None) -> Source:
    """Returns the bytes of an open file, or the first of them."""

    def read(wanted: int) -> bytes:
        left = wanted if num_bytes is None else min(wanted, num_bytes - file.tell())
        return bytes(file.read(left)) if left > 0 else b""

    def rewind() -> bool:
        file.seek(0)
        return True

    return Source(read, rewind)


def pieces_source(pieces: Iterator[bytes]) -> Source:
    """Returns the bytes of pieces."""
    rest = memoryview(b"")

    def read(num_bytes: int) -> bytes:
        nonlocal rest
        if not rest:
            piece = next(pieces, b"")
            if len(piece) <= num_bytes:
                return piece
            rest = memoryview(piece)
        data, rest = bytes(rest[:num_bytes]), rest[num_bytes:]
        return data

    return Source(read)


def replayed(read: Callable[[int], bytes]) -> Source:
    """Returns bytes that are kept while they are few, so that they can be read again."""
    kept: bytearray | None = bytearray()
    place = 0

    def read_on(num_bytes: int) -> bytes:
        nonlocal kept, place
        if kept is not None and place < len(kept):
            data = bytes(kept[place : place + num_bytes])
        else:
            data = read(num_bytes)
            if kept is not None:
                kept += data
                kept = kept if len(kept) <= REPLAYED_BYTES else None
        place += len(data)
        return data

    def rewind() -> bool:
        nonlocal place
        place = 0
        return kept is not None

    def forget() -> None:
        nonlocal kept
        if kept is not None and place == len(kept):
            kept = None

    return Source(read_on, rewind, forget)
