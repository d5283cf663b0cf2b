"""Stages of phase tokens: packed partitions -> shards of equal length, with their provenance.

Sequences are numbered globally by prefix sums over the partitions, permuted by the seed, and dealt to
shards of equal length; the remainder is kept apart.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from sluice.pipeline.phases.tokens.deal import first_documents
from sluice.pipeline.phases.tokens.pack import GATHER_SEQUENCES
from sluice.pipeline.phases.tokens.packed_files import PackedFiles, provenance_schema
from sluice.pipeline.units import exchange
from sluice.pipeline.units.attempt import Attempt
from sluice.pipeline.units.manifest import Done, Unit
from sluice.schemas.arrays import Array
from sluice.schemas.counts import DealCounts, SequenceCounts, ShardCounts
from sluice.schemas.token_shard import ShardFormat
from sluice.tokenizer.shards import ShardWriter
from sluice.tokenizer.vocabulary.load import VocabularyIds

PROVENANCE_SEQUENCES = 4096
"""Sequences whose provenance is held at a time, a row group: 33 million tokens at 8,192."""

Places = tuple[Array, Array]
"""(partition_S, row_S): where the sequences of a shard were packed, in the shard's order."""


@dataclass(frozen=True)
class WriteShard:
    """One shard's places -> the shard and its provenance, under their plain names."""

    folder: str
    output: str
    packed: str
    dealt: str
    sequence_length: int
    vocabulary: VocabularyIds
    count_copies: bool = False
    carried: tuple[str, ...] = ()
    has_media: bool = False
    name: str = "tokens_shard"
    counts: ClassVar = ShardCounts

    def do(self, unit: Unit, attempt: Attempt) -> ShardCounts:
        """Writes a shard and its provenance."""
        shard = unit.index
        dealt = Done(self.dealt, "dealt")
        num_shards = dealt.manifest().counted(DealCounts).shards
        places = _dealt_rows(unit)
        tokens_name, provenance_name = names(shard, num_shards)
        packed = PackedFiles(
            self.packed,
            self.sequence_length,
            carried=self.carried,
            has_media=self.has_media,
            first_document=first_documents(dealt),
        )
        _write_tokens(self, packed, places, tokens_name, attempt)
        number = shard if shard < num_shards else -1
        used, pieces = _write_provenance(self, packed, places, number, provenance_name, attempt)
        num_sequences = len(places[0])
        padding = num_sequences * self.sequence_length - used
        counts = SequenceCounts(num_sequences, used, padding, pieces)
        return (
            ShardCounts(leftover=counts) if shard == num_shards else ShardCounts(in_shards=counts)
        )


def _write_tokens(
    stage: WriteShard, packed: "PackedFiles", places: Places, name: str, attempt: Attempt
) -> None:
    ids = stage.vocabulary
    format = ShardFormat(stage.sequence_length, ids.size, pad_id=ids.pad_id, eod_id=ids.eod_id)
    with ShardWriter(attempt.contract_path(stage.output, name), format=format) as writer:
        for partition_S, row_S in _slices(places, GATHER_SEQUENCES):
            writer.write(*packed.gather(partition_S, row_S))
    attempt.add_contract("shard", name, sha256=writer.sha256)


def _write_provenance(
    stage: WriteShard,
    packed: "PackedFiles",
    places: Places,
    shard: int,
    name: str,
    attempt: Attempt,
) -> tuple[int, int]:
    """Writes a shard's provenance; returns its tokens and its pieces."""
    path = attempt.contract_path(stage.output, name)
    schema = provenance_schema(
        counted=stage.count_copies, carried=stage.carried, has_media=stage.has_media
    )
    used = num_pieces = start = 0
    with pq.ParquetWriter(path, schema, compression="zstd", compression_level=1) as out:
        for partition_S, row_S in _slices(places, PROVENANCE_SEQUENCES):
            pieces = packed.provenance(partition_S, row_S, shard=shard, first_sequence=start)
            out.write_table(pieces.select(schema.names))
            used += int(np.sum(pieces["length"].to_numpy()))
            num_pieces += pieces.num_rows
            start += len(row_S)
    attempt.add_contract("provenance", name)
    return used, num_pieces


def _slices(places: Places, sequences: int) -> Iterator[Places]:
    """Yields the places of so many sequences after the other: the leftover may be most of a run."""
    partition_S, row_S = places
    for start in range(0, len(row_S), sequences):
        chosen = slice(start, start + sequences)
        yield partition_S[chosen], row_S[chosen]


def names(shard: int, num_shards: int) -> tuple[str, str]:
    """Returns the names of a shard and its provenance; the last number is that of the leftover."""
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
