"""The parts of a file: the file itself, or the members of an archive, without layers of compression."""

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

import pyarrow as pa

from sluice.pipeline.inputs.decompression import decoded
from sluice.pipeline.inputs.first_bytes import HEAD_BYTES, MAX_LAYERS, look_into
from sluice.pipeline.inputs.formats import CODECS, FileFormat
from sluice.pipeline.inputs.names import is_data_name
from sluice.pipeline.inputs.sources import Source, StreamBrokenError, pieces_source
from sluice.pipeline.inputs.tar_members import TarMember, members
from sluice.schemas.errors import InputError

HELD_BYTES: Final = 256 << 20
"""A Parquet or Arrow file inside a compressed file or an archive is read from memory, up to this size."""
DECODED_BYTES: Final = 4 << 20
_LINE_OF_OBJECTS = re.compile(rb"\s*\{[^\n]*\}[ \t\r]*(?:\n|$)")
_TWO_OBJECTS = re.compile(rb"\}\s*\{")


class Part(NamedTuple):
    """Data of one format.

    Attributes:
        member: the path in the archive, "" for the file itself.
        format: of the bytes of `source`, so without layers.
        source: to be read before the next part is asked for.
    """

    member: str
    format: FileFormat
    source: Source


class LeftOut(NamedTuple):
    """A member of an archive that is no data, and why."""

    member: str
    reason: str


def parts(source: Source, format: FileFormat) -> Iterator[Part | LeftOut]:
    """Yields the parts of a file in their order.

    Members that are JSON lines and stand one after another are one part, so that a million small ones
    are read as fast as a large one.

    Args:
        source: the bytes of the file.
        format: what the file is.

    Raises:
        StreamBrokenError: an archive ends early or is damaged; parts before it have been yielded.
    """
    for layer in format.layers:
        if layer in CODECS:
            source = pieces_source(decoded(source, codec=layer, block_bytes=DECODED_BYTES))
    if format.content != "members":
        yield Part("", FileFormat(content=format.content, encoding=format.encoding), source)
        return
    found = _members(source, "", MAX_LAYERS)
    part = next(found, None)
    while part is not None:
        if isinstance(part, LeftOut) or not _is_lines(part):
            yield part
            part = next(found, None)
            continue
        run = _Run(part, found)
        yield part._replace(source=pieces_source(run.pieces()))
        part = run.after or next(found, None)


def _members(source: Source, inside: str, depth: int) -> Iterator[Part | LeftOut]:
    for member in members(source):
        name = inside + member.name
        if not member.size:
            continue
        if member.refused or not is_data_name(member.name):
            yield LeftOut(name, member.refused or "not the name of a data file")
            continue
        yield from _looked_into(member, name, depth)
    if source.broken:
        return


def _looked_into(member: TarMember, name: str, depth: int) -> Iterator[Part | LeftOut]:
    found, source = look_into(member.source, member.name)
    if found.format is None:
        yield LeftOut(name, found.reason)
    elif found.format.content != "members":
        inner = FileFormat(content=found.format.content, encoding=found.format.encoding)
        if not found.format.layers:
            member.source.forget()
        yield Part(name, inner, source)
    elif depth:
        yield from _members(source, f"{name}/", depth - 1)
    else:
        yield LeftOut(name, f"an archive in more than {MAX_LAYERS} others")


class _Run:
    """Members of JSON lines that stand one after another, as one text.

    Attributes:
        after: what comes after the last of them.
    """

    def __init__(self, first: Part, found: Iterator[Part | LeftOut]):
        self._part, self._found = first, found
        self.after: Part | LeftOut | None = None

    def pieces(self) -> Iterator[bytes]:
        """Yields their bytes; each begins a line."""
        part: Part | LeftOut | None = self._part
        while isinstance(part, Part) and _is_lines(part):
            yield from _named(part)
            part = next(self._found, None)
        self.after = part


def _named(part: Part) -> Iterator[bytes]:
    data = b"\n"
    try:
        while more := part.source.read(DECODED_BYTES):
            data = more
            yield data
    except StreamBrokenError as error:
        detail = f"{part.member}: {error.detail}" if error.detail else part.member
        raise StreamBrokenError(error.reason, detail) from None
    if not data.endswith(b"\n"):
        yield b"\n"


def _is_lines(part: Part) -> bool:
    """Returns whether a member can be joined with others: whether its first line is one object."""
    if part.format != FileFormat(content="json"):
        return False
    line = _LINE_OF_OBJECTS.match(part.source.peek(HEAD_BYTES).lstrip(b"\xef\xbb\xbf"))
    return line is not None and not _TWO_OBJECTS.search(line[0])


def held(part: Part, *, name: str) -> pa.Buffer:
    """Returns all bytes of a part, for formats that have to be read from their end.

    Args:
        part: the part.
        name: what errors call the file.

    Raises:
        InputError: there are too many.
        StreamBrokenError: it ends early or is damaged.
    """
    pieces, num_bytes = [], 0
    while data := part.source.read(DECODED_BYTES):
        pieces.append(data)
        num_bytes += len(data)
        if num_bytes > HELD_BYTES:
            what = f"{name}: {part.member}" if part.member else name
            raise InputError(
                f"{what}: a file of format {part.format.content} inside a compressed file or an archive is "
                f"read from memory, and this one has more than {HELD_BYTES >> 20} MiB: unpack it first"
            )
    return pa.py_buffer(b"".join(pieces))
