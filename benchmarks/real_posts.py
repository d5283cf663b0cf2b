"""The real posts: the collections in the folder that SLUICE_DATA names."""

from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from isal import igzip


class Size(NamedTuple):
    """How much files of JSON lines hold, decompressed."""

    posts: int
    bytes: int


def posts_of(data: Path, collection: str = "firehose") -> list[Path]:
    """Returns the `.jsonl.gz` files of a collection, by name."""
    return sorted((data / collection).glob("*.jsonl.gz"))


def lines_of(files: Iterable[Path]) -> Iterator[bytes]:
    """Yields the lines of files, one file after the other."""
    return chain.from_iterable(map(_lines, files))


def _lines(path: Path) -> Iterator[bytes]:
    with igzip.open(path, "rb") as lines:
        yield from lines


def rows_of(files: Iterable[Path]) -> Iterator[dict[str, Any]]:
    """Yields the posts of files as they are in the JSON."""
    return map(msgspec.json.decode, lines_of(files))


def size_of(files: Iterable[Path]) -> Size:
    """Returns the lines and bytes of files, decompressed."""
    num_lines = num_bytes = 0
    for path in files:
        with igzip.open(path, "rb") as file:
            while block := file.read(1 << 20):
                num_lines, num_bytes = num_lines + block.count(b"\n"), num_bytes + len(block)
    return Size(num_lines, num_bytes)
