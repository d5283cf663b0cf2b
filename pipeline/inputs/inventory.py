"""Which files a run reads, and how they are cut into units.

A unit is a piece of one file that a worker reads alone. How files are cut does not show in what is
read: rows are numbered by their place in the file.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from itertools import chain
from typing import Any, Final, Literal, NamedTuple

import msgspec

from sluice.pipeline.inputs.arrow_files import group_layout
from sluice.pipeline.inputs.compressed_cuts import Blocks, can_be_cut, pieces_of
from sluice.pipeline.inputs.csv_records import CsvPlace, CsvRecords, headed_csv
from sluice.pipeline.inputs.file_notes import NoData, file_notes, no_data
from sluice.pipeline.inputs.first_bytes import Found, look_into
from sluice.pipeline.inputs.formats import FileFormat, format_of_name
from sluice.pipeline.inputs.json_records import (
    HEAD_BYTES,
    MAX_LINE_BYTES,
    JsonPlace,
    JsonRecords,
    json_place,
)
from sluice.pipeline.inputs.jsonl_scan import records_in_lines
from sluice.pipeline.inputs.names import is_data_name
from sluice.pipeline.inputs.payload_recognition import recognised
from sluice.pipeline.inputs.sources import file_source
from sluice.pipeline.storage import files as storage
from sluice.pipeline.storage.files import Entry
from sluice.pipeline.storage.globs import Matches, common_folder, find, relative, unreadable
from sluice.pipeline.storage.sealed import file_digest
from sluice.schemas.errors import InputError
from sluice.schemas.payloads.known_formats import AUTO, ROWS
from sluice.schemas.post import ROW_BITS

Identity = Literal["sha256", "listing"]

PLAIN_TEXTS: Final = tuple(FileFormat(content=content) for content in ("json", "csv", "tsv"))
"""Formats that are cut between records."""

UNIT_BYTES: Final = 32_000_000
"""Bytes on disk that a unit of plain JSON lines, row groups or record batches holds at most."""

LARGE_UNITS: Final = 2
"""A compressed file is cut where it has more than so many units' bytes on the disk"""
LARGE_SHARE: Final = 16
"""and this part of the bytes of the input: cutting decodes a file once more, which many files need not."""
LOOKED_AT_BYTES: Final = 1 << 20
"""Bytes on disk that are looked at to tell what a file is: a block of bzip2 takes up to 900 kB."""
_SEARCH_BYTES = 1 << 20


class InputFile(msgspec.Struct, frozen=True, kw_only=True):
    """One file; its place in the inventory is its index in row keys.

    Attributes:
        path: relative to the inventory's root, with forward slashes.
        bytes: size on disk.
        sha256: hexadecimal, of the bytes on disk; "" where the listing is believed.
        modified_ns: the last change as listed, nanoseconds since 1970; 0 where there is a sha256.
        format: what it is.
        window_bytes: memory that decoding it takes beyond what any file takes, about.
        payload: the payload format of its records, or "rows".
    """

    path: str
    bytes: int
    sha256: str = ""
    modified_ns: int = 0
    format: FileFormat
    window_bytes: int = 0
    payload: str = ROWS

    @property
    def identity(self) -> tuple[str, int, str]:
        """What tells the file from another: path, size, and its sha256 or the time of its last change."""
        return self.path, self.bytes, self.sha256 or f"modified_ns {self.modified_ns}"

    def about(self) -> dict[str, str | int]:
        """Returns what a manifest says of the file."""
        told = {"sha256": self.sha256} if self.sha256 else {"modified_ns": self.modified_ns}
        return {"path": self.path, "bytes": self.bytes, **told}


class Inventory(msgspec.Struct, frozen=True, kw_only=True):
    """All files of a run by relative path.

    Attributes:
        root: their longest common folder: absolute, or a URI.
        files: by path.
        notes: what is odd about files and costs no post, for people.
    """

    root: str
    files: tuple[InputFile, ...]
    notes: tuple[str, ...] = ()

    @property
    def formats(self) -> dict[str, int]:
        """Payload format, or "rows" -> how many files are of it."""
        return dict(sorted(Counter(file.payload for file in self.files).items()))


TextPlace = JsonPlace | CsvPlace
"""Where the piece of a text begins, and how its records are written."""


class InputUnit(msgspec.Struct, frozen=True, kw_only=True):
    """A piece of a file.

    Attributes:
        file: index in the inventory.
        path: relative to the inventory's root.
        format: the file's.
        kind: what `start` and `stop` count: bytes of plain JSON lines; groups, that is Parquet row
            groups or record batches of an Arrow file; blocks, bytes of a compressed file of which
            `blocks` are read; whole, bytes of a file that is read whole.
        start: first byte or group.
        stop: the byte or group after the last.
        first_row: `source_row` of the first record.
        place: where the piece of a text begins; None for the whole of one.
        group_rows: rows of each group, for kind groups.
        blocks: what is decoded of a compressed file, for kind blocks.
        bytes: about what is read from disk.
        payload: the file's.
    """

    file: int
    path: str
    format: FileFormat
    kind: Literal["bytes", "groups", "blocks", "whole"]
    start: int
    stop: int
    first_row: int = 0
    place: TextPlace | None = None
    group_rows: tuple[int, ...] = ()
    blocks: Blocks | None = None
    bytes: int
    payload: str = ROWS


def find_inputs(
    patterns: Sequence[str], *, identity: Identity = "sha256", payload: str = AUTO
) -> Inventory:
    """Finds the files that patterns name, and what tells each from another of its name.

    Args:
        patterns: files, glob patterns (`**` for any depth) or folders, as paths or URIs of one
            filesystem. Of a folder, at any depth, the data files are taken; names that start with `.`
            or `_` (`_SUCCESS`, `_temporary`), documentation, checksums and what is no data by its first
            bytes are left out, with a note.
        identity: sha256 reads all bytes of all files once; listing believes the size and the time of
            the last change that the filesystem lists, and reads the first bytes of each, which say what
            it is.
        payload: the payload format of files of JSON, "rows", or "auto", with which each says by its first
            records what it is.

    Raises:
        InputError: a pattern finds no file, a file cannot be read, or one that is named outright is no data.
    """
    if not patterns:
        raise InputError("no input: give at least one file, folder or pattern")
    matches = find(patterns)
    looked = list(storage.in_threads(partial(_looked_at, matches), matches.files))
    described = [file for file in looked if isinstance(file, _Described)]
    left_out = [file for file in looked if isinstance(file, NoData)]
    if not described:
        raise InputError(f"no posts in the input: {no_data(left_out, matches.hidden)}")
    if len(described) > 1 << (64 - ROW_BITS):
        raise InputError(f"{len(described)} input files: at most {1 << (64 - ROW_BITS)} in one run")
    root = common_folder([file.entry.path for file in described])
    files = sorted(
        storage.in_threads(partial(_input_file, root, identity, payload), described),
        key=lambda file: file.path,
    )
    notes = file_notes(
        [(relative(file.entry.path, root), file.found) for file in described],
        left_out=left_out,
        hidden=matches.hidden,
    )
    return Inventory(root=root, files=tuple(files), notes=tuple(notes))


class _Described(NamedTuple):
    entry: Entry
    found: Found


def _looked_at(matches: Matches, entry: Entry) -> "_Described | NoData":
    """Returns what a file is by its first bytes, or why it is no data.

    Raises:
        InputError: it is none and was named outright, or it cannot be read.
    """
    outright = entry.path in matches.outright
    if not (
        outright or is_data_name(entry.path.rpartition("/")[2], beside=_beside(entry, matches))
    ):
        return NoData(entry.path)
    found = _found(entry)
    if found.format is not None:
        return _Described(entry, found)
    if outright:
        raise InputError(
            f"{entry.path}: {found.reason}; read are JSON, CSV, TSV, Parquet and Arrow, in "
            f"gz, bz2, xz, zst and tar"
        )
    return NoData(entry.path, found.reason)


def _beside(entry: Entry, matches: Matches) -> frozenset[str]:
    """Returns the names of the folder of a `state.json`; none of other files, whose names say enough."""
    folder, _, name = entry.path.rpartition("/")
    if name != "state.json":
        return frozenset()
    return frozenset(f.path.rpartition("/")[2] for f in matches.files if f.path.startswith(folder))


def _found(entry: Entry) -> Found:
    if entry.bytes == 0:
        content = format_of_name(entry.path).content or "json"
        return Found(FileFormat(content=content), is_empty=True)
    try:
        with storage.open_input(entry.path) as file:
            return look_into(file_source(file, num_bytes=LOOKED_AT_BYTES), entry.path)[0]
    except OSError as error:
        raise unreadable(entry.path, error) from None


def _input_file(root: str, identity: Identity, payload: str, described: _Described) -> InputFile:
    entry, found = described
    size, sha256, modified_ns = entry.bytes, "", entry.mtime_ns
    if identity == "sha256":
        try:
            (size, sha256), modified_ns = file_digest(entry.path), 0
        except OSError as error:
            raise unreadable(entry.path, error) from None
    assert found.format is not None
    return InputFile(
        path=relative(entry.path, root),
        bytes=size,
        sha256=sha256,
        modified_ns=modified_ns,
        format=found.format,
        window_bytes=found.window_bytes,
        payload=_payload(entry, found.format, payload),
    )


def _payload(entry: Entry, format: FileFormat, payload: str) -> str:
    """Returns the payload format of a file's records, or "rows"."""
    if not entry.bytes or format.content not in ("json", "members"):
        return ROWS
    if payload != AUTO:
        return payload
    try:
        with storage.open_input(entry.path) as file:
            return recognised(file_source(file), format)
    except OSError as error:
        raise unreadable(entry.path, error) from None


def cut(inventory: Inventory, *, unit_bytes: int = UNIT_BYTES) -> list[InputUnit]:
    """Cuts every file into units, in the order of rows; an empty plain file has none.

    Plain JSON lines are cut after the last line feed within `unit_bytes` (a longer line has a unit
    of its own), other plain JSON between records, Parquet and Arrow files between groups; large
    files of JSON lines between blocks of bzip2 or frames of Zstandard; other compressed files and
    Arrow streams never.

    Args:
        inventory: the files.
        unit_bytes: the most a unit should hold, at least 1.

    Raises:
        InputError: a file cannot be read, or a Parquet or Arrow file has no readable layout.
    """
    total = sum(file.bytes for file in inventory.files)

    def cut_one(numbered: tuple[int, InputFile]) -> list[InputUnit]:
        index, file = numbered
        path = storage.join(inventory.root, file.path)
        is_large = file.bytes > LARGE_UNITS * unit_bytes and file.bytes * LARGE_SHARE >= total
        try:
            return list(_cut_file(index, file, path, unit_bytes, is_large=is_large))
        except OSError as error:
            raise unreadable(file.path, error) from None

    return list(chain.from_iterable(storage.in_threads(cut_one, list(enumerate(inventory.files)))))


def _cut_file(
    index: int, file: InputFile, path: str, unit_bytes: int, *, is_large: bool
) -> Iterator[InputUnit]:
    size = file.bytes
    whole = InputUnit(
        file=index,
        path=file.path,
        format=file.format,
        kind="whole",
        start=0,
        stop=size,
        bytes=size,
        payload=file.payload,
    )
    if not size:
        return iter(())
    if file.format in PLAIN_TEXTS and size <= unit_bytes:  # what is in one unit is not counted
        return iter([msgspec.structs.replace(whole, kind="bytes")])
    if file.format == FileFormat(content="json"):
        return _cut_json(whole, path, unit_bytes)
    if file.format in PLAIN_TEXTS:
        return _cut_csv(whole, path, unit_bytes)
    if is_large and can_be_cut(file.format):
        return _cut_compressed(whole, path, unit_bytes)
    if file.format.has_groups:
        return _cut_groups(whole, path, unit_bytes)
    return iter([whole])


def _cut_compressed(whole: InputUnit, path: str, unit_bytes: int) -> Iterator[InputUnit]:
    (codec,) = whole.format.layers
    pieces = pieces_of(path, codec=codec, num_bytes=whole.bytes, piece_bytes=unit_bytes)
    if pieces is None:
        yield whole
        return
    for piece in pieces:
        bits = 8 if codec == "bz2" else 1
        start, stop = piece.blocks.spans[0][0] // bits, -(-piece.blocks.spans[-1][1] // bits)
        of_piece = {"first_row": piece.first_row, "place": piece.place, "blocks": piece.blocks}
        yield msgspec.structs.replace(
            whole, kind="blocks", start=start, stop=stop, bytes=stop - start, **of_piece
        )


def _cut_json(whole: InputUnit, path: str, unit_bytes: int) -> Iterator[InputUnit]:
    with storage.open_input(path) as file:
        place = json_place(file.read(HEAD_BYTES))
        cut_pieces = _cut_lines if place.layout == "lines" else _cut_values
        yield from cut_pieces(whole, file, place, unit_bytes)


def _cut_lines(
    whole: InputUnit, file: Any, place: JsonPlace, unit_bytes: int
) -> Iterator[InputUnit]:
    start = row = 0
    while start < whole.stop:
        lines = _lines_from(file, start, whole.stop, unit_bytes, name=whole.path)
        piece = {"start": start, "stop": lines.stop, "first_row": row, "place": place}
        yield msgspec.structs.replace(whole, kind="bytes", bytes=lines.stop - start, **piece)
        start, row = lines.stop, row + lines.num_records
        place = msgspec.structs.replace(place, line=place.line + lines.num_lines)


class _LinesRead(NamedTuple):
    """Where lines stop, and how many records and line feeds are in them."""

    stop: int
    num_records: int
    num_lines: int


def _lines_from(file: Any, start: int, end: int, unit_bytes: int, *, name: str) -> _LinesRead:
    """Returns the lines of the unit that begins at `start`: as many as fit, at least one."""
    file.seek(start)
    data = file.read(min(unit_bytes, end - start))
    if not data:
        raise InputError(f"{name}: has become shorter since its checksum was taken")
    stop = len(data) if start + len(data) >= end else data.rfind(b"\n") + 1
    if stop:
        counts = records_in_lines(data, stop=stop, max_line_bytes=MAX_LINE_BYTES)
        return _LinesRead(start + stop, *counts)
    return _long_line(file, data, start, end)


def _long_line(file: Any, data: bytes, start: int, end: int) -> _LinesRead:
    """Returns the line that begins with `data` at `start`, held only as far as a line may be long."""
    size, ended = len(data), False
    while not ended and (block := file.read(_SEARCH_BYTES)):
        stop = block.find(b"\n") + 1
        ended = stop > 0
        block = block[:stop] if ended else block
        size += len(block)
        data = b"" if size > MAX_LINE_BYTES + 1 else data + block
    stop = min(end, start + size)
    if not data:
        return _LinesRead(stop, 1, int(ended))
    counts = records_in_lines(data, stop=len(data), max_line_bytes=MAX_LINE_BYTES)
    return _LinesRead(stop, *counts)


def _cut_values(
    whole: InputUnit, file: Any, place: JsonPlace, unit_bytes: int
) -> Iterator[InputUnit]:
    """Cuts a text between records, as the reader finds them."""
    size = max(1, min(_SEARCH_BYTES, unit_bytes))
    file.seek(0)
    records = JsonRecords(iter(lambda: file.read(size), b""), place=place)
    counts = (1 if isinstance(block, str) else len(block.starts_L) for block in records)
    for unit in _cut_records(whole, records, counts, max(0, unit_bytes - size)):
        assert isinstance(unit.place, JsonPlace)
        goes_on = unit.stop < whole.stop
        place = msgspec.structs.replace(unit.place, goes_on=goes_on)
        yield msgspec.structs.replace(unit, place=place)


def _cut_csv(whole: InputUnit, path: str, unit_bytes: int) -> Iterator[InputUnit]:
    size, content = max(1, min(_SEARCH_BYTES, unit_bytes)), whole.format.content
    with storage.open_input(path) as file:
        pieces = iter(lambda: file.read(size), b"")
        place, pieces = headed_csv(pieces, content=content, name=whole.path)
        if place is None:
            return
        records = CsvRecords(pieces, place=place)
        counts = (1 if isinstance(block, str) else block.num_records for block in records)
        yield from _cut_records(whole, records, counts, max(0, unit_bytes - size))


def _cut_records(
    whole: InputUnit, records: JsonRecords | CsvRecords, counts: Iterator[int], enough_bytes: int
) -> Iterator[InputUnit]:
    """Yields units that end between records, once they have enough bytes."""
    start, row, first_row, place = 0, 0, 0, records.place
    for count in counts:
        row, stop = row + count, records.position
        if stop - start > enough_bytes and stop < whole.stop:
            piece = {"start": start, "stop": stop, "first_row": first_row, "place": place}
            yield msgspec.structs.replace(whole, kind="bytes", bytes=stop - start, **piece)
            start, first_row, place = stop, row, records.place
    piece = {"start": start, "first_row": first_row, "place": place}
    yield msgspec.structs.replace(whole, kind="bytes", bytes=whole.stop - start, **piece)


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
