"""Stage of phase tokens: a unit's survivors -> token ids, dealt to partitions by a seeded hash.

Documents are dealt and ordered by a seeded hash of their post id, so that neither units nor batches
show in the result.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa

from filters.hashing import hash_texts
from pipeline import exchange
from pipeline.ledger import Counts, tally
from pipeline.survivors import Survivors
from pipeline.units import Attempt, Unit, Work, add_counts
from tokenizer.bpe import Encoded, Encoder
from tokenizer.vocabulary import load_vocabulary

ENCODER_CACHE_BYTES = 64 << 20
"""Text between two renewals of the fast encoder's memory: bounds what a worker holds."""

DOCUMENT = pa.schema(
    [
        ("order", pa.uint64()),
        ("post_id", pa.string()),
        ("copies", pa.int32()),
        ("tokens", pa.list_(pa.field("item", pa.int32(), nullable=False))),
    ]
)


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
