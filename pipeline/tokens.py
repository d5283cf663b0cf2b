"""Phase tokens: survivors -> ids -> partitions by seeded hash -> packed sequences -> shards.

Documents are dealt to partitions and ordered inside them by a seeded hash of their post id, so that
neither units nor batches show in the result. Sequences are numbered globally by prefix sums over the
partitions, permuted by the seed, and dealt to shards of equal length; the remainder is kept apart.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, NamedTuple

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from filters.hashing import hash_texts
from pipeline import exchange
from pipeline.ledger import Counts, tally
from pipeline.survivors import Survivors
from pipeline.units import Attempt, Done, DoUnits, Unit, Work, add_counts, file_digest
from tokenizer.bpe import Encoded, Encoder
from tokenizer.packing import pack, plan
from tokenizer.shards import ShardWriter
from tokenizer.sizing import deal, plan_shards
from tokenizer.vocabulary import Vocabulary, load_vocabulary

PHASE = "tokens"
ENCODER_CACHE_BYTES = 64 << 20
"""Text between two renewals of the fast encoder's memory: bounds what a worker holds."""
GATHER_SEQUENCES = 256
"""Sequences that a shard unit holds at a time: 8 MiB at 8,192 tokens."""

DOCUMENT = pa.schema(
    [
        ("order", pa.uint64()),
        ("post_id", pa.string()),
        ("copies", pa.int32()),
        ("tokens", pa.list_(pa.field("item", pa.int32(), nullable=False))),
    ]
)
DEALT = pa.schema([("position", pa.uint32()), ("partition", pa.uint32()), ("row", pa.uint32())])
PIECE = pa.schema(
    [
        ("sequence", pa.int32()),
        ("offset", pa.int32()),
        ("length", pa.int32()),
        ("post_id", pa.string()),
        ("piece", pa.int16()),
        ("copies", pa.int32()),
    ]
)
PROVENANCE = pa.schema([pa.field("shard", pa.int32()), *(f for f in PIECE if f.name != "copies")])
"""A row a piece: where its tokens are; for leftover sequences the shard is -1."""
COUNTED_PROVENANCE = PROVENANCE.append(PIECE.field("copies"))
"""With `dedup.count_copies`: `copies` posts are in the post's cluster, itself included."""


@dataclass(frozen=True)
class Encode:
    """A unit's survivors -> token ids, by partition.

    Attributes:
        tokenizer: path of tokenizer.json.
        seed: of the hash that deals and orders documents.
    """

    folder: str
    survivors: Survivors
    tokenizer: str
    tokenizer_sha256: str
    num_partitions: int
    seed: int
    name: str = "tokens_encode"

    def open(self) -> Work:
        """Returns the function that encodes a unit, with the tokenizer loaded."""
        encoder = Encoder(self.tokenizer, cache_text_bytes=ENCODER_CACHE_BYTES)
        return partial(_encode, self, encoder, load_vocabulary(self.tokenizer).eod_id)


def _encode(stage: Encode, encoder: Encoder, eod_id: int, unit: Unit, attempt: Attempt) -> Counts:
    path = attempt.path("documents")
    counts: Counts = {}
    columns = ("post_id", "text", "language", "created_at", "source", "copies")
    with exchange.Writer(
        path, schema=DOCUMENT, num_partitions=stage.num_partitions, compression="lz4"
    ) as writer:
        for batch in stage.survivors.read(unit.name, columns=columns):
            order_N = hash_texts(batch.column("post_id"), seed=stage.seed)
            encoded = encoder.encode(batch.column("text")).followed_by(eod_id)
            documents = _documents(batch, encoded, order_N)
            writer.write(documents, _partition(order_N, stage.num_partitions))
            add_counts(counts, _count(batch, np.diff(encoded.offsets_N1)))
    attempt.add("documents", path, ranges=writer.ranges)
    return {"documents": counts}


def _documents(
    batch: pa.RecordBatch, encoded: Encoded, order_N: np.ndarray[Any, Any]
) -> pa.RecordBatch:
    """Returns DOCUMENT rows; the tokens are not copied."""
    tokens = pa.ListArray.from_arrays(
        pa.array(encoded.offsets_N1.astype(np.int32)),
        pa.array(encoded.tokens_T),
        type=DOCUMENT.field("tokens").type,
    )
    columns = [pa.array(order_N), batch.column("post_id"), batch.column("copies"), tokens]
    return pa.RecordBatch.from_arrays(columns, schema=DOCUMENT)


def _partition(order_N: np.ndarray[Any, Any], num_partitions: int) -> np.ndarray[Any, Any]:
    return ((order_N >> np.uint64(32)) * np.uint64(num_partitions)) >> np.uint64(32)


def _count(batch: pa.RecordBatch, lengths_N: np.ndarray[Any, Any]) -> Counts:
    return tally(
        language=batch.column("language"),
        created_at=batch.column("created_at"),
        source=batch.column("source"),
        amounts={"tokens": pa.array(lengths_N.astype(np.int64))},
    )


@dataclass(frozen=True)
class Pack:
    """Documents of a partition -> packed sequences and where each piece went."""

    folder: str
    sequence_length: int
    long_documents: Literal["split", "truncate"]
    pad_id: int
    name: str = "tokens_pack"

    def open(self) -> Work:
        """Returns the function that packs a partition."""
        return partial(_pack, self)


def _pack(stage: Pack, unit: Unit, attempt: Attempt) -> Counts:
    documents = _in_order([batch for _, batch in exchange.read(unit)])
    planned = plan(
        documents.lengths_D,
        sequence_length=stage.sequence_length,
        long_documents=stage.long_documents,
    )
    path = attempt.path("sequences", suffix=".i32")
    pieces = []
    with open(path, "wb") as file:
        for start in range(0, planned.num_sequences, GATHER_SEQUENCES):
            stop = min(start + GATHER_SEQUENCES, planned.num_sequences)
            packed = pack(
                planned,
                documents.tokens_T,
                documents.starts_D,
                pad_id=stage.pad_id,
                start=start,
                stop=stop,
            )
            packed.tokens_SL.tofile(file)
            pieces.append(_pieces(packed.pieces, documents))
    attempt.add("sequences", path)
    path = attempt.path("pieces")
    options = pa.ipc.IpcWriteOptions(compression="lz4", use_threads=False)
    with pa.ipc.new_file(path, PIECE, options=options) as out:
        out.write_batch(pa.concat_batches(pieces))
    attempt.add("pieces", path)
    return {
        "sequences": planned.num_sequences,
        "documents": planned.num_documents,
        "tokens": planned.num_tokens,
        "truncated": planned.num_truncated,
        "padding": planned.num_padding,
    }


def _pieces(pieces: pa.RecordBatch, documents: "Documents") -> pa.RecordBatch:
    """Returns PIECE rows: the plan's pieces with the post in the place of the document's number."""
    columns = [pieces.column(n) for n in ("sequence", "offset", "length")]
    columns += [documents.post_id.take(pieces.column("document")), pieces.column("piece")]
    columns += [documents.copies.take(pieces.column("document"))]
    return pa.RecordBatch.from_arrays(columns, schema=PIECE)


class Documents(NamedTuple):
    """A partition's documents in the order of their hash; their tokens stay where they are."""

    post_id: pa.StringArray
    copies: pa.Int32Array
    tokens_T: np.ndarray[Any, np.dtype[np.int32]]
    starts_D: np.ndarray[Any, np.dtype[np.int64]]
    lengths_D: np.ndarray[Any, np.dtype[np.int64]]


def _in_order(batches: list[pa.RecordBatch]) -> Documents:
    rows = pa.concat_batches(batches)
    tokens = rows.column("tokens")
    # Rows come in input order, so that a stable sort settles equal hashes by it.
    order_D = np.argsort(np.asarray(rows.column("order")), kind="stable")
    offsets_D1 = np.asarray(tokens.offsets, np.int64)
    return Documents(
        rows.column("post_id").take(pa.array(order_D)),
        rows.column("copies").take(pa.array(order_D)),
        np.asarray(tokens.values),
        offsets_D1[:-1][order_D],
        np.diff(offsets_D1)[order_D],
    )


@dataclass(frozen=True)
class Deal:
    """All packed partitions -> which sequence goes to which place of which shard. A global step."""

    folder: str
    sequence_length: int
    data_parallel_ranks: int
    global_batch_sequences: int
    target_shard_bytes: int
    seed: int
    name: str = "tokens_deal"

    def open(self) -> Work:
        """Returns the function that deals."""
        return partial(_deal, self)


def _deal(stage: Deal, unit: Unit, attempt: Attempt) -> Counts:
    packed = exchange.gathered(unit)
    num_P = [int(done.manifest().counts["sequences"]) for done in packed]
    planned = plan_shards(
        sum(num_P),
        sequence_length=stage.sequence_length,
        data_parallel_ranks=stage.data_parallel_ranks,
        global_batch_sequences=stage.global_batch_sequences,
        target_shard_bytes=stage.target_shard_bytes,
    )
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
    return {
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
    partition_S, row_S = _dealt_rows(unit)
    tokens_name, provenance_name = names(shard, num_shards)
    path = attempt.contract_path(stage.output, tokens_name)
    packed = PackedFiles(stage.packed, stage.sequence_length)
    with ShardWriter(
        path,
        sequence_length=stage.sequence_length,
        vocabulary_size=stage.vocabulary.size,
        pad_id=stage.vocabulary.pad_id,
        eod_id=stage.vocabulary.eod_id,
    ) as writer:
        for start in range(0, len(row_S), GATHER_SEQUENCES):
            chosen = slice(start, start + GATHER_SEQUENCES)
            writer.write(*packed.gather(partition_S[chosen], row_S[chosen]))
    attempt.add_contract("shard", tokens_name, size=writer.num_bytes, sha256=writer.sha256)
    pieces = packed.provenance(partition_S, row_S, shard=shard if shard < num_shards else -1)
    pieces = pieces.select((COUNTED_PROVENANCE if stage.count_copies else PROVENANCE).names)
    path = attempt.contract_path(stage.output, provenance_name)
    pq.write_table(pieces, path, compression="zstd", compression_level=1)
    size, sha256 = file_digest(path)
    attempt.add_contract("provenance", provenance_name, size=size, sha256=sha256)
    used = int(np.sum(pieces["length"].to_numpy()))
    return {
        "leftover" if shard == num_shards else "in_shards": {
            "sequences": len(row_S),
            "tokens": used,
            "padding": len(row_S) * stage.sequence_length - used,
            "pieces": pieces.num_rows,
        }
    }


def names(shard: int, num_shards: int) -> tuple[str, str]:
    """Returns the names of a shard and its provenance; the last number stands for the leftover."""
    if shard == num_shards:
        return "leftover/tokens.arrow", "leftover/provenance.parquet"
    stem = f"tokens-{shard:05d}-of-{num_shards:05d}"
    return f"tokens/{stem}.arrow", f"provenance/{stem}.parquet"


def _dealt_rows(unit: Unit) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Returns (partition_S, row_S) of a shard's sequences in the order of their position."""
    rows = pa.concat_batches([batch for _, batch in exchange.read(unit)])
    order_S = np.argsort(np.asarray(rows.column("position")), kind="stable")
    partition_S, row_S = (np.asarray(rows.column(n)) for n in ("partition", "row"))
    return partition_S[order_S], row_S[order_S]


class PackedFiles:
    """The packed partitions, memory-mapped: sequences and pieces by (partition, row)."""

    def __init__(self, folder: str, sequence_length: int):
        self._folder, self._length = folder, sequence_length
        self._tokens: dict[int, np.ndarray[Any, Any]] = {}
        self._pieces: dict[int, tuple[pa.RecordBatch, np.ndarray[Any, Any]]] = {}

    def _sequences(self, partition: int) -> np.ndarray[Any, Any]:
        if partition not in self._tokens:
            path = Done(self._folder, f"partition-{partition:05d}").path("sequences")
            flat = np.memmap(path, np.int32, "r")
            self._tokens[partition] = flat.reshape(-1, self._length)
        return self._tokens[partition]

    def pieces(self, partition: int) -> tuple[pa.RecordBatch, np.ndarray[Any, Any]]:
        """Returns a partition's PIECE rows and, for each sequence, where its rows start, (S + 1,)."""
        if partition not in self._pieces:
            path = Done(self._folder, f"partition-{partition:05d}").path("pieces")
            with pa.memory_map(path) as file:
                rows = pa.ipc.open_file(file).get_batch(0)
            num_sequences = len(self._sequences(partition))
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
            tokens_SL[at_Q] = self._sequences(partition)[row_S[at_Q]]
        pieces, counts_S = self._rows(partition_S, row_S)
        ends = pa.array(np.asarray(pieces["offset"]) + np.asarray(pieces["length"]), pa.int32())
        offsets_S1 = np.concatenate([[0], np.cumsum(counts_S)]).astype(np.int32)
        return tokens_SL, pa.ListArray.from_arrays(pa.array(offsets_S1), ends)

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
        self, partition_S: np.ndarray[Any, Any], row_S: np.ndarray[Any, Any], *, shard: int
    ) -> pa.Table:
        """Returns COUNTED_PROVENANCE rows of a shard's sequences, by sequence and offset."""
        pieces, counts_S = self._rows(partition_S, row_S)
        sequence = pa.array(np.repeat(np.arange(len(row_S), dtype=np.int32), counts_S))
        columns = [pa.repeat(pa.scalar(shard, pa.int32()), len(sequence)), sequence]
        columns += [pieces[n].combine_chunks() for n in PIECE.names[1:]]
        return pa.Table.from_arrays(columns, schema=COUNTED_PROVENANCE)


def spans(start_Q: np.ndarray[Any, Any], stop_Q: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Returns the numbers of all half-open spans, one span after the other, int64."""
    length_Q = (stop_Q - start_Q).astype(np.int64)
    skip_Q = start_Q - np.concatenate([[0], np.cumsum(length_Q)[:-1]])
    return np.asarray(np.arange(int(length_Q.sum()), dtype=np.int64) + np.repeat(skip_Q, length_Q))


@dataclass(frozen=True)
class TokensPlan:
    """The stages of the phase."""

    encode: Encode
    pack: Pack
    deal: Deal
    shard: Shard

    def stages(self) -> Iterator[Any]:
        """Yields the stages in order."""
        yield from (self.encode, self.pack, self.deal, self.shard)


class Tokens(beam.PTransform):  # type: ignore[misc]
    """Units of survivors in, written shards out."""

    def __init__(self, plan: TokensPlan):
        super().__init__(label="Tokens")
        self._plan = plan

    def expand(self, units: beam.PCollection) -> beam.PCollection:
        """Adds the phase to the graph."""
        return (
            units
            | DoUnits(self._plan.encode)
            | exchange.Exchange("documents", name="partition")
            | DoUnits(self._plan.pack)
            | exchange.OneUnit("dealt")
            | DoUnits(self._plan.deal)
            | exchange.Scatter("dealt", name="shard")
            | DoUnits(self._plan.shard)
        )
