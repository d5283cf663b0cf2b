"""Which files a run reads, and how they are cut into units.

A unit is a piece of one file that a worker reads alone. How files are cut does not show in what is
read: rows are numbered by their place in the file.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Any, Final, Literal

import msgspec

from sluice.pipeline.inputs.arrow_files import group_layout
from sluice.pipeline.inputs.formats import FileFormat, format_of_name
from sluice.pipeline.storage import files as storage
from sluice.pipeline.storage.files import Entry
from sluice.pipeline.storage.globs import common_folder, find, relative, unreadable
from sluice.pipeline.storage.sealed import file_digest
from sluice.schemas.errors import InputError
from sluice.schemas.post import ROW_BITS

Identity = Literal["sha256", "listing"]

UNIT_BYTES: Final = 32_000_000
"""Bytes on disk that a unit of plain JSON lines, row groups or record batches holds at most."""

_SEARCH_BYTES = 1 << 20


class InputFile(msgspec.Struct, frozen=True, kw_only=True):
    """One file; its place in the inventory is its index in row keys.

    Attributes:
        path: relative to the inventory's root, with forward slashes.
        bytes: size on disk.
        sha256: hexadecimal, of the bytes on disk; "" where the listing is believed.
        modified_ns: the last change as listed, nanoseconds since 1970; 0 where there is a sha256.
        format: what it is.
    """

    path: str
    bytes: int
    sha256: str = ""
    modified_ns: int = 0
    format: FileFormat

    @property
    def identity(self) -> tuple[str, int, str]:
        """What tells the file from another: path, size, and its sha256 or the time of its last change."""
        return self.path, self.bytes, self.sha256 or f"modified_ns {self.modified_ns}"

    def about(self) -> dict[str, str | int]:
        """Returns what a manifest says of the file."""
        told = {"sha256": self.sha256} if self.sha256 else {"modified_ns": self.modified_ns}
        return {"path": self.path, "bytes": self.bytes, **told}


class Inventory(msgspec.Struct, frozen=True, kw_only=True):
    """All files of a run by relative path; `root` is their longest common folder: absolute, or a URI."""

    root: str
    files: tuple[InputFile, ...]


class InputUnit(msgspec.Struct, frozen=True, kw_only=True):
    """A piece of a file.

    Attributes:
        file: index in the inventory.
        path: relative to the inventory's root.
        format: the file's.
        kind: what `start` and `stop` count: bytes of plain JSON lines; groups, that is Parquet row
            groups or record batches of an Arrow file; whole, bytes of a file that is read whole.
        start: first byte or group.
        stop: the byte or group after the last.
        first_row: `source_row` of the first line or row.
        group_rows: rows of each group, for kind groups.
        bytes: about what is read from disk.
    """

    file: int
    path: str
    format: FileFormat
    kind: Literal["bytes", "groups", "whole"]
    start: int
    stop: int
    first_row: int = 0
    group_rows: tuple[int, ...] = ()
    bytes: int


def find_inputs(patterns: Sequence[str], *, identity: Identity = "sha256") -> Inventory:
    """Finds the files that patterns name, and what tells each from another of its name.

    Args:
        patterns: files, glob patterns (`**` for any depth) or folders, as paths or URIs of one
            filesystem. In a folder, at any depth, names that start with `.` or `_` (`_SUCCESS`,
            `_temporary`) are left out.
        identity: sha256 reads all bytes of all files once; listing believes the size and the time of
            the last change that the filesystem lists, and reads nothing.

    Raises:
        InputError: a pattern finds no file, a file cannot be read, or its extension is unknown.
    """
    if not patterns:
        raise InputError("no input: give at least one file, folder or pattern")
    found = find(patterns)
    formats = {file.path: _format(file.path) for file in found}
    root = common_folder(list(formats))
    if len(found) > 1 << (64 - ROW_BITS):
        raise InputError(f"{len(found)} input files: at most {1 << (64 - ROW_BITS)} in one run")

    def described(file: Entry) -> InputFile:
        name, format_ = relative(file.path, root), formats[file.path]
        if identity == "listing":
            size, modified_ns = file.bytes, file.mtime_ns
            return InputFile(path=name, bytes=size, modified_ns=modified_ns, format=format_)
        try:
            size, sha256 = file_digest(file.path)
        except OSError as error:
            raise unreadable(file.path, error) from None
        return InputFile(path=name, bytes=size, sha256=sha256, format=format_)

    files = sorted(storage.in_threads(described, found), key=lambda file: file.path)
    return Inventory(root=root, files=tuple(files))


def cut(inventory: Inventory, *, unit_bytes: int = UNIT_BYTES) -> list[InputUnit]:
    """Cuts every file into units, in the order of rows; an empty plain file has none.

    Plain JSON lines are cut after the last line feed within `unit_bytes` (a longer line has a unit
    of its own), Parquet and Arrow files between groups; compressed files and Arrow streams never.

    Args:
        inventory: the files.
        unit_bytes: the most a unit should hold, at least 1.

    Raises:
        InputError: a file cannot be read, or a Parquet or Arrow file has no readable layout.
    """

    def cut_one(numbered: tuple[int, InputFile]) -> list[InputUnit]:
        index, file = numbered
        try:
            return list(_cut_file(index, file, storage.join(inventory.root, file.path), unit_bytes))
        except OSError as error:
            raise unreadable(file.path, error) from None

    return list(chain.from_iterable(storage.in_threads(cut_one, list(enumerate(inventory.files)))))


def _format(path: str) -> FileFormat:
    named = format_of_name(path)
    if named.content is None:
        raise InputError(f"{path}: unknown extension; known: .jsonl, .parquet, .arrow")
    return FileFormat(layers=named.layers, content=named.content)


def _cut_file(index: int, file: InputFile, path: str, unit_bytes: int) -> Iterator[InputUnit]:
    size = file.bytes
    whole = InputUnit(
        file=index, path=file.path, format=file.format, kind="whole", start=0, stop=size, bytes=size
    )
    if file.format == FileFormat(content="json"):
        return _cut_lines(whole, path, unit_bytes)
    if file.format.has_groups:
        return _cut_groups(whole, path, unit_bytes)
    return iter([whole])


def _cut_lines(whole: InputUnit, path: str, unit_bytes: int) -> Iterator[InputUnit]:
    start = row = 0
    with storage.open_input(path) as file:
        while start < whole.stop:
            stop, num_lines = _cut_after_line(file, start, whole.stop, unit_bytes, name=whole.path)
            piece = {"start": start, "stop": stop, "first_row": row, "bytes": stop - start}
            yield msgspec.structs.replace(whole, kind="bytes", **piece)
            start, row = stop, row + num_lines


def _cut_after_line(
    file: Any, start: int, end: int, unit_bytes: int, *, name: str
) -> tuple[int, int]:
    """Returns (where the unit that begins at `start` stops, the line feeds in it)."""
    file.seek(start)
    data = file.read(min(unit_bytes, end - start))
    if not data:
        raise InputError(f"{name}: has become shorter since its checksum was taken")
    if start + len(data) >= end:
        return end, data.count(b"\n")
    if stop := data.rfind(b"\n") + 1:
        return start + stop, data.count(b"\n", 0, stop)
    while block := file.read(_SEARCH_BYTES):
        if (place := block.find(b"\n")) >= 0:
            return min(end, file.tell() - len(block) + place + 1), 1
    return end, 0


def _cut_groups(whole: InputUnit, path: str, unit_bytes: int) -> Iterator[InputUnit]:
    groups = group_layout(path, name=whole.path, format=whole.format.content)
    if groups is None:
        yield whole
        return
    start = row = 0
    for stop in _group_stops([group.bytes for group in groups], unit_bytes):
        taken = groups[start:stop]
        rows, size = tuple(g.rows for g in taken), sum(g.bytes for g in taken)
        piece = {"start": start, "stop": stop, "first_row": row, "group_rows": rows, "bytes": size}
        yield msgspec.structs.replace(whole, kind="groups", **piece)
        start, row = stop, row + sum(rows)


def _group_stops(group_bytes: Sequence[int], unit_bytes: int) -> Iterable[int]:
    """Yields the index after the last group of each unit: as many as fit, at least one."""
    held = 0
    for index, num_bytes in enumerate(group_bytes):
        if held and held + num_bytes > unit_bytes:
            yield index
            held = 0
        held += num_bytes
    if group_bytes:
        yield len(group_bytes)
