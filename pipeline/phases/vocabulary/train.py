"""The stage `train`: one tokenizer from all counted words, or a frozen one put in its place."""

import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import msgspec

from sluice.pipeline.ledger.tally import Counts
from sluice.pipeline.processes import child
from sluice.pipeline.storage import files as storage
from sluice.pipeline.storage import local_copies
from sluice.pipeline.storage.sealed import file_digest
from sluice.pipeline.units import exchange
from sluice.pipeline.units.attempt import Attempt
from sluice.pipeline.units.manifest import Unit
from sluice.pipeline.units.stage import Work
from sluice.schemas.errors import SluiceError
from sluice.tokenizer.training.train import freeze

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


def tokenizer_path(output: str) -> str:
    """Returns the path of the run's tokenizer.json."""
    return storage.join(output, "tokenizer", "tokenizer.json")
