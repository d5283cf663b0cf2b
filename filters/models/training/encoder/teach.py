"""What the encoder says of unlabelled texts, which the screens learn from: files of scores, made in parts.

It scores as it ships, by the engine of its device and in whole numbers on a CPU, but not calibrated. Texts
are those of the firehose, of the language posts, and of labelled collections whose licence allows it, whose
labels are not read. A part that is there is not made again.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from sluice.filters.models.training.encoder.network import EncoderNetwork
from sluice.filters.models.training.encoder.posts import read, tests
from sluice.filters.models.training.encoder.quantise import (
    HeadCalibration,
    shape_of,
    write_encoder,
)
from sluice.filters.models.training.encoder.sources import HEADS, SOURCES
from sluice.filters.models.training.posts import SPLIT_SEED
from sluice.filters.models.training.screen_seeds import seed_words
from sluice.filters.models.training.screen_sources import ORDINARY
from sluice.filters.text.hashing import hash_texts
from sluice.filters.text.views import classifier_text, dedup_text
from sluice.filters.transformers.load import Transformer, load, locate
from sluice.schemas.arrays import Array

SMALLEST = 2.0**-17
"""Scores are on a grid of twice that: no log odds are further from 0."""
PARTS, WORDS = "part", "words"
PART = 25_000
"""Texts of a part."""
UNLABELLED = ("firehose/part-*.jsonl.gz", "langid/train.jsonl.gz")


def texts(data: Path) -> pa.Table:
    """Returns the texts to score, `text` (normalised), `lang`, `source`, each once, in the order of a hash.

    Posts with the text of a test post are left out.
    """
    free = {source.name for known in ORDINARY.values() for source in known.sources}
    free |= {source.name for known in SOURCES.values() for source in known.sources}
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


def teacher(
    encoder: EncoderNetwork, *, tokenizer: Path, folder: Path, threads: int
) -> Callable[[pa.StringArray], Array]:
    """Writes an encoder as it runs, and returns what it says of (N,) texts: (N, heads) float32 log odds."""
    state = {name: value.numpy() for name, value in encoder.state_dict().items()}
    shape = shape_of(state, attention=encoder.shape.attention, labels=HEADS)
    plain = [HeadCalibration(1.0, 0.0)] * len(HEADS)
    write_encoder(folder, state, shape, calibration=plain, tokenizer=tokenizer)
    spec = Transformer(model="sluice/encoder", checkpoint=str(folder))
    scorer = load(spec, locate(spec), threads=threads)

    def log_odds(texts: pa.StringArray) -> Array:
        scores_NH = scorer.score(texts).scores_NL.astype(np.float64).clip(SMALLEST, 1 - SMALLEST)
        return np.asarray(np.log(scores_NH / (1 - scores_NH)), np.float32)

    return log_odds


def lessons(data: Path, most: int) -> Iterator[tuple[str, pa.Table]]:
    """Yields what is scored, by the name of its files: PARTS, texts by their hash, then WORDS.

    The second are others with a hostile word of `screen_seeds.toml`, by what the encoder says of which a
    screen learns what such a word is worth beside others.

    Args:
        data: the folder of posts.
        most: texts of each name.
    """
    every = texts(data)
    yield PARTS, every.slice(0, most)
    rest = every.slice(most)
    yield WORDS, rest.filter(holds_words(rest["text"].combine_chunks())).slice(0, most)


def holds_words(texts: pa.StringArray) -> pa.BooleanArray:
    """Returns (N,) bool, true where a piece between blanks is a word of `screen_seeds.toml`."""
    words = pa.array(sorted({word for own in seed_words().values() for word in own}))
    split = pc.utf8_split_whitespace(classifier_text(texts))
    found = pc.list_parent_indices(split).filter(pc.is_in(pc.list_flatten(split), words))
    holds_N = np.zeros(len(texts), np.bool_)
    holds_N[found.to_numpy()] = True
    return pa.array(holds_N)


def teach(
    log_odds: Callable[[pa.StringArray], Array], table: pa.Table, *, folder: Path, name: str
) -> Iterator[Path]:
    """Scores texts in parts, and yields each part's file when it is there.

    A file has the texts' columns and one float32 column a head: what `log_odds` says of them.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for number, first in enumerate(range(0, len(table), PART)):
        path = folder / f"{name}-{number:04d}.parquet"
        if not path.is_file():
            part = table.slice(first, PART).combine_chunks()
            odds_NH = log_odds(part["text"].combine_chunks())
            for head, odds_N in zip(HEADS, odds_NH.T, strict=True):
                part = part.append_column(head, pa.array(np.ascontiguousarray(odds_N)))
            partial = path.with_suffix(".partial")
            pq.write_table(part, partial, compression="zstd")
            partial.replace(path)
        yield path
