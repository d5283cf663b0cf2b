"""The members of a tar archive, streamed: nothing is unpacked to a disk, and no member is held."""

from collections.abc import Iterator
from typing import Final, NamedTuple

from sluice.pipeline.inputs.sources import Source, StreamBrokenError, replayed

BLOCK: Final = 512
LONG_NAME_BYTES: Final = 1 << 20
"""A header that claims a longer name, or more PAX records, is damaged."""
_EMPTY = bytes(BLOCK)
_FILES, _PAX, _LONG_NAME, _SPARSE = b"0\0007", b"x", b"L", b"S"
_BEFORE_OTHERS = b"gK"  # global PAX records and long names of links: about what follows
_LINKS_AND_FOLDERS = b"123456"


class TarMember(NamedTuple):
    """A file in an archive.

    Attributes:
        name: its path there.
        size: in bytes.
        source: what it holds; to be read before the next member is asked for.
        refused: why it cannot be read, or "".
    """

    name: str
    size: int
    source: Source
    refused: str = ""


class _TarHeader(NamedTuple):
    name: str
    size: int
    kind: bytes


def members(source: Source) -> Iterator[TarMember]:
    """Yields the files of an archive in its order, without folders, links and devices.

    Reads ustar, GNU and PAX archives, one after another too. Members of no bytes are left out.

    Raises:
        StreamBrokenError: the archive ends early, or a header is damaged.
    """
    pax: dict[str, str] = {}
    while (header := _next_header(source)) is not None:
        if header.kind in _PAX:
            pax |= _pax_records(_held(source, header.size))
        elif header.kind in _LONG_NAME:
            pax["path"] = _text(_held(source, header.size))
        elif header.kind in _FILES or header.kind in _SPARSE:
            if header.size or "size" in pax:
                yield from _file(source, header, pax)
            pax = {}
        else:
            is_data = header.kind not in _LINKS_AND_FOLDERS
            _pass_over(source, header.size if is_data else 0)
            pax = pax if header.kind in _BEFORE_OTHERS else {}


def _file(source: Source, header: _TarHeader, pax: dict[str, str]) -> Iterator[TarMember]:
    name, size = pax.get("path", header.name), header.size
    if "size" in pax:
        size = _whole(pax["size"])
    is_sparse = header.kind in _SPARSE or any(key.startswith("GNU.sparse.") for key in pax)
    left = size

    def read(num_bytes: int) -> bytes:
        nonlocal left
        data = source.read(min(num_bytes, left)) if left else b""
        if left and not data and not source.broken:
            source.broken = True  # so that it is said once
            raise StreamBrokenError("truncated_input", "the archive ends inside a member")
        left -= len(data)
        return data

    refused = "a sparse file" if is_sparse else ""
    if not (name.endswith("/") and not size):
        yield TarMember(name, size, replayed(read), refused)
    _pass_over(source, left, then=-size % BLOCK)


def _pass_over(source: Source, num_bytes: int, *, then: int | None = None) -> None:
    num_bytes += -num_bytes % BLOCK if then is None else then
    if source.skip(num_bytes) < num_bytes and not source.broken:
        raise StreamBrokenError("truncated_input", "the archive ends inside a member")


def _held(source: Source, size: int) -> bytes:
    if size > LONG_NAME_BYTES:
        raise StreamBrokenError("corrupt_input", f"a header of an archive of {size:,} bytes")
    data = source.exactly(size + -size % BLOCK)
    if len(data) < size:
        raise StreamBrokenError("truncated_input", "the archive ends inside a header")
    return data[:size]


# --- headers ---------------------------------------------------------------------------------


def is_header(block: bytes) -> bool:
    """Returns whether 512 bytes are the header of a member: whether their sum is what they say."""
    if len(block) < BLOCK or block[:BLOCK] == _EMPTY:
        return False
    try:
        said = int(block[148:156].strip(b" \0") or b"x", 8)
    except ValueError:
        return False
    unsigned = sum(block[:BLOCK]) - sum(block[148:156]) + 8 * 0x20
    if said == unsigned:
        return True
    above = sum(byte > 127 for byte in block[:148]) + sum(byte > 127 for byte in block[156:BLOCK])
    return said == unsigned - 256 * above


def _next_header(source: Source) -> _TarHeader | None:
    """Returns the next header that is not blank, or None at the end."""
    while (block := source.exactly(BLOCK)) == _EMPTY:
        pass
    if not block.strip(b"\0"):
        return None
    if len(block) < BLOCK:
        raise StreamBrokenError("truncated_input", "the archive ends inside a header")
    if not is_header(block):
        raise StreamBrokenError("corrupt_input", "a damaged header in the archive")
    name = _text(block[:100])
    if block[257:263] == b"ustar\0" and block[345] and (prefix := _text(block[345:500])):
        name = f"{prefix}/{name}"
    return _TarHeader(name, _number(block[124:136]), block[156:157])


def _number(field: bytes) -> int:
    """Returns a number as it stands in a header: octal digits, or base 256 where the first bit is set."""
    if field[0] & 0x80:
        if field[0] != 0x80:
            raise StreamBrokenError(
                "corrupt_input", "a size in the archive below zero or too large"
            )
        return int.from_bytes(field[1:], "big")
    try:
        return int(field.strip(b" \0") or b"0", 8)
    except ValueError:
        raise StreamBrokenError("corrupt_input", "a damaged header in the archive") from None


def _whole(digits: str) -> int:
    if not (digits.isascii() and digits.isdigit() and len(digits) < 20):
        raise StreamBrokenError("corrupt_input", "a damaged size in the archive")
    return int(digits)


def _pax_records(data: bytes) -> dict[str, str]:
    """Returns the records `LENGTH KEY=VALUE` of a PAX header; what follows a damaged one is left out."""
    records, start = {}, 0
    while (space := data.find(b" ", start, start + 20)) > 0 and data[start:space].isdigit():
        stop = start + int(data[start:space])
        key, is_pair, value = data[space + 1 : stop - 1].partition(b"=")
        if stop <= space or not is_pair:
            break
        if key in (b"path", b"size") or key.startswith(b"GNU.sparse."):
            records[_text(key)] = _text(value)
        start = stop
    return records


def _text(field: bytes) -> str:
    return field.partition(b"\0")[0].decode("utf-8", "replace")
