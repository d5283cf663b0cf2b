"""Phase vocabulary: the words of survivors, counted and tempered by language -> tokenizer.json.

Words are counted where the posts are and meet by their hash, so that the texts stay where they are. A
tempered language is not sampled but weighed: the counts of a rare one are raised, also where all text fits
`sample_bytes`.

Sources: the exponent that tempers languages is that of Conneau and Lample 2019, "Cross-lingual
Language Model Pretraining", section 3.1.
"""

import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import apache_beam as beam
import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sluice.filters.text.hashing import hash_texts
from sluice.pipeline.ledger.tally import Counts, add_counts, tally
from sluice.pipeline.phases.edges import Survivors
from sluice.pipeline.phases.vocabulary.holdout import held_back_mask
from sluice.pipeline.phases.vocabulary.sampling import once_at_most_one, taken_mask, weights_of
from sluice.pipeline.processes import child
from sluice.pipeline.storage import files as storage
from sluice.pipeline.storage import local_copies
from sluice.pipeline.storage.sealed import file_digest
from sluice.pipeline.units import exchange
from sluice.pipeline.units.attempt import Attempt
from sluice.pipeline.units.manifest import Unit
from sluice.pipeline.units.stage import DoUnits, Work
from sluice.schemas.errors import SluiceError
from sluice.tokenizer.training.train import freeze
from sluice.tokenizer.training.words import WordCounter, WordCounts
from sluice.tokenizer.training.words_files import COUNTED

PHASE = "vocabulary"
FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")
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
        held_back: share of the posts that is not counted.
    """

    folder: str
    survivors: Survivors
    rates: tuple[tuple[str, float], ...]
    weights: tuple[tuple[str, int], ...]
    num_partitions: int
    seed: int
    held_back: float
    name: str = "vocabulary_sample"

    def open(self) -> Work:
        """Returns the function that counts a unit."""
        return partial(_count, self)


def _count(stage: Count, unit: Unit, attempt: Attempt) -> Counts:
    with _timed(attempt, "sample"):
        path, counts, rates = attempt.path("words"), Counts(), dict(stage.rates)
        columns = ("post_id", "language", "text", "created_at", "source")
        counter = WordCounter()
        with exchange.Writer(
            path, schema=COUNTED, num_partitions=stage.num_partitions, compression="lz4"
        ) as writer:
            for batch in stage.survivors.read(unit.name, columns=columns):
                taken_N = taken_mask(batch, rates, seed=stage.seed)
                taken_N &= ~held_back_mask(batch, share=stage.held_back, seed=stage.seed)
                taken = batch.filter(pa.array(taken_N))
                weight_N = weights_of(taken.column("language"), dict(stage.weights))
                counter.add_texts(taken.column("text"), weight_N)
                counts = _add(counts, taken)
                if counter.num_bytes >= HELD_BYTES:
                    _deal(counter.counts(), stage, writer)
                    counter = WordCounter()
            _deal(counter.counts(), stage, writer)
        attempt.add("words", path, ranges=writer.ranges)
    return {"sample": counts}


def _deal(words: WordCounts, stage: Count, writer: exchange.Writer) -> None:
    hash_W = hash_texts(words.words, seed=stage.seed)
    writer.write(_batch(words), hash_W % np.uint64(stage.num_partitions))


def _batch(words: WordCounts) -> pa.RecordBatch:
    columns = [words.words, pa.array(words.count_W), pa.array(words.weight_W)]
    return pa.RecordBatch.from_arrays(columns, schema=COUNTED)


@dataclass(frozen=True)
class Merge:
    """A partition's words of all units -> each word once, with the sums."""

    folder: str
    name: str = "vocabulary_words"

    def open(self) -> Work:
        """Returns the function that sums a partition."""
        return _merge


def _merge(unit: Unit, attempt: Attempt) -> Counts:
    with _timed(attempt, "sample"):
        path, counter = attempt.path("words"), WordCounter()
        for _, batch in exchange.read(unit):
            words, count, weight = batch.columns
            counter.add(WordCounts(words, np.asarray(count), np.asarray(weight)))
        options = pa.ipc.IpcWriteOptions(compression="lz4", use_threads=False)
        with pa.ipc.new_file(path, COUNTED, options=options) as file:
            file.write_table(pa.table(_batch(once_at_most_one(counter.counts()))), ROWS_AT_ONCE)
        attempt.add("words", path)
    return {}


@contextmanager
def _timed(attempt: Attempt, step: str) -> Iterator[None]:
    """Adds to the attempt what the block takes, of this thread."""
    begun = time.perf_counter_ns(), time.thread_time_ns()
    yield
    attempt.times[f"{step}/seconds"] = (time.perf_counter_ns() - begun[0]) // 1000
    attempt.times[f"{step}/cpu_seconds"] = (time.thread_time_ns() - begun[1]) // 1000


def _add(counts: Counts, taken: pa.RecordBatch) -> Counts:
    return add_counts(
        counts,
        tally(
            language=taken.column("language"),
            created_at=taken.column("created_at"),
            source=taken.column("source"),
            amounts={"text_bytes": pc.binary_length(taken.column("text")).cast(pa.int64())},
        ),
    )


@dataclass(frozen=True)
class Train:
    """The words of all partitions -> the tokenizer, in a process of its own: its memory ends with it.

    Attributes:
        words: folder of the units that `Merge` did; others that are gathered are passed over.
        weights: of languages, for the report.
        max_words: distinct words to train on, at most.
    """

    folder: str
    output: str
    words: str
    weights: tuple[tuple[str, int], ...]
    max_words: int
    strict: bool
    name: str = "vocabulary_train"

    def open(self) -> Work:
        """Returns the function that trains."""
        return partial(_train, self)


def _train(stage: Train, unit: Unit, attempt: Attempt) -> Counts:
    files = [done.path("words") for done in exchange.gathered(unit) if done.folder == stage.words]
    made = Path(attempt.path("trained", suffix=""))
    made.mkdir()
    listing = Path(attempt.path("words", suffix=".txt"))
    listing.write_text("\n".join(files) + "\n" * bool(files))
    arguments = ["--output", str(made), "--list", str(listing), "--max-words", str(stage.max_words)]
    arguments += ["--strict"] * stage.strict
    result = subprocess.run(
        child.command("sluice.tokenizer.training.train", *arguments),
        env=child.environment(),
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    listing.unlink()
    if result.returncode:
        shutil.rmtree(made, ignore_errors=True)
        reason = result.stderr.strip().splitlines()[-1:] or ["no message"]
        raise SluiceError(f"training the tokenizer failed ({result.returncode}): {reason[0]}")
    vocabulary, words, times = (
        msgspec.json.decode((made / f"{name}.json").read_bytes())
        for name in ("vocabulary", "words", "times")
    )
    attempt.times.update(_usec(times))
    publish(attempt, made, stage.output)
    shutil.rmtree(made)
    return {"vocabulary": vocabulary, "words": words, "weights": dict(stage.weights)}


def _usec(times: Mapping[str, Mapping[str, float]]) -> dict[str, int]:
    return {
        f"{step}/{clock}": round(seconds * 1e6)
        for step, clocks in times.items()
        for clock, seconds in clocks.items()
    }


def reserved_warning(vocabulary: Mapping[str, int]) -> str | None:
    """Returns what to tell a person when more than 1% of the entries are reserved, or None."""
    size = sum(vocabulary.values())
    if vocabulary["reserved"] <= 0.01 * size:
        return None
    return (
        f"vocabulary: {vocabulary['reserved']:,} of {size:,} entries are reserved: the text gave only "
        f"{vocabulary['merges']:,} merges that occur twice; give more text, or a frozen tokenizer "
        f"(vocabulary.tokenizer = PATH)"
    )


def publish(attempt: Attempt, folder: Path, output: str) -> None:
    """Puts the tokenizer's files into OUTPUT/tokenizer/ when the attempt commits."""
    for file in FILES:
        target = attempt.contract_path(output, f"tokenizer/{file}")
        shutil.copyfile(folder / file, target)
        size, sha256 = file_digest(target)
        attempt.add_contract(file, f"tokenizer/{file}", size=size, sha256=sha256)


@dataclass(frozen=True)
class Freeze:
    """A frozen tokenizer.json -> OUTPUT/tokenizer/, as it is, so that ids stay the same."""

    folder: str
    output: str
    tokenizer: str
    name: str = "vocabulary_frozen"

    def open(self) -> Work:
        """Returns the function that copies the tokenizer, checked."""
        return partial(_freeze, self)


def _freeze(stage: Freeze, unit: Unit, attempt: Attempt) -> Counts:
    made = Path(attempt.path("frozen", suffix=""))
    counts = freeze(local_copies.fetch(stage.tokenizer), output=made)
    publish(attempt, made, stage.output)
    shutil.rmtree(made)
    return {"vocabulary": counts._asdict()}


class Vocabulary(beam.PTransform):  # type: ignore[misc]
    """Units of survivors in, one trained tokenizer out."""

    def __init__(self, count: Count, merge: Merge, train: Train):
        super().__init__(label="Vocabulary")
        self._count, self._merge, self._train = count, merge, train

    def expand(self, units: beam.PCollection) -> beam.PCollection:
        """Adds the phase to the graph; units are gathered too, so that it trains where there is no word."""
        counted = units | DoUnits(self._count)
        merged = counted | exchange.Exchange("words", name="words") | DoUnits(self._merge)
        everything = (counted, merged) | beam.Flatten()
        return everything | exchange.OneUnit("tokenizer") | DoUnits(self._train)


def tokenizer_path(output: str) -> str:
    """Returns the path of the run's tokenizer.json."""
    return storage.join(output, "tokenizer", "tokenizer.json")
