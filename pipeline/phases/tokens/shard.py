"""Stages of phase tokens: packed partitions -> shards of equal length, with their provenance.

Sequences are numbered globally by prefix sums over the partitions, permuted by the seed, and dealt to
shards of equal length; the remainder is kept apart.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from sluice.pipeline.units import exchange
from sluice.pipeline.storage import files as storage
from sluice.pipeline.storage.checksums import crc32
from sluice.pipeline.ledger.balance import Counts
from sluice.pipeline.phases.tokens.pack import GATHER_SEQUENCES, PIECE
from sluice.pipeline.recipes.schema import Training
from sluice.pipeline.phases.tokens.token_counts import write_token_counts
from sluice.pipeline.units.stage import Attempt, Done, Unit, Work, file_digest
from sluice.tokenizer.shards import ShardWriter
from sluice.tokenizer.packing.sizing import ShardPlan, deal, plan_shards
from sluice.tokenizer.vocabulary.load import Vocabulary

PROVENANCE_SEQUENCES = 4096
"""Sequences whose provenance is held at a time, a row group: 33 million tokens at 8,192."""

Places = tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]
"""(partition_S, row_S): where the sequences of a shard were packed, in the shard's order."""

DEALT = pa.schema([("position", pa.uint32()), ("partition", pa.uint32()), ("row", pa.uint32())])
PROVENANCE = pa.schema(
    [pa.field("shard", pa.int32()), *(f for f in PIECE if f.name not in ("copies", "ends"))]
)
"""A row a piece: where its tokens are; for leftover sequences the shard is -1."""
COUNTED_PROVENANCE = PROVENANCE.append(PIECE.field("copies"))
"""With `dedup.count_copies`: `copies` posts are in the post's cluster, itself included."""


@dataclass(frozen=True)
class Deal:
    """All packed partitions -> which sequence goes to which place of which shard. A global step.

    It also sums how often each id occurs.
    """

    folder: str
    output: str
    training: Training
    vocabulary: Vocabulary
    seed: int
    name: str = "tokens_deal"

    def open(self) -> Work:
        """Returns the function that deals."""
        return partial(_deal, self)


def shards_for(training: Training, num_sequences: int) -> ShardPlan:
    """Returns the shards of so many sequences that suit a training run."""
    return plan_shards(
        num_sequences,
        sequence_length=training.sequence_length,
        data_parallel_ranks=training.data_parallel_ranks,
        global_batch_sequences=training.global_batch_sequences,
        target_shard_bytes=training.target_shard_bytes,
        workers_per_rank=training.workers_per_rank,
        tokens=training.tokens,
    )


def _deal(stage: Deal, unit: Unit, attempt: Attempt) -> Counts:
    packed = exchange.gathered(unit)
    num_P = [int(done.manifest().counts["sequences"]) for done in packed]
    planned = shards_for(stage.training, sum(num_P))
    shard_S, position_S = deal(sum(num_P), planned, seed=stage.seed)
    shard_S = np.where(shard_S < 0, planned.num_shards, shard_S)
    number_P = [int(done.unit.rpartition("-")[2]) for done in packed]
    columns = [
        pa.array(position_S.astype(np.uint32)),
        pa.array(np.repeat(np.array(number_P, np.uint32), num_P)),
        pa.array(
            np.concatenate(
                [np.empty(0, np.uint32), *(np.arange(n, dtype=np.uint32) for n in num_P)]
            )
        ),
    ]
    path = attempt.path("dealt")
    with exchange.Writer(path, schema=DEALT, num_partitions=planned.num_shards + 1) as writer:
        writer.write(pa.RecordBatch.from_arrays(columns, schema=DEALT), shard_S)
    attempt.add("dealt", path, ranges=writer.ranges)
    use = write_token_counts(
        [done.path("use") for done in packed],
        stage.vocabulary,
        output=stage.output,
        attempt=attempt,
    )
    return {
        "token_use": use,
        "shards": planned.num_shards,
        "sequences_per_shard": planned.sequences_per_shard,
        "leftover": planned.leftover,
        "steps": planned.steps,
    }


@dataclass(frozen=True)
class Shard:
    """One shard's places -> the shard and its provenance, under their plain names."""

    folder: str
    output: str
    packed: str
    dealt: str
    sequence_length: int
    vocabulary: Vocabulary
    count_copies: bool = False
    name: str = "tokens_shard"

    def open(self) -> Work:
        """Returns the function that writes a shard."""
        return partial(_shard, self)


def _shard(stage: Shard, unit: Unit, attempt: Attempt) -> Counts:
    shard = int(unit.payload["partition"])
    num_shards = int(Done(stage.dealt, "dealt").manifest().counts["shards"])
    places = _dealt_rows(unit)
    tokens_name, provenance_name = names(shard, num_shards)
    packed = PackedFiles(stage.packed, stage.sequence_length)
    _write_tokens(stage, packed, places, tokens_name, attempt)
    number = shard if shard < num_shards else -1
    used, pieces = _write_provenance(stage, packed, places, number, provenance_name, attempt)
    sequences = len(places[0])
    return {
        "leftover" if shard == num_shards else "in_shards": {
            "sequences": sequences,
            "tokens": used,
            "padding": sequences * stage.sequence_length - used,
            "pieces": pieces,
        }
    }


def _write_tokens(
    stage: Shard, packed: "PackedFiles", places: Places, name: str, attempt: Attempt
) -> None:
    with ShardWriter(
        attempt.contract_path(stage.output, name),
        sequence_length=stage.sequence_length,
        vocabulary_size=stage.vocabulary.size,
        pad_id=stage.vocabulary.pad_id,
        eod_id=stage.vocabulary.eod_id,
    ) as writer:
        for partition_S, row_S in _slices(places, GATHER_SEQUENCES):
            writer.write(*packed.gather(partition_S, row_S))
    attempt.add_contract("shard", name, size=writer.num_bytes, sha256=writer.sha256)


def _write_provenance(
    stage: Shard, packed: "PackedFiles", places: Places, shard: int, name: str, attempt: Attempt
) -> tuple[int, int]:
    """Writes a shard's provenance; returns its tokens and its pieces."""
    path = attempt.contract_path(stage.output, name)
    schema = COUNTED_PROVENANCE if stage.count_copies else PROVENANCE
    used = num_pieces = start = 0
    with pq.ParquetWriter(path, schema, compression="zstd", compression_level=1) as out:
        for partition_S, row_S in _slices(places, PROVENANCE_SEQUENCES):
            pieces = packed.provenance(partition_S, row_S, shard=shard, first_sequence=start)
            out.write_table(pieces.select(schema.names))
            used += int(np.sum(pieces["length"].to_numpy()))
            num_pieces += pieces.num_rows
            start += len(row_S)
    size, sha256 = file_digest(path)
    attempt.add_contract("provenance", name, size=size, sha256=sha256)
    return used, num_pieces


def _slices(places: Places, sequences: int) -> Iterator[Places]:
    """Yields the places of so many sequences after the other: the leftover may be most of a run."""
    partition_S, row_S = places
    for start in range(0, len(row_S), sequences):
        chosen = slice(start, start + sequences)
        yield partition_S[chosen], row_S[chosen]


def names(shard: int, num_shards: int) -> tuple[str, str]:
    """Returns the names of a shard and its provenance; the last number stands for the leftover."""
    if shard == num_shards:
        return "leftover/tokens.arrow", "leftover/provenance.parquet"
    stem = f"tokens-{shard:05d}-of-{num_shards:05d}"
    return f"tokens/{stem}.arrow", f"provenance/{stem}.parquet"


def _dealt_rows(unit: Unit) -> Places:
    """Returns (partition_S, row_S) of a shard's sequences in the order of their position."""
    rows = pa.concat_batches([batch for _, batch in exchange.read(unit)])
    order_S = np.argsort(np.asarray(rows.column("position")), kind="stable")
    partition_S, row_S = (np.asarray(rows.column(n)) for n in ("partition", "row"))
    return partition_S[order_S], row_S[order_S]


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

    def rows(self, row_Q: np.ndarray[Any, Any]) -> np.ndarray[Any, np.dtype[np.int32]]:
        """Returns (Q, L) int32, the sequences at these rows."""
        tokens_QL = self._mapped[row_Q] if self._remote is None else self._fetched(row_Q.tolist())
        found_Q = np.array([crc32(tokens_L) for tokens_L in tokens_QL], np.uint32)
        if not np.array_equal(found_Q, self.sum_S[row_Q]):
            raise self._done.damaged(self._path, "is not what its unit wrote: a checksum differs")
        return tokens_QL

    def _fetched(self, rows: list[int]) -> np.ndarray[Any, np.dtype[np.int32]]:
        size, file = 4 * self._length, self._remote
        found = storage.in_threads(lambda row: file.read_at(size, row * size), rows)
        data = b"".join(found)
        if len(data) != size * len(rows):
            raise self._done.damaged(self._path, "was cut")
        return np.frombuffer(data, np.int32).reshape(-1, self._length)


class PackedFiles:
    """The packed partitions: sequences and pieces by (partition, row)."""

    def __init__(self, folder: str, sequence_length: int):
        self._folder, self._length = folder, sequence_length
        self._tokens: dict[int, _Sequences] = {}
        self._pieces: dict[int, tuple[pa.RecordBatch, np.ndarray[Any, Any]]] = {}

    def _sequences(self, partition: int) -> _Sequences:
        if partition not in self._tokens:
            done = Done(self._folder, f"partition-{partition:05d}")
            self._tokens[partition] = _Sequences(done, self._length)
        return self._tokens[partition]

    def pieces(self, partition: int) -> tuple[pa.RecordBatch, np.ndarray[Any, Any]]:
        """Returns a partition's PIECE rows and, for each sequence, where its rows start, (S + 1,)."""
        if partition not in self._pieces:
            path = Done(self._folder, f"partition-{partition:05d}").path("pieces")
            with pa.memory_map(path) as file:
                rows = pa.ipc.open_file(file).get_batch(0)
            num_sequences = len(self._sequences(partition).sum_S)
            starts_S1 = np.searchsorted(
                np.asarray(rows.column("sequence")), np.arange(num_sequences + 1)
            )
            self._pieces[partition] = rows, starts_S1
        return self._pieces[partition]

    def gather(
        self, partition_S: np.ndarray[Any, Any], row_S: np.ndarray[Any, Any]
    ) -> tuple[np.ndarray[Any, Any], pa.ListArray]:
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

    def _rows(
        self, partition_S: np.ndarray[Any, Any], row_S: np.ndarray[Any, Any]
    ) -> tuple[pa.Table, np.ndarray[Any, Any]]:
        """Returns the PIECE rows of the sequences, in their order, and how many each has."""
        parts, owner, counts_S = [], [], np.zeros(len(row_S), np.int64)
        for partition in np.unique(partition_S).tolist():
            rows, starts_S1 = self.pieces(partition)
            at_Q = np.flatnonzero(partition_S == partition)
            start_Q, stop_Q = starts_S1[row_S[at_Q]], starts_S1[row_S[at_Q].astype(np.int64) + 1]
            counts_S[at_Q] = stop_Q - start_Q
            parts.append(rows.take(pa.array(spans(start_Q, stop_Q))))
            owner.append(np.repeat(at_Q, counts_S[at_Q]))
        if not parts:
            return PIECE.empty_table(), counts_S
        order = np.argsort(np.concatenate(owner), kind="stable")
        return pa.Table.from_batches(parts).take(pa.array(order)).combine_chunks(), counts_S

    def provenance(
        self,
        partition_S: np.ndarray[Any, Any],
        row_S: np.ndarray[Any, Any],
        *,
        shard: int,
        first_sequence: int = 0,
    ) -> pa.Table:
        """Returns COUNTED_PROVENANCE rows of a shard's sequences, by sequence and offset."""
        pieces, counts_S = self._rows(partition_S, row_S)
        number_S = np.arange(first_sequence, first_sequence + len(row_S), dtype=np.int32)
        sequence = pa.array(np.repeat(number_S, counts_S))
        columns = [pa.repeat(pa.scalar(shard, pa.int32()), len(sequence)), sequence]
        columns += [pieces[n].combine_chunks() for n in COUNTED_PROVENANCE.names[2:]]
        return pa.Table.from_arrays(columns, schema=COUNTED_PROVENANCE)


def spans(start_Q: np.ndarray[Any, Any], stop_Q: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Returns the numbers of all half-open spans, one span after the other, int64."""
    length_Q = (stop_Q - start_Q).astype(np.int64)
    skip_Q = start_Q - np.concatenate([[0], np.cumsum(length_Q)[:-1]])
    return np.asarray(np.arange(int(length_Q.sum()), dtype=np.int64) + np.repeat(skip_Q, length_Q))
