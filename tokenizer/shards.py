"""Writes, reads and verifies token shards; the format is specified in `sluice.schemas.token_shard`."""

import hashlib
import io
import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from pyarrow import ipc

from sluice.schemas.arrays import Int32s
from sluice.schemas.errors import VerifyError
from sluice.schemas.kernel import kernel, read_only, types
from sluice.schemas.token_shard import ROWS_PER_BATCH, ShardFormat
from sluice.tokenizer.places import TokenPlaces, as_if_there


class ShardWriter:
    """Writes a shard under another name and renames it when the `with` block ends without an error.

    The cuts of the sequences that come in do not matter: record batches always hold ROWS_PER_BATCH
    rows, so equal sequences give equal bytes.

    >>> import tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> path = Path(folder.name, "tokens.arrow")
    >>> with ShardWriter(path, format=ShardFormat(4, 100, pad_id=0, eod_id=2)) as writer:
    ...     writer.write(np.array([[7, 2, 9, 0]], np.int32), pa.array([[2, 3]], pa.list_(pa.int32())))
    >>> tokens_L, doc_ends_K = ShardReader(path).sequence(0)
    >>> tokens_L.tolist(), doc_ends_K.tolist()
    ([7, 2, 9, 0], [2, 3])
    >>> verify_shard(path, vocabulary_size=100)
    []
    >>> folder.cleanup()

    Attributes, once the block has ended:
        num_bytes: of the file.
        sha256: of the file, hexadecimal; taken while writing.
    """

    def __init__(self, path: str | os.PathLike[str], *, format: ShardFormat):
        self._path = Path(path)
        self._length, self._schema = format.sequence_length, format.schema
        self._attempt = self._path.with_name(f".{self._path.name}.{uuid.uuid4().hex}.tmp")
        self._sink = _HashingFile(self._attempt)
        options = ipc.IpcWriteOptions(compression=None, use_threads=False)
        self._writer = ipc.new_file(pa.PythonFile(self._sink, "w"), self._schema, options=options)
        self._pending: list[pa.RecordBatch] = []
        self._num_pending = 0

    def write(self, tokens_SL: Int32s, doc_ends: pa.ListArray) -> None:
        """Appends (S, L) int32 sequences with their (S,) list<int32> ends of pieces.

        Raises:
            ValueError: the shapes do not agree with the format or with each other.
        """
        expected = (len(doc_ends), self._length)
        if tokens_SL.shape != expected:
            raise ValueError(f"tokens must have the shape {expected}, got {tokens_SL.shape}")
        flat = pa.array(np.ascontiguousarray(tokens_SL, np.int32).reshape(-1))
        tokens = pa.FixedSizeListArray.from_arrays(flat, self._length)
        self._pending.append(pa.RecordBatch.from_arrays([tokens, doc_ends], schema=self._schema))
        self._num_pending += len(doc_ends)
        if self._num_pending >= ROWS_PER_BATCH:
            self._flush(self._num_pending - self._num_pending % ROWS_PER_BATCH)

    def _flush(self, num_rows: int) -> None:
        """Writes the first `num_rows` pending rows in full batches and keeps the rest."""
        rows = pa.concat_batches(self._pending) if len(self._pending) > 1 else self._pending[0]
        for start in range(0, num_rows, ROWS_PER_BATCH):
            part = rows.slice(start, min(ROWS_PER_BATCH, num_rows - start))
            self._writer.write_batch(_alone(part))
        rest = rows.slice(num_rows)
        self._pending, self._num_pending = [rest], rest.num_rows

    def __enter__(self) -> "ShardWriter":
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        try:
            if kind is None:
                self._finish()
        finally:
            self._sink.close()
            self._attempt.unlink(missing_ok=True)

    def _finish(self) -> None:
        if self._num_pending:
            self._flush(self._num_pending)
        self._writer.close()
        self._sink.close()
        self.num_bytes, self.sha256 = self._sink.num_bytes, self._sink.hash.hexdigest()
        self._attempt.replace(self._path)


class _HashingFile(io.BufferedWriter):
    """A file open for writing that hashes what passes, so that no shard is read twice."""

    def __init__(self, path: Path):
        super().__init__(io.FileIO(path, "w"))
        self.hash, self.num_bytes = hashlib.sha256(), 0

    def write(self, data: Any, /) -> int:
        self.hash.update(data)
        self.num_bytes += len(data)
        return super().write(data)


def _alone(rows: pa.RecordBatch) -> pa.RecordBatch:
    """Returns the same rows in buffers that hold nothing else.

    Arrow fills a buffer up to whole words with what follows it in memory, so that the bytes of a slice
    depend on the rows that follow it.
    """
    tokens, doc_ends = rows.columns
    flat = pa.array(np.array(tokens.flatten().to_numpy()))
    ends = pa.array(np.array(doc_ends.flatten().to_numpy()))
    offsets_S1 = doc_ends.offsets.to_numpy()
    columns = [
        pa.FixedSizeListArray.from_arrays(flat, tokens.type.list_size),
        pa.ListArray.from_arrays(pa.array(offsets_S1 - offsets_S1[0]), ends),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=rows.schema)


class ShardBatch(NamedTuple):
    """A record batch of a shard, as views of the mapped file.

    Attributes:
        tokens_SL: (S, L) int32, read-only.
        doc_ends: (S,) list<int32>.
    """

    tokens_SL: Int32s
    doc_ends: pa.ListArray


class ShardReader:
    """An open shard; nothing is read before it is asked for, and tokens are never copied.

    Attributes:
        format: the numbers in its schema.
    """

    def __init__(self, path: str | os.PathLike[str]):
        """Opens a shard.

        Raises:
            VerifyError: it is no Arrow IPC file, or not a token shard of this version.
        """
        try:
            self._reader = ipc.open_file(pa.memory_map(os.fspath(path)))
        except (OSError, pa.ArrowException) as failure:
            raise VerifyError(f"{path}: must be an Arrow IPC file: {failure}") from failure
        try:
            self.format = ShardFormat.of(self._reader.schema)
        except VerifyError as failure:
            raise VerifyError(f"{path}: {failure}") from None

    def __len__(self) -> int:
        """The number of sequences."""
        full = max(0, self.num_batches - 1)
        last = self._reader.get_batch(full).num_rows if self.num_batches else 0
        return full * ROWS_PER_BATCH + int(last)

    @property
    def num_batches(self) -> int:
        """Record batches in the file."""
        return int(self._reader.num_record_batches)

    def batch(self, index: int) -> ShardBatch:
        """Returns record batch `index`."""
        rows = self._reader.get_batch(index)
        tokens = rows.column("tokens")
        tokens_SL = tokens.flatten().to_numpy(zero_copy_only=True)
        return ShardBatch(tokens_SL.reshape(rows.num_rows, -1), rows.column("doc_ends"))

    def batches(self) -> Iterator[ShardBatch]:
        """Yields the record batches in order; memory is that of the pages touched."""
        return (self.batch(i) for i in range(self.num_batches))

    def at(self, index: int, places: TokenPlaces) -> Int32s:
        """Returns (T,) int32, the tokens at those of some places that are in record batch `index`."""
        first, (tokens_SL, _) = index * ROWS_PER_BATCH, self.batch(index)
        there = places.among(first, first + len(tokens_SL))
        return np.asarray(tokens_SL.reshape(-1)[there.positions(tokens_SL.shape[1])])

    def sequence(self, index: int) -> tuple[Int32s, Int32s]:
        """Returns (tokens_L, doc_ends_K), both int32, of one sequence; no other is read."""
        rows = self.batch(index // ROWS_PER_BATCH)
        row = index % ROWS_PER_BATCH
        return rows.tokens_SL[row], rows.doc_ends[row].values.to_numpy()


def verify_shard(
    path: str | os.PathLike[str],
    *,
    vocabulary_size: int,
    sequence_length: int | None = None,
    sequences: int | None = None,
    forgotten: TokenPlaces | None = None,
) -> list[str]:
    """Reads a whole shard, a record batch at a time, and says everything that breaks the format.

    Args:
        path: the shard.
        vocabulary_size: what the manifest says; ids must be below.
        sequence_length: what the manifest says, if it is to be compared.
        sequences: likewise, the number of rows.
        forgotten: where posts were that were taken out: padding may be there.

    Returns:
        Problems as sentences without the path; empty where the shard is valid.
    """
    try:
        shard = ShardReader(path)
        expected = {"vocabulary_size": vocabulary_size, "sequence_length": sequence_length}
        problems = [
            f"{name} must be {value}, got {getattr(shard.format, name)}"
            for name, value in expected.items()
            if value is not None and getattr(shard.format, name) != value
        ]
        if sequences is not None and len(shard) != sequences:
            problems.append(f"must hold {sequences} sequences, got {len(shard)}")
        return problems + _content_problems(shard, vocabulary_size, forgotten)
    except VerifyError as failure:
        return [str(failure).removeprefix(f"{os.fspath(path)}: ")]
    except (OSError, pa.ArrowException, ValueError) as failure:
        return [f"cannot be read: {failure}"]


_WRONG = (
    "hold an id outside the vocabulary",
    "have doc_ends that are missing, do not increase or are outside the sequence",
    "have a token that is not padding behind the last document",
    "have padding inside a document",
    "have an end-of-document token inside a document",
)


def _content_problems(
    shard: ShardReader, vocabulary_size: int, forgotten: TokenPlaces | None
) -> list[str]:
    counts, first = np.zeros((2, len(_WRONG)), np.int64)
    format = shard.format._replace(vocabulary_size=vocabulary_size)
    problems, num_seen = [], 0
    for index in range(shard.num_batches):
        rows = shard._reader.get_batch(index)
        rows.validate(full=True)
        if index + 1 < shard.num_batches and rows.num_rows != ROWS_PER_BATCH:
            problems.append(
                f"record batch {index} must have {ROWS_PER_BATCH} rows, got {rows.num_rows}"
            )
        if any(_has_nulls(column) for column in rows.columns):
            problems.append(f"record batch {index} has nulls")
        else:
            tokens_SL, doc_ends = shard.batch(index)
            if forgotten is not None:
                gone = forgotten.among(num_seen, num_seen + rows.num_rows)
                if len(gone.sequence_P):
                    tokens_SL = as_if_there(tokens_SL, gone, format)
            ends = doc_ends.offsets.to_numpy(), doc_ends.values.to_numpy()
            _check(tokens_SL, *ends, format, num_seen, counts, first)
        num_seen += rows.num_rows
    return problems + [
        f"{counts[k]} sequences, the first {first[k]}, {_WRONG[k]}" for k in np.flatnonzero(counts)
    ]


def _has_nulls(column: pa.Array) -> bool:
    return bool(column.null_count or column.flatten().null_count)


_TOKENS, _ENDS = read_only(types.int32, 2), read_only(types.int32)
_FORMAT = types.NamedUniTuple(types.int64, len(ShardFormat._fields), ShardFormat)
_COUNTS = types.int64[::1]


@kernel(types.void(_TOKENS, _ENDS, _ENDS, _FORMAT, types.int64, _COUNTS, _COUNTS))
def _check(
    tokens_SL: Any, offsets_S1: Any, ends_K: Any, format: Any, row: Any, counts: Any, first: Any
) -> None:
    """Counts the sequences that break each rule of _WRONG, and notes the first of each."""
    L = tokens_SL.shape[1]
    wrong = np.empty(5, np.bool_)
    for s in range(tokens_SL.shape[0]):
        wrong[:] = False
        wrong[1] = offsets_S1[s] == offsets_S1[s + 1]
        previous = np.int64(0)
        for k in range(offsets_S1[s], offsets_S1[s + 1]):
            end = np.int64(ends_K[k])
            if end <= previous or end > L:
                wrong[1] = True
                break
            for j in range(previous, end):
                wrong[3] |= tokens_SL[s, j] == format.pad_id
                wrong[4] |= tokens_SL[s, j] == format.eod_id and j != end - 1
            previous = end
        for j in range(previous, L):
            wrong[2] |= tokens_SL[s, j] != format.pad_id
        if wrong[1]:
            wrong[2:] = False  # the other rules are told by the ends
        for j in range(L):
            wrong[0] |= tokens_SL[s, j] < 0 or tokens_SL[s, j] >= format.vocabulary_size
        for k in range(5):
            if wrong[k]:
                if counts[k] == 0:
                    first[k] = row + s
                counts[k] += 1
