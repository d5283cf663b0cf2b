"""The stage `deal`: how many shards there are, and which sequence is at which place of which of them."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pyarrow as pa

from sluice.pipeline.phases.edges import exchanged_edge, read_edge, rows_of, write_rows
from sluice.pipeline.phases.tokens.token_counts import write_token_counts
from sluice.pipeline.recipes.schema import TrainingSection
from sluice.pipeline.units import exchange
from sluice.pipeline.units.attempt import Attempt
from sluice.pipeline.units.manifest import Done, Unit
from sluice.schemas.counts import DealCounts, PackCounts
from sluice.tokenizer.packing.sizing import ShardPlan, deal, plan_shards
from sluice.tokenizer.vocabulary.load import VocabularyIds

FIRST_DOCUMENTS = pa.schema([("partition", pa.uint32()), ("document", pa.int64())])
"""The `first_documents` edge: the number, in the whole output, of the first document of each partition."""
DEALT = pa.schema([("position", pa.uint32()), ("partition", pa.uint32()), ("row", pa.uint32())])


@dataclass(frozen=True)
class Deal:
    """All packed partitions -> which sequence goes to which place of which shard. A global step.

    It also sums how often each id occurs.
    """

    folder: str
    output: str
    training: TrainingSection
    vocabulary: VocabularyIds
    seed: int
    name: str = "tokens_deal"
    counts: ClassVar = DealCounts

    def do(self, unit: Unit, attempt: Attempt) -> DealCounts:
        """Deals the sequences."""
        packed = exchange.gathered(unit)
        manifest_P = [done.manifest() for done in packed]
        num_P = [manifest.counted(PackCounts).sequences for manifest in manifest_P]
        planned = shards_for(self.training, sum(num_P))
        shard_S, position_S = deal(sum(num_P), planned, seed=self.seed)
        shard_S = np.where(shard_S < 0, planned.num_shards, shard_S)
        number_P = [manifest.index for manifest in manifest_P]
        row_P = [np.arange(n, dtype=np.uint32) for n in num_P]
        rows = rows_of(
            DEALT,
            position_S.astype(np.uint32),
            np.repeat(np.array(number_P, np.uint32), num_P),
            np.concatenate([np.empty(0, np.uint32), *row_P]),
        )
        with exchanged_edge(attempt, "dealt", DEALT, planned.num_shards + 1) as writer:
            writer.write(rows, shard_S)
        documents_P = [manifest.counted(PackCounts).documents for manifest in manifest_P]
        first_P = np.cumsum([0, *documents_P[:-1]]) if documents_P else np.empty(0, np.int64)
        write_rows(
            *(attempt, "first_documents", FIRST_DOCUMENTS),
            *(np.array(number_P, np.uint32), first_P.astype(np.int64)),
        )
        use = write_token_counts(
            [done.path("use") for done in packed],
            self.vocabulary,
            output=self.output,
            attempt=attempt,
        )
        return DealCounts(
            token_use=use,
            shards=planned.num_shards,
            sequences_per_shard=planned.sequences_per_shard,
            leftover=planned.leftover,
            steps=planned.steps,
        )


def first_documents(dealt: Done) -> dict[int, int]:
    """Returns partition -> the number of its first document in the whole output, as `Deal` wrote it."""
    batches = list(read_edge(dealt, "first_documents"))
    numbers = [dict(zip(*b.to_pydict().values(), strict=True)) for b in batches]
    return {k: v for part in numbers for k, v in part.items()}


def shards_for(training: TrainingSection, num_sequences: int) -> ShardPlan:
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
