"""Stage of phase tokens: a unit's survivors -> token ids, dealt to partitions by a seeded hash.

Documents are dealt and ordered by a seeded hash of the id of their post, or of the name of their
conversation, so that neither units nor batches show in the result, and the posts of a conversation meet.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Literal

import numpy as np
import pyarrow as pa

from sluice.filters.text.hashing import hash_texts
from sluice.pipeline.ledger.tally import author_sample, tally
from sluice.pipeline.phases.conversations.names import NAME_COLUMNS
from sluice.pipeline.phases.conversations.places import IN_DOCUMENT, UnitPlaces
from sluice.pipeline.phases.edges import Survivors, carried_fields, exchanged_edge
from sluice.pipeline.phases.privacy import masking_of
from sluice.pipeline.phases.tokens.header import with_headers
from sluice.pipeline.phases.tokens.mixture import Mixing, RepeatRates
from sluice.pipeline.phases.vocabulary.holdout import count_holdout, holdout_mask
from sluice.pipeline.recipes.schema import NO_PRIVACY, PrivacySection
from sluice.pipeline.recipes.template import Field
from sluice.pipeline.storage import local_copies
from sluice.pipeline.units.attempt import Attempt
from sluice.pipeline.units.manifest import Unit
from sluice.schemas.arrays import Array, Uint64s
from sluice.schemas.counts import EncodeCounts, HoldoutTally, TokenTally
from sluice.schemas.hashing import partition_of
from sluice.tokenizer.encode import Encoded, Encoder
from sluice.tokenizer.placeholders import encode

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
"""The `documents` edge: one row per post; `order` is its document's hash, `tokens` are those of its text."""
CONVERSATION_TOKENS = pa.schema([*POST_TOKENS, *(f for f in IN_DOCUMENT if f.name != "order")])
"""The same where conversations are joined: with the document's second hash, and the post's place in it."""


@dataclass(frozen=True)
class Encode:
    """A unit's survivors -> token ids, by partition.

    Attributes:
        tokenizer: path of tokenizer.json.
        seed: of the hash that deals and orders documents.
        documents: what a document is made of.
        holdout: share of the posts that the vocabulary was not trained on; they are counted apart.
        mixture: how often each post is in the shards; None where each is there once.
        carried: columns that go with the posts to their provenance.
        header: what stands before the text of each post.
        placeholder_ids: the special tokens that stand for media and masked values; none where texts have no
            placeholders.
        places: folder of the units that know the places of posts in conversations; "" where posts are
            documents.
        has_media: whether posts have media, whose places in sequences are wanted.
        privacy: what is masked in headers, as in texts.
    """

    folder: str
    survivors: Survivors
    tokenizer: str
    num_partitions: int
    seed: int
    documents: DocumentsOf
    holdout: float = 0.0
    mixture: RepeatRates | None = None
    carried: tuple[str, ...] = ()
    placeholder_ids: tuple[int, ...] = ()
    header: tuple[Field, ...] = ()
    places: str = ""
    has_media: bool = False
    privacy: PrivacySection = NO_PRIVACY
    name: str = "tokens_encode"
    counts: ClassVar = EncodeCounts

    @cached_property
    def _encoder(self) -> Encoder:
        path = local_copies.fetch(self.tokenizer)
        return Encoder(path, cache_text_bytes=ENCODER_CACHE_BYTES)

    def do(self, unit: Unit, attempt: Attempt) -> EncodeCounts:
        """Encodes a unit."""
        counts = EncodeCounts(held_back=HoldoutTally() if self.holdout else None)
        mixing = Mixing(self.mixture, unit, attempt) if self.mixture is not None else None
        columns = self._columns
        shape = self.schema, self.num_partitions
        with exchanged_edge(attempt, "documents", *shape, compressed=True) as writer:
            for batch, order_N in self._ordered(unit, columns):
                first_N = np.ones(batch.num_rows, np.bool_)
                if mixing is not None:
                    batch, order_N, first_N = mixing.apply(batch, order_N)
                if self.header:
                    batch = with_headers(batch, self.header, masking_of(self.privacy))
                encoded = self._encode(batch.column("text"))
                rows = _rows(batch, encoded, order_N, self.schema)
                writer.write(rows, partition_of(order_N, self.num_partitions))
                lengths_N = np.diff(encoded.offsets_N1)
                counts += EncodeCounts(
                    documents=_count(batch, lengths_N, first_N),
                    engines={self._encoder.engine: batch.num_rows},
                    authors=author_sample(batch.column("author_id").filter(pa.array(first_N))),
                )
                if counts.held_back is not None:
                    held_N = first_N & holdout_mask(batch, share=self.holdout, seed=self.seed)
                    counts.held_back += count_holdout(batch, lengths_N, held_N)
        if mixing is not None:
            counts.left_out, counts.id_sum, counts.qualities = mixing.finish()
        return counts

    def _encode(self, texts: pa.StringArray) -> Encoded:
        if not self.placeholder_ids:
            return self._encoder.encode(texts)
        return encode(self._encoder, texts, self.placeholder_ids)

    def _ordered(self, unit: Unit, columns: list[str]) -> Iterator[tuple[pa.RecordBatch, Uint64s]]:
        """Yields a unit's survivors, with their places in conversations, and (N,) uint64 `order`."""
        batches = self.survivors.read(unit.name, columns=columns)
        if self.documents == "posts":
            yield from ((b, hash_texts(b.column("post_id"), seed=self.seed)) for b in batches)
            return
        row_L, start = self.survivors.places(unit.name), 0
        places = UnitPlaces.read(self.places, unit.name, seed=self.seed)
        for batch in batches:
            found = places.of(batch, row_L[start : start + batch.num_rows])
            start += batch.num_rows
            for name in found.schema.names[1:]:
                batch = batch.append_column(name, found.column(name))
            yield batch, np.asarray(found.column("order"))

    @property
    def _columns(self) -> list[str]:
        """The columns of survivors that are read."""
        columns = [
            "post_id",
            "text",
            "language",
            "created_at",
            "source",
            "author_id",
            *self.carried,
        ]
        columns += [field.column for field in self.header if field.column is not None]
        if self.has_media:
            columns.append("media")
        if self.documents == "conversations":
            columns += NAME_COLUMNS
        if self.mixture is not None:
            columns.append("row_key")
        return [*dict.fromkeys(columns), "copies"]

    @property
    def schema(self) -> pa.Schema:
        """The columns of the `documents` edge."""
        whole = POST_TOKENS if self.documents == "posts" else CONVERSATION_TOKENS
        carried = (*self.carried, "media") if self.has_media else self.carried
        fields = [f for f in carried_fields(carried) if f.name not in whole.names]
        return pa.schema([*whole, *fields])


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


def _count(batch: pa.RecordBatch, lengths_N: Array, first_N: Array) -> TokenTally:
    """Returns posts and tokens by group, and those that are no repeats."""
    once_N = lengths_N * first_N
    return tally(
        batch, TokenTally, tokens=lengths_N, distinct_posts=first_N, distinct_tokens=once_N
    )
