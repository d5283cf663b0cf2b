"""Which files a run reads, and how they are cut into units.

A unit is a piece of one file that a worker reads alone. How files are cut does not show in what is
read: rows are numbered by their place in the file.
"""

import difflib
import glob
import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import BinaryIO, Final, Literal

import msgspec

from pipeline.arrow_files import group_layout
from schemas.errors import InputError
from schemas.post import ROW_BITS

Format = Literal["jsonl", "jsonl.gz", "jsonl.zst", "parquet", "arrow"]

EXTENSIONS: Final[dict[str, Format]] = {
    **{f".{name}": "jsonl" for name in ("jsonl", "ndjson", "json")},
    **{f".{name}.gz": "jsonl.gz" for name in ("jsonl", "ndjson", "json")},
    **{f".{name}.zst": "jsonl.zst" for name in ("jsonl", "ndjson", "json")},
    ".parquet": "parquet",
    **{f".{name}": "arrow" for name in ("arrow", "feather", "ipc")},
}
"""How a file's name ends, in any case -> its format."""

UNIT_BYTES: Final = 32_000_000
"""Bytes on disk that a unit of plain JSON lines, row groups or record batches holds at most."""

_SEARCH_BYTES = 1 << 20


class InputFile(msgspec.Struct, frozen=True, kw_only=True):
    """One file; its place in the inventory is its index in row keys.

    Attributes:
        path: relative to the inventory's root, with forward slashes.
        bytes: size on disk.
        sha256: hexadecimal, of the bytes on disk.
        format: one of EXTENSIONS.
    """

    path: str
    bytes: int
    sha256: str
    format: Format


class Inventory(msgspec.Struct, frozen=True, kw_only=True):
    """All files of a run by relative path; `root` is their longest common folder, absolute."""

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
    format: Format
    kind: Literal["bytes", "groups", "whole"]
    start: int
    stop: int
    first_row: int = 0
    group_rows: tuple[int, ...] = ()
    bytes: int


def find_inputs(patterns: Sequence[str]) -> Inventory:
    """Finds and fingerprints the files that patterns name; reads all of their bytes once.

    Args:
        patterns: files, glob patterns (`**` for any depth) or folders. In a folder, at any depth,
            names that start with `.` or `_` (`_SUCCESS`, `_temporary`) are left out.

    Raises:
        InputError: a pattern finds no file, a file cannot be read, or its extension is unknown.
    """
    if not patterns:
        raise InputError("no input: give at least one file, folder or pattern")
    paths = sorted({os.path.abspath(path) for pattern in patterns for path in _matches(pattern)})
    formats = {path: _format(path) for path in paths}
    root = os.path.commonpath([os.path.dirname(path) for path in paths])
    by_name = sorted((os.path.relpath(path, root).replace(os.sep, "/"), path) for path in paths)
    if len(by_name) > 1 << (64 - ROW_BITS):
        raise InputError(f"{len(by_name)} input files: at most {1 << (64 - ROW_BITS)} in one run")
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        prints = list(pool.map(_fingerprint, [path for _, path in by_name]))
    files = tuple(
        InputFile(path=name, bytes=num_bytes, sha256=sha256, format=formats[path])
        for (name, path), (num_bytes, sha256) in zip(by_name, prints, strict=True)
    )
    return Inventory(root=root, files=files)


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
    units: list[InputUnit] = []
    for index, file in enumerate(inventory.files):
        path = os.path.join(inventory.root, file.path)
        try:
            units += _cut_file(index, file, path, unit_bytes)
        except OSError as error:
            raise unreadable(file.path, error) from None
    return units


def unreadable(path: str, error: OSError) -> InputError:
    """Returns the error of a file that the operating system does not let us read."""
    return InputError(f"{path}: cannot be read: {error.strerror or error} (errno {error.errno})")


def _matches(pattern: str) -> list[str]:
    if os.path.isdir(pattern):
        everything = glob.glob(os.path.join(glob.escape(pattern), "**"), recursive=True)
        found = [path for path in everything if not _is_hidden(os.path.relpath(path, pattern))]
    elif os.path.lexists(pattern):
        return [pattern]
    else:
        found = glob.glob(pattern, recursive=True)
    files = [path for path in found if not os.path.isdir(path)]
    if files:
        return files
    if found:
        raise InputError(f"{pattern}: only folders there; add /** to read what is in them")
    raise InputError(f"no file matches {pattern}{_neighbours(pattern)}")


def _is_hidden(relative: str) -> bool:
    return relative != "." and any(part.startswith((".", "_")) for part in relative.split(os.sep))


def _neighbours(pattern: str) -> str:
    """Returns a hint: the first part of the path that is not there, and the names that are."""
    folder, name = os.path.split(os.path.abspath(pattern))
    while not os.path.isdir(folder):
        folder, name = os.path.split(folder)
    names = [n for n in sorted(os.listdir(folder)) if not _is_hidden(n)][:1000]
    close = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    if not names:
        hint = "it is empty"
    elif close:
        hint = f"did you mean {', '.join(map(repr, close))}?"
    else:
        hint = f"it has {', '.join(map(repr, names[:3]))}{', ...' * (len(names) > 3)}"
    return f": no {name} in {folder}; {hint}"


def _format(path: str) -> Format:
    name = os.path.basename(path).lower()
    for extension, format_ in EXTENSIONS.items():
        if name.endswith(extension):
            return format_
    raise InputError(f"{path}: unknown extension; known: {', '.join(EXTENSIONS)}")


def _fingerprint(path: str) -> tuple[int, str]:
    """Returns (bytes, sha256) of a file, read in blocks."""
    try:
        with open(path, "rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            return file.tell(), sha256
    except OSError as error:
        raise unreadable(path, error) from None


def _cut_file(index: int, file: InputFile, path: str, unit_bytes: int) -> Iterator[InputUnit]:
    unit = InputUnit(
        file=index,
        path=file.path,
        format=file.format,
        kind="whole",
        start=0,
        stop=file.bytes,
        bytes=file.bytes,
    )
    if file.format == "jsonl":
        return _cut_lines(unit, path, unit_bytes)
    if file.format in ("parquet", "arrow"):
        return _cut_groups(unit, path, unit_bytes)
    return iter([unit])


def _cut_lines(unit: InputUnit, path: str, unit_bytes: int) -> Iterator[InputUnit]:
    start = row = 0
    with open(path, "rb") as file:
        while start < unit.stop:
            stop, num_lines = _cut_after_line(file, start, unit.stop, unit_bytes)
            yield msgspec.structs.replace(
                unit, kind="bytes", start=start, stop=stop, first_row=row, bytes=stop - start
            )
            start, row = stop, row + num_lines


def _cut_after_line(file: BinaryIO, start: int, end: int, unit_bytes: int) -> tuple[int, int]:
    """Returns (where the unit that begins at `start` stops, the line feeds in it)."""
    file.seek(start)
    data = file.read(min(unit_bytes, end - start))
    if not data:
        raise InputError(f"{file.name}: has become shorter since its checksum was taken")
    if start + len(data) >= end:
        return end, data.count(b"\n")
    if stop := data.rfind(b"\n") + 1:
        return start + stop, data.count(b"\n", 0, stop)
    while block := file.read(_SEARCH_BYTES):
        if (found := block.find(b"\n")) >= 0:
            return min(end, file.tell() - len(block) + found + 1), 1
    return end, 0


def _cut_groups(unit: InputUnit, path: str, unit_bytes: int) -> Iterator[InputUnit]:
    groups = group_layout(path, name=unit.path, format=unit.format)
    if groups is None:
        yield unit
        return
    first = row = 0
    for stop in _group_stops([group.bytes for group in groups], unit_bytes):
        rows = tuple(group.rows for group in groups[first:stop])
        yield msgspec.structs.replace(
            unit,
            kind="groups",
            start=first,
            stop=stop,
            first_row=row,
            group_rows=rows,
            bytes=sum(group.bytes for group in groups[first:stop]),
        )
        first, row = stop, row + sum(rows)


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
