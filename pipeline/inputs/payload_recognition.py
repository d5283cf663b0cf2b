"""Which payload format the records of a file are of, by the first ones."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from itertools import islice
from typing import Any, Final

from sluice.pipeline.inputs import byte_streams
from sluice.pipeline.inputs.formats import FileFormat
from sluice.pipeline.inputs.json_records import without_name
from sluice.pipeline.inputs.parts import LeftOut, parts
from sluice.pipeline.inputs.sources import Source, StreamBrokenError
from sluice.schemas.payloads.format import PayloadFormat
from sluice.schemas.payloads.known_formats import FORMATS, ROWS

NUM_RECORDS: Final = 50
"""Records of a file that are looked at."""
_BLOCK_BYTES = 1 << 18
_BLOCKS, _MOST_BLOCKS = 4, 32
"""Blocks of a file that are looked at, and at most, where no record ends in them: a page is one line."""
_KEYS_OF_NOTICE = 3  # of its outermost object, at most
_MOST_BROKEN = 100  # objects of a head: each may be read as deep as the decoder goes
_DECODER = json.JSONDecoder()


def recognised(source: Source, format: FileFormat) -> str:
    """Returns the name of the payload format that most of the first records are of, or "rows".

    Records that hold no post (see `PayloadFormat.notices`) say nothing, unless a file has no others.

    Args:
        source: the bytes of a file; of an archive, its first member of JSON counts.
        format: what the file is.
    """
    if format.content not in ("json", "members"):
        return ROWS
    rows = list(_records(source, format))
    counts = Counter(map(format_of_record, rows))
    counts.pop("", None)
    if not counts:
        counts = Counter(name for row in rows if (name := format_of_notice(row)))
    return max(counts, key=counts.__getitem__, default=ROWS)


def format_of_record(row: Mapping[str, Any]) -> str:
    """Returns the name of the payload format of a decoded record, "rows", or "" where it says nothing.

    >>> format_of_record({"id": "1", "text": "a row"}), format_of_record({"delete": {"status": {}}})
    ('rows', '')
    """
    for name, format in FORMATS.items():
        if _is_of(row, format):
            return name
    if format_of_notice(row):
        return ""
    if len(row) <= 2 and any(set(row) & set(format.notices) for format in FORMATS.values()):
        return ""
    return ROWS


def format_of_notice(row: Mapping[str, Any]) -> str:
    """Returns the name of the payload format that a record is a notice of, or "".

    >>> format_of_notice({"delete": {"status": {"id_str": "1"}}}), format_of_notice({"id": "1"})
    ('x_v1', '')
    """
    told = FORMATS.items() if len(row) <= _KEYS_OF_NOTICE else ()
    for name, format in told:
        if any(_has(row, path) for path in format.told_by_notices):
            return name
    return ""


def _is_of(row: Mapping[str, Any], format: PayloadFormat) -> bool:
    if any(_has(row, path) for path in format.told_against):
        return False
    return any(all(_has(row, path) for path in paths) for paths in format.told_by)


def _has(row: Mapping[str, Any], path: str) -> bool:
    """Returns whether a record has a value at a path of `PayloadFormat.told_by`."""
    keys, _, wanted = path.partition("=")
    value: Any = row
    for key in keys.split("."):
        name = key.removesuffix("[]")
        value = value.get(name) if isinstance(value, dict) else None
        if name != key:
            value = value[0] if isinstance(value, list) and value else None
    return value is not None and (not wanted or value == wanted)


def _records(source: Source, format: FileFormat) -> Iterator[dict[str, Any]]:
    try:
        for part in parts(source, format):
            if isinstance(part, LeftOut) or part.format.content != "json":
                continue
            pieces = byte_streams.blocks(part.source, block_bytes=_BLOCK_BYTES)
            pieces = byte_streams.as_utf8(pieces, encoding=part.format.encoding)
            yield from _objects(_until_broken(pieces))
            return
    except StreamBrokenError:
        return


def _until_broken(pieces: Iterator[bytes]) -> Iterator[bytes]:
    with suppress(StreamBrokenError):
        yield from pieces


def _objects(pieces: Iterator[bytes]) -> Iterator[dict[str, Any]]:
    """Yields the first objects of a text, also those of an array around them.

    The scans of the readers are not used: who only wants a plan waits for no compiled code.
    """
    head = b""
    for num_blocks, piece in enumerate(pieces, 1):
        head += piece
        rows = list(islice(_of_head(head), NUM_RECORDS))
        enough = len(rows) == NUM_RECORDS or (rows and num_blocks >= _BLOCKS)
        if enough or num_blocks == _MOST_BLOCKS:
            break
    else:
        rows = list(islice(_of_head(head), NUM_RECORDS))
    yield from rows


def _of_head(head: bytes) -> Iterator[dict[str, Any]]:
    """Yields the whole objects of the first bytes of a text.

    Behind a broken one the next begins with its line.
    """
    text, at, num_broken = without_name(head).decode("utf-8", "ignore"), 0, 0
    while num_broken < _MOST_BROKEN and (begin := text.find("{", at)) >= 0:
        try:
            row, at = _DECODER.raw_decode(text, begin)
            yield row
        except (ValueError, RecursionError):  # not JSON, or too long a number
            num_broken += 1
            at = text.find("\n{", begin + 1)
            if at < 0:
                return
