"""Phase vocabulary: a deterministic, language-tempered sample of survivors -> tokenizer.json.

Sources: the exponent that tempers languages is that of Conneau and Lample 2019, "Cross-lingual
Language Model Pretraining", section 3.1.
"""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import apache_beam as beam
import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from filters.hashing import hash_texts
from pipeline import exchange
from pipeline.ledger import Counts, tally
from pipeline.survivors import Survivors
from pipeline.units import Attempt, DoUnits, Unit, Work, add_counts, file_digest
from schemas.errors import SluiceError
from tokenizer.train import freeze

PHASE = "vocabulary"
FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")
SAMPLE = pa.schema([("text", pa.string())])


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


@dataclass(frozen=True)
class Sample:
    """A unit's survivors -> the texts that the tokenizer is trained on."""

    folder: str
    survivors: Survivors
    rates: tuple[tuple[str, float], ...]
    seed: int
    name: str = "vocabulary_sample"

    def open(self) -> Work:
        """Returns the function that samples a unit."""
        return partial(_sample, self)


def _sample(stage: Sample, unit: Unit, attempt: Attempt) -> Counts:
    path = attempt.path("sample")
    counts: Counts = {}
    begun = time.perf_counter_ns(), time.thread_time_ns()
    rates = dict(stage.rates)
    options = pa.ipc.IpcWriteOptions(compression="lz4", use_threads=False)
    columns = ("post_id", "language", "text", "created_at", "source")
    with pa.ipc.new_file(path, SAMPLE, options=options) as file:
        for batch in stage.survivors.read(unit.name, columns=columns):
            taken = batch.filter(pa.array(taken_mask(batch, rates, seed=stage.seed)))
            file.write_batch(pa.RecordBatch.from_arrays([taken.column("text")], schema=SAMPLE))
            counts = _add(counts, taken)
    attempt.add("sample", path)
    attempt.times["sample/seconds"] = (time.perf_counter_ns() - begun[0]) // 1000
    attempt.times["sample/cpu_seconds"] = (time.thread_time_ns() - begun[1]) // 1000
    return {"sample": counts}


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
    encoded = batch.column("language").dictionary_encode()
    rate_L = np.array([rates.get(lang, 1.0) for lang in encoded.dictionary.to_pylist()])
    hash_N = hash_texts(batch.column("post_id"), seed=seed) >> np.uint64(11)
    return np.asarray(hash_N * 2.0**-53 < rate_L[np.asarray(encoded.indices)])


@dataclass(frozen=True)
class Train:
    """All samples -> the tokenizer, in a process of its own: its memory ends with it."""

    folder: str
    output: str
    strict: bool
    name: str = "vocabulary_train"

    def open(self) -> Work:
        """Returns the function that trains."""
        return partial(_train, self)


def _train(stage: Train, unit: Unit, attempt: Attempt) -> Counts:
    samples = [done.path("sample") for done in exchange.gathered(unit)]
    made = Path(attempt.path("trained", suffix=""))
    made.mkdir()
    listing = Path(attempt.path("samples", suffix=".txt"))
    listing.write_text("\n".join(samples) + "\n")
    command = [
        sys.executable,
        "-m",
        "tokenizer.train",
        "--output",
        str(made),
        "--list",
        str(listing),
    ]
    command += ["--strict"] * stage.strict
    result = subprocess.run(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    listing.unlink()
    if result.returncode:
        shutil.rmtree(made, ignore_errors=True)
        reason = result.stderr.strip().splitlines()[-1:] or ["no message"]
        raise SluiceError(f"training the tokenizer failed ({result.returncode}): {reason[0]}")
    vocabulary = msgspec.json.decode((made / "vocabulary.json").read_bytes())
    times = msgspec.json.decode((made / "times.json").read_bytes())
    attempt.times.update(_usec(times))
    publish(attempt, made, stage.output)
    shutil.rmtree(made)
    return {"vocabulary": vocabulary}


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
    counts = freeze(stage.tokenizer, output=made)
    publish(attempt, made, stage.output)
    shutil.rmtree(made)
    return {"vocabulary": counts._asdict()}


class Vocabulary(beam.PTransform):  # type: ignore[misc]
    """Units of survivors in, one trained tokenizer out."""

    def __init__(self, sample: Sample, train: Train):
        super().__init__(label="Vocabulary")
        self._sample, self._train = sample, train

    def expand(self, units: beam.PCollection) -> beam.PCollection:
        """Adds the phase to the graph."""
        return units | DoUnits(self._sample) | exchange.OneUnit("tokenizer") | DoUnits(self._train)


def tokenizer_path(output: str) -> str:
    """Returns the path of the run's tokenizer.json."""
    return os.path.join(output, "tokenizer", "tokenizer.json")
