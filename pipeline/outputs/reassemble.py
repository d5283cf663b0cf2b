"""The documents of an output, put together again: where one was cut, its pieces follow each other.

Documents are in the order of their first piece, without padding. A token has one place in an output,
its number when all sequences that are read follow each other; a piece is named by the places
where it begins and ends, and a cut by the end of the one piece and the beginning of the next. Cuts come
from the provenance: piece p + 1 of a post begins where piece p ends.

Memory: a record batch of 256 sequences, a million rows of provenance, and some 100 bytes for each piece
of a post that was cut.

Shape suffixes: S sequences of L tokens, T tokens, I items, K pieces of a batch, R provenance rows,
C cuts.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from sluice.pipeline.outputs.finished import vocabulary_of
from sluice.pipeline.outputs.verify import shard_files
from sluice.pipeline.storage import files as storage
from sluice.pipeline.storage.output_folder import COMPLETED
from sluice.pipeline.units.manifest import whole_file
from sluice.schemas.arrays import Bools, Int32s, Int64s
from sluice.schemas.errors import OutputError
from sluice.schemas.manifest import Manifest
from sluice.tokenizer.shards import ShardBatch, ShardReader
from sluice.tokenizer.vocabulary.load import around_posts

ROWS_AT_ONCE = 1 << 20
"""Rows of provenance that are held at a time."""


class Sources:
    """The shards that are exported, and the leftover if asked for.

    Attributes:
        shards: open, in order.
        provenance: path of each shard's provenance.
        first_sequence: number of each shard's first sequence in all of them.
        sequence_length: L.
        share_ids: whether several kept posts have one id.
        num_tokens: tokens that are not padding, by the manifest.
        pad_id: of padding, which inside documents stands where posts were forgotten.
        stay: ids that are no part of a post: those that begin and end documents and part posts.
        has_forgotten: whether posts were forgotten.
    """

    def __init__(self, output: str, manifest: Manifest, *, leftover: bool):
        if not storage.is_file(storage.join(output, COMPLETED)):
            raise OutputError(
                f"{output}: no {COMPLETED}: the run did not finish; rerun the same command to resume"
            )
        sizes = {entry.path: entry.bytes for entry in manifest.files}
        whole = [
            [_whole(output, name, sizes[name]) for name in pair]
            for pair in shard_files(manifest, leftover=leftover)
        ]
        self.share_ids = manifest.phases.dedup.resolve.shared_ids > 0
        self.num_tokens = sum(shard.tokens for shard in manifest.shards)
        self.num_tokens += leftover * _leftover_tokens(manifest)
        self.pad_id, self.has_forgotten = manifest.format.pad_id, manifest.forgotten is not None
        self.stay = around_posts(vocabulary_of(output)) if self.has_forgotten else ()
        self.shards = [ShardReader(tokens) for tokens, _ in whole]
        self.provenance = [provenance for _, provenance in whole]
        self.sequence_length = manifest.format.sequence_length
        self.first_sequence = np.cumsum([0, *(len(shard) for shard in self.shards)])[:-1]

    def batches(self) -> Iterator[tuple[int, ShardBatch]]:
        """Yields the record batches in order, each with the number of its first sequence."""
        for shard, first in zip(self.shards, self.first_sequence.tolist(), strict=True):
            for batch in shard.batches():
                yield first, batch
                first += len(batch.tokens_SL)

    def piece(self, place: int) -> tuple[Int32s, int]:
        """Returns the tokens of the piece that begins at a place, and the place where it ends."""
        sequence, offset = divmod(place, self.sequence_length)
        index = int(np.searchsorted(self.first_sequence, sequence, side="right")) - 1
        row = sequence - int(self.first_sequence[index])
        tokens_L, ends_K = self.shards[index].sequence(row)
        end = int(ends_K[np.searchsorted(ends_K, offset, side="right")])
        return tokens_L[offset:end], place + end - offset


def _leftover_tokens(manifest: Manifest) -> int:
    """Returns the tokens of the leftover, less those that were forgotten."""
    made = manifest.phases.tokens.shard
    if manifest.forgotten is None:
        return made.leftover.tokens
    gone_of_shards = made.in_shards.tokens - sum(shard.tokens for shard in manifest.shards)
    return made.leftover.tokens - (manifest.forgotten.tokens - gone_of_shards)


def _whole(output: str, name: str, num_bytes: int) -> str:
    remedy = "see `sluice verify`, and run again"
    return whole_file(storage.join(output, name), num_bytes, writer="the run", remedy=remedy)


class Run(NamedTuple):
    """Items one after the other.

    Attributes:
        tokens_T: (T,) int32, without padding.
        lengths_I: (I,) int64, tokens of each item.
    """

    tokens_T: Int32s
    lengths_I: Int64s


def without_forgotten(run: Run, sources: Sources) -> tuple[Run, int]:
    """Returns items without the padding of forgotten posts, and the tokens of items of which nothing is left.

    These tokens only begin and end documents and part posts.
    """
    if not (sources.has_forgotten and len(run.lengths_I)):
        return run, 0
    starts_I = np.cumsum(run.lengths_I) - run.lengths_I
    there_T = run.tokens_T != sources.pad_id
    text_T = there_T & ~np.isin(run.tokens_T, sources.stay)
    lengths_I, texts_I = (np.add.reduceat(t.astype(np.int64), starts_I) for t in (there_T, text_T))
    emptied_I = (texts_I == 0) & (lengths_I < run.lengths_I)
    there_T &= ~np.repeat(emptied_I, run.lengths_I)
    left = Run(run.tokens_T[there_T], lengths_I[~emptied_I])
    return left, int(lengths_I[emptied_I].sum())


def used_lengths(batch: ShardBatch) -> Int64s:
    """Returns (S,) int64, the tokens of each sequence that are not padding."""
    last_S = batch.doc_ends.offsets.to_numpy()[1:] - 1
    return np.asarray(batch.doc_ends.values.to_numpy()[last_S], np.int64)


def unpadded(batch: ShardBatch) -> Run:
    """Returns the sequences of a batch less their padding, an item each."""
    lengths_S = used_lengths(batch)
    columns_L = np.arange(batch.tokens_SL.shape[1])
    return Run(batch.tokens_SL[columns_L < lengths_S[:, None]], lengths_S)


def documents(sources: Sources) -> Iterator[Run]:
    """Yields the documents, put together, those that begin in one record batch at a time."""
    links = find_links(sources)
    followers_C = np.sort(links.begins_C)
    for first, batch in sources.batches():
        tokens_T = unpadded(batch).tokens_T
        begins_K, ends_K = _pieces(batch, first * sources.sequence_length)
        if not len(links.ends_C):
            yield Run(tokens_T, ends_K - begins_K)
            continue
        heads_K = ~_among(begins_K, followers_C)
        kept_T = np.repeat(heads_K, ends_K - begins_K)
        run = Run(tokens_T[kept_T], (ends_K - begins_K)[heads_K])
        yield _followed(run, ends_K[heads_K], links, sources)


def _pieces(batch: ShardBatch, place: int) -> tuple[Int64s, Int64s]:
    """Returns (K,) int64, where the pieces of a batch begin and end, if it begins at a place."""
    offsets_S1, end_K = batch.doc_ends.offsets.to_numpy(), batch.doc_ends.values.to_numpy()
    begin_K = np.concatenate([[0], end_K[:-1]])[: len(end_K)]
    begin_K[offsets_S1[:-1]] = 0
    sequence_K = np.repeat(np.arange(len(offsets_S1) - 1), np.diff(offsets_S1))
    base_K = place + sequence_K * batch.tokens_SL.shape[1]
    return base_K + begin_K, base_K + end_K


class Links(NamedTuple):
    """The cuts of documents: the piece that ends at `ends_C[c]` continues at `begins_C[c]`.

    Attributes:
        ends_C: (C,) int64 places, ascending.
        begins_C: (C,) int64 places.
    """

    ends_C: Int64s
    begins_C: Int64s


def _followed(run: Run, ends_I: Int64s, links: Links, sources: Sources) -> Run:
    """Returns items with the pieces behind the first; `ends_I` is where the first pieces end."""
    cut_Q = np.flatnonzero(_among(ends_I, links.ends_C))
    lengths_I, stops_I = run.lengths_I.copy(), np.cumsum(run.lengths_I)
    parts, done = [], 0
    for item in cut_Q.tolist():
        rest = list(_rest(int(ends_I[item]), links, sources))
        parts += [run.tokens_T[done : stops_I[item]], *rest]
        done = stops_I[item]
        lengths_I[item] += sum(map(len, rest))
    return Run(np.concatenate([*parts, run.tokens_T[done:]]), lengths_I)


def _among(places_K: Int64s, places_C: Int64s) -> Bools:
    """Returns (K,) bool, whether a place is one of (C,) ascending ones, of which there is one at least."""
    at_K = np.minimum(np.searchsorted(places_C, places_K), len(places_C) - 1)
    return np.asarray(places_C[at_K] == places_K)


def _rest(end: int, links: Links, sources: Sources) -> Iterator[Int32s]:
    """Yields the pieces of a document that come after the one that ends at a place."""
    while True:
        at = int(np.searchsorted(links.ends_C, end))
        if at == len(links.ends_C) or links.ends_C[at] != end:
            return
        tokens_T, end = sources.piece(int(links.begins_C[at]))
        yield tokens_T


def find_links(sources: Sources) -> Links:
    """Returns where documents that were cut continue.

    A piece whose predecessor is not read, because it is left over, begins an item of its own.

    Raises:
        OutputError: copies of a post were cut at different places, or several posts of one id were cut, so
            that nothing says which pieces belong together.
    """
    posts = _cut_posts(sources)
    if not len(posts):
        return Links(np.empty(0, np.int64), np.empty(0, np.int64))
    post_R, copy_R, piece_R, begin_R, end_R = _by_copy(
        posts, _pieces_of(posts, sources), share_ids=sources.share_ids
    )
    continues_R = (np.diff(post_R) == 0) & (np.diff(copy_R) == 0) & (np.diff(piece_R) == 1)
    ends_C, begins_C = end_R[:-1][continues_R], begin_R[1:][continues_R]
    ascending_C = np.argsort(ends_C)
    return Links(ends_C[ascending_C], begins_C[ascending_C])


def _cut_posts(sources: Sources) -> pa.StringArray:
    """Returns the ids of the posts that have more than one piece, without repeats."""
    found = [pa.array([], pa.string())]
    for path in sources.provenance:
        for rows in _provenance(path, "post_id", "piece"):
            found.append(rows["post_id"].filter(pc.greater(rows["piece"], 0)))
    return pa.chunked_array(found).unique()


def _provenance(path: str, *columns: str) -> Iterator[pa.RecordBatch]:
    """Yields columns of a provenance file, in the order asked for."""
    for rows in pq.ParquetFile(path).iter_batches(ROWS_AT_ONCE, columns=list(columns)):
        yield rows.select(columns)


def _pieces_of(posts: pa.StringArray, sources: Sources) -> Int64s:
    """Returns (R, 4) int64: the number of the post, the piece, the place of it, and its length."""
    found = [np.empty((0, 4), np.int64)]
    names = ("post_id", "piece", "sequence", "offset", "length")
    for path, first in zip(sources.provenance, sources.first_sequence.tolist(), strict=True):
        for rows in _provenance(path, *names):
            post = pc.index_in(rows["post_id"], value_set=posts)
            rows = rows.set_column(0, "post", post).filter(pc.is_valid(post))
            post_R, piece_R, sequence_R, offset_R, length_R = (
                column.to_numpy().astype(np.int64) for column in rows.columns
            )
            begin_R = (first + sequence_R) * sources.sequence_length + offset_R
            found.append(np.stack([post_R, piece_R, begin_R, length_R], axis=1))
    return np.concatenate(found)


def _by_copy(posts: pa.StringArray, rows_R4: Int64s, *, share_ids: bool) -> Int64s:
    """Returns (5, R) int64 rows: post, copy, piece, begin and end, in the order of the first three.

    The n-th copies of pieces are taken for those of one document: equal cuts make them equal, unless
    several posts share an id.
    """
    post_R, piece_R, begin_R, length_R = rows_R4[np.lexsort(rows_R4.T[[2, 1, 0]])].T
    copy_R = _numbered(post_R, piece_R)
    differing_R = (copy_R > 0) & (share_ids | (length_R != np.roll(length_R, 1)))
    if differing_R.any():
        post_id = posts[int(post_R[differing_R][0])].as_py()
        raise OutputError(
            f"post {post_id!r} is in several documents that are cut at different places, or of several "
            f"posts with this id, so that its pieces cannot be told apart; export --items sequences"
        )
    order_R = np.lexsort((piece_R, copy_R, post_R))
    return np.stack([post_R, copy_R, piece_R, begin_R, begin_R + length_R])[:, order_R]


def _numbered(post_R: Int64s, piece_R: Int64s) -> Int64s:
    """Returns (R,) int64, the number of a row among those of the same piece, which are next to each other."""
    new_R = np.append(True, (np.diff(post_R) != 0) | (np.diff(piece_R) != 0))
    first_R = np.flatnonzero(new_R)[np.cumsum(new_R) - 1]
    return np.asarray(np.arange(len(post_R)) - first_R, np.int64)
