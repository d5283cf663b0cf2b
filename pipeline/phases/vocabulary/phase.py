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
from typing import Any

import apache_beam as beam
import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sluice.filters.text.hashing import hash_texts
from sluice.pipeline.processes import child
from sluice.pipeline.units import exchange
from sluice.pipeline.storage import local_copies, files as storage
from sluice.pipeline.phases.vocabulary.holdout import held_back_mask
from sluice.pipeline.ledger.balance import UNKNOWN, Counts, tally
from sluice.pipeline.phases.edges import Survivors
from sluice.pipeline.units.stage import Attempt, DoUnits, Unit, Work, add_counts, file_digest
from sluice.schemas.errors import SluiceError
from sluice.tokenizer.training.train import freeze
from sluice.tokenizer.training.words import WordCounter, WordCounts
from sluice.tokenizer.training.words_files import COUNTED, WEIGHT_OF_ONE

PHASE = "vocabulary"
FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")
HELD_BYTES = 16 << 20
"""Distinct words that a unit holds, in bytes, before it writes them; with their counts some 12 times that."""
PARTITION_BYTES = 128 << 20
"""Text whose words are summed together, about."""
ROWS_AT_ONCE = 65_536

Int64s = np.ndarray[Any, np.dtype[np.int64]]


def sample_rates(
    bytes_by_lang: Mapping[str, int], *, sample_bytes: int, exponent: float
) -> dict[str, float]:
    """Returns the share of each language's posts to take, in (0, 1].

    A language gets a part of `sample_bytes` in proportion to its share of the text to the power of
    `exponent`; what a small language cannot fill goes to the others, by the same rule.
    """
    left = {lang: n for lang, n in sorted(bytes_by_lang.items()) if n > 0}
    total, rates, budget = sum(left.values()), dict.fromkeys(left, 1.0), float(sample_bytes)
    if total <= sample_bytes:
        return rates
    weights = {lang: (n / total) ** exponent for lang, n in left.items()}
    while left:
        norm = sum(weights[lang] for lang in left)
        full = [lang for lang, n in left.items() if budget * weights[lang] / norm >= n]
        if not full:
            rates |= {lang: budget * weights[lang] / norm / n for lang, n in left.items()}
            return rates
        for lang in full:
            budget -= left.pop(lang)
    return rates


def language_weights(
    bytes_by_lang: Mapping[str, int],
    rates: Mapping[str, float],
    *,
    exponent: float,
    max_weight: float,
) -> dict[str, int]:
    """Returns what an occurrence of a word weighs in each language, in parts of WEIGHT_OF_ONE.

    A language that has share p of the text gets a share of the weights in proportion to p ** exponent, as
    far as `max_weight` allows. The least weight is 1, so that a pair that occurs twice can be merged in
    every language.

    Args:
        bytes_by_lang: text of each language.
        rates: the share of it that is sampled.
        exponent: in [0, 1].
        max_weight: at least 1; 1 leaves all weights at 1.
    """
    total = sum(bytes_by_lang.values())
    found = {
        lang: (n / total) ** exponent / (rates[lang] * n)
        for lang, n in sorted(bytes_by_lang.items())
        if n > 0
    }
    least = min(found.values(), default=1.0)
    return {lang: round(min(w / least, max_weight) * WEIGHT_OF_ONE) for lang, w in found.items()}


def composition(
    bytes_by_lang: Mapping[str, int],
    sampled_by_lang: Mapping[str, Mapping[str, int]],
    weights: Mapping[str, int],
) -> dict[str, dict[str, float]]:
    """Returns what each language is of the training text, most text first.

    Args:
        bytes_by_lang: text that is left when duplicates are gone.
        sampled_by_lang: language -> {"posts", "text_bytes"} of the sample.
        weights: as `language_weights` returns them.

    Returns:
        language -> {posts, text_bytes, weight, share_of_text, share_of_training}: the sample's posts and
        bytes; what a word weighs; shares in [0, 1] of all text, and of the weighted sample.
    """
    total = max(1, sum(bytes_by_lang.values()))
    weighed = {lang: weights[lang] * n["text_bytes"] for lang, n in sampled_by_lang.items()}
    all_weighed = max(1, sum(weighed.values()))
    return {
        lang: {
            "posts": sampled_by_lang[lang]["posts"],
            "text_bytes": sampled_by_lang[lang]["text_bytes"],
            "weight": round(weights[lang] / WEIGHT_OF_ONE, 3),
            "share_of_text": round(bytes_by_lang[lang] / total, 6),
            "share_of_training": round(weighed[lang] / all_weighed, 6),
        }
        for lang in sorted(weighed, key=lambda lang: (-weighed[lang], lang))
    }


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


def weights_of(language: pa.Array, weights: Mapping[str, int]) -> Int64s:
    """Returns (N,) int64, what a word of each post weighs; one without a language has that of `unknown`."""
    return _by_language(language, weights, WEIGHT_OF_ONE).astype(np.int64)


def _by_language(
    language: pa.Array, values: Mapping[str, float], default: float
) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Returns (N,) float64, the value of each post's language."""
    encoded = pc.fill_null(language, UNKNOWN).dictionary_encode()
    value_L = [values.get(lang, default) for lang in encoded.dictionary.to_pylist()]
    return np.asarray(np.array(value_L, np.float64)[np.asarray(encoded.indices)])


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


def once_at_most_one(words: WordCounts) -> WordCounts:
    """Returns the same, but a word that occurs once weighs 1 at most: no merge rests on one occurrence."""
    most_W = np.where(words.count_W == 1, WEIGHT_OF_ONE, np.iinfo(np.int64).max)
    return words._replace(weight_W=np.minimum(words.weight_W, most_W))


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


def taken_mask(
    batch: pa.RecordBatch, rates: Mapping[str, float], *, seed: int
) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Returns (N,) bool: a post is taken when the seeded hash of its id falls below its language's rate."""
    hash_N = hash_texts(batch.column("post_id"), seed=seed) >> np.uint64(11)
    return np.asarray(hash_N * 2.0**-53 < _by_language(batch.column("language"), rates, 1.0))


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
