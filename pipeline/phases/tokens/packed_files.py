"""The files of packed sequences, read row by row by the shards that take from all of them."""

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sluice.pipeline.phases.edges import read_edge
from sluice.pipeline.phases.tokens.pack import PIECE, added_fields
from sluice.pipeline.storage import files as storage
from sluice.pipeline.storage.checksums import crc32
from sluice.pipeline.units.manifest import Done
from sluice.schemas.arrays import Array, Int32s

PROVENANCE = pa.schema(
    [pa.field("shard", pa.int32()), *(f for f in PIECE if f.name not in ("copies", "ends"))]
)
"""One row per piece: where its tokens are; for leftover sequences the shard is -1."""

FORGOTTEN_AT = pa.field("forgotten_at", pa.timestamp("us", tz="UTC"))
"""The column that says when posts were forgotten, in the files that have such: `post_id` is a hash there."""


def provenance_schema(*, counted: bool, carried: Sequence[str], has_media: bool) -> pa.Schema:
    """Returns PROVENANCE with what a recipe adds to it.

    Args:
        counted: with `dedup.count_copies`: `copies` posts are in the post's cluster, itself included.
        carried: the columns that `tokens.provenance` names.
        has_media: with `media.placeholders`: the media of each piece.
    """
    copies = [PIECE.field("copies")] if counted else []
    return pa.schema([*PROVENANCE, *copies, *added_fields(carried, has_media=has_media)])


class _Sequences:
    """The sequences of a packed partition: some rows are read, and each of them is checked."""

    def __init__(self, done: Done, sequence_length: int):
        manifest = done.manifest()
        entry = manifest.files["sequences"]
        self._done, self._length = done, sequence_length
        self._path = storage.join(done.folder, entry.name)
        self.sum_S = np.fromfile(done.checked(manifest.files["sums"]), np.uint32)
        try:
            self._remote: Any = None
            flat = np.empty(0, np.int32)
            if storage.is_remote(self._path):
                self._remote = storage.open_input(self._path)
            elif os.path.getsize(self._path) == entry.bytes:
                flat = np.memmap(self._path, np.int32, "r")
            else:
                raise done.damaged(self._path, "was cut")
        except FileNotFoundError:
            raise done.damaged(self._path, "is missing") from None
        self._mapped = flat.reshape(-1, sequence_length)

    def rows(self, row_Q: Array) -> Int32s:
        """Returns (Q, L) int32, the sequences at these rows."""
        tokens_QL = self._mapped[row_Q] if self._remote is None else self._fetched(row_Q.tolist())
        found_Q = np.array([crc32(tokens_L) for tokens_L in tokens_QL], np.uint32)
        if not np.array_equal(found_Q, self.sum_S[row_Q]):
            raise self._done.damaged(self._path, "is not what its unit wrote: a checksum differs")
        return tokens_QL

    def _fetched(self, rows: list[int]) -> Int32s:
        size, file = 4 * self._length, self._remote
        found = storage.in_threads(lambda row: file.read_at(size, row * size), rows)
        data = b"".join(found)
        if len(data) != size * len(rows):
            raise self._done.damaged(self._path, "was cut")
        return np.frombuffer(data, np.int32).reshape(-1, self._length)


class PackedFiles:
    """The packed partitions: sequences and pieces by (partition, row).

    Args:
        folder: of the partitions.
        sequence_length: L.
        carried: columns of posts that pieces have.
        has_media: whether they have those of media.
        first_document: partition -> the number of its first document in the whole output.
    """

    def __init__(
        self,
        folder: str,
        sequence_length: int,
        *,
        carried: Sequence[str],
        has_media: bool,
        first_document: Mapping[int, int],
    ):
        self._folder, self._length = folder, sequence_length
        self._schema = provenance_schema(counted=True, carried=carried, has_media=has_media)
        self._first_document = first_document
        self._tokens: dict[int, _Sequences] = {}
        self._pieces: dict[int, tuple[pa.RecordBatch, Array]] = {}

    def _sequences(self, partition: int) -> _Sequences:
        if partition not in self._tokens:
            done = Done(self._folder, f"partition-{partition:05d}")
            self._tokens[partition] = _Sequences(done, self._length)
        return self._tokens[partition]

    def pieces(self, partition: int) -> tuple[pa.RecordBatch, Array]:
        """Returns a partition's PIECE rows and, for each sequence, where its rows start, (S + 1,)."""
        if partition not in self._pieces:
            (rows,) = read_edge(Done(self._folder, f"partition-{partition:05d}"), "pieces")
            num_sequences = len(self._sequences(partition).sum_S)
            starts_S1 = np.searchsorted(
                np.asarray(rows.column("sequence")), np.arange(num_sequences + 1)
            )
            self._pieces[partition] = rows, starts_S1
        return self._pieces[partition]

    def gather(self, partition_S: Array, row_S: Array) -> tuple[Array, pa.ListArray]:
        """Returns (tokens_SL int32, doc_ends list<int32>) of the sequences, in their order."""
        tokens_SL = np.empty((len(row_S), self._length), np.int32)
        for partition in np.unique(partition_S).tolist():
            at_Q = np.flatnonzero(partition_S == partition)
            tokens_SL[at_Q] = self._sequences(partition).rows(row_S[at_Q])
        pieces, counts_S = self._rows(partition_S, row_S)
        end_P = np.asarray(pieces["offset"]) + np.asarray(pieces["length"])
        at_E = np.flatnonzero(np.asarray(pieces["ends"]))
        first_S1 = np.concatenate([[0], np.cumsum(counts_S)])
        offsets = pa.array(np.searchsorted(at_E, first_S1).astype(np.int32))
        return tokens_SL, pa.ListArray.from_arrays(offsets, pa.array(end_P[at_E], pa.int32()))

    def _rows(self, partition_S: Array, row_S: Array) -> tuple[pa.Table, Array]:
        """Returns the PIECE rows of the sequences, in their order, and how many each has."""
        parts, owner, counts_S = [], [], np.zeros(len(row_S), np.int64)
        for partition in np.unique(partition_S).tolist():
            rows, starts_S1 = self.pieces(partition)
            at_Q = np.flatnonzero(partition_S == partition)
            start_Q, stop_Q = starts_S1[row_S[at_Q]], starts_S1[row_S[at_Q].astype(np.int64) + 1]
            counts_S[at_Q] = stop_Q - start_Q
            taken = rows.take(pa.array(spans(start_Q, stop_Q)))
            parts.append(_renumbered(taken, self._first_document[partition]))
            owner.append(np.repeat(at_Q, counts_S[at_Q]))
        if not parts:
            return self._schema.append(PIECE.field("ends")).empty_table(), counts_S
        order = np.argsort(np.concatenate(owner), kind="stable")
        return pa.Table.from_batches(parts).take(pa.array(order)).combine_chunks(), counts_S

    def provenance(
        self,
        partition_S: Array,
        row_S: Array,
        *,
        shard: int,
        first_sequence: int = 0,
    ) -> pa.Table:
        """Returns rows of a shard's provenance, with copies and what is carried, by sequence and offset."""
        pieces, counts_S = self._rows(partition_S, row_S)
        number_S = np.arange(first_sequence, first_sequence + len(row_S), dtype=np.int32)
        sequence = pa.array(np.repeat(number_S, counts_S))
        columns = [pa.repeat(pa.scalar(shard, pa.int32()), len(sequence)), sequence]
        columns += [pieces[n].combine_chunks() for n in self._schema.names[2:]]
        return pa.Table.from_arrays(columns, schema=self._schema)


def _renumbered(pieces: pa.RecordBatch, first_document: int) -> pa.RecordBatch:
    """Returns PIECE rows with the numbers of documents in the whole output, of which this is the first."""
    number = pc.add(pieces.column("document"), first_document)
    return pieces.set_column(pieces.schema.names.index("document"), PIECE.field("document"), number)


def spans(start_Q: Array, stop_Q: Array) -> Array:
    """Returns the numbers of all half-open spans, one span after the other, int64."""
    length_Q = (stop_Q - start_Q).astype(np.int64)
    skip_Q = start_Q - np.concatenate([[0], np.cumsum(length_Q)[:-1]])
    return np.asarray(np.arange(int(length_Q.sum()), dtype=np.int64) + np.repeat(skip_Q, length_Q))
