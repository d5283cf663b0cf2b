"""How often each id occurs in the shards and the leftover: what a training run sees of each entry.

An entry that training hardly sees keeps the embedding that it began with, and a text that holds it does
strange things to a model. Source: Land and Bartolo 2024, "Fishing for Magikarp" (arXiv:2405.05417).
"""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from sluice.pipeline.units.attempt import Attempt
from sluice.schemas.arrays import Int32s, Int64s
from sluice.schemas.counts import EntryUse
from sluice.tokenizer.vocabulary.load import VocabularyIds

FEW = 10
"""An entry that occurs less often is hardly trained."""
FILE = "tokenizer/token_counts.parquet"
TOKEN_COUNT = pa.schema([("id", pa.int32()), ("count", pa.int64())])
"""A row an entry, by id; padding is not counted."""


class TokenUse:
    """Counts the ids of sequences.

    Attributes:
        count_V: (V,) int64, by id; 0 for padding.
    """

    def __init__(self, vocabulary: VocabularyIds):
        self._pad_id = vocabulary.pad_id
        self.count_V: Int64s = np.zeros(vocabulary.size, np.int64)

    def add(self, tokens_SL: Int32s) -> None:
        """Counts (S, L) ids."""
        self.count_V += np.bincount(tokens_SL.reshape(-1), minlength=len(self.count_V))
        self.count_V[self._pad_id] = 0


def write_token_counts(
    paths: Sequence[str], vocabulary: VocabularyIds, *, output: str, attempt: Attempt
) -> EntryUse:
    """Sums the counts of partitions, raw int64 files, and writes them as a file of the contract."""
    count_V = np.zeros(vocabulary.size, np.int64)
    for path in paths:
        count_V += np.fromfile(path, np.int64)
    columns = [pa.array(np.arange(vocabulary.size, dtype=np.int32)), pa.array(count_V)]
    path = attempt.contract_path(output, FILE)
    pq.write_table(pa.Table.from_arrays(columns, schema=TOKEN_COUNT), path, compression="zstd")
    attempt.add_contract("token_counts", FILE)
    used_V = count_V > 0
    return EntryUse(int(used_V.sum()), int((used_V & (count_V < FEW)).sum()))
