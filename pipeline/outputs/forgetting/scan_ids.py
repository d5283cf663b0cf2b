"""Which rows of an output and of a history name posts that were forgotten: ids are hashed and compared.

Tables and intermediate files are found by listing folders, so that files that nothing names are read, too.

Shape suffixes: N rows.
"""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, Literal, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from sluice.filters.privacy.keyed_ids import IdKey
from sluice.pipeline.history.versions import SEGMENTS
from sluice.pipeline.inputs.forgotten import ForgottenPosts
from sluice.pipeline.outputs.forgetting.find import ID_COLUMNS
from sluice.pipeline.storage import files as storage
from sluice.pipeline.storage import local_copies

TABLES: Final = ("provenance", "leftover", "rejects", "scores", "contaminated", "work")
"""Folders of an output whose files may name posts."""
_ENDINGS: Final = (".parquet", ".arrow")
_BATCH_ROWS: Final = 1 << 16


class Finding(NamedTuple):
    """Something of a post that was forgotten.

    Attributes:
        file: path.
        row: of the file, from 0.
        what: its plain `id`, or its `tokens`.
        post_key: the hash of its id.
    """

    file: str
    row: int
    what: Literal["id", "tokens"]
    post_key: str


class NamedPosts(NamedTuple):
    """What files name: how many ids were looked at, and those of posts that were forgotten."""

    ids: int
    findings: tuple[Finding, ...]


def files_with_ids(output: str, history: str | None) -> list[str]:
    """Returns the paths of all files of an output, and of a history, that may name posts."""
    found = [
        file.path
        for folder in TABLES
        for file in storage.listing(storage.join(output, folder), recursive=True)
    ]
    if history is not None:
        found += [str(path) for path in sorted(Path(history, SEGMENTS).rglob("*"))]
    return [path for path in found if path.endswith(_ENDINGS)]


def named_posts(path: str, forgotten: ForgottenPosts, key: IdKey) -> NamedPosts:
    """Returns the ids in a file's columns of ids, and which of them are of posts that were forgotten."""
    ids, findings = 0, list[Finding]()
    with local_copies.scope():
        for start, batch in _batches(local_copies.fetch(path), ID_COLUMNS):
            for column in batch.columns:
                ids += len(column) - column.null_count
                is_found_N = forgotten.have_ids(column, key)
                for row in np.flatnonzero(is_found_N).tolist():
                    post_key = key.post(column[row].as_py())
                    findings.append(Finding(path, start + row, "id", post_key))
    return NamedPosts(ids, tuple(findings))


def _batches(path: str, names: Sequence[str]) -> Iterator[tuple[int, pa.RecordBatch]]:
    """Yields those of some columns that a file has, with the number of the first row of each batch."""
    start = 0
    for batch in _parquet(path, names) if path.endswith(".parquet") else _arrow(path, names):
        yield start, batch
        start += batch.num_rows


def _parquet(path: str, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
    with pq.ParquetFile(path) as file:
        there = [name for name in names if name in file.schema_arrow.names]
        if there:
            yield from file.iter_batches(_BATCH_ROWS, columns=there)


def _arrow(path: str, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """Yields batches of an IPC file, or of IPC streams one after the other, as exchanges write them."""
    with pa.memory_map(path) as source:
        try:
            reader = pa.ipc.open_file(source)
        except pa.ArrowInvalid:
            yield from _streams(source, os.path.getsize(path), names)
            return
        there = [name for name in names if name in reader.schema.names]
        for number in range(reader.num_record_batches if there else 0):
            yield reader.get_batch(number).select(there)


def _streams(
    source: pa.MemoryMappedFile, size: int, names: Sequence[str]
) -> Iterator[pa.RecordBatch]:
    source.seek(0)
    while source.tell() < size:
        with pa.ipc.open_stream(source) as reader:
            there = [name for name in names if name in reader.schema.names]
            for batch in reader:
                yield batch.select(there)
