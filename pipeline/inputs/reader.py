"""One unit of an input file to batches of posts and dead letters; every row comes out once."""

from collections.abc import Iterator
from typing import NamedTuple

import msgspec
import pyarrow as pa

from sluice.pipeline.inputs.arrow_files import (
    BrokenGroupError,
    check_columns,
    ipc_batches,
    parquet_batches,
    raw_posts,
    stream_batches,
)
from sluice.pipeline.inputs.byte_streams import (
    OVERLONG,
    StreamBrokenError,
    decompressed,
    line_blocks,
    plain,
    without_bom,
)
from sluice.pipeline.inputs.inventory import InputFile, InputUnit, Inventory
from sluice.pipeline.inputs.jsonl import JsonLines
from sluice.pipeline.inputs.jsonl_scan import scan_lines
from sluice.pipeline.storage import files as storage
from sluice.pipeline.storage import local_copies
from sluice.pipeline.storage.globs import unreadable
from sluice.schemas.payloads.columns import (
    ColumnMapping,
    Fault,
    Origin,
    RawPosts,
    column_mapping,
    malformed_batch,
    split_rows,
)
from sluice.schemas.post import POST


class ReadOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How units are read. Only the first three show in what comes out.

    Attributes:
        columns: POST column -> input column, "" to leave it out; columns not named here are looked
            for by `sluice.schemas.post.DEFAULT_MAPPING`.
        max_text_bytes: longer texts are malformed.
        max_line_bytes: longer lines are malformed, and are not held in memory.
        block_bytes: bytes that are read at a time.
        batch_rows: the most rows of a batch.
    """

    columns: dict[str, str] = {}
    max_text_bytes: int = 65_536
    max_line_bytes: int = 8 << 20
    block_bytes: int = 4 << 20
    batch_rows: int = 16_384


class ReadBatch(NamedTuple):
    """Some rows of a unit, each once: posts (POST), dead letters (REJECT), by ascending row."""

    posts: pa.RecordBatch
    rejected: pa.RecordBatch


def read_unit(root: str, unit: InputUnit, options: ReadOptions) -> Iterator[ReadBatch]:
    """Reads a unit in bounded memory: a few blocks, or an Arrow batch or a page a column.

    Args:
        root: the inventory's root.
        unit: what to read.
        options: how to read it.

    Yields:
        Batches of at most `batch_rows` rows, in the order of the rows. Blank lines are no rows, but
        count in `source_row`. Deterministic; where batches end depends on the cut and the options.

    Raises:
        InputError: the file cannot be opened, or lacks a column that a post must have.
    """
    path = storage.join(root, unit.path)
    mapping = column_mapping(options.columns)
    try:
        if unit.kind == "whole":
            path = local_copies.fetch(path)
        if unit.format in ("parquet", "arrow"):
            check_columns(path, name=unit.path, format=unit.format, mapping=mapping)
            yield from _read_groups(path, unit, mapping, options)
        else:
            yield from _read_lines(_pieces(path, unit, options), unit, mapping, options)
    except OSError as error:
        raise unreadable(unit.path, error) from None


def check_inputs(inventory: Inventory, options: ReadOptions) -> None:
    """Raises InputError, before any work, for what `read_unit` would refuse of a file as a whole.

    Args:
        inventory: the files; only schemas of Parquet and Arrow files are read.
        options: how they will be read.
    """
    mapping = column_mapping(options.columns)

    def check_one(file: InputFile) -> None:
        path = storage.join(inventory.root, file.path)
        check_columns(path, name=file.path, format=file.format, mapping=mapping)

    with_schemas = [f for f in inventory.files if f.format in ("parquet", "arrow")]
    for _ in storage.in_threads(check_one, with_schemas):
        pass


def _pieces(path: str, unit: InputUnit, options: ReadOptions) -> Iterator[bytes]:
    if unit.format == "jsonl":
        pieces = plain(path, start=unit.start, stop=unit.stop, block_bytes=options.block_bytes)
    else:
        codec = unit.format.removeprefix("jsonl.")
        pieces = decompressed(path, codec=codec, block_bytes=options.block_bytes)
    return without_bom(pieces) if unit.start == 0 else pieces


def _read_lines(
    pieces: Iterator[bytes], unit: InputUnit, mapping: ColumnMapping, options: ReadOptions
) -> Iterator[ReadBatch]:
    origin = Origin(unit.file, unit.path)
    reader = JsonLines(mapping)
    row = unit.first_row
    try:
        for block in line_blocks(pieces, max_line_bytes=options.max_line_bytes):
            if block is OVERLONG:
                yield _dead_letters([Fault(row, "line_too_long")], origin)
                row += 1
                continue
            lines = scan_lines(block, max_line_bytes=options.max_line_bytes)
            num_lines = len(lines.starts_L)
            for first in range(0, num_lines, options.batch_rows):
                stop = min(first + options.batch_rows, num_lines)
                raw, faults = reader.read(lines, first=first, stop=stop, first_row=row)
                yield _split(raw, faults, origin, options)
            row += num_lines
    except StreamBrokenError as broken:
        yield _dead_letters([Fault(row, broken.reason)], origin)


def _read_groups(
    path: str, unit: InputUnit, mapping: ColumnMapping, options: ReadOptions
) -> Iterator[ReadBatch]:
    if unit.kind == "whole":
        batches = stream_batches(path, mapping=mapping, batch_rows=options.batch_rows)
        yield from _read_batches(batches, (unit.first_row, None), unit, mapping, options)
        return
    row = unit.first_row
    read = parquet_batches if unit.format == "parquet" else ipc_batches
    for group, num_rows in zip(range(unit.start, unit.stop), unit.group_rows, strict=True):
        batches = read(path, group=group, mapping=mapping, batch_rows=options.batch_rows)
        yield from _read_batches(batches, (row, row + num_rows), unit, mapping, options)
        row += num_rows


def _read_batches(
    batches: Iterator[pa.RecordBatch],
    rows: tuple[int, int | None],
    unit: InputUnit,
    mapping: ColumnMapping,
    options: ReadOptions,
) -> Iterator[ReadBatch]:
    """Yields a group's rows: `rows` is its first and, if known, the one after its last."""
    origin = Origin(unit.file, unit.path)
    row, stop = rows
    broken = None
    try:
        for batch in batches:
            batch = batch if stop is None else batch.slice(0, stop - row)
            raw, faults = raw_posts(batch, mapping=mapping, first_row=row)
            yield _split(raw, faults, origin, options)
            row += batch.num_rows
    except BrokenGroupError as error:
        broken = str(error)
        stop = row + 1 if stop is None else stop
    while stop is not None and row < stop:
        lost = range(row, min(row + options.batch_rows, stop))
        yield _dead_letters([Fault(i, "corrupt_input", broken) for i in lost], origin)
        row = lost.stop


def _split(raw: RawPosts, faults: list[Fault], origin: Origin, options: ReadOptions) -> ReadBatch:
    posts, rejected = split_rows(raw, faults, origin=origin, max_text_bytes=options.max_text_bytes)
    return ReadBatch(posts, rejected)


def _dead_letters(faults: list[Fault], origin: Origin) -> ReadBatch:
    return ReadBatch(_NO_POSTS, malformed_batch(faults, origin=origin))


_NO_POSTS = pa.RecordBatch.from_pylist([], schema=POST)
