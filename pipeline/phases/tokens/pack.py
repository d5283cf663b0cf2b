"""Stage of phase tokens: posts of a partition -> documents -> sequences, and where each piece went."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sluice.pipeline.phases.edges import carried_fields, rows_of, write_rows
from sluice.pipeline.phases.tokens.encode import DocumentsOf
from sluice.pipeline.phases.tokens.media import PIECE_MEDIA, media_of_pieces
from sluice.pipeline.phases.tokens.token_counts import TokenUse
from sluice.pipeline.storage.checksums import crc32
from sluice.pipeline.units import exchange
from sluice.pipeline.units.attempt import Attempt
from sluice.pipeline.units.manifest import Unit
from sluice.schemas.arrays import Bools
from sluice.schemas.counts import JoinedCounts, PackCounts
from sluice.tokenizer.encode import Encoded
from sluice.tokenizer.packing.documents import DocumentTokens, Joined, join
from sluice.tokenizer.packing.plan import LongDocuments, Packing, PackPlan, pack, plan
from sluice.tokenizer.vocabulary.load import VocabularyIds

GATHER_SEQUENCES = 256
"""Sequences that a shard unit holds at a time: 8 MiB at 8,192 tokens."""

PIECE = pa.schema(
    [
        ("sequence", pa.int32()),
        ("offset", pa.int32()),
        ("length", pa.int32()),
        ("post_id", pa.string()),
        ("piece", pa.int16()),
        ("document", pa.int64()),
        ("copies", pa.int32()),
        ("ends", pa.bool_()),
    ]
)
"""The `pieces` edge: one row per piece of a post; a document, or a part of one, ends where `ends` is true.

`document` counts the documents of the partition."""


KEYS: dict[DocumentsOf, tuple[str, ...]] = {
    "posts": ("order",),
    "conversations": ("order", "name", "time", "depth", "post_id"),
}
"""What the posts of a partition are ordered by: of conversations which one, then the place in it."""


@dataclass(frozen=True)
class Pack:
    """DocumentPosts of a partition -> packed sequences and where each piece went.

    Attributes:
        documents: what a document is made of.
        packing: how documents go into sequences, see `sluice.tokenizer.packing.plan`.
        special: the special tokens around documents and between their posts.
        vocabulary: the ids and how many there are.
        carried: columns that go with the posts to their provenance.
        has_media: whether texts have placeholders, whose places go there too.
    """

    folder: str
    sequence_length: int
    documents: DocumentsOf
    packing: Packing
    long_documents: LongDocuments
    special: DocumentTokens
    vocabulary: VocabularyIds
    carried: tuple[str, ...] = ()
    has_media: bool = False
    name: str = "tokens_pack"
    counts: ClassVar = PackCounts

    def do(self, unit: Unit, attempt: Attempt) -> PackCounts:
        """Packs a partition."""
        posts = _read(unit, self.special, self.documents)
        planned = plan(
            posts.joined.lengths_N,
            begins_N=posts.begins_N,
            sequence_length=self.sequence_length,
            packing=self.packing,
            long_documents=self.long_documents,
        )
        _write(self, posts, planned, attempt)
        return PackCounts(
            sequences=planned.num_sequences,
            documents=planned.num_documents,
            begin_of_document=posts.joined.num_begins,
            turns=posts.joined.num_turns,
            end_of_document=posts.joined.num_ends,
            tokens=planned.num_tokens,
            truncated=planned.num_truncated,
            padding=planned.num_padding,
            joined=_joined_counts(posts) if self.documents == "conversations" else None,
        )


class DocumentPosts(NamedTuple):
    """The posts of a partition's documents, in the order of the documents' hashes; `rows` without tokens."""

    rows: pa.RecordBatch
    begins_N: Bools
    joined: Joined


def _joined_counts(posts: DocumentPosts) -> JoinedCounts:
    """Returns the documents of more than one post, and by what their posts were joined.

    Every post but the first joins its document once; those that no link joined are there by id. A mixture
    may leave out what a post answers: no more posts count than joined.
    """
    first_D = np.flatnonzero(posts.begins_N)
    if not len(first_D):
        return JoinedCounts()
    joins_D = np.diff(np.append(first_D, len(posts.begins_N))) - 1
    depth_N = np.asarray(posts.rows.column("depth"))
    quoted_N = posts.rows.column("quoted").to_numpy(zero_copy_only=False)
    links_D = np.minimum(np.add.reduceat((depth_N > 0).astype(np.int64), first_D), joins_D)
    quotes_D = np.minimum(np.add.reduceat(quoted_N.astype(np.int64), first_D), joins_D - links_D)
    links, quotes, joins = int(links_D.sum()), int(quotes_D.sum()), int(joins_D.sum())
    documents = int((joins_D > 0).sum())
    return JoinedCounts(documents, joins + documents, links, quotes, joins - links - quotes)


def _write(stage: Pack, posts: DocumentPosts, planned: PackPlan, attempt: Attempt) -> None:
    """Writes the sequences, how often each id occurs, and the pieces; a run of sequences at a time."""
    path, pieces = attempt.path("sequences", suffix=".i32"), []
    sums: list[int] = []
    use, schema = TokenUse(stage.vocabulary), pa.schema([*PIECE, *carried_fields(stage.carried)])
    with open(path, "wb") as file:
        for start in range(0, planned.num_sequences, GATHER_SEQUENCES):
            packed = pack(
                planned,
                posts.joined.tokens_T,
                posts.joined.starts_N,
                pad_id=stage.vocabulary.pad_id,
                start=start,
                stop=min(start + GATHER_SEQUENCES, planned.num_sequences),
            )
            packed.tokens_SL.tofile(file)
            sums += map(crc32, packed.tokens_SL)
            use.add(packed.tokens_SL)
            pieces.append(_pieces(packed.pieces, posts, schema))
    attempt.add("sequences", path, checked=False)  # a shard takes some rows, and checks those
    path = attempt.path("sums", suffix=".u32")
    np.array(sums, np.uint32).tofile(path)
    attempt.add("sums", path)
    path = attempt.path("use", suffix=".i64")
    use.count_V.tofile(path)
    attempt.add("use", path)
    # Not compressed: a shard takes some rows of every partition, from the mapped file.
    columns = pa.concat_batches(pieces).columns
    if stage.has_media:
        media, ids = posts.rows.column("media"), stage.vocabulary.media_ids
        columns.append(media_of_pieces(planned, media, posts.joined, ids))
        schema = schema.append(PIECE_MEDIA)
    write_rows(attempt, "pieces", schema, *columns)


def added_fields(carried: Sequence[str], *, has_media: bool) -> list[pa.Field]:
    """Returns what a recipe adds to the columns of the provenance."""
    return [*carried_fields(carried), *([PIECE_MEDIA] if has_media else [])]


def _pieces(pieces: pa.RecordBatch, posts: DocumentPosts, schema: pa.Schema) -> pa.RecordBatch:
    """Returns the plan's pieces with the post's id, and what is carried, in the place of its number."""
    number, planned = pieces.column("post"), set(pieces.schema.names)
    of_posts = posts.rows.select([n for n in schema.names if n not in planned]).take(number)
    columns = [pieces.column(n) if n in planned else of_posts.column(n) for n in schema.names]
    return rows_of(schema, *columns)


def _read(unit: Unit, special: DocumentTokens, documents: DocumentsOf) -> DocumentPosts:
    """Returns the posts of a unit, joined to documents.

    The unit is read twice, so that only one copy of its tokens is held.
    """
    posts = pa.concat_batches([_without_tokens(batch) for _, batch in exchange.read(unit)])
    order_N = np.asarray(_order(posts.select(list(KEYS[documents]))), np.int64)
    lengths_N = np.asarray(posts.column("length"), np.int64)
    posts = posts.take(pa.array(order_N))
    begins_N = _begins(posts, documents)
    posts = posts.append_column("document", pa.array(np.cumsum(begins_N) - 1, pa.int64()))
    tokens = (_encoded(batch.column("tokens")) for _, batch in exchange.read(unit))
    joined = join(tokens, lengths_N, order_N, begins_N, special=special)
    return DocumentPosts(posts, begins_N, joined)


def _without_tokens(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Returns the posts of a batch, with the number of their tokens as `length` in the tokens' place."""
    lengths = pc.list_value_length(batch.column("tokens"))
    return batch.drop_columns(["tokens"]).append_column("length", lengths)


def _encoded(tokens: pa.ListArray) -> Encoded:
    """Returns the tokens of a batch; they are not copied."""
    return Encoded(np.asarray(tokens.values), np.asarray(tokens.offsets, np.int64))


def _order(keys: pa.RecordBatch) -> Any:
    """Returns (N,), which row comes first, which second.

    By the document's hash, then in a conversation by time, depth and post id. Two conversations of equal
    hash do not mix.
    """
    if keys.schema.names == ["order"]:
        # Rows come in input order, so that a stable sort orders equal hashes by it.
        return np.argsort(np.asarray(keys.column("order")), kind="stable")
    return pc.sort_indices(keys, sort_keys=[(name, "ascending") for name in keys.schema.names])


def _begins(posts: pa.RecordBatch, documents: DocumentsOf) -> Bools:
    """Returns (N,) bool, whether a post, in order, is the first of its document."""
    begins_N = np.ones(posts.num_rows, np.bool_)
    if documents == "conversations":
        before, after = posts.slice(0, posts.num_rows - 1), posts.slice(1)
        same = [pc.equal(before.column(n), after.column(n)) for n in ("order", "name")]
        begins_N[1:] = ~np.asarray(pc.and_(*same))
    return begins_N
