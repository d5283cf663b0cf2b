"""What the encoder says of unlabelled texts, which the screens learn from: files of scores, made in parts.

Texts are those of the firehose, of the language posts, and of labelled collections whose licence allows it,
whose labels are not read. A part that is there is not made again.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from tokenizers import Tokenizer

from sluice.filters.models.training.encoder.fit import logits
from sluice.filters.models.training.encoder.network import EncoderNetwork
from sluice.filters.models.training.encoder.posts import in_pieces, read, tests
from sluice.filters.models.training.encoder.sources import HEADS, SOURCES
from sluice.filters.models.training.posts import SPLIT_SEED
from sluice.filters.models.training.screen_sources import RECIPES
from sluice.filters.text.hashing import hash_texts
from sluice.filters.text.views import classifier_text, dedup_text

PART = 25_000
"""Texts of a part."""
UNLABELLED = ("firehose/part-*.jsonl.gz", "langid/train.jsonl.gz")


class Teaching(NamedTuple):
    """Where scores are written, and how many texts are scored at most."""

    folder: Path
    most: int


def texts(data: Path) -> pa.Table:
    """Returns the texts to score, `text` (normalised), `lang`, `source`, each once, in the order of a hash.

    Posts with the text of a test post are left out.
    """
    free = {s.name for recipe in RECIPES.values() for s in recipe.sources}
    free |= {s.name for head in SOURCES.values() for s in head.sources}
    found = [read(data, UNLABELLED[:1]), _of(read(data, UNLABELLED[1:]), free)]
    for head in HEADS:
        found.append(_of(read(data, SOURCES[head].files), {s.name for s in SOURCES[head].sources}))
    table = pa.concat_tables([t.select(["text", "lang", "source"]) for t in found]).combine_chunks()
    known = pa.concat_tables([tests(data, head) for head in HEADS]).combine_chunks()
    read_by = classifier_text(table["text"].combine_chunks())
    is_test = pc.is_in(read_by, classifier_text(known["text"].combine_chunks()))
    keep = pc.and_(pc.invert(is_test), pc.greater(pc.binary_length(read_by), 0))
    return _once(table.filter(keep).combine_chunks())


def _of(posts: pa.Table, sources: set[str]) -> pa.Table:
    return posts.filter(pc.is_in(posts["source"], pa.array(sorted(sources))))


def _once(table: pa.Table) -> pa.Table:
    hashes_N = hash_texts(dedup_text(table["text"].combine_chunks()), seed=SPLIT_SEED)
    _, first_N = np.unique(hashes_N, return_index=True)
    return table.take(pa.array(first_N))


def teach(
    encoder: EncoderNetwork, tokenizer: Tokenizer, table: pa.Table, to: Teaching
) -> Iterator[Path]:
    """Scores texts in parts, and yields each part's file when it is there.

    A file has the texts' columns and one float32 column a head: the encoder's logits, not calibrated.
    """
    to.folder.mkdir(parents=True, exist_ok=True)
    for number, first in enumerate(range(0, min(len(table), to.most), PART)):
        path = to.folder / f"part-{number:04d}.parquet"
        if not path.is_file():
            part = table.slice(first, min(PART, to.most - first)).combine_chunks()
            pieces = in_pieces(part["text"].combine_chunks(), tokenizer)
            for head, scores_N in zip(HEADS, logits(encoder, pieces).T, strict=True):
                part = part.append_column(head, pa.array(np.ascontiguousarray(scores_N)))
            partial = path.with_suffix(".partial")
            pq.write_table(part, partial, compression="zstd")
            partial.replace(path)
        yield path
