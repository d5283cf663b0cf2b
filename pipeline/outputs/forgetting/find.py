"""What a forget has to change: which rows of which files name the posts, and which tokens are theirs.

Shape suffixes: I ids, R rows, T tokens, P pieces.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from sluice.filters.privacy.keyed_ids import AUTHOR_KEY, IdKey
from sluice.filters.text.hashing import hash_texts
from sluice.pipeline.outputs.forgetting.journal import Edit, ForgetCounts, Tombstone
from sluice.pipeline.outputs.verify import Verified, shard_files
from sluice.pipeline.phases.tokens.mixture import sum_of_ids
from sluice.pipeline.phases.tokens.packed_files import spans
from sluice.pipeline.storage import files as storage
from sluice.pipeline.storage import local_copies
from sluice.schemas.arrays import Int32s, Int64s
from sluice.schemas.reject import DUPLICATE
from sluice.schemas.token_shard import ROWS_PER_BATCH
from sluice.tokenizer.places import TokenPlaces
from sluice.tokenizer.shards import ShardReader

ID_COLUMNS = ("post_id", "duplicate_of")
"""Columns of an output's tables that hold ids of posts."""


class FoundPosts(NamedTuple):
    """What an output holds of some posts.

    Attributes:
        kept: ids of them that are in sequences, without repeats.
        rejected: ids of them that are among the rejects and in no sequence.
        edits: file -> its columns that change; keys are numbers of the ids that were looked for.
        tokens: file of tokens -> how many are overwritten.
        tombstones: a row for each post.
        counts: of all of it.
    """

    kept: pa.StringArray
    rejected: pa.StringArray
    edits: dict[str, list[Edit]]
    tokens: dict[str, int]
    tombstones: list[Tombstone]
    counts: ForgetCounts


def ids_of_authors(of: Verified, author_keys: pa.StringArray) -> tuple[pa.StringArray, set[str]]:
    """Returns the ids of the posts in sequences by authors of some keys, and which keys are there."""
    names = [provenance for _, provenance in shard_files(of.manifest)]
    found = pa.concat_tables(list(of.of_each(partial(_of_authors, author_keys), names)))
    return pc.unique(found["post_id"]), set(pc.unique(found[AUTHOR_KEY.name]).to_pylist())


def _of_authors(author_keys: pa.StringArray, of: Verified, name: str) -> pa.Table:
    rows = columns_of(of, name, ["post_id", AUTHOR_KEY.name])
    return rows.filter(pc.is_in(rows[AUTHOR_KEY.name], value_set=author_keys))


TABLES: Final = ("rejects/", "scores/", "contaminated/")
"""The folders of tables that name posts, beside the provenance."""


def find(of: Verified, ids: pa.StringArray, key: IdKey, special: Sequence[int]) -> FoundPosts:
    """Returns what an output holds of the posts with these ids.

    Args:
        of: the output, and how many threads read it.
        ids: (I,) different ids.
        key: of the hashes of tokens.
        special: ids of tokens that are no part of a post.
    """
    pieces = [
        p for p in of.of_each(partial(pieces_of, ids, special), shard_files(of.manifest)) if p
    ]
    tables = [file.path for file in of.manifest.files if file.path.startswith(TABLES)]
    others = dict(zip(tables, of.of_each(partial(_edits, ids), tables), strict=True))
    edits = {p.provenance: [_edit("post_id", p.row_P, p.id_P)] for p in pieces}
    edits |= {name: found for name, found in others.items() if found}
    kept_I = np.unique(np.concatenate([np.empty(0, np.int64), *(p.id_P for p in pieces)]))
    named_I = _named(edits, "rejects/", "post_id")
    rejected_I = np.setdiff1d(named_I, kept_I)
    tombstones = list(_tombstones(pieces, key)) + [
        Tombstone(post=i, author_key=None, num_tokens=0, tokens_key=None)
        for i in rejected_I.tolist()
    ]
    counts = ForgetCounts(
        posts=len(tombstones) - len(rejected_I),
        rejected=len(rejected_I),
        tokens=sum(len(p.token_T) for p in pieces),
        copies=sum(of.of_each(partial(_copies, ids.take(pa.array(kept_I))), tables)),
        id_sum=_change_of_id_sum(pieces, ids, key),
    )
    return FoundPosts(
        kept=ids.take(pa.array(kept_I)),
        rejected=ids.take(pa.array(rejected_I)),
        edits=edits,
        tokens={p.tokens: len(p.token_T) for p in pieces},
        tombstones=tombstones,
        counts=counts,
    )


class PostPieces(NamedTuple):
    """The pieces of posts in a shard, with the tokens of their texts.

    Attributes:
        tokens, provenance: names of the files.
        row_P: (P,) int64, rows of the provenance, ascending.
        id_P: (P,) int64, number of the post's id.
        columns: (P,) document, piece and, where there is one, author_key.
        length_P: (P,) int64, tokens of each piece.
        token_T: (T,) int32, piece after piece.
    """

    tokens: str
    provenance: str
    row_P: Int64s
    id_P: Int64s
    columns: pa.Table
    length_P: Int64s
    token_T: Int32s


def pieces_of(
    ids: pa.StringArray, special: Sequence[int], of: Verified, files: tuple[str, str]
) -> PostPieces | None:
    """Returns the pieces of posts in a shard; None where it has none of them."""
    tokens, provenance = files
    row_P, id_P = _rows_of(of, provenance, "post_id", ids)
    if not len(row_P):
        return None
    names = ["sequence", "offset", "length", "document", "piece"]
    columns = columns_of(of, provenance, [*names, AUTHOR_KEY.name]).take(pa.array(row_P))
    places = TokenPlaces.of(*(columns[name].to_numpy() for name in names[:3]))
    length_P, token_T = _tokens(of, tokens, places, special)
    return PostPieces(tokens, provenance, row_P, id_P, columns, length_P, token_T)


def _rows_of(of: Verified, name: str, column: str, ids: pa.StringArray) -> tuple[Int64s, Int64s]:
    """Returns (R,) int64 each: the rows of a file whose column has one of the ids, and the id's number."""
    rows, numbers, start = [np.empty(0, np.int64)], [np.empty(0, np.int64)], 0
    with storage.open_input(of.path(name)) as source:
        file = pq.ParquetFile(source)
        if column not in file.schema_arrow.names:
            return rows[0], numbers[0]
        for batch in file.iter_batches(1 << 17, columns=[column]):
            number = pc.index_in(batch.column(0), value_set=ids)
            at = pc.indices_nonzero(number.is_valid())
            rows.append(np.asarray(at, np.int64) + start)
            numbers.append(np.asarray(number.take(at), np.int64))
            start += batch.num_rows
    return np.concatenate(rows), np.concatenate(numbers)


def columns_of(of: Verified, name: str, columns: Sequence[str]) -> pa.Table:
    """Returns those of some columns that a file has."""
    with storage.open_input(of.path(name)) as source:
        file = pq.ParquetFile(source)
        return file.read(columns=[n for n in columns if n in file.schema_arrow.names])


def _tokens(
    of: Verified, name: str, places: TokenPlaces, special: Sequence[int]
) -> tuple[Int64s, Int32s]:
    """Returns the number of tokens at each place that are of a text, and these tokens."""
    lengths, found = [np.empty(0, np.int64)], [np.empty(0, np.int32)]
    with local_copies.scope():
        shard = ShardReader(local_copies.fetch(of.path(name)))
        for length_P, token_T in text_tokens(shard, places, special):
            lengths.append(length_P)
            found.append(token_T)
    return np.concatenate(lengths), np.concatenate(found)


def text_tokens(
    shard: ShardReader, places: TokenPlaces, special: Sequence[int]
) -> Iterator[tuple[Int64s, Int32s]]:
    """Yields by record batch how many tokens at each of its places are of a text, and these tokens."""
    for index in np.unique(places.sequence_P // ROWS_PER_BATCH).tolist():
        first = index * ROWS_PER_BATCH
        length_P = places.among(first, first + ROWS_PER_BATCH).length_P
        token_T = shard.at(index, places)
        is_text_T = ~np.isin(token_T, special)
        starts_P = np.cumsum(length_P) - length_P
        yield np.add.reduceat(is_text_T.astype(np.int64), starts_P), token_T[is_text_T]


def _edits(ids: pa.StringArray, of: Verified, name: str) -> list[Edit]:
    """Returns the rows of a table that name posts by their ids."""
    found = {column: _rows_of(of, name, column, ids) for column in ID_COLUMNS}
    return [_edit(column, *rows) for column, rows in found.items() if len(rows[0])]


def _edit(column: str, row_R: Int64s, id_R: Int64s) -> Edit:
    return Edit(column=column, rows=row_R.tolist(), keys=id_R.tolist())


def _named(edits: dict[str, list[Edit]], folder: str, column: str) -> Int64s:
    """Returns the different numbers of ids that a column of a folder's tables has."""
    numbers = {
        number
        for name, own in edits.items()
        if name.startswith(folder)
        for edit in own
        if edit.column == column
        for number in edit.keys
    }
    return np.array(sorted(numbers), np.int64)


def _copies(kept: pa.StringArray, of: Verified, name: str) -> int:
    """Returns how many duplicates of kept posts a file of rejects has."""
    if not name.startswith("rejects/"):
        return 0
    rows = columns_of(of, name, ["kind", "duplicate_of", "detail"])
    same = pc.and_(
        pc.equal(rows["kind"], DUPLICATE), pc.is_in(rows["duplicate_of"], value_set=kept)
    )
    return int(pc.sum(pc.and_(same, pc.is_null(rows["detail"]))).as_py() or 0)


def _tombstones(pieces: Sequence[PostPieces], key: IdKey) -> Iterator[Tombstone]:
    """Yields a tombstone for each post: its pieces in their order; of several copies, one.

    A copy is what one document has of a post. Posts that share an id have unlike texts.
    """
    seen: set[tuple[int, str]] = set()
    for post, author_key, token_T in copies_of_posts(pieces):
        tokens_key = key.tokens(token_T)
        if (post, tokens_key) not in seen:
            seen.add((post, tokens_key))
            yield Tombstone(
                post=post, author_key=author_key, num_tokens=len(token_T), tokens_key=tokens_key
            )


def copies_of_posts(pieces: Sequence[PostPieces]) -> Iterator[tuple[int, str | None, Int32s]]:
    """Yields each copy of each post: the number of its id, its author's key, its tokens."""
    if not pieces:
        return
    id_P = np.concatenate([p.id_P for p in pieces])
    document_P, piece_P = (
        np.concatenate([p.columns[n].to_numpy().astype(np.int64) for p in pieces])
        for n in ("document", "piece")
    )
    again_P = _times_before(id_P, document_P, piece_P)
    author_P = [author for p in pieces for author in _authors(p)]
    token_T = np.concatenate([p.token_T for p in pieces])
    length_P = np.concatenate([p.length_P for p in pieces])
    start_P = np.cumsum(length_P) - length_P
    order_P = np.lexsort((piece_P, again_P, document_P, id_P))
    copy_P = np.stack([id_P, document_P, again_P])[:, order_P]
    begins = np.flatnonzero(np.append(True, (np.diff(copy_P) != 0).any(axis=0)))
    for begin, stop in zip(begins, [*begins[1:], len(order_P)], strict=True):
        chosen_P = order_P[begin:stop]
        at_T = spans(start_P[chosen_P], start_P[chosen_P] + length_P[chosen_P])
        yield int(id_P[chosen_P[0]]), author_P[chosen_P[0]], token_T[at_T]


def _times_before(*columns_P: Int64s) -> Int64s:
    """Returns (P,) int64, how many pieces before have the same post, document and number."""
    order_P = np.lexsort(columns_P[::-1])
    sorted_P = np.stack(columns_P)[:, order_P]
    new_P = np.append(True, (np.diff(sorted_P) != 0).any(axis=0))
    first_P = np.flatnonzero(new_P)[np.cumsum(new_P) - 1]
    times_P = np.empty(len(order_P), np.int64)
    times_P[order_P] = np.arange(len(order_P)) - first_P
    return times_P


def _authors(pieces: PostPieces) -> list[str | None]:
    if AUTHOR_KEY.name not in pieces.columns.column_names:
        return [None] * len(pieces.row_P)
    authors: list[str | None] = pieces.columns[AUTHOR_KEY.name].to_pylist()
    return authors


def _change_of_id_sum(pieces: Sequence[PostPieces], ids: pa.StringArray, key: IdKey) -> int:
    """Returns by how much the sum of ids in provenance grows: hashes stand for ids of first pieces."""
    firsts = [p.id_P[p.columns["piece"].to_numpy() == 0] for p in pieces]
    first = ids.take(pa.array(np.concatenate([np.empty(0, np.int64), *firsts])))
    if not len(first):
        return 0
    return sum_of_ids(hash_texts(key.posts(first), seed=0)) - sum_of_ids(hash_texts(first, seed=0))
