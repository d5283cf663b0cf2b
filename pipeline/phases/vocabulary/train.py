"""The stage `train`: one tokenizer from all counted words, or a frozen one put in its place."""

import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, TypeVar

import msgspec

from sluice.pipeline.processes import child
from sluice.pipeline.storage import files as storage
from sluice.pipeline.storage import local_copies
from sluice.pipeline.units import exchange
from sluice.pipeline.units.attempt import Attempt
from sluice.pipeline.units.manifest import Unit
from sluice.schemas.counts import EntryCounts, TrainCounts, TrainingWords
from sluice.schemas.errors import SluiceError
from sluice.tokenizer.training.train import freeze

_T = TypeVar("_T")
FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")


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
    counts: ClassVar = TrainCounts

    def do(self, unit: Unit, attempt: Attempt) -> TrainCounts:
        """Trains the tokenizer."""
        files = [
            done.path("words") for done in exchange.gathered(unit) if done.folder == self.words
        ]
        made = Path(attempt.path("trained", suffix=""))
        made.mkdir()
        listing = Path(attempt.path("words", suffix=".txt"))
        listing.write_text("\n".join(files) + "\n" * bool(files))
        arguments = [
            "--output",
            str(made),
            "--list",
            str(listing),
            "--max-words",
            str(self.max_words),
        ]
        arguments += ["--strict"] * self.strict
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
        attempt.times.update(_usec(_read(made / "times.json", dict[str, dict[str, float]])))
        vocabulary = _read(made / "vocabulary.json", EntryCounts)
        words = _read(made / "words.json", TrainingWords)
        publish(attempt, made, self.output)
        shutil.rmtree(made)
        return TrainCounts(vocabulary, words, dict(self.weights))


def _read(path: Path, kind: type[_T]) -> _T:
    return msgspec.json.decode(path.read_bytes(), type=kind)


def _usec(times: Mapping[str, Mapping[str, float]]) -> dict[str, int]:
    return {
        f"{step}/{clock}": round(seconds * 1e6)
        for step, clocks in times.items()
        for clock, seconds in clocks.items()
    }


def reserved_warning(entries: EntryCounts, *, is_frozen: bool = False) -> str | None:
    """Returns a warning where more than 1% of the entries are reserved, or None."""
    if entries.reserved <= 0.01 * entries.size:
        return None
    reserved = f"vocabulary: {entries.reserved:,} of {entries.size:,} entries are reserved"
    if is_frozen:
        return f"{reserved}, in the frozen tokenizer that vocabulary.tokenizer names"
    return (
        f"{reserved}: the text gave only "
        f"{entries.merges:,} merges that occur twice; give more text, or a frozen tokenizer "
        f"(vocabulary.tokenizer = PATH)"
    )


def publish(attempt: Attempt, folder: Path, output: str) -> None:
    """Puts the tokenizer's files into OUTPUT/tokenizer/ when the attempt commits."""
    for file in FILES:
        target = attempt.contract_path(output, f"tokenizer/{file}")
        shutil.copyfile(folder / file, target)
        attempt.add_contract(file, f"tokenizer/{file}")


@dataclass(frozen=True)
class Freeze:
    """A frozen tokenizer.json -> OUTPUT/tokenizer/, as it is, so that ids stay the same."""

    folder: str
    output: str
    tokenizer: str
    name: str = "vocabulary_frozen"
    counts: ClassVar = TrainCounts

    def do(self, unit: Unit, attempt: Attempt) -> TrainCounts:
        """Copies the tokenizer, checked."""
        made = Path(attempt.path("frozen", suffix=""))
        counts = freeze(local_copies.fetch(self.tokenizer), output=made)
        publish(attempt, made, self.output)
        shutil.rmtree(made)
        return TrainCounts(counts)


def tokenizer_path(output: str) -> str:
    """Returns the path of the run's tokenizer.json."""
    return storage.join(output, "tokenizer", "tokenizer.json")
