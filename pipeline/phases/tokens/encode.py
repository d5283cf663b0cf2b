"""Stage of phase tokens: a unit's survivors -> token ids, dealt to partitions by a seeded hash.

Documents are dealt and ordered by a seeded hash of the id of their post, or of their conversation, so
that neither units nor batches show in the result, and the posts of a conversation meet.
"""

from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sluice.filters.text.hashing import hash_texts
from sluice.pipeline.ledger.tally import Counts, add_counts, tally
from sluice.pipeline.phases.edges import Survivors
from sluice.pipeline.phases.tokens.mixture import Mixing, Mixture
from sluice.pipeline.phases.vocabulary.holdout import count_held_back, held_back_mask
from sluice.pipeline.storage import local_copies
from sluice.pipeline.units import exchange
from sluice.pipeline.units.attempt import Attempt
from sluice.pipeline.units.manifest import Unit
from sluice.pipeline.units.stage import Work
from sluice.schemas.arrays import Array, Uint64s
from sluice.schemas.hashing import partition_of
from sluice.tokenizer.encode import Encoded, Encoder

ENCODER_CACHE_BYTES = 64 << 20
"""Text between two renewals of the fast encoder's memory: bounds what a worker holds."""

DocumentsOf = Literal["posts", "conversations"]

POST_TOKENS = pa.schema(
    [
        ("order", pa.uint64()),
        ("post_id", pa.string()),
        ("copies", pa.int32()),
        ("tokens", pa.list_(pa.field("item", pa.int32(), nullable=False))),
    ]
)
"""The `documents` edge: a row a post; `order` is the hash of its document, `tokens` are those of its text."""
CONVERSATION_COLUMNS = ("conversation_id", "created_at")
"""Of the `documents` edge where conversations are joined: which one, and where in it."""
CONVERSATION_TOKENS = POST_TOKENS.append(pa.field("conversation_id", pa.string())).append(
    pa.field("created_at", pa.timestamp("us", tz="UTC"))
)


@dataclass(frozen=True)
class Encode:
    """A unit's survivors -> token ids, by partition.

    Attributes:
        tokenizer: path of tokenizer.json.
        seed: of the hash that deals and orders documents.
        documents: what a document is made of.
        held_back: share of the posts that the vocabulary was not trained on; they are counted apart.
        mixture: how often each post stands in the shards; None where each stands once.
    """

    folder: str
    survivors: Survivors
    tokenizer: str
    tokenizer_sha256: str
    num_partitions: int
    seed: int
    documents: DocumentsOf
    held_back: float = 0.0
    mixture: Mixture | None = None
    name: str = "tokens_encode"

    def open(self) -> Work:
        """Returns the function that encodes a unit, with the tokenizer loaded."""
        path = local_copies.fetch(self.tokenizer)
        encoder = Encoder(path, cache_text_bytes=ENCODER_CACHE_BYTES)
        return partial(_encode, self, encoder)

    @property
    def schema(self) -> pa.Schema:
        """The columns of the `documents` edge."""
        return POST_TOKENS if self.documents == "posts" else CONVERSATION_TOKENS


def _encode(stage: Encode, encoder: Encoder, unit: Unit, attempt: Attempt) -> Counts:
    path = attempt.path("documents")
    counts: Counts = {}
    held_back: Counts = {}
    engines: Counts = {}
    columns = ["post_id", "text", "language", "created_at", "source", "copies"]
    if stage.documents == "conversations":
        columns.insert(0, "conversation_id")
    mixing = Mixing(stage.mixture, unit, attempt) if stage.mixture is not None else None
    if mixing is not None:
        columns.insert(0, "row_key")
    with exchange.Writer(
        path, schema=stage.schema, num_partitions=stage.num_partitions, compression="lz4"
    ) as writer:
        for batch in stage.survivors.read(unit.name, columns=columns):
            order_N = hash_texts(_keys(batch, stage.documents), seed=stage.seed)
            first_N = None
            if mixing is not None:
                batch, order_N, first_N = mixing.apply(batch, order_N)
            encoded = encoder.encode(batch.column("text"))
            rows = _rows(batch, encoded, order_N, stage.schema)
            writer.write(rows, partition_of(order_N, stage.num_partitions))
            lengths_N = np.diff(encoded.offsets_N1)
            add_counts(engines, {encoder.engine: batch.num_rows})
            add_counts(counts, _count(batch, lengths_N, first_N))
            if stage.held_back:
                held_N = held_back_mask(batch, share=stage.held_back, seed=stage.seed)
                held_N &= True if first_N is None else first_N.astype(np.bool_)
                add_counts(held_back, count_held_back(batch, lengths_N, held_N))
    attempt.add("documents", path, ranges=writer.ranges)
    counted = {"documents": counts, "engines": engines}
    counted |= {"held_back": held_back} if stage.held_back else {}
    return counted | (mixing.finish() if mixing is not None else {})


def _keys(batch: pa.RecordBatch, documents: DocumentsOf) -> pa.StringArray:
    """Returns (N,) string, what names the document of each post: a post of no conversation is alone."""
    if documents == "posts":
        return batch.column("post_id")
    return pc.coalesce(batch.column("conversation_id"), batch.column("post_id"))


def _rows(
    batch: pa.RecordBatch, encoded: Encoded, order_N: Uint64s, schema: pa.Schema
) -> pa.RecordBatch:
    """Returns rows of the `documents` edge; the tokens are not copied."""
    tokens = pa.ListArray.from_arrays(
        pa.array(encoded.offsets_N1.astype(np.int32)),
        pa.array(encoded.tokens_T),
        type=schema.field("tokens").type,
    )
    made = {"order": pa.array(order_N), "tokens": tokens}
    columns = [made[n] if n in made else batch.column(n) for n in schema.names]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _count(batch: pa.RecordBatch, lengths_N: Array, first_N: Array | None) -> Counts:
    """Returns posts and tokens by group; of a mixture also text bytes, and what is there once."""
    amounts = {"tokens": lengths_N}
    if first_N is not None:
        amounts["text_bytes"] = np.asarray(pc.binary_length(batch.column("text")))
        amounts |= {"distinct_posts": first_N, "distinct_tokens": lengths_N * first_N}
    return tally(
        language=batch.column("language"),
        created_at=batch.column("created_at"),
        source=batch.column("source"),
        amounts={name: pa.array(amount_N.astype(np.int64)) for name, amount_N in amounts.items()},
    )
