"""(a) The whole pipeline: `sluice run` in a process of its own, its costs read from report.json."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.process import Usage, run_measured

TRAINING = "vocabulary"
"""The phase whose memory and time are the BPE trainer's."""


class Phase(msgspec.Struct, frozen=True):
    """A phase as report.json has it; the first owns the process's start."""

    name: str
    seconds: float
    cpu_seconds: float
    peak_rss_bytes: int
    posts: int


class Outcome(msgspec.Struct, frozen=True):
    """What became of the posts: two ways of doing the same job must agree on it."""

    read: int
    kept: int
    duplicates: int
    tokens: int


class WholeRun(msgspec.Struct, frozen=True):
    """One run of the pipeline.

    Attributes:
        workers: threads of Beam's local runner.
        usage: what the operating system counted.
        training_cpu_seconds: of the BPE's training alone; 0 with a frozen tokenizer.
    """

    workers: int
    usage: Usage
    phases: tuple[Phase, ...]
    training_cpu_seconds: float
    outcome: Outcome

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


def run_whole(
    recipe: str,
    *,
    files: Sequence[Path],
    output: Path,
    workers: int,
    tokenizer: Path | None = None,
) -> WholeRun:
    """Runs a recipe over files into a new folder.

    Args:
        recipe: a shipped name or a path.
        files: the input.
        output: a folder that is not there yet; it stays.
        workers: threads of Beam's local runner.
        tokenizer: a frozen tokenizer.json; None to train one.

    Raises:
        CommandError: the run failed.
    """
    command = [sys.executable, "-m", "sluice.pipeline.cli", "run", recipe, "--output", str(output)]
    command += ["--input", *map(str, files)]
    if tokenizer is not None:
        command += ["--set", f'vocabulary.tokenizer="{tokenizer}"']
    command += ["--workers", str(workers)]
    usage = run_measured(command, log=output.with_suffix(".log"))
    report = msgspec.json.decode((output / "report" / "report.json").read_bytes())
    return whole_run(report, usage=usage, workers=workers)


def whole_run(report: dict[str, Any], *, usage: Usage, workers: int) -> WholeRun:
    """Returns what report.json and the operating system say of a run."""
    posts, steps = report["posts"], report["vocabulary"]["steps"]
    return WholeRun(
        workers=workers,
        usage=usage,
        phases=tuple(msgspec.convert(report["phases"], list[Phase])),
        training_cpu_seconds=steps.get("train", {}).get("cpu_seconds", 0.0),
        outcome=Outcome(
            read=posts["read"],
            kept=posts["kept"],
            duplicates=sum(posts["duplicates"].values()),
            tokens=report["tokens"]["total"],
        ),
    )
