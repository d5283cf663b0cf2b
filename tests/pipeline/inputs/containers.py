"""Posts in every container: what compresses and archives them, and what reads a file back."""

import bz2
import gzip
import io
import json
import lzma
import tarfile
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

from sluice.pipeline.inputs.inventory import cut, find_inputs
from sluice.pipeline.inputs.reader import ReadOptions, read_unit
from sluice.schemas.counts import ReadTally

CODECS: dict[str, Callable[[bytes], bytes]] = {
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zst": zstandard.compress,
}


def json_lines(start: int, stop: int) -> bytes:
    """Returns posts as JSON lines; the post with the number i is `p{i}`."""
    rows = ({"id": f"p{i}", "text": f"the post with the number {i}"} for i in range(start, stop))
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def table(start: int, stop: int) -> pa.Table:
    """Returns the same posts as a table."""
    numbers = range(start, stop)
    texts = [f"the post with the number {i}" for i in numbers]
    return pa.table({"id": [f"p{i}" for i in numbers], "text": texts})


def parquet(start: int, stop: int) -> bytes:
    """Returns the same posts as a Parquet file."""
    file = io.BytesIO()
    pq.write_table(table(start, stop), file, row_group_size=4)
    return file.getvalue()


def arrow(start: int, stop: int, *, stream: bool) -> bytes:
    """Returns the same posts as an Arrow file or stream."""
    file = io.BytesIO()
    rows = table(start, stop)
    with (pa.ipc.new_stream if stream else pa.ipc.new_file)(file, rows.schema) as writer:
        writer.write_table(rows, max_chunksize=3)
    return file.getvalue()


def archive(members: Sequence[tuple[str, bytes]], format: int = tarfile.PAX_FORMAT) -> bytes:
    """Returns a tar archive of files."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=format) as tar:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return file.getvalue()


class Contents(NamedTuple):
    """All that reading files gives."""

    posts: list[dict[str, Any]]
    rejected: list[dict[str, Any]]
    counts: ReadTally
    notes: tuple[str, ...]

    @property
    def numbers(self) -> list[int]:
        """The numbers of the posts, in the order in which they came."""
        return [int(post["post_id"][1:]) for post in self.posts]

    @property
    def rows(self) -> list[int]:
        """`source_row` of the posts."""
        return [post["source_row"] for post in self.posts]

    @property
    def reasons(self) -> Counter[str]:
        """The dead letters by reason."""
        return Counter(row["reason"] for row in self.rejected)


def contents(path: Path, *, unit_bytes: int = 1 << 20, **options: Any) -> Contents:
    """Reads a file or a folder."""
    inventory = find_inputs([str(path)])
    posts, rejected, counts = [], [], ReadTally()
    for unit in cut(inventory, unit_bytes=unit_bytes):
        for read in read_unit(inventory.root, unit, ReadOptions(**options)):
            posts += read.posts.to_pylist()
            rejected += read.rejected.to_pylist()
            counts += read.counts
    return Contents(posts, rejected, counts, inventory.notes)
