"""One run of the main job under watch: its costs, the memory of its processes, and what dedup did."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np

from benchmarks.process import CommandError
from benchmarks.stage_files import StageFiles, stages_of
from benchmarks.watch import PhasePeak, Watch, phase_peaks
from benchmarks.whole import WholeRun, run_whole
from sluice.pipeline.units import exchange


class ScaleRun(NamedTuple):
    """All figures of one size of one corpus.

    Attributes:
        asked: posts that were asked for.
        peaks: by phase.
        high_water_bytes: the operating system's own peak of resident memory, mapped files included.
        output_bytes: the most that the output and its work took on the disk.
        input_bytes: of the compressed files.
    """

    corpus: str
    asked: int
    whole: WholeRun
    peaks: tuple[PhasePeak, ...]
    high_water_bytes: int
    output_bytes: int
    input_bytes: int
    dedup: "DedupWork"


class DedupWork(NamedTuple):
    """What dedup did, as its own files say.

    Attributes:
        counts: the numbers that its stages count, by name; the larger where two stages have it.
        components: of candidates.
        largest_component: posts in it.
        file_bytes: the intermediate files between stages, by edge; `keys` is what clean wrote.
        stages: seconds of wall time from the end of the stage before, in the order in which they ended.
    """

    counts: dict[str, int]
    components: int
    largest_component: int
    file_bytes: dict[str, int]
    stages: dict[str, float]


def run_watched(
    corpus: str,
    recipe: str,
    *,
    asked: int,
    files: Sequence[Path],
    output: Path,
    tokenizer: Path,
    workers: int = 2,
    limit_bytes: int = 0,
) -> ScaleRun:
    """Runs the main job with a frozen tokenizer and returns what it cost.

    Raises:
        CommandError: the run failed, or held more anonymous memory than `limit_bytes`; 0 is no limit.
    """
    with Watch(output, limit_bytes=limit_bytes) as watch:
        try:
            whole = run_whole(
                recipe, files=files, output=output, workers=workers, tokenizer=tokenizer
            )
        except CommandError as failure:
            if not watch.exceeded:
                raise
            raise CommandError(
                f"{watch.exceeded:,} bytes of memory; the limit was {limit_bytes:,}"
            ) from failure
    return ScaleRun(
        corpus,
        asked,
        whole,
        phase_peaks(watch.seen, phase_ends(output, [phase.name for phase in whole.phases])),
        max((memory.high_water for memory in watch.seen), default=0),
        watch.folder_bytes,
        sum(path.stat().st_size for path in files),
        read_dedup(output),
    )


def _result(output: Path, phase: str) -> Path:
    return next((output / "work").glob(f"{phase}-*")) / "phase.json"


def phase_ends(output: Path, phases: Iterable[str]) -> dict[str, float]:
    """Returns when each phase ended, in seconds since the epoch: phase.json is written then."""
    return {name: _result(output, name).stat().st_mtime for name in phases}


def _ended(stage: StageFiles) -> float:
    return max(manifest.stat().st_mtime for manifest in stage.manifest_paths())


def read_dedup(output: Path) -> DedupWork:
    """Returns what the dedup phase of a finished run did."""
    stages = stages_of(output)
    dedup = sorted((stage for stage in stages if stage.phase == "dedup"), key=_ended)
    counts: dict[str, int] = defaultdict(int)
    result: dict[str, Any] = msgspec.json.decode(_result(output, "dedup").read_bytes())
    for stage in result["counts"].values():
        for name, value in stage.items():
            if isinstance(value, int):
                counts[name] = max(counts[name], value)
    size_C = _component_sizes(next(stage for stage in dedup if stage.name == "join"))
    clean = next(stage for stage in stages if stage.name == "clean")
    ends = [phase_ends(output, ["clean"])["clean"], *map(_ended, dedup)]
    seconds = [round(end - start, 2) for start, end in pairwise(ends)]
    return DedupWork(
        dict(counts),
        len(size_C),
        int(size_C.max(initial=0)),
        _file_bytes((clean, *dedup)),
        dict(zip([stage.name for stage in dedup], seconds, strict=True)),
    )


def _component_sizes(join: StageFiles) -> "np.ndarray":
    """Returns (C,) the posts of every component, by the file that the join wrote."""
    label_parts = [np.empty(0, np.uint32)]
    for done in join.units:
        ranges = [source for _, source in exchange.sources(done, "components")]
        batches = exchange.read(exchange.reduce_unit(0, ranges, name="read"))
        label_parts += [np.array(batch.column("component")) for _, batch in batches]
    return np.unique(np.concatenate(label_parts), return_counts=True)[1]


def _file_bytes(stages: Iterable[StageFiles]) -> dict[str, int]:
    """Returns the bytes of the files between stages, by edge: clean's keys, and all that dedup wrote."""
    total: dict[str, int] = defaultdict(int)
    for stage in stages:
        for manifest in stage.manifests():
            for edge, entry in manifest.files.items():
                if not entry.sha256 and (stage.name != "clean" or edge == "keys"):
                    total[edge] += entry.bytes
    return dict(total)
