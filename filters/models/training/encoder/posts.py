"""The posts that the encoder is trained and measured on: their pieces, labels, sources and splits."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as pj
from tokenizers import Tokenizer

from sluice.filters.language.codes import UNDETERMINED
from sluice.filters.models.training.encoder.sources import HEADS, SOURCES, Head
from sluice.filters.models.training.posts import HELD_OUT, SPLIT_SEED
from sluice.filters.models.training.screen_sources import ORDINARY as ORDINARY_POSTS
from sluice.filters.text.hashing import hash_texts
from sluice.filters.text.normalize import normalize
from sluice.filters.text.views import classifier_text, dedup_text, encoder_text
from sluice.schemas.arrays import Array

LONGEST = 128
"""Pieces of a text, with those that begin and end it."""
ORDINARY = "(ordinary)"
ORDINARY_LABEL = 0.03
"""Of ordinary posts, for toxicity and spam: a few deserve it, and nobody has read them."""
MOST_ORDINARY = 400
"""Of a source and language."""

_COLUMNS = pa.schema(
    [(n, pa.string()) for n in ("text", "lang", "source")] + [("label", pa.float64())]
)


class Pieces(NamedTuple):
    """Texts as pieces: text i is ids_T[starts_N1[i] : starts_N1[i + 1]].

    Attributes:
        ids_T: (T,) pieces of all texts, those that begin and end one among them.
        starts_N1: (N + 1,) int64.
    """

    ids_T: Array
    starts_N1: Array

    @property
    def lengths_N(self) -> Array:
        """(N,) int64, pieces of each text."""
        return np.diff(self.starts_N1)


def read(data: Path, patterns: tuple[str, ...]) -> pa.Table:
    """Returns the posts of the files: `text` (normalised), `lang`, `source`, `label`."""
    options = pj.ParseOptions(explicit_schema=_COLUMNS, unexpected_field_behavior="ignore")
    files = [file for p in patterns for file in sorted(data.glob(p))]
    tables = [pj.read_json(pa.input_stream(str(file)), parse_options=options) for file in files]
    table = pa.concat_tables(tables).combine_chunks()
    whole = normalize(pc.fill_null(table["text"].combine_chunks(), ""))
    langs = pc.fill_null(table["lang"], UNDETERMINED)
    return table.set_column(0, "text", whole).set_column(1, "lang", langs)


def labelled(data: Path, name: str) -> pa.Table:
    """Returns the posts that a head may be trained on, less those with the letters of a test post.

    At most `most` of a source and a label, those with the lowest hashes of their text, so that a source
    that grows keeps those it had.
    """
    head = SOURCES[name]
    posts = _of(read(data, head.files), [s.name for s in head.sources])
    hashes_N = hash_texts(dedup_text(posts["text"].combine_chunks()), seed=SPLIT_SEED)
    posts = posts.append_column("hash", pa.array(hashes_N))
    posts = posts.filter(pc.invert(_is_in(posts, tests(data, name)))).sort_by("hash")
    places = [_first(posts, source.name, head) for source in head.sources]
    return posts.take(pa.array(np.sort(np.concatenate(places))))


def _first(posts: pa.Table, source: str, head: Head) -> Array:
    own_N = np.asarray(pc.equal(posts["source"], source))
    bad_N = posts["label"].to_numpy() >= 0.5
    most = head.most
    return np.concatenate([np.flatnonzero(own_N & (bad_N == b))[:most] for b in (False, True)])


def tests(data: Path, name: str) -> pa.Table:
    """Returns the posts that a head is measured on: of test files, and of sources that are held."""
    head = SOURCES[name]
    held = _of(read(data, head.files), list(head.held))
    found = [read(data, head.test_files), held] if head.test_files else [held]
    return pa.concat_tables(found).combine_chunks()


def ordinary(data: Path, head: str) -> pa.Table:
    """Returns ordinary posts, collected for another purpose, that a head takes for good, a few of each kind.

    For toxicity posts of many languages; for spam those of the firehose too: links, prices and news.
    """
    known = ORDINARY_POSTS[head]
    posts = _of(read(data, known.files), [source.name for source in known.sources])
    hashes_N = hash_texts(dedup_text(posts["text"].combine_chunks()), seed=SPLIT_SEED)
    posts = posts.append_column("hash", pa.array(hashes_N)).sort_by("hash")
    groups = pc.binary_join_element_wise(posts["source"], posts["lang"], " ").combine_chunks()
    codes_N = np.asarray(groups.dictionary_encode().indices)
    order_N = np.argsort(codes_N, kind="stable")
    begins = np.flatnonzero(np.append(True, np.diff(codes_N[order_N]) != 0))
    rank_N = np.arange(len(order_N)) - np.repeat(begins, np.diff(np.append(begins, len(order_N))))
    return posts.take(pa.array(np.sort(order_N[rank_N < MOST_ORDINARY])))


def _of(posts: pa.Table, sources: list[str]) -> pa.Table:
    return posts.filter(pc.is_in(posts["source"], pa.array(sources, pa.string()))).combine_chunks()


def _is_in(posts: pa.Table, others: pa.Table) -> pa.BooleanArray:
    own, other = (classifier_text(t["text"].combine_chunks()) for t in (posts, others))
    letters = [pc.replace_substring_regex(text, r"[^\pL\pM]+", "") for text in (own, other)]
    is_same = pc.is_in(letters[0], pc.drop_null(letters[1]))
    has_letters = pc.greater(pc.binary_length(letters[0]), 0)
    return pc.or_(pc.is_in(own, other), pc.and_(is_same, has_letters))


def is_held_out(posts: pa.Table) -> Array:
    """Returns (N,) bool, true for the tenth that is held out of training."""
    return np.asarray(posts["hash"].to_numpy() % HELD_OUT == 0)


def in_pieces(texts: pa.StringArray, tokenizer: Tokenizer, dtype: type = np.uint16) -> Pieces:
    """Returns the pieces of normalised texts, as the encoder reads them."""
    ids: list[Array] = []
    lengths: list[int] = []
    for first in range(0, len(texts), 16_384):
        part = encoder_text(texts.slice(first, 16_384)).to_pylist()
        for found in tokenizer.encode_batch_fast(part):
            ids.append(np.array(found.ids, dtype))
            lengths.append(len(found.ids))
    starts_N1 = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
    return Pieces(np.concatenate(ids) if ids else np.zeros(0, dtype), starts_N1)


def batches(lengths_N: Array, rows_N: Array, *, pieces: int) -> Iterator[Array]:
    """Yields rows in batches of like lengths, each of at most `pieces` with padding."""
    order = rows_N[np.argsort(lengths_N[rows_N], kind="stable")]
    first = 0
    while first < len(order):
        last, longest = first, 0
        while last < len(order):
            longest = max(longest, int(lengths_N[order[last]]))
            if last > first and longest * (last - first + 1) > pieces:
                break
            last += 1
        yield order[first:last]
        first = last


def padded(pieces: Pieces, rows_B: Array) -> tuple[Any, Any]:
    """Returns (B, T) int64 pieces, 1 where there is none, and (B,) int64 lengths, as torch tensors."""
    import torch

    lengths_B = pieces.lengths_N[rows_B]
    ids_BT = np.ones((len(rows_B), int(lengths_B.max())), np.int64)
    for row, (first, length) in zip(
        ids_BT, zip(pieces.starts_N1[rows_B], lengths_B, strict=True), strict=True
    ):
        row[:length] = pieces.ids_T[first : first + length]
    return torch.from_numpy(ids_BT), torch.from_numpy(lengths_B)


__all__ = [
    "HEADS",
    "Pieces",
    "batches",
    "in_pieces",
    "labelled",
    "ordinary",
    "padded",
    "read",
    "tests",
]
