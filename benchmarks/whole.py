"""(a) The whole pipeline: `sluice run` in a process of its own, its costs read from report.json."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from benchmarks.process import Usage, run_measured

SLUICE = (sys.executable, "-m", "sluice.pipeline.cli")
TRAINING = "vocabulary"
"""The phase whose memory and time are the BPE trainer's."""


class Phase(NamedTuple):
    """A phase as report.json has it; the first owns the process's start."""

    name: str
    seconds: float
    cpu_seconds: float
    peak_rss_bytes: int
    posts: int


class Outcome(NamedTuple):
    """What became of the posts: two ways of doing the same job must agree on it."""

    read: int
    kept: int
    duplicates: int
    tokens: int


class WholeRun(NamedTuple):
    """One run of the pipeline.

    Attributes:
        workers: processes that do units.
        usage: what the operating system counted.
        training_cpu_seconds: of the BPE's training alone; 0 with a frozen tokenizer.
        duplicates: by reason.
    """

    workers: int
    usage: Usage
    phases: tuple[Phase, ...]
    training_cpu_seconds: float
    outcome: Outcome
    duplicates: dict[str, int]

    @property
    def cpu_seconds(self) -> float:
        """CPU seconds of everything but training the BPE."""
        return self.usage.cpu_seconds - self.training_cpu_seconds

    @property
    def counted_ratio(self) -> float:
        """The share of the CPU time, as the operating system counts it, that the phases own."""
        return sum(p.cpu_seconds for p in self.phases) / self.usage.cpu_seconds

    def phase(self, name: str) -> Phase:
        """Returns a phase by its name."""
        return next(p for p in self.phases if p.name == name)


def frozen(tokenizer: Path) -> str:
    """Returns the setting that takes a tokenizer.json instead of training one."""
    return f'vocabulary.tokenizer="{tokenizer}"'


def run_recipe(
    recipe: str, *, files: Sequence[Path], output: Path, sets: Sequence[str], workers: int = 2
) -> tuple[dict[str, Any], Usage]:
    """Runs a recipe over files into a new folder; returns report.json and what it cost.

    Args:
        recipe: a shipped name or a path.
        files: the input.
        output: a folder that is not there yet; it stays.
        sets: settings of the recipe, KEY=VALUE.
        workers: processes that do units.

    Raises:
        CommandError: the run failed.
    """
    command = [*SLUICE, "run", recipe, "--output", str(output), "--input", *map(str, files)]
    command += [word for setting in sets for word in ("--set", setting)]
    command += ["--workers", str(workers)]
    usage = run_measured(command, log=output.with_suffix(".log"))
    return msgspec.json.decode((output / "report" / "report.json").read_bytes()), usage


def run_whole(
    recipe: str, *, files: Sequence[Path], output: Path, workers: int, tokenizer: Path | None = None
) -> WholeRun:
    """Runs a recipe as `run_recipe` does, with a frozen tokenizer if one is given; returns its costs."""
    sets = [frozen(tokenizer)] if tokenizer else []
    report, usage = run_recipe(recipe, files=files, output=output, sets=sets, workers=workers)
    posts, steps = report["posts"], report["vocabulary"]["steps"]
    duplicates, tokens = posts["duplicates"], report["tokens"]["total"]
    return WholeRun(
        workers,
        usage,
        tuple(Phase(*(phase[name] for name in Phase._fields)) for phase in report["phases"]),
        steps.get("train", {}).get("cpu_seconds", 0.0),
        Outcome(posts["read"], posts["kept"], sum(duplicates.values()), tokens),
        duplicates,
    )
