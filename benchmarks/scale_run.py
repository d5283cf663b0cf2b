"""One run of the main job under watch: its costs, the memory of its processes, and what dedup did."""

import contextlib
import os
import re
import signal
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np

from benchmarks.process import CommandError, run_measured
from benchmarks.whole import WholeRun, whole_run
from sluice.pipeline.units import exchange
from sluice.pipeline.units.manifest import Done, UnitManifest, done_units
from sluice.schemas.arrays import Int64s

WATCH_SECONDS = 0.2
DISK_EVERY = 10
"""The output's size is looked up once in so many looks at memory: it is a walk over its files."""
_FIELD = re.compile(rb"^(RssAnon|RssFile|RssShmem|VmHWM):\s+(\d+) kB", re.M)


class Memory(NamedTuple):
    """What all processes of a run held at a time, in bytes.

    Attributes:
        at: seconds since the epoch, as files' times are.
        anonymous: heap, stacks, arrays: what has no file behind it.
        resident: that, and pages of mapped files, which the machine can reclaim.
        high_water: the most that each process has ever had resident, summed.
    """

    at: float
    anonymous: int
    resident: int
    high_water: int


class PhasePeak(msgspec.Struct, frozen=True):
    """The most memory of all processes during a phase, seen from outside."""

    name: str
    anonymous_bytes: int
    resident_bytes: int


class Measured(msgspec.Struct, frozen=True):
    """What a run cost.

    Attributes:
        mark: what was measured: code, files, settings.
        peaks: by phase.
        high_water_bytes: the operating system's own peak of resident memory, mapped files included.
        output_bytes: the most that the output and its work took on the disk.
        input_bytes: of the compressed files.
    """

    mark: str
    whole: WholeRun
    peaks: tuple[PhasePeak, ...]
    high_water_bytes: int
    output_bytes: int
    input_bytes: int


class StageWork(msgspec.Struct, frozen=True):
    """A stage of dedup: its units, and the wall time from the end of the stage before to its own."""

    name: str
    units: int
    seconds: float


class DedupWork(msgspec.Struct, frozen=True):
    """What dedup did, as its own files say.

    Attributes:
        posts: that clean kept.
        counts: the numbers that its stages count, by name; the larger where two stages have it.
        duplicates: by reason.
        components: of candidates; 0 where the files do not say.
        largest_component: posts in it.
        file_bytes: the intermediate files between stages, by edge; `keys` is what clean wrote.
        stages: in the order in which they ended.
    """

    posts: int
    counts: dict[str, int]
    duplicates: dict[str, int]
    components: int
    largest_component: int
    file_bytes: dict[str, int]
    stages: tuple[StageWork, ...]


class ScaleRun(msgspec.Struct, frozen=True):
    """All figures of one size of one corpus."""

    corpus: str
    asked: int
    date: str
    measured: Measured
    dedup: DedupWork


class RunSpec(NamedTuple):
    """How the main job is run.

    Attributes:
        recipe: a shipped name or a path.
        files: the input.
        output: a folder that is not there yet; it stays.
        tokenizer: a frozen tokenizer.json.
        workers: threads of Beam's local runner.
        sets: settings of the recipe, KEY=VALUE.
        limit_bytes: the run is killed when it is seen with more anonymous memory; 0 for no limit.
    """

    recipe: str
    files: Sequence[Path]
    output: Path
    tokenizer: Path
    workers: int = 2
    sets: Sequence[str] = ()
    limit_bytes: int = 0

    @property
    def command(self) -> list[str]:
        """The command line."""
        sets = (*self.sets, f'vocabulary.tokenizer="{self.tokenizer}"')
        command = [sys.executable, "-m", "sluice.pipeline.cli", "run", self.recipe]
        command += ["--input", *map(str, self.files), "--output", str(self.output)]
        command += [word for setting in sets for word in ("--set", setting)]
        return [*command, "--workers", str(self.workers)]


class Watch:
    """Looks at the memory of this process's descendants, and at a folder's size, until it is left.

    Left by an exception, it kills them: no process outlives its measurement.

    Args:
        folder: whose size is looked up.
        limit_bytes: descendants are killed when they hold more anonymous memory; 0 for no limit.

    Attributes:
        seen: the memory at every look, in order.
        folder_bytes: the most that the folder held.
        exceeded: the memory that was too much, or 0.
    """

    def __init__(self, folder: Path, *, limit_bytes: int = 0):
        self.seen: list[Memory] = []
        self.folder_bytes = self.exceeded = 0
        self._folder, self._limit = folder, limit_bytes
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look_on, name="watch", daemon=True)

    def __enter__(self) -> "Watch":
        self._thread.start()
        return self

    def __exit__(self, failure: type[BaseException] | None, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        if failure is not None:
            kill(descendants(os.getpid()))
        self.folder_bytes = max(self.folder_bytes, folder_bytes(self._folder))

    def _look_on(self) -> None:
        while not self._stop.wait(WATCH_SECONDS):
            processes = descendants(os.getpid())
            self.seen.append(memory_of(processes))
            if len(self.seen) % DISK_EVERY == 0:
                self.folder_bytes = max(self.folder_bytes, folder_bytes(self._folder))
            if self._limit and self.seen[-1].anonymous > self._limit:
                self.exceeded = self.exceeded or self.seen[-1].anonymous
                kill(processes)


def kill(processes: Iterable[int]) -> None:
    """Ends processes at once; those that have ended are left alone."""
    for process in processes:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)


def descendants(process: int) -> list[int]:
    """Returns the processes that a process has begun, and theirs (Linux; elsewhere none)."""
    found, queue = [], [process]
    while queue:
        for children in Path(f"/proc/{queue.pop()}/task").glob("*/children"):
            with contextlib.suppress(OSError):
                queue += (more := [int(p) for p in children.read_bytes().split()])
                found += more
    return found


def memory_of(processes: Iterable[int]) -> Memory:
    """Returns the memory of processes; one that has ended holds nothing."""
    total: dict[bytes, int] = defaultdict(int)
    for process in processes:
        with contextlib.suppress(OSError):
            for name, kib in _FIELD.findall(Path(f"/proc/{process}/status").read_bytes()):
                total[name] += int(kib) * 1024
    anonymous = total[b"RssAnon"]
    resident = anonymous + total[b"RssFile"] + total[b"RssShmem"]
    return Memory(time.time(), anonymous, resident, total[b"VmHWM"])


def folder_bytes(folder: Path) -> int:
    """Returns the bytes of all files below a folder; one that goes away meanwhile counts as none."""
    total = 0
    for path, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                total += os.stat(os.path.join(path, name)).st_size
    return total


def run_watched(spec: RunSpec, *, mark: str) -> Measured:
    """Runs the main job and returns what it cost.

    Raises:
        CommandError: the run failed, or went over the limit.
    """
    with Watch(spec.output, limit_bytes=spec.limit_bytes) as watch:
        try:
            usage = run_measured(spec.command, log=spec.output.with_suffix(".log"))
        except CommandError as failure:
            if not watch.exceeded:
                raise
            held, limit = watch.exceeded, spec.limit_bytes
            raise CommandError(f"{held:,} bytes of memory; the limit was {limit:,}") from failure
    report = _report(spec.output)
    return Measured(
        mark=mark,
        whole=whole_run(report, usage=usage, workers=spec.workers),
        peaks=phase_peaks(
            watch.seen, phase_ends(spec.output, [p["name"] for p in report["phases"]])
        ),
        high_water_bytes=max((m.high_water for m in watch.seen), default=0),
        output_bytes=watch.folder_bytes,
        input_bytes=sum(f.stat().st_size for f in spec.files),
    )


def _report(output: Path) -> dict[str, Any]:
    return msgspec.json.decode(
        (output / "report" / "report.json").read_bytes(), type=dict[str, Any]
    )


def phase_ends(output: Path, phases: Iterable[str]) -> dict[str, float]:
    """Returns when each phase ended, in seconds since the epoch: phase.json is written then."""
    return {name: _phase_folder(output, name, "phase.json").stat().st_mtime for name in phases}


def _phase_folder(output: Path, phase: str, name: str = "") -> Path:
    return next((output / "work").glob(f"{phase}-*")) / name


def phase_peaks(seen: Sequence[Memory], ends: dict[str, float]) -> tuple[PhasePeak, ...]:
    """Returns the most memory from the end of the phase before to the phase's own end."""
    peaks, start = [], 0.0
    for name, end in ends.items():
        during = [m for m in seen if start < m.at <= end]
        anonymous = max((m.anonymous for m in during), default=0)
        peaks.append(PhasePeak(name, anonymous, max((m.resident for m in during), default=0)))
        start = end
    return tuple(peaks)


def read_dedup(output: Path, *, posts: int) -> DedupWork:
    """Returns what the dedup phase of a finished run did.

    Args:
        output: of the run.
        posts: that dedup got.
    """
    result = msgspec.json.decode(_phase_folder(output, "dedup", "phase.json").read_bytes())
    stages: dict[str, Any] = result["counts"]
    counts: dict[str, int] = {}
    for stage in stages.values():
        for name, value in stage.items():
            if isinstance(value, int):
                counts[name] = max(counts.get(name, 0), value)
    size_C = _component_sizes(output)
    return DedupWork(
        posts=posts,
        counts=counts,
        duplicates=_report(output)["posts"]["duplicates"],
        components=len(size_C),
        largest_component=int(size_C.max(initial=0)),
        file_bytes=_file_bytes(output),
        stages=_stages(output),
    )


def _stage_folders(output: Path) -> list[Path]:
    """Returns the folders of dedup's stages, in the order in which they ended."""
    folders = [p for p in _phase_folder(output, "dedup").iterdir() if any(p.glob("*.json"))]
    return sorted(folders, key=_ended)


def _ended(stage: Path) -> float:
    return max(manifest.stat().st_mtime for manifest in stage.glob("*.json"))


def _manifests(folder: Path) -> Iterable[tuple[Done, UnitManifest]]:
    for done in done_units(str(folder)):
        yield done, done.manifest()


def _component_sizes(output: Path) -> "Int64s":
    """Returns (C,) the posts of every component, by the file that the join wrote."""
    label_parts = [np.empty(0, np.uint32)]
    for stage in _stage_folders(output):
        for done, manifest in _manifests(stage):
            if "components" not in manifest.files:
                continue
            ranges = [source for _, source in exchange.sources(done, "components")]
            batches = exchange.read(exchange.reduce_unit(0, ranges, name="read"))
            label_parts += [np.array(batch.column("component")) for _, batch in batches]
    return np.unique(np.concatenate(label_parts), return_counts=True)[1]


def _file_bytes(output: Path) -> dict[str, int]:
    """Returns the bytes of the files between stages, by edge: clean's keys, and all that dedup wrote."""
    total: dict[str, int] = defaultdict(int)
    for folder in (_phase_folder(output, "clean", "clean"), *_stage_folders(output)):
        for _, manifest in _manifests(folder):
            for edge, entry in manifest.files.items():
                if not entry.sha256 and (folder.name != "clean" or edge == "keys"):
                    total[edge] += entry.bytes
    return dict(total)


def _stages(output: Path) -> tuple[StageWork, ...]:
    """Returns the stages in the order in which they ended, by the times of their manifests."""
    start, stages = phase_ends(output, ["clean"])["clean"], []
    for folder in _stage_folders(output):
        end, units = _ended(folder), len(done_units(str(folder)))
        stages.append(StageWork(folder.name, units, round(end - start, 2)))
        start = end
    return tuple(stages)
