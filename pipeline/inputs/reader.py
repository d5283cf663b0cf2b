"""One unit of an input file to batches of posts and dead letters; every row comes out once."""

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from sluice.pipeline.inputs import arrow_files, byte_streams
from sluice.pipeline.inputs.compressed_cuts import Blocks, decoded_piece
from sluice.pipeline.inputs.csv_records import (
    CsvBlock,
    CsvPlace,
    CsvRecords,
    csv_schema,
    headed_csv,
)
from sluice.pipeline.inputs.first_records import check_first_records
from sluice.pipeline.inputs.formats import Content
from sluice.pipeline.inputs.inventory import InputUnit, Inventory, TextPlace
from sluice.pipeline.inputs.json_records import MAX_LINE_BYTES, JsonPlace, JsonRecords
from sluice.pipeline.inputs.jsonl import JsonLines
from sluice.pipeline.inputs.made_ids import id_mapping, make_ids
from sluice.pipeline.inputs.notices import without_notices
from sluice.pipeline.inputs.parts import LeftOut, Part, held, parts
from sluice.pipeline.inputs.payload_records import PayloadRecords, payload_mapping
from sluice.pipeline.inputs.sources import StreamBrokenError, file_source
from sluice.pipeline.recipes.schema import IdRule
from sluice.pipeline.storage import files as storage
from sluice.pipeline.storage import local_copies
from sluice.pipeline.storage.globs import unreadable
from sluice.schemas.counts import ReadTally
from sluice.schemas.errors import InputError
from sluice.schemas.payloads import columns
from sluice.schemas.payloads.columns import Fault, RawPosts, ReadBatch
from sluice.schemas.payloads.known_formats import FORMATS
from sluice.schemas.payloads.mapping import ColumnMapping, Sources, folder_keys, with_constants
from sluice.schemas.post import MAX_RECORDS_OF_MANY, OPTIONAL_COLUMNS


class ReadOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How units are read. Only the first seven show in what comes out.

    Attributes:
        columns: POST column -> where it is read from, "" to leave it out; columns not named here are looked
            for by `sluice.schemas.post.DEFAULT_MAPPING`.
        time_format: what `created_at` looks like (`sluice.schemas.payloads.times`).
        ids: where the ids of posts come from.
        optional_columns: those of OPTIONAL_COLUMNS that posts have; the others are not read.
        notices: whether notices of payloads that act are read, not counted alone.
        max_text_bytes: longer texts are malformed.
        max_line_bytes: longer lines are malformed, and are not held in memory.
        block_bytes: bytes that are read at a time.
        batch_rows: the most rows of a batch.
    """

    columns: dict[str, Sources] = {}
    time_format: str = "auto"
    ids: IdRule = "column"
    optional_columns: tuple[str, ...] = OPTIONAL_COLUMNS
    notices: bool = False
    max_text_bytes: int = 262_144
    max_line_bytes: int = MAX_LINE_BYTES
    block_bytes: int = 4 << 20
    batch_rows: int = 16_384


def read_unit(root: str, unit: InputUnit, options: ReadOptions) -> Iterator[ReadBatch]:
    """Reads a unit in bounded memory: a few blocks, or an Arrow batch, or one page per column.

    Args:
        root: the inventory's root.
        unit: what to read.
        options: how to read it.

    Yields:
        Batches of at most `batch_rows` rows, in the order of the rows. Deterministic; where batches
        end depends on the cut and the options.

    Raises:
        InputError: the file cannot be opened, or lacks a column that a post must have.
    """
    try:
        yield from _Reading(root, unit, options).batches()
    except OSError as error:
        raise unreadable(unit.path, error) from None


def check_inputs(inventory: Inventory, options: ReadOptions) -> tuple[str, ...]:
    """Returns what is odd about the files and costs no post, in lines for people.

    Args:
        inventory: the files; of each the schema or the first records are read.
        options: how they will be read.

    Raises:
        InputError: `read_unit` would refuse a file as a whole, no file holds a byte, or see
            `check_first_records`.
    """
    if not any(file.bytes for file in inventory.files):
        raise InputError(f"no posts in the input: {'; '.join(inventory.notes)}")
    mapping = id_mapping(options.columns, options.ids)
    return (*inventory.notes, *check_first_records(inventory, mapping))


class _Reading:
    """One unit, as it is read."""

    def __init__(self, root: str, unit: InputUnit, options: ReadOptions):
        path = storage.join(root, unit.path)
        self._path = local_copies.fetch(path) if unit.kind == "whole" else path
        self._unit, self._options = unit, options
        self._row = unit.first_row
        mapping, keys = id_mapping(options.columns, options.ids), folder_keys(path)
        self._mapping = with_constants(self._wanted(mapping), keys)
        self._no_posts = pa.RecordBatch.from_pylist([], schema=columns.post_schema(self._mapping))
        self._payload = FORMATS.get(unit.payload)
        if self._payload is not None:
            mapping = payload_mapping(self._payload, options.columns)
            self._payload_mapping = with_constants(mapping, keys)
        self._origin = columns.Origin(unit.file, unit.path)

    def _wanted(self, mapping: ColumnMapping) -> ColumnMapping:
        unwanted = set(OPTIONAL_COLUMNS).difference(self._options.optional_columns)
        return {column: sources for column, sources in mapping.items() if column not in unwanted}

    def batches(self) -> Iterator[ReadBatch]:
        """Yields the rows of the unit."""
        unit = self._unit
        if unit.format.has_schema:
            self._check_columns(self._path, unit.format.content)
            yield from self._groups()
        elif unit.kind == "bytes":
            yield from self._text(self._plain(), unit.format.content, place=unit.place)
        elif unit.blocks is not None:
            yield from self._blocks(unit.blocks)
        else:
            yield from self._parts()

    def _blocks(self, blocks: Blocks) -> Iterator[ReadBatch]:
        """Yields the records of a piece of a compressed file."""
        unit, (codec,) = self._unit, self._unit.format.layers
        try:
            pieces = decoded_piece(self._path, codec=codec, blocks=blocks)
            yield from self._text(pieces, unit.format.content, place=unit.place)
        except StreamBrokenError as broken:
            yield self._broken(broken)

    def _plain(self) -> Iterator[bytes]:
        unit, size = self._unit, self._options.block_bytes
        return byte_streams.plain(self._path, start=unit.start, stop=unit.stop, block_bytes=size)

    def _parts(self) -> Iterator[ReadBatch]:
        """Yields the rows of a compressed file or an archive: a dead letter for each break."""
        with storage.open_input(self._path) as file:
            found = parts(file_source(file), self._unit.format)
            while True:
                try:
                    part = next(found, None)
                except StreamBrokenError as broken:
                    yield self._broken(broken)
                    return
                if part is None:
                    return
                if isinstance(part, LeftOut):
                    yield self._nothing(ReadTally(left_out={part.reason: 1}))
                else:
                    yield from self._part(part)

    def _part(self, part: Part) -> Iterator[ReadBatch]:
        format, size = part.format, self._options.block_bytes
        try:
            if format.is_text:
                pieces = byte_streams.blocks(part.source, block_bytes=size)
                pieces = byte_streams.as_utf8(pieces, encoding=format.encoding)
                yield from self._text(pieces, format.content)
            elif format.content == "arrow_stream":
                yield from self._stream(part.source)
            else:
                yield from self._held(part)
        except StreamBrokenError as broken:
            yield self._broken(broken)

    def _held(self, part: Part) -> Iterator[ReadBatch]:
        """Yields the rows of a Parquet or Arrow file that is in memory."""
        data, content = held(part, name=self._unit.path), part.format.content
        self._check_columns(data, content)
        groups = arrow_files.group_layout(data, name=self._unit.path, format=content)
        rows = [group.rows for group in groups or ()]
        yield from self._group_rows(data, content, range(len(rows)), rows)

    def _check_columns(self, source: arrow_files.Place, content: Content) -> None:
        arrow_files.check_columns(
            source, name=self._unit.path, format=content, mapping=self._mapping
        )

    def _broken(self, broken: StreamBrokenError) -> ReadBatch:
        self._row += 1
        return self._dead_letters([Fault(self._row - 1, broken.reason, broken.detail)])

    def _text(
        self, pieces: Iterator[bytes], content: Content, *, place: TextPlace | None = None
    ) -> Iterator[ReadBatch]:
        """Yields the records of a text; `place` is where its bytes begin, None for its beginning."""
        if content == "json":
            assert place is None or isinstance(place, JsonPlace)
            return self._json(pieces, place)
        if place is None:
            place, pieces = headed_csv(pieces, content=content, name=self._unit.path)
        return iter(()) if place is None else self._csv(pieces, place)

    def _csv(self, pieces: Iterator[bytes], place: TextPlace) -> Iterator[ReadBatch]:
        assert isinstance(place, CsvPlace)
        mapping, options, name = self._mapping, self._options, self._unit.path
        schema = csv_schema(place)
        arrow_files.check_schema(schema, name=name, mapping=mapping)
        records = CsvRecords(
            pieces,
            place=place,
            wanted=arrow_files.wanted_columns(schema, mapping=mapping),
            max_line_bytes=options.max_line_bytes,
            max_records=options.batch_rows,
        )
        for block in records:
            if isinstance(block, str):
                yield self._dead_letters([Fault(self._row, block)])
                self._row += 1
                continue
            yield self._csv_rows(block)
            self._row += block.num_records

    def _csv_rows(self, block: CsvBlock) -> ReadBatch:
        raw, faults = arrow_files.raw_posts(
            block.rows, mapping=self._mapping, first_row=0, untyped=True
        )
        row_M, at_N = block.at_M + self._row, raw.source_row_N
        # Nothing tells an empty text from none.
        filled = raw.columns | {"text": pc.fill_null(raw.columns["text"], "")}
        raw = raw._replace(
            columns=filled, source_row_N=row_M[at_N], source_line_N=block.line_M[at_N]
        )
        of_values = [f._replace(source_row=int(row_M[f.source_row])) for f in faults]
        of_records = [f._replace(source_row=f.source_row + self._row) for f in block.faults]
        return self._split(raw, of_values + of_records)

    def _json(self, pieces: Iterator[bytes], place: JsonPlace | None) -> Iterator[ReadBatch]:
        reader, options = self._json_reader(), self._options
        for block in JsonRecords(pieces, place=place, max_line_bytes=options.max_line_bytes):
            if isinstance(block, str):
                yield self._dead_letters([Fault(self._row, block)])
                self._row += 1
                continue
            num_records = len(block.starts_L)
            for first in range(0, num_records, options.batch_rows):
                stop = min(first + options.batch_rows, num_records)
                raw, faults = reader.read(block, first=first, stop=stop, first_row=self._row)
                if self._payload is None:
                    raw = without_notices(raw, block, first_row=self._row)
                raw = raw._replace(source_line_N=block.numbers_L[raw.source_row_N - self._row])
                faults = [f.in_line(int(block.numbers_L[f.source_row - self._row])) for f in faults]
                yield self._split(raw, faults)
            self._row += num_records

    def _json_reader(self) -> JsonLines | PayloadRecords:
        if self._payload is None:
            return JsonLines(self._mapping)
        return PayloadRecords(
            self._payload,
            self._payload_mapping,
            wanted=tuple(self._mapping),
            acts=self._options.notices,
        )

    def _groups(self) -> Iterator[ReadBatch]:
        unit = self._unit
        if unit.kind == "whole":
            yield from self._stream(self._path)
            return
        groups = range(unit.start, unit.stop)
        yield from self._group_rows(self._path, unit.format.content, groups, unit.group_rows)

    def _stream(self, source: Any) -> Iterator[ReadBatch]:
        how: dict[str, Any] = {"mapping": self._mapping, "batch_rows": self._options.batch_rows}
        yield from self._group(
            arrow_files.stream_batches(source, name=self._unit.path, **how), None
        )

    def _group_rows(
        self,
        source: arrow_files.Place,
        content: Content,
        groups: Sequence[int],
        rows: Sequence[int],
    ) -> Iterator[ReadBatch]:
        read = arrow_files.parquet_batches if content == "parquet" else arrow_files.ipc_batches
        how: dict[str, Any] = {"mapping": self._mapping, "batch_rows": self._options.batch_rows}
        for group, num_rows in zip(groups, rows, strict=True):
            yield from self._group(read(source, group=group, **how), self._row + num_rows)

    def _group(self, batches: Iterator[pa.RecordBatch], stop: int | None) -> Iterator[ReadBatch]:
        """Yields a group's rows: `stop` is the one after the last, where it is known."""
        broken = None
        try:
            for batch in batches:
                batch = batch if stop is None else batch.slice(0, stop - self._row)
                raw = arrow_files.raw_posts(batch, mapping=self._mapping, first_row=self._row)
                yield self._split(*raw)
                self._row += batch.num_rows
        except arrow_files.BrokenGroupError as error:
            broken = str(error)
            stop = self._row + 1 if stop is None else stop
        while stop is not None and self._row < stop:
            lost = range(self._row, min(self._row + self._options.batch_rows, stop))
            yield self._dead_letters([Fault(i, "corrupt_input", broken) for i in lost])
            self._row = lost.stop

    def _split(self, raw: RawPosts, faults: list[Fault]) -> ReadBatch:
        limit = self._options.max_text_bytes
        raw = make_ids(raw, ids=self._options.ids, path=self._unit.path)
        if raw.source_item_N is not None and self._row >= MAX_RECORDS_OF_MANY:
            raise InputError(
                f"{self._unit.path}: more than {MAX_RECORDS_OF_MANY:,} records that may give many posts: "
                f"give them in several files"
            )
        return columns.split_rows(
            raw,
            faults,
            origin=self._origin,
            max_text_bytes=limit,
            time_format="auto" if self._payload is not None else self._options.time_format,
        )

    def _nothing(self, counts: ReadTally) -> ReadBatch:
        return ReadBatch.of(
            self._no_posts, columns.malformed_batch([], origin=self._origin), counts
        )

    def _dead_letters(self, faults: list[Fault]) -> ReadBatch:
        return ReadBatch.of(self._no_posts, columns.malformed_batch(faults, origin=self._origin))
