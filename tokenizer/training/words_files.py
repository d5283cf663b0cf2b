"""Words to train on, gathered from Arrow files of texts or of words that are counted already."""

import itertools
import logging
import os
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa
from pyarrow import ipc

from sluice.schemas.arrays import Int64s, Uint8s
from sluice.schemas.counts import TrainingWords
from sluice.schemas.errors import InputError
from sluice.schemas.kernel import utf8_view
from sluice.tokenizer.training.words import WordCounter, WordCounts, draws

Path = str | os.PathLike[str]

WEIGHT_OF_ONE: Final = 256
"""What one occurrence weighs where nothing is tempered: weights are integers, so that sums are exact."""

COUNTED: Final = pa.schema([("word", pa.string()), ("count", pa.int64()), ("weight", pa.int64())])
"""Counted words: occurrences, and what they weigh, in parts of `WEIGHT_OF_ONE`; each word has one row."""

_TEXT: Final = pa.schema([("text", pa.string())])

_log = logging.getLogger(__name__)


class WeighedWords(NamedTuple):
    """W words, one after the other, and what they weigh.

    Attributes:
        data_B: (B,) uint8.
        offsets_W1: (W + 1,) int64.
        weight_W: (W,) int64, in parts of `WEIGHT_OF_ONE`.
    """

    data_B: Uint8s
    offsets_W1: Int64s
    weight_W: Int64s


def gather(files: Sequence[Path], *, max_words: int | None) -> tuple[WeighedWords, TrainingWords]:
    """Returns the words of files that weigh most, and what there was.

    Files of counted words are read batch by batch: for their weights, and again for the words taken.

    Args:
        files: Arrow IPC files with a `text` column, whose words are counted here, or of `COUNTED` words.
        max_words: distinct words to take, at most; of words of equal weight those with the lowest
            `words.draws`, so that no script is favoured.

    Raises:
        ValueError: `max_words` is less than 1.
        InputError: a file cannot be read as Arrow or has neither sort of columns.
    """
    if max_words is not None and max_words < 1:
        raise ValueError(f"max_words must be at least 1, got {max_words}")
    counter = WordCounter()
    for texts in itertools.chain.from_iterable(_columns(file, _TEXT) for file in files):
        counter.add_texts(texts[0], np.full(len(texts[0]), WEIGHT_OF_ONE))
    here = counter.counts()
    del counter
    bound = _bound(files, here, max_words)
    taken, distinct, occurrences = [], 0, 0
    for batch in _batches(files, here):
        distinct += len(batch.words)
        occurrences += int(batch.count_W.sum())
        taken.append(_heavy(batch, bound))
    left_out = distinct - sum(len(batch.words) for batch in taken)
    left_out_occurrences = occurrences - sum(int(batch.count_W.sum()) for batch in taken)
    return _joined(taken), TrainingWords(distinct, occurrences, left_out, left_out_occurrences)


def _batches(files: Sequence[Path], here: WordCounts) -> Iterator[WordCounts]:
    """Yields the words that were counted here, then those of files of counted words."""
    yield here
    for file in files:
        for words, counts, weights in _columns(file, COUNTED):
            yield WordCounts(words, np.asarray(counts), np.asarray(weights))


def _columns(file: Path, wanted: pa.Schema) -> Iterator[list[pa.Array]]:
    """Yields the wanted columns of a file, batch by batch; nothing if it is of the other sort."""
    try:
        with pa.memory_map(os.fspath(file)) as source:
            reader = ipc.open_file(source)
            if _sort_of(reader.schema, file) is wanted:
                _log.info("reading %s", os.path.basename(file))
                for i in range(reader.num_record_batches):
                    yield [reader.get_batch(i).column(name) for name in wanted.names]
    except (OSError, pa.ArrowInvalid) as failure:
        raise InputError(f"{file}: must be an Arrow IPC file: {failure}") from failure


def _sort_of(schema: pa.Schema, file: Path) -> pa.Schema:
    for wanted in (COUNTED, _TEXT):
        if all(
            schema.get_field_index(f.name) >= 0 and schema.field(f.name).type == f.type
            for f in wanted
        ):
            return wanted
    raise InputError(
        f"{file}: must have a `text` column of type string, or word, count and weight, got {schema}"
    )


class _Bound(NamedTuple):
    """The last word that is taken: the lightest, of those the one with the highest draw."""

    weight: int
    draw: int


def _bound(files: Sequence[Path], here: WordCounts, max_words: int | None) -> _Bound | None:
    """Returns the last of `max_words` words, or None where all are taken."""
    weight_W = np.concatenate([batch.weight_W for batch in _batches(files, here)])
    if max_words is None or len(weight_W) <= max_words:
        return None
    place = len(weight_W) - max_words
    least = int(np.partition(weight_W, place)[place])
    room = max_words - int((weight_W > least).sum())
    del weight_W
    equal = (
        batch.words.filter(pa.array(batch.weight_W == least)) for batch in _batches(files, here)
    )
    draw_W = np.concatenate([draws(words) for words in equal])
    return _Bound(least, int(np.partition(draw_W, room - 1)[room - 1]))


def _heavy(batch: WordCounts, bound: _Bound | None) -> WordCounts:
    """Returns the words that weigh enough."""
    if bound is None:
        return batch
    heavy_W = batch.weight_W > bound.weight
    heavy_W |= (batch.weight_W == bound.weight) & (draws(batch.words) <= np.uint64(bound.draw))
    words = batch.words.filter(pa.array(heavy_W))
    return WordCounts(words, batch.count_W[heavy_W], batch.weight_W[heavy_W])


def _joined(batches: Sequence[WordCounts]) -> WeighedWords:
    data, sizes = [], []
    for batch in batches:
        data_B, offsets_W1 = utf8_view(batch.words)
        data.append(data_B[offsets_W1[0] : offsets_W1[-1]])
        sizes.append(np.diff(offsets_W1))
    starts_W1 = np.cumsum(np.concatenate([[0], *sizes]), dtype=np.int64)
    weight_W = np.concatenate([batch.weight_W for batch in batches])
    return WeighedWords(np.concatenate(data), starts_W1, weight_W)
