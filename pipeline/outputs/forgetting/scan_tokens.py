"""Whether tokens of posts that were forgotten are in an output's sequences, under whatever id.

Tokens of each post, its pieces one after the other, are compared with the tombstones: by their number, then
by their keyed hash. At the places of posts that were forgotten nothing but padding may stand, and what parts
documents.

Shape suffixes: R rows of a provenance, P places, T tokens.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sluice.filters.privacy.keyed_ids import IdKey
from sluice.pipeline.outputs.forgetting.find import (
    PostPieces,
    columns_of,
    copies_of_posts,
    pieces_of,
    text_tokens,
)
from sluice.pipeline.outputs.forgetting.scan_ids import Finding
from sluice.pipeline.outputs.verify import Verified, shard_files
from sluice.pipeline.phases.tokens.packed_files import FORGOTTEN_AT
from sluice.pipeline.storage import local_copies
from sluice.schemas.arrays import Array, Int32s, Int64s
from sluice.tokenizer.places import TokenPlaces
from sluice.tokenizer.shards import ShardReader

Files = tuple[str, str]
"""A file of tokens and its provenance, by their names in the output."""


class TokensSeen(NamedTuple):
    """Posts whose tokens were compared, their tokens, and what was found."""

    posts: int = 0
    tokens: int = 0
    findings: tuple[Finding, ...] = ()

    def plus(self, other: "TokensSeen") -> "TokensSeen":
        """Returns both together."""
        return TokensSeen(
            self.posts + other.posts, self.tokens + other.tokens, self.findings + other.findings
        )


class Sought(NamedTuple):
    """The tokens that were forgotten.

    Attributes:
        key: of the hashes.
        num_tokens: (K,) int64, the lengths that they have.
        posts: hash of tokens -> hash of the post's id.
        special: ids of tokens that are no part of a post.
        pad_id: of padding.
    """

    key: IdKey
    num_tokens: Int64s
    posts: dict[str, str]
    special: tuple[int, ...]
    pad_id: int

    @classmethod
    def of(cls, rows: pa.Table, key: IdKey, *, special: tuple[int, ...], pad_id: int) -> "Sought":
        """Returns what the tombstones of posts with tokens tell."""
        rows = rows.filter(rows["tokens_key"].is_valid())
        tokens, posts = (rows[name].to_pylist() for name in ("tokens_key", "post_key"))
        lengths = np.unique(np.asarray(rows["num_tokens"], np.int64))
        return cls(key, lengths, dict(zip(tokens, posts, strict=True)), special, pad_id)

    def post_of(self, token_T: Int32s) -> str | None:
        """Returns the hash of the id of the post that has these tokens; None where none had."""
        return self.posts.get(self.key.tokens(token_T))


def tokens_seen(of: Verified, sought: Sought) -> TokensSeen:
    """Returns what of the sequences is a post that was forgotten."""
    files, total = shard_files(of.manifest), TokensSeen()
    cut = pa.concat_tables(list(of.of_each(_cut, files)))["post_id"].unique()
    for seen in of.of_each(partial(_whole_posts, sought, cut), files):
        total = total.plus(seen)
    found = list(of.of_each(partial(pieces_of, cut, sought.special), files)) if len(cut) else []
    return total.plus(_cut_posts(of, sought, [pieces for pieces in found if pieces]))


def _rows(of: Verified, provenance: str, names: Sequence[str]) -> pa.Table:
    """Returns columns of a provenance, and whether each row is of a post that was forgotten, as `gone`."""
    rows = columns_of(of, provenance, [*names, FORGOTTEN_AT.name])
    if FORGOTTEN_AT.name not in rows.column_names:
        return rows.append_column("gone", pa.array(np.zeros(rows.num_rows, np.bool_)))
    gone = rows[FORGOTTEN_AT.name].is_valid()
    return rows.drop_columns([FORGOTTEN_AT.name]).append_column("gone", gone)


def _cut(of: Verified, files: Files) -> pa.Table:
    """Returns the ids of posts that have more than one piece."""
    rows = _rows(of, files[1], ["post_id", "piece"])
    is_cut = pc.and_(pc.greater(rows["piece"], 0), pc.invert(rows["gone"]))
    return rows.filter(is_cut).select(["post_id"])


def _whole_posts(sought: Sought, cut: pa.StringArray, of: Verified, files: Files) -> TokensSeen:
    """Looks at the posts of a shard that have one piece, and at the places of those that are gone."""
    tokens, provenance = files
    rows = _rows(of, provenance, ["sequence", "offset", "length", "post_id"])
    is_whole = pc.invert(pc.is_in(rows["post_id"], value_set=cut))
    row_R = np.flatnonzero(is_whole.to_numpy() | rows["gone"].to_numpy())
    sequence_R, offset_R, length_R = (
        np.asarray(rows[name], np.int64)[row_R] for name in ("sequence", "offset", "length")
    )
    row_P = row_R[np.lexsort((offset_R, sequence_R))]
    is_gone_P = rows["gone"].to_numpy()[row_P]
    places, start, total = TokenPlaces.of(sequence_R, offset_R, length_R), 0, TokensSeen()
    with local_copies.scope():
        shard = ShardReader(local_copies.fetch(of.path(tokens)))
        for text_P, token_T in text_tokens(shard, places, sought.special):
            chosen = slice(start, start + len(text_P))
            found = _found(sought, text_P, token_T, is_gone_P[chosen])
            findings = [
                Finding(of.path(provenance), row, "tokens", post or rows["post_id"][row].as_py())
                for row, post in ((int(row_P[start + p]), post) for p, post in found)
            ]
            there_P = ~is_gone_P[chosen]
            total = total.plus(
                TokensSeen(int(there_P.sum()), int(text_P[there_P].sum()), tuple(findings))
            )
            start += len(text_P)
    return total


def _found(
    sought: Sought, length_P: Int64s, token_T: Int32s, is_gone_P: Array
) -> Iterator[tuple[int, str | None]]:
    """Yields places with tokens of a post that was forgotten, and its hash; None where a row names it."""
    stop_P = np.cumsum(length_P)
    candidate_P = np.isin(length_P, sought.num_tokens) & ~is_gone_P
    for p in np.flatnonzero(candidate_P).tolist():
        post = sought.post_of(token_T[stop_P[p] - length_P[p] : stop_P[p]])
        if post is not None:
            yield p, post
    for p in np.flatnonzero(is_gone_P).tolist():
        if (token_T[stop_P[p] - length_P[p] : stop_P[p]] != sought.pad_id).any():
            yield p, None


def _cut_posts(of: Verified, sought: Sought, pieces: Sequence[PostPieces]) -> TokensSeen:
    """Looks at the posts that have several pieces."""
    total = TokensSeen()
    for number, _, token_T in copies_of_posts(pieces):
        post = sought.post_of(token_T)
        findings = () if post is None else (_first_piece(of, pieces, number, post),)
        total = total.plus(TokensSeen(1, len(token_T), findings))
    return total


def _first_piece(of: Verified, pieces: Sequence[PostPieces], number: int, post: str) -> Finding:
    """Returns where the first piece of a post is."""
    own = next(p for p in pieces if (p.id_P == number).any())
    row = int(own.row_P[np.flatnonzero(own.id_P == number)[0]])
    return Finding(of.path(own.provenance), row, "tokens", post)
