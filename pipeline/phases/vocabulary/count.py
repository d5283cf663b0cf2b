"""The stages `sample` and `words`: the words of each unit counted, then summed by partitions of the words."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pyarrow as pa

from sluice.filters.text.hashing import hash_texts
from sluice.pipeline.ledger.tally import tally
from sluice.pipeline.phases.edges import Survivors, exchanged_edge, rows_of, written_edge
from sluice.pipeline.phases.vocabulary.holdout import holdout_mask
from sluice.pipeline.phases.vocabulary.sampling import once_at_most_one, taken_mask, weights_of
from sluice.pipeline.units import exchange
from sluice.pipeline.units.attempt import Attempt
from sluice.pipeline.units.manifest import Unit
from sluice.schemas.arrays import Int64s
from sluice.schemas.counts import NoCounts, PostTally, SampleCounts
from sluice.tokenizer.placeholders import segments
from sluice.tokenizer.training.words import WordCounter, WordCounts
from sluice.tokenizer.training.words_files import COUNTED

HELD_BYTES = 16 << 20
"""Distinct words that a unit holds, in bytes, before it writes them; with their counts some 12 times that."""
PARTITION_BYTES = 128 << 20
"""Text whose words are summed together, about."""
ROWS_AT_ONCE = 65_536


@dataclass(frozen=True)
class Count:
    """A unit's survivors -> its words, counted, by partitions of the words.

    Attributes:
        rates: language -> share of its posts that is counted.
        weights: language -> what one occurrence weighs, in parts of WEIGHT_OF_ONE.
        num_partitions: a word goes to one of so many, by its hash.
        holdout: share of the posts that is not counted.
        has_placeholders: whether texts have placeholders, which are no words.
    """

    folder: str
    survivors: Survivors
    rates: tuple[tuple[str, float], ...]
    weights: tuple[tuple[str, int], ...]
    num_partitions: int
    seed: int
    holdout: float
    has_placeholders: bool
    name: str = "vocabulary_sample"
    counts: ClassVar = SampleCounts

    def do(self, unit: Unit, attempt: Attempt) -> SampleCounts:
        """Counts the words of a unit."""
        with _timed(attempt, "sample"):
            counter, counts, rates = WordCounter(), SampleCounts(), dict(self.rates)
            columns = ("post_id", "language", "text", "created_at", "source")
            shape = COUNTED, self.num_partitions
            with exchanged_edge(attempt, "words", *shape, compressed=True) as writer:
                for batch in self.survivors.read(unit.name, columns=columns):
                    taken_N = taken_mask(batch, rates, seed=self.seed)
                    taken_N &= ~holdout_mask(batch, share=self.holdout, seed=self.seed)
                    taken = batch.filter(pa.array(taken_N))
                    weight_N = weights_of(taken.column("language"), dict(self.weights))
                    counter.add_texts(*self._words(taken.column("text"), weight_N))
                    counts.sample += tally(taken, PostTally)
                    if counter.num_bytes >= HELD_BYTES:
                        _deal(counter.counts(), self, writer)
                        counter = WordCounter()
                _deal(counter.counts(), self, writer)
        return counts

    def _words(self, texts: pa.StringArray, weight_N: Int64s) -> tuple[pa.StringArray, Int64s]:
        """Returns what is counted, and what each occurrence in it weighs."""
        if not self.has_placeholders:
            return texts, weight_N
        cut = segments(texts)
        return cut.texts, np.repeat(weight_N, np.diff(cut.first_N1))


def _deal(words: WordCounts, stage: Count, writer: exchange.Writer) -> None:
    hash_W = hash_texts(words.words, seed=stage.seed)
    writer.write(rows_of(COUNTED, *words), hash_W % np.uint64(stage.num_partitions))


@dataclass(frozen=True)
class Merge:
    """A partition's words of all units -> each word once, with the sums."""

    folder: str
    name: str = "vocabulary_words"
    counts: ClassVar = NoCounts

    def do(self, unit: Unit, attempt: Attempt) -> NoCounts:
        """Sums a partition."""
        with _timed(attempt, "sample"):
            counter = WordCounter()
            for _, batch in exchange.read(unit):
                words, count, weight = batch.columns
                counter.add(WordCounts(words, np.asarray(count), np.asarray(weight)))
            with written_edge(attempt, "words", COUNTED, compressed=True) as file:
                file.write_table(
                    pa.table(rows_of(COUNTED, *once_at_most_one(counter.counts()))), ROWS_AT_ONCE
                )
        return NoCounts()


@contextmanager
def _timed(attempt: Attempt, step: str) -> Iterator[None]:
    """Adds to the attempt what the block takes, of this thread."""
    begun = time.perf_counter_ns(), time.thread_time_ns()
    yield
    attempt.times[f"{step}/seconds"] = (time.perf_counter_ns() - begun[0]) // 1000
    attempt.times[f"{step}/cpu_seconds"] = (time.thread_time_ns() - begun[1]) // 1000
