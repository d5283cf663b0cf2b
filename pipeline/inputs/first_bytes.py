"""What the first bytes of a file say that it is. Its name decides only where they do not."""

import csv
import io
import re
from typing import Final, NamedTuple

from sluice.pipeline.inputs.decompression import (
    ORDINARY_WINDOW,
    decoded,
    dictionary_bytes,
    window_bytes,
)
from sluice.pipeline.inputs.formats import (
    Content,
    Encoding,
    FileFormat,
    Layer,
    NamedFormat,
    format_of_name,
)
from sluice.pipeline.inputs.json_records import without_name
from sluice.pipeline.inputs.sources import Source, pieces_source
from sluice.pipeline.inputs.tar_members import is_header
from sluice.pipeline.inputs.telegram_export import is_export

HEAD_BYTES: Final = 64 << 10
"""Decoded bytes that are looked at."""
MAX_LAYERS: Final = 4
"""Layers of compression, one in another; a file of more is not read."""
MARK: Final = b"\xef\xbb\xbf"

_LAYER_MAGIC: tuple[tuple[bytes, Layer], ...] = (
    (b"\x1f\x8b", "gz"),
    (b"\xfd7zXZ\0", "xz"),
    (b"\x28\xb5\x2f\xfd", "zst"),
)
_BZ2 = re.compile(rb"BZh[1-9](?:1AY&SY|\x17rE8P\x90)")
_SKIPPED_FRAME = re.compile(rb"[\x50-\x5f]\x2a\x4d\x18")
_OTHERS: Final = (
    (b"PK\x03\x04", "a zip archive"),
    (b"PK\x05\x06", "a zip archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"Rar!", "a rar archive"),
    (b"%PDF", "a PDF document"),
    (b"\x89PNG", "an image"),
    (b"\xff\xd8\xff", "an image"),
    (b"GIF8", "an image"),
    (b"SQLite format 3\0", "an SQLite database"),
    (b"Obj\x01", "an Avro file"),
    (b"ORC", "an ORC file"),
    (b"PARE", "an encrypted Parquet file"),
    (b"FEA1", "a Feather file of version 1"),
    (b"\x04\x22\x4d\x18", "lz4"),
    (b"\xff\x06\x00\x00sNaPpY", "snappy"),
    (b"\xff\xfe\0\0", "UTF-32 text"),
    (b"\0\0\xfe\xff", "UTF-32 text"),
    (b"\x7fELF", "a program"),
)
_ARROW_STREAM = re.compile(rb"\xff\xff\xff\xff..[\0-\x0f]\0", re.DOTALL)
_WINDOWS: Final = {"zst": window_bytes, "xz": dictionary_bytes}
_JSON = re.compile(rb'\s*(?:\{\s*(?:["}]|$)|\[\s*(?:[\[{"\]]|(?:null|true|false|-?\d)\b|$))')
_OBJECT_LINE = re.compile(rb'^[ \t]*\{[ \t\r]*["}]', re.MULTILINE)
_COLUMN_NAME = re.compile(r"\w[\w .:/#@()-]{0,63}")
_SEPARATORS: Final = ",\t;|"


class Found(NamedTuple):
    """What was found of a file.

    Attributes:
        format: what it is, or None.
        reason: why it is no data, where format is None.
        is_empty: whether it holds no byte, or nothing but blanks, as far as was looked.
        window_bytes: of the first frame of Zstandard, or the dictionary of the first block of xz, where it
            is more than any file may take.
    """

    format: FileFormat | None
    reason: str = ""
    is_empty: bool = False
    window_bytes: int = 0


def look_into(source: Source, name: str) -> tuple[Found, Source]:
    """Returns what a file is, and its bytes without layers of compression, none of them read.

    Args:
        source: the file's bytes.
        name: the file's; its endings decide where the bytes do not.
    """
    named = format_of_name(name)
    layers: list[Layer] = []
    window = 0
    while layer := _layer(source.peek(HEAD_BYTES), named, len(layers)):
        if layer == "tar":
            archive = FileFormat(layers=(*layers, "tar"), content="members")
            return Found(archive, window_bytes=window), source
        if len(layers) == MAX_LAYERS:
            return Found(None, f"more than {MAX_LAYERS} layers of compression"), source
        layers.append(layer)
        if layer in _WINDOWS:
            size = _WINDOWS[layer](source.peek(HEAD_BYTES))
            window = max(window, size if size > ORDINARY_WINDOW else 0)
        source = pieces_source(decoded(source, codec=layer, block_bytes=HEAD_BYTES))
    head = source.peek(HEAD_BYTES)
    content, encoding, reason = _content(head, named)
    is_empty = not (source.is_damaged or head.removeprefix(MARK).strip())
    format = content and FileFormat(layers=tuple(layers), content=content, encoding=encoding)
    return Found(format, reason, is_empty, window), source


def _layer(head: bytes, named: NamedFormat, depth: int) -> Layer | None:
    for magic, layer in _LAYER_MAGIC:
        if head.startswith(magic):
            return layer
    if _BZ2.match(head):
        return "bz2"
    if _SKIPPED_FRAME.match(head):
        return "zst"
    if is_header(head[:512]):
        return "tar"
    if is_export(head):
        return "telegram"
    said = named.layers[depth] if depth < len(named.layers) else None
    return said if said is not None and head and not _is_known(head) else None


def _is_known(head: bytes) -> bool:
    """Returns whether bytes are of a content that can be told without a name."""
    return _content(head, NamedFormat((), None))[0] is not None


def _content(head: bytes, named: NamedFormat) -> tuple[Content | None, Encoding, str]:
    """Returns (the content or None, the encoding of a text, why it is no data)."""
    if head.startswith(b"PAR1"):
        return "parquet", "utf-8", ""
    if head.startswith(b"ARROW1"):
        return "arrow", "utf-8", ""
    if _ARROW_STREAM.match(head):
        return "arrow_stream", "utf-8", ""
    if other := next((what for magic, what in _OTHERS if head.startswith(magic)), None):
        return None, "utf-8", f"{other}, which is not read"
    encoding = encoding_of(head)
    text = as_utf8(head, encoding)
    told = _text_content(text, named)
    if told is None and named.content in ("parquet", "arrow", "arrow_stream"):
        return ("arrow_stream" if named.content == "arrow" else named.content), encoding, ""
    if told is None and named.content in ("json", "csv", "tsv"):
        return named.content, encoding, ""
    if told is None:
        return None, encoding, "neither JSON nor CSV, and no other format that is read"
    return told, encoding, ""


def encoding_of(head: bytes) -> Encoding:
    """Returns the encoding of a text by its mark, or by the zeros beside a first bracket."""
    if head.startswith((b"\xff\xfe", b"{\0", b"[\0")):
        return "utf-16-le"
    if head.startswith((b"\xfe\xff", b"\0{", b"\0[")):
        return "utf-16-be"
    return "utf-8"


def as_utf8(head: bytes, encoding: Encoding) -> bytes:
    """Returns the first bytes of a text as UTF-8 without marks; a character cut at the end is left out."""
    if encoding != "utf-8":
        even = head[: len(head) // 2 * 2]
        head = even.decode(encoding, "replace").encode("utf-8", "replace")
    while head.startswith(MARK):
        head = head.removeprefix(MARK)
    return head


def _text_content(text: bytes, named: NamedFormat) -> Content | None:
    text = without_name(text)
    if _JSON.match(text):
        return "json"
    if not text.strip():
        return "json" if named.content not in ("csv", "tsv") else named.content
    if named.content not in ("csv", "tsv") and _OBJECT_LINE.search(text):
        return "json"
    if named.content in ("csv", "tsv"):
        header = text.partition(b"\n")[0]
        return "tsv" if b"\t" in header and not any(s in header for s in b",;|") else named.content
    separator = None if b"\0" in text else _separator(text)
    if separator is None:
        return None
    return "tsv" if separator == "\t" else "csv"


def _separator(text: bytes) -> str | None:
    """Returns what separates the names of a header, where the row after it has as many fields."""
    lines = text.decode("utf-8", "replace").replace("\r\n", "\n").replace("\r", "\n")
    for separator in _SEPARATORS:
        rows = csv.reader(io.StringIO(lines, newline=""), delimiter=separator, strict=True)
        try:
            names, first = next(rows), next(rows)
        except (StopIteration, csv.Error):
            continue
        is_header = len(set(names)) == len(names) > 1 and all(map(_COLUMN_NAME.fullmatch, names))
        if is_header and len(first) == len(names):
            return separator
    return None
