"""The records of a CSV or TSV text as rows of strings, in bounded memory."""

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Final, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa

from sluice.pipeline.inputs import csv_scan
from sluice.pipeline.inputs.csv_scan import Records, scan_records
from sluice.pipeline.inputs.first_bytes import MARK
from sluice.pipeline.inputs.formats import Content
from sluice.pipeline.inputs.json_records import MAX_LINE_BYTES, headed
from sluice.schemas.arrays import Int64s
from sluice.schemas.errors import InputError
from sluice.schemas.payloads.columns import Fault

DELIMITERS: Final = (b",", b";", b"\t", b"|")
"""What may part fields: the one that gives the header the most, of equals the first."""
_MAX_HEADER_BYTES = 1 << 20
_SAYS_DELIMITER = b"sep="


class CsvPlace(msgspec.Struct, frozen=True, kw_only=True, tag="csv"):
    """Where reading begins in a CSV text, and what its header says.

    Attributes:
        delimiter: one byte.
        names: of the columns, in order.
        skip: bytes from the place to the first record: the header, at the beginning of a text.
        line: the lines before the place.
    """

    delimiter: bytes
    names: tuple[str, ...]
    skip: int = 0
    line: int = 0


class CsvBlock(NamedTuple):
    """Records of a block.

    Attributes:
        num_records: all of them.
        rows: M of them, wanted columns of strings; values may not be UTF-8.
        at_M: (M,) int64, the place of each row among the records.
        line_M: (M,) int64, the line of the file that each begins in, from 0.
        faults: the other records; `source_row` is the place among the records.
    """

    num_records: int
    rows: pa.RecordBatch
    at_M: Int64s
    line_M: Int64s
    faults: list[Fault]


def csv_place(head: bytes, *, content: Content, name: str) -> CsvPlace:
    r"""Returns what the header of a text says, by its first bytes.

    >>> place = csv_place(b'id;"te;xt"\r\n1;x\r\n', content="csv", name="a.csv")
    >>> place.delimiter, place.names, place.skip
    (b';', ('id', 'te;xt'), 12)

    Raises:
        InputError: there is no header of at most 1 MiB, or it is not UTF-8.
    """
    start = len(MARK) if head.startswith(MARK) else 0
    candidates: Sequence[bytes] = DELIMITERS
    if content == "tsv":
        candidates = (b"\t", *(d for d in DELIMITERS if d != b"\t"))
    if (
        head[start : start + 4].lower() == _SAYS_DELIMITER
        and head[start + 5 : start + 6] in b"\r\n"
    ):
        candidates = (head[start + 4 : start + 5],)
        start += 5
    start += len(head[start:]) - len(head[start:].lstrip(b"\r\n"))
    data = head[start : start + _MAX_HEADER_BYTES]
    headers = [(_header(data, delimiter), delimiter) for delimiter in candidates]
    (names, size), delimiter = max(headers, key=lambda header: len(header[0][0]))
    if not names:
        raise InputError(
            f"{name}: its first line is no header: names of columns, one of them the text's"
        )
    try:
        decoded = tuple(column.decode().strip() for column in names)
    except UnicodeDecodeError:
        raise InputError(f"{name}: its header is not UTF-8: save the file as UTF-8") from None
    return CsvPlace(delimiter=delimiter, names=decoded, skip=start + size, line=0)


def _header(data: bytes, delimiter: bytes) -> tuple[list[bytes], int]:
    """Returns (names, bytes of the header), no names where it is broken."""
    found = _first_record(data, delimiter, [])
    if not len(found.starts_R) or found.shapes_R[0] != csv_scan.WHOLE:
        return [], 0
    number = int(found.num_fields_R[0])
    found = _first_record(data, delimiter, list(range(number)))
    fields = (csv_scan.field_texts(data, found, i, np.zeros(1, np.int64)) for i in range(number))
    names = [field.cast(pa.binary())[0].as_py() or b"" for field in fields]
    return names, found.at


def _first_record(data: bytes, delimiter: bytes, wanted: list[int]) -> Records:
    return scan_records(
        data,
        delimiter=delimiter,
        num_fields=0,
        wanted=wanted,
        is_last=True,
        max_bytes=_MAX_HEADER_BYTES,
        max_records=1,
    )


class CsvRecords:
    """The records of a CSV text, or of the part of one that begins at a place.

    Args:
        pieces: the bytes from the place on, UTF-8.
        place: where that is.
        wanted: names of the columns that are read.
        max_line_bytes: a longer record is a dead letter.
        max_records: records of a block at most.

    Attributes:
        place: of the next record that was not given.
        position: bytes before it, from the first piece on.
    """

    def __init__(
        self,
        pieces: Iterator[bytes],
        *,
        place: CsvPlace,
        wanted: Sequence[str] = (),
        max_line_bytes: int = MAX_LINE_BYTES,
        max_records: int = 1 << 16,
    ):
        self._pieces, self.place, self.position = pieces, place, 0
        self._wanted = [i for i, name in enumerate(place.names) if name in wanted]
        self._max_bytes, self._max_records = max_line_bytes, max_records

    def __iter__(self) -> Iterator[CsvBlock | str]:
        """Yields blocks of records, and the reason of a dead letter for a record that is in no block."""
        rest = b""
        for piece in chain(self._pieces, [None]):
            block = rest + (piece or b"")
            if self.place.skip:
                if len(block) < self.place.skip and piece is not None:
                    rest = block
                    continue
                block = self._moved(block, self.place.skip)
            while block:
                found = self._scan(block, is_last=piece is None)
                records = self._block(block, found)
                block = self._moved(block, found.at)
                if records.num_records:
                    yield records
                if records.num_records < self._max_records:
                    break
            rest = block
            if len(rest) > 2 * self._max_bytes + 2 and _line_end(rest[: self._max_bytes + 1]) < 0:
                rest = self._pass_over(rest)
                yield "line_too_long"

    def _scan(self, block: bytes, *, is_last: bool) -> Records:
        return scan_records(
            block,
            delimiter=self.place.delimiter,
            num_fields=len(self.place.names),
            wanted=self._wanted,
            is_last=is_last,
            max_bytes=self._max_bytes,
            max_records=self._max_records,
        )

    def _block(self, block: bytes, found: Records) -> CsvBlock:
        number = len(self.place.names)
        whole_R = (found.shapes_R == csv_scan.WHOLE) & (found.num_fields_R == number)
        at_M = np.flatnonzero(whole_R)
        names = [self.place.names[i] for i in self._wanted]
        columns = [csv_scan.field_texts(block, found, i, at_M) for i in range(len(names))]
        rows = pa.RecordBatch.from_arrays(columns, names)
        line_feeds = np.flatnonzero(np.frombuffer(block[: found.at], np.uint8) == 0x0A)
        line_M: Int64s = self.place.line + np.searchsorted(line_feeds, found.starts_R[at_M])
        bad_M = np.flatnonzero(~whole_R)
        shapes, numbers = found.shapes_R[bad_M].tolist(), found.num_fields_R[bad_M].tolist()
        faults = list(map(self._fault, bad_M.tolist(), shapes, numbers))
        return CsvBlock(len(found.starts_R), rows, at_M, line_M, faults)

    def _fault(self, row: int, shape: int, number: int) -> Fault:
        if shape == csv_scan.TOO_LONG:
            return Fault(row, "line_too_long")
        detail = _DETAILS.get(shape, f"{number} fields, the header has {len(self.place.names)}")
        return Fault(row, "not_csv", detail)

    def _moved(self, block: bytes, at: int) -> bytes:
        """Moves the place behind the first bytes of a block, and returns the others."""
        line = self.place.line + block.count(b"\n", 0, at)
        self.position += at
        self.place = msgspec.structs.replace(self.place, line=line, skip=0)
        return block[at:]

    def _pass_over(self, rest: bytes) -> bytes:
        """Passes over a line that is too long, without holding it; returns the bytes behind it."""
        while (end := _line_end(rest)) < 0:
            self._moved(rest, len(rest))
            piece = next(self._pieces, None)
            if piece is None:
                return b""
            rest = piece
        return self._moved(rest, end)


_DETAILS = {
    csv_scan.UNCLOSED: "a quote is not closed",
    csv_scan.TEXT_BEHIND: "text behind a closing quote",
}


def _line_end(data: bytes) -> int:
    """Returns where the second line of some bytes begins, or -1."""
    ends = [place for place in (data.find(b"\n"), data.find(b"\r")) if place >= 0]
    return min(ends) + 1 if ends else -1


def csv_schema(place: CsvPlace) -> pa.Schema:
    """Returns the columns of a text: all of them strings."""
    return pa.schema([pa.field(name, pa.string()) for name in place.names])


def headed_csv(
    pieces: Iterator[bytes], *, content: Content, name: str
) -> tuple[CsvPlace | None, Iterator[bytes]]:
    """Returns (what the header of a text says, None where there is no text; all its pieces)."""
    head, pieces = headed(pieces)
    if not head.removeprefix(MARK).strip(b"\r\n"):
        return None, pieces
    return csv_place(head, content=content, name=name), pieces
