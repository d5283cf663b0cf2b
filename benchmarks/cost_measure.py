"""What a run cost and wrote, by stage: what the cost model starts from.

`run_timed` runs the main job and keeps the CPU seconds of every unit beside its work; `measure` reads a
finished run: report.json, the manifests of `work/`, and those CPU seconds where they are there.
"""

import json
import resource
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
from apache_beam.coders import FastPrimitivesCoder

from sluice.pipeline import cli
from sluice.pipeline.engine import workers
from sluice.pipeline.phases.job import INPUT_EXPANSION
from sluice.pipeline.units import exchange
from sluice.pipeline.units.manifest import Done, UnitManifest, done_units
from sluice.pipeline.units.stage import Stage

UNIT_COSTS = "unit-costs.json"


class Edge(msgspec.Struct, frozen=True):
    """The files of one edge of a stage, all units together.

    Attributes:
        ranges: byte ranges of an exchange file, 0 of others.
    """

    phase: str
    stage: str
    name: str
    files: int
    bytes: int
    ranges: int


class StageCost(msgspec.Struct, frozen=True):
    """The units of a stage.

    Attributes:
        cpu: seconds of each unit, in the order of their names; empty where the run was not timed.
        manifest_bytes: of all its manifests.
    """

    phase: str
    stage: str
    units: int
    cpu: tuple[float, ...]
    manifest_bytes: int

    @property
    def opening(self) -> float:
        """Seconds of the first unit beyond the others: what a worker pays once, for models and tables."""
        others = self.cpu[1:]
        return max(0.0, self.cpu[0] - sum(others) / len(others)) if others else 0.0

    @property
    def working(self) -> float:
        """Seconds of all units, without the opening."""
        return sum(self.cpu) - self.opening


class Measured(msgspec.Struct, frozen=True):
    """What one run cost and wrote.

    Attributes:
        posts: read; `kept` by clean; `survivors` of duplicates.
        text_bytes: of the survivors.
        stored_bytes: of the input as it is stored; `json_bytes` of it as plain JSON lines, about.
        phase_cpu: phase -> CPU seconds of all its processes, by report.json.
        peak_bytes: phase -> most anonymous memory of all processes.
        source_bytes: that a GroupByKey carries for one range, about.
    """

    posts: int
    kept: int
    survivors: int
    text_bytes: int
    tokens: int
    sequences: int
    stored_bytes: int
    json_bytes: int
    phase_cpu: dict[str, float]
    peak_bytes: dict[str, int]
    edges: tuple[Edge, ...]
    stages: tuple[StageCost, ...]
    source_bytes: float

    def bytes_of(self, edge: str) -> int:
        """Returns the bytes of `STAGE.EDGE`."""
        return sum(e.bytes for e in self.edges if f"{e.stage}.{e.name}" == edge)

    def stage(self, name: str) -> StageCost:
        """Returns a stage's units."""
        return next(s for s in self.stages if s.stage == name)


def measure(output: Path) -> Measured:
    """Returns what a finished run cost and wrote; its `work/` must be there."""
    report = json.loads((output / "report" / "report.json").read_bytes())
    inputs = json.loads((output / "manifest.json").read_bytes())["inputs"]
    costs = _unit_costs(output)
    folders = list(_stage_folders(output / "work"))
    posts, phases = report["posts"], {p["name"]: p for p in report["phases"]}
    return Measured(
        posts=posts["read"],
        kept=phases["dedup"]["posts"],
        survivors=posts["kept"],
        text_bytes=round(report["tokens"]["total"] * report["tokens"]["bytes_per_token"]),
        tokens=report["tokens"]["total"],
        sequences=report["sequences"]["in_shards"] + report["sequences"]["leftover"],
        stored_bytes=sum(f["bytes"] for f in inputs),
        json_bytes=round(sum(f["bytes"] * _expansion(f["path"]) for f in inputs)),
        phase_cpu={name: p["cpu_seconds"] for name, p in phases.items()},
        peak_bytes={name: p["peak_rss_bytes"] for name, p in phases.items()},
        edges=tuple(e for phase, stage in folders for e in _edges(phase, stage)),
        stages=tuple(_stage(phase, stage, costs) for phase, stage in folders),
        source_bytes=_source_bytes(folders),
    )


def _expansion(path: str) -> float:
    return INPUT_EXPANSION.get(path.rpartition(".")[2], 1.0)


def _stage_folders(work: Path) -> Iterator[tuple[str, Path]]:
    """Yields (phase, folder) of every stage, by name."""
    for phase in sorted(p for p in work.iterdir() if p.is_dir()):
        for stage in sorted(p for p in phase.iterdir() if p.is_dir()):
            if done_units(str(stage)):
                yield phase.name.rpartition("-")[0], stage


def _manifests(stage: Path) -> list[UnitManifest]:
    return [done.manifest() for done in done_units(str(stage))]


def _edges(phase: str, stage: Path) -> list[Edge]:
    found: dict[str, Edge] = {}
    for manifest in _manifests(stage):
        for name, entry in manifest.files.items():
            old = found.get(name, Edge(phase, stage.name, name, 0, 0, 0))
            more = old.files + 1, old.bytes + entry.bytes, old.ranges + len(entry.ranges)
            found[name] = Edge(phase, stage.name, name, *more)
    return list(found.values())


def _stage(phase: str, stage: Path, costs: dict[str, dict[str, float]]) -> StageCost:
    done = done_units(str(stage))
    size = sum((stage / f"{d.unit}.json").stat().st_size for d in done)
    of_units = costs.get(f"{phase}/{stage.name}", {})
    cpu = tuple(of_units[name] for name in sorted(of_units))
    return StageCost(phase, stage.name, len(done), cpu, size)


def _source_bytes(folders: Sequence[tuple[str, Path]]) -> float:
    """Returns the mean size of a range as a GroupByKey carries it, of the keys' exchange."""
    stage = next(folder for phase, folder in folders if phase == "clean")
    found = list(exchange.sources(Done(str(stage), done_units(str(stage))[0].unit), "keys"))
    coder = FastPrimitivesCoder()
    return sum(len(coder.encode(source)) for _, source in found) / max(1, len(found))


# --- CPU seconds of units ----------------------------------------------------------------------


def run_timed(arguments: Sequence[str], *, output: Path) -> int:
    """Runs `sluice run` and writes what each unit cost, in CPU seconds, beside the output's work."""
    costs: dict[str, dict[str, float]] = {}
    do = workers.do

    def timed(stage: Stage, unit: Any) -> None:
        begun = _cpu()
        do(stage, unit)
        folder = Path(stage.folder)
        name = f"{folder.parent.name.rpartition('-')[0]}/{folder.name}"
        costs.setdefault(name, {})[unit.name] = round(_cpu() - begun, 6)

    workers.do = timed
    try:
        code = cli.main(["run", *arguments, "--output", str(output), "--workers", "1"])
    finally:
        workers.do = do
    (output / "work" / UNIT_COSTS).write_text(json.dumps(costs, indent=1, sort_keys=True))
    return code


def _cpu() -> float:
    """Returns the CPU seconds of this thread, and of children that have ended (the BPE's training)."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.thread_time() + children.ru_utime + children.ru_stime


def _unit_costs(output: Path) -> dict[str, dict[str, float]]:
    path = output / "work" / UNIT_COSTS
    return json.loads(path.read_bytes()) if path.exists() else {}
