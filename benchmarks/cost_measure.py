"""What a run cost and wrote, by stage: what the cost model starts from.

`run_timed` runs the main job and keeps the CPU seconds of every unit beside its work; `measure` reads a
finished run: report.json, the manifests of `work/`, and those CPU seconds where they are there.
"""

import json
import resource
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
from apache_beam.coders import FastPrimitivesCoder

from benchmarks.stage_files import StageFiles, stages_of
from sluice.pipeline import cli
from sluice.pipeline.engine import workers
from sluice.pipeline.phases.job import INPUT_EXPANSION
from sluice.pipeline.units import exchange
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
    stages = stages_of(output)
    posts, phases = report["posts"], {p["name"]: p for p in report["phases"]}
    return Measured(
        posts=posts["read"],
        kept=phases["dedup"]["posts"],
        survivors=posts["kept"],
        text_bytes=round(report["tokens"]["total"] * report["tokens"]["bytes_per_token"]),
        tokens=report["tokens"]["total"],
        sequences=report["sequences"]["in_shards"] + report["sequences"]["leftover"],
        stored_bytes=sum(f["bytes"] for f in inputs),
        json_bytes=round(
            sum(f["bytes"] * INPUT_EXPANSION.get(Path(f["path"]).suffix[1:], 1.0) for f in inputs)
        ),
        phase_cpu={name: p["cpu_seconds"] for name, p in phases.items()},
        peak_bytes={name: p["peak_rss_bytes"] for name, p in phases.items()},
        edges=tuple(edge for stage in stages for edge in _edges(stage)),
        stages=tuple(_stage(stage, costs) for stage in stages),
        source_bytes=_source_bytes(stages),
    )


def _edges(stage: StageFiles) -> list[Edge]:
    found: dict[str, Edge] = {}
    for manifest in stage.manifests():
        for name, entry in manifest.files.items():
            old = found.get(name, Edge(stage.phase, stage.name, name, 0, 0, 0))
            more = old.files + 1, old.bytes + entry.bytes, old.ranges + len(entry.ranges)
            found[name] = Edge(stage.phase, stage.name, name, *more)
    return list(found.values())


def _stage(stage: StageFiles, costs: dict[str, dict[str, float]]) -> StageCost:
    of_units = costs.get(f"{stage.phase}/{stage.name}", {})
    cpu = tuple(of_units[name] for name in sorted(of_units))
    size = sum(path.stat().st_size for path in stage.manifest_paths())
    return StageCost(stage.phase, stage.name, len(stage.units), cpu, size)


def _source_bytes(stages: Sequence[StageFiles]) -> float:
    """Returns the mean size of a range as a GroupByKey carries it, of the keys' exchange."""
    clean = next(stage for stage in stages if stage.phase == "clean")
    found = list(exchange.sources(clean.units[0], "keys"))
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
