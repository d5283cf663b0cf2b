"""Where faults are tried: small runs that are started, disturbed, resumed and compared.

The program is loaded once and each run is a fork of it, because loading takes longer than a small run.
A fork is a process of its own: it is killed, starved and waited for as any other. The lab itself starts
no threads that a fork would lack, so it reads no Arrow data: what does is forked.
"""

import hashlib
import io
import json
import os
import random
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from sluice.pipeline import cli
from sluice.pipeline.outputs import verify
from sluice.pipeline.phases.clean.batches import load_machines
from sluice.pipeline.recipes import loader
from sluice.pipeline.sample.write import write_sample
from sluice.tokenizer.vocabulary.load import load_vocabulary
from tests.faults import lost
from tests.filters.transformers.tiny_checkpoints import detoxify_checkpoint
from tests.pipeline.runs import RECIPE

CONTRACT = ("tokens", "provenance", "leftover", "rejects", "scores", "tokenizer")
WORKERS = ("--workers", "3")
BEAM_WORKERS = ("--", "--direct_running_mode=multi_processing", "--direct_num_workers=2")
MARK = "SLUICE_FAULTS"
"""The environment variable by which all processes of a run are found."""
PATIENCE_SECONDS = 240
"""A run that takes longer hangs."""

Prepare = Callable[[], None]
"""What a run does to itself before it begins: limits, traps."""


class Outcome(NamedTuple):
    """How one try went.

    Attributes:
        kind: of fault.
        seed: what the try was drawn from.
        how: "survived": the bytes of the undisturbed run, from the disturbed run or the same command again.
            "resumed": the disturbed run ended with a clear error, and the same command, with the fault
            gone, gave those bytes. "lost": anything else.
        what: was done.
        faults: that took place, for example kills.
        problem: why it is lost.
    """

    kind: str
    seed: str
    how: str
    what: str
    faults: int = 1
    problem: str = ""


class LostError(Exception):
    """A try that did not end as it must."""


class OtherBytesError(LostError):
    """A try whose output is not that of the undisturbed run."""


class Ended(NamedTuple):
    """A run that has ended: its exit code, negative for a signal, and what it printed."""

    code: int
    said: str

    @property
    def last(self) -> str:
        """The last line."""
        return (self.said.strip().splitlines() or [""])[-1]

    def check_clear(self, *codes: int) -> None:
        """Raises LostError unless the run ended with an error that a person can read."""
        if self.code not in (codes or (1, 2)):
            raise LostError(f"exit code {self.code}: {self.said[-600:]}")
        if "Traceback" in self.said or not self.last.startswith("sluice: "):
            raise LostError(f"not a clear error: {self.said[-2000:]}")


@dataclass
class Run:
    """A run that was started."""

    pid: int
    log: Path
    mark: str
    code: int | None = field(default=None, init=False)

    def poll(self) -> bool:
        """Returns whether it runs."""
        if self.code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.code = os.waitstatus_to_exitcode(status)
        return self.code is None

    def signal(self, number: int) -> bool:
        """Sends it a signal; returns whether it was running."""
        if self.poll():
            os.kill(self.pid, number)
            return True
        return False

    def wait(self) -> Ended:
        """Waits for its end, and for that of all its processes.

        Raises:
            LostError: it hangs, or left a process behind.
        """
        deadline = time.monotonic() + PATIENCE_SECONDS
        while self.poll():
            if time.monotonic() > deadline:
                self._clear_away()
                raise LostError(f"hangs: {self.log.read_text()[-600:]}")
            time.sleep(0.01)
        self._check_left()
        assert self.code is not None
        return Ended(self.code, self.log.read_text("utf-8", "replace"))

    def workers(self) -> list[int]:
        """Returns the processes that it started and that run."""
        return list(marked(self.mark))

    def _check_left(self) -> None:
        deadline = time.monotonic() + 5
        while self.workers():
            if time.monotonic() > deadline:
                left = self.workers()
                self._clear_away()
                raise LostError(f"processes {left} are left behind")
            time.sleep(0.02)

    def _clear_away(self) -> None:
        for pid in (self.pid, *self.workers()):
            os.kill(pid, 9)
        if self.code is None:
            os.waitpid(self.pid, 0)


def marked(mark: str) -> Iterator[int]:
    """Yields the processes that were started with a mark in their environment, and are not dead."""
    wanted = f"{MARK}={mark}".encode()
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            try:
                with open(f"/proc/{entry.name}/environ", "rb") as file:
                    if wanted in file.read().split(b"\0"):
                        yield int(entry.name)
            except OSError:
                continue


def fork(folder: Path, log: Path, do: Callable[[], int], *, mark: str) -> Run:
    """Runs a function in a process of its own, in a folder, its output in a log."""
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid:
        return Run(pid, log, mark)
    code = 99
    try:
        os.setsid()
        os.chdir(folder)
        held = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        os.dup2(held, 1)
        os.dup2(held, 2)
        sys.stdout = sys.stderr = io.TextIOWrapper(
            io.FileIO(2, "w", closefd=False), line_buffering=True
        )
        os.environ[MARK] = mark
        code = do()
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        os._exit(code)


class Lab:
    """Posts, recipes, and what undisturbed runs of them give.

    Args:
        folder: a new one, for all that is made here.
        posts: the size of a run.
        quick: whether tries are to be short: fewer kills in a row, and seldom the slower recipes.
        keep: where tries that are lost are kept; None to keep nothing.

    Attributes:
        kills: the least and the most kills of a run in a row.
        worker_kills: the same for runs with worker processes.
        latest: the trial that was begun last.
    """

    def __init__(
        self,
        folder: Path,
        *,
        posts: int = 1500,
        quick: bool = False,
        keep: Path | None = None,
    ):
        self.folder, self._keep = folder, keep
        self._recipes = (12, 2, 1) if quick else (6, 3, 2)
        self.kills, self.worker_kills = ((3, 5), (1, 2)) if quick else ((4, 12), (2, 4))
        self.latest: Trial | None = None
        write_sample(folder / "sample", num_posts=posts, seed=3)
        self._number = 0
        self._expected: dict[str, dict[str, str]] = {}
        (folder / "trained.toml").write_text(RECIPE + '[dedup]\nhistory = "history"\n')
        read = loader.load(str(folder / "trained.toml"))
        load_machines(read.filters, read.language.model)  # forks need not
        self.expected("trained")
        self.units = len(list((folder / "trained" / "out" / "work").glob("*/*/*.json")))
        tokenizer = folder / "trained" / "out" / "tokenizer" / "tokenizer.json"
        load_vocabulary(tokenizer)  # it is kept, so that forks need not
        frozen = f'[vocabulary]\ntokenizer = "{tokenizer}"\n'
        (folder / "frozen.toml").write_text((folder / "trained.toml").read_text() + frozen)
        tiny = detoxify_checkpoint(folder, "bert")
        toxicity = '[[filters]]\nfilter = "toxicity"\n[training]'
        model = '[[transformers]]\nname = "tiny"\nmodel = "detoxify/original"\n'
        model += f'checkpoint = "{tiny.checkpoint}"\n'
        classified = (folder / "frozen.toml").read_text().replace("[training]", toxicity, 1) + model
        (folder / "classified.toml").write_text(classified + "max_scores.toxicity = 0.45\n")

    def draw_recipe(self, draw: random.Random) -> str:
        """Returns a recipe: most tries have all phases but the trainer, which takes seconds."""
        return draw.choices(("frozen", "classified", "trained"), self._recipes)[0]

    def expected(self, recipe: str) -> dict[str, str]:
        """Returns the digests of an undisturbed run's files."""
        if recipe not in self._expected:
            trial = Trial(self, self.folder / recipe, recipe)
            ended = trial.run()
            assert ended.code == 0, ended.said
            self._expected[recipe] = digests(trial.folder)
        return self._expected[recipe]

    def trial(self, recipe: str) -> "Trial":
        """Returns a new trial of a recipe, with nothing done yet."""
        self.expected(recipe)
        self._number += 1
        self.latest = Trial(self, self.folder / f"trial-{self._number}", recipe)
        return self.latest

    def keep(self, trial: "Trial", problem: str) -> str:
        """Keeps a trial that is lost, with the undisturbed run beside it; returns what is known about it.

        Called before its disks go away.
        """
        again = Trial(self, self.folder / f"{trial.folder.name}-again", trial.recipe)
        ended = again.run()
        expected, actual = self.folder / trial.recipe, trial.folder
        agrees = [
            name
            for name, folder in (("the undisturbed run", expected), ("the try", actual))
            if digests(folder) == digests(again.folder)
        ]
        told = f"another run (exit code {ended.code}) agrees with {' and '.join(agrees) or 'neither'}\n"
        log = self.folder / f"{trial.folder.name}-lost.log"
        told += fork(actual, log, lambda: _tell(expected, actual), mark="lost").wait().said
        if self._keep is not None:
            kept = (
                self._keep / f"{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}-{trial.folder.name}"
            )
            for name, folder in (
                ("expected", expected),
                ("found", actual),
                ("again", again.folder),
            ):
                shutil.copytree(folder, kept / name, symlinks=True)
            for path in self.folder.glob(f"{trial.folder.name}-*.log"):
                shutil.copy(path, kept)
            (kept / "problem.txt").write_text(f"{problem}\n{told}")
            (kept / "surroundings.json").write_text(json.dumps(lost.surroundings(), indent=1))
            told += f"kept in {kept}\n"
        return told

    def forget(self, before: set[Path]) -> None:
        """Removes what was made since."""
        for path in set(self.folder.iterdir()) - before - {self.folder / r for r in self._expected}:
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()


class Trial:
    """One output that is disturbed, gone on with, and compared."""

    def __init__(self, lab: Lab, folder: Path, recipe: str):
        self.lab, self.folder, self.recipe = lab, folder, recipe
        folder.mkdir()
        self.out = folder / "out"
        self._starts = 0

    def start(self, *more: str, prepare: Prepare | None = None) -> Run:
        """Starts a run of the recipe."""
        return self.command(self.arguments(*more), prepare=prepare)

    def arguments(self, *more: str) -> list[str]:
        """Returns the arguments of a run of the recipe."""
        files = f"{self.lab.folder}/sample/posts-*.jsonl.gz"
        recipe = f"{self.lab.folder}/{self.recipe}.toml"
        return ["run", recipe, "--input", files, "--output", "out", *more]

    def command(self, arguments: list[str], *, prepare: Prepare | None = None) -> Run:
        """Starts a command of `sluice` in the trial's folder."""

        def do() -> int:
            if prepare is not None:
                prepare()
            return cli.main(arguments)

        self._starts += 1
        log = self.lab.folder / f"{self.folder.name}-{self._starts}.log"
        return fork(self.folder, log, do, mark=f"{os.getpid()}-{log.stem}")

    def run(self, *more: str, prepare: Prepare | None = None) -> Ended:
        """Runs the recipe to its end."""
        return self.start(*more, prepare=prepare).wait()

    def verify(self) -> list[str]:
        """Returns what `sluice verify` finds."""

        def do() -> int:
            problems = verify.verify("out", say=lambda line: None)
            print("\n".join(problems))
            return bool(problems)

        log = self.lab.folder / f"{self.folder.name}-verify.log"
        ended = fork(self.folder, log, do, mark="verify").wait()
        return ended.said.splitlines() if ended.code else []

    def manifests(self) -> dict[str, int]:
        """Returns when each finished unit was committed."""
        paths = self.out.glob("work/*/*/*.json")
        return {str(p): p.stat().st_mtime_ns for p in paths if not p.name.startswith(".")}

    def disturbed(self, prepare: Prepare, *more: str, codes: tuple[int, ...] = (1, 2)) -> str:
        """Runs under a fault, then again without it; returns how the try went.

        Raises:
            LostError: the error was not clear, or the output is not that of the undisturbed run.
        """
        ended = self.run(*more, prepare=prepare)
        if ended.code:
            ended.check_clear(*codes)
            self.go_on()
            return "resumed"
        self.check()
        return "survived"

    def go_on(self, *more: str) -> None:
        """Runs the same command again, which must end well, and redo nothing that is done.

        Raises:
            LostError: it failed, or the output is not that of the undisturbed run.
        """
        before = self.manifests()
        ended = self.run(*more)
        if ended.code:
            raise LostError(f"the rerun failed with {ended.code}: {ended.said[-800:]}")
        after = self.manifests()
        redone = [k for k, t in before.items() if after.get(k, t) != t]
        if redone:
            raise LostError(f"finished units were redone: {redone}")
        self.check()

    def check(self) -> None:
        """Raises LostError unless the output is that of the undisturbed run, and nothing more."""
        expected, actual = self.lab.expected(self.recipe), digests(self.folder)
        differ = [n for n in sorted({*expected, *actual}) if expected.get(n) != actual.get(n)]
        if differ:
            problem = f"other bytes than the undisturbed run's: {differ}"
            raise OtherBytesError(f"{problem}\n{self.lab.keep(self, problem)}")
        if not (self.out / "COMPLETED").exists():
            raise LostError("exit code 0, and no COMPLETED")
        left = [str(p) for p in self.out.rglob("*") if ".tmp" in p.name]
        if left:
            raise LostError(f"temporary files are left: {left}")
        problems = self.verify()
        if problems:
            raise LostError(f"sluice verify: {problems}")


def _tell(expected: Path, actual: Path) -> int:
    """Prints what differs between two outputs; in a process of its own, because it reads Arrow data."""
    print(lost.decided_otherwise(expected / "out", actual / "out"))
    print(lost.wrote_otherwise(expected / "out", actual / "out"))
    return 0


def digests(folder: Path) -> dict[str, str]:
    """Returns the SHA-256 of the contract's files, of manifest.json and of the history."""
    files = [p for name in CONTRACT for p in (folder / "out" / name).glob("*")]
    files += (folder / "out").glob("manifest.json")
    files += (folder / "history").glob("version-*.json")
    files += (folder / "history" / "segments").glob("*/*.*")
    return {
        str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in files
        if p.is_file()
    }
