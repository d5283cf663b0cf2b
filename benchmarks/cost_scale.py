"""Scales what a run cost to any number of posts: units, partitions, ranges, bytes, requests, CPU seconds.

Bytes and CPU seconds grow with the posts. What does not is written out here: ranges grow with units times
partitions, merged words with a power of the text, and a few steps have one unit however many posts there are.
"""

import math
from typing import Final

import msgspec

from benchmarks.cost_measure import Edge, Measured
from sluice.pipeline.phases.dedup.phase import POSTS_IN_PARTITION
from sluice.pipeline.phases.job import KEY_PARTITION_BYTES, MAX_PARTITIONS
from sluice.pipeline.phases.vocabulary.count import PARTITION_BYTES
from sluice.pipeline.recipes import schema
from sluice.pipeline.storage.files import REQUESTS_AT_ONCE
from sluice.pipeline.units.exchange import MAX_RUN_BYTES, run_bytes


class Assumptions(msgspec.Struct, frozen=True):
    """What a run does not say; each is a flag of the command.

    Attributes:
        unit_bytes: plain JSON lines in a unit; `key_partition_bytes` of them in a partition of keys;
            `max_run_bytes` of rows that a map unit holds at most before it writes ranges.
        range_cpu: seconds to write a range and read it.
        range_bytes: that an Arrow stream adds to a range's rows.
        edge_cpu: seconds of union-find for an edge without locality.
        word_cpu: seconds of the BPE's training for a distinct word; `train_cpu` whatever their number.
        word_growth: distinct words grow with text to this power.
        request_seconds: until an object store answers; a worker waits for `requests_at_once` together;
            `gets_second` that a bucket answers before it spreads its load.
        manifest_passes: how often the driver reads the manifest of each clean unit.
        read_bytes_second: what the driver reads and hashes in a second.
        worker_start: seconds until the workers of a job have begun.
        slow_share, slow_factor: of the units, how many are slow and how slow.
        memory_gb: of a worker with one core.
        history_days: that are compared with; `history_key_cpu` seconds for each of `history_keys` a post,
            `history_bytes` a post, `record_cpu` seconds to remember one.
        vcpu_hour, gb_hour, shuffle_gb, put_1000, get_1000, gb_month: dollars.
    """

    unit_bytes: int = schema.InputSection().unit_bytes
    key_partition_bytes: int = KEY_PARTITION_BYTES
    max_run_bytes: int = MAX_RUN_BYTES
    range_cpu: float = 3.5e-5
    range_bytes: float = 370.0
    edge_cpu: float = 65e-9
    word_cpu: float = 2.7e-6
    train_cpu: float = 4.5
    word_growth: float = 0.865
    request_seconds: float = 0.03
    requests_at_once: int = REQUESTS_AT_ONCE
    gets_second: float = 5000.0
    manifest_passes: int = 7
    read_bytes_second: float = 1e9
    worker_start: float = 180.0
    slow_share: float = 0.02
    slow_factor: float = 3.0
    memory_gb: float = 4.0
    history_days: int = 30
    history_keys: int = 22
    history_key_cpu: float = 13e-9
    history_bytes: float = 186.0
    record_cpu: float = 7e-6
    vcpu_hour: float = 0.056
    gb_hour: float = 0.003557
    shuffle_gb: float = 0.011
    put_1000: float = 0.005
    get_1000: float = 0.0004
    gb_month: float = 0.020


CONSTANT: Final = {"deal.token_counts"}
"""Edges of the same size in every run; so are those of the BPE's training."""
PER_PARTITION: Final = {"pack.use"}
"""Edges that have the same size in every partition."""
MERGED_WORDS: Final = "words.words"
RESOLVE: Final = "dedup_settle".removeprefix("dedup_")
"""The stage that resolves components, as manifest.json names it."""
READERS: Final = {
    "buckets": "clean.keys",
    "ship": "join.components",
    RESOLVE: "ship.candidates",
    "drop": f"{RESOLVE}.found",
    "words": "sample.words",
    "pack": "encode.documents",
    "shard": "deal.dealt",
}
"""Stage -> the exchange whose ranges it reads."""
GATHERS: Final = {"join": "buckets", "train": "words", "deal": "pack"}
"""Stage of one unit -> the stage whose files and manifests it reads, all of them."""
KEPT_READERS: Final = ("ship", "drop", "sample", "encode")
DRIVER_CPU: Final = 4e-9
"""Seconds to decode a byte of a manifest."""
RANGE_IN_MANIFEST: Final = 60
"""Bytes of a range in a manifest, about."""


class Layout(msgspec.Struct, frozen=True):
    """Into how many pieces a run is cut.

    Attributes:
        runs: that a clean unit writes of its keys; each has a range for every partition.
        sequences: packed; a shard reads each of its own by itself.
    """

    units: int
    keys: int
    resolve: int
    words: int
    pack: int
    shards: int
    runs: int
    sequences: int

    def ranges(self) -> dict[str, int]:
        """Returns the ranges of every exchange, at most."""
        return {
            "clean.keys": self.units * self.keys * self.runs,
            "join.components": self.units,
            "ship.candidates": self.units * self.resolve,
            f"{RESOLVE}.found": self.resolve * self.units,
            "sample.words": self.units * self.words,
            "encode.documents": self.units * self.pack,
            "deal.dealt": self.shards,
        }

    def stage_units(self) -> dict[str, int]:
        """Returns the units of every stage."""
        by_unit = dict.fromkeys(("clean", "ship", "drop", "sample", "encode"), self.units)
        one = dict.fromkeys(GATHERS, 1)
        parts = {"buckets": self.keys, RESOLVE: self.resolve, "words": self.words}
        return by_unit | one | parts | {"pack": self.pack, "shard": self.shards}


def layout(run: Measured, posts: float, assumed: Assumptions) -> Layout:
    """Returns how a run of so many posts is cut, by the rules of the code."""
    ratio = posts / run.posts
    json_bytes, text = run.json_bytes * ratio, run.text_bytes * ratio
    units = max(1, math.ceil(json_bytes / assumed.unit_bytes))
    key_bytes = run.bytes_of("clean.keys") * ratio / units
    token_bytes = run.tokens * ratio * 4
    ranks = schema.TrainingSection().data_parallel_ranks
    shards = math.ceil(token_bytes / schema.TrainingSection().target_shard_bytes / ranks) * ranks
    keys = min(MAX_PARTITIONS, max(8, math.ceil(json_bytes / assumed.key_partition_bytes)))
    return Layout(
        units=units,
        keys=keys,
        resolve=max(4, math.ceil(run.kept * ratio / POSTS_IN_PARTITION)),
        words=max(
            1, math.ceil(min(text, schema.VocabularySection().sample_bytes) / PARTITION_BYTES)
        ),
        pack=max(1, math.ceil(text / schema.TokensSection().partition_bytes)),
        shards=max(1, shards),
        runs=max(1, math.ceil(key_bytes / min(assumed.max_run_bytes, run_bytes(keys)))),
        sequences=math.ceil(run.sequences * ratio),
    )


def sampled(run: Measured, posts: float) -> float:
    """Returns the share of the text that the vocabulary is trained on."""
    return min(1.0, schema.VocabularySection().sample_bytes / (run.text_bytes * posts / run.posts))


def edge_bytes(run: Measured, posts: float, cut: Layout, assumed: Assumptions) -> dict[str, float]:
    """Returns the bytes of every edge, by `STAGE.EDGE`."""
    ratio, ranges = posts / run.posts, cut.ranges()
    found = {}
    for edge in run.edges:
        name = f"{edge.stage}.{edge.name}"
        if name in CONSTANT or edge.stage == "train":
            found[name] = float(edge.bytes)
        elif name in PER_PARTITION:
            found[name] = edge.bytes / edge.files * cut.pack
        elif name == MERGED_WORDS:
            found[name] = edge.bytes * (ratio * sampled(run, posts)) ** assumed.word_growth
        else:
            part = sampled(run, posts) if edge.stage == "sample" else 1.0
            found[name] = _linear(edge, ratio * part, ranges.get(name, 0), assumed.range_bytes)
    return found


def _linear(edge: Edge, ratio: float, ranges: int, range_bytes: float) -> float:
    """Returns rows that grow with the posts, and what streams add that grow with the ranges."""
    if not edge.ranges:
        return edge.bytes * ratio
    rows = max(0.0, edge.bytes - edge.ranges * range_bytes)
    return rows * ratio + max(ranges, edge.ranges) * range_bytes


class StageEstimate(msgspec.Struct, frozen=True):
    """A stage at scale.

    Attributes:
        cpu: seconds of all its units.
        wait: seconds that they wait for storage to answer.
    """

    phase: str
    stage: str
    units: int
    cpu: float
    wait: float


def stage_cpu(
    run: Measured, posts: float, cut: Layout, assumed: Assumptions
) -> list[StageEstimate]:
    """Returns the CPU seconds of every stage, in the order of the phases."""
    ratio, units, ranges = posts / run.posts, cut.stage_units(), cut.ranges()
    writer = {name.partition(".")[0]: n for name, n in ranges.items()}
    found = []
    for stage in run.stages:
        cpu = stage_seconds(run, stage.phase, stage.stage) * ratio
        if stage.phase == "vocabulary" and stage.stage != "train":
            cpu *= sampled(run, posts)
        if stage.stage == "join":
            cpu += run.bytes_of("buckets.edges") / 8 * ratio * assumed.edge_cpu
        if stage.stage == "train":
            cpu = distinct_words(run, posts, assumed) * assumed.word_cpu + assumed.train_cpu
        cpu += writer.get(stage.stage, 0) * assumed.range_cpu
        number = units.get(stage.stage, 1)
        wait = _gets(stage.stage, cut) * assumed.request_seconds / assumed.requests_at_once
        found.append(StageEstimate(stage.phase, stage.stage, number, cpu, wait))
    order = list(run.phase_cpu)
    return sorted(found, key=lambda s: (order.index(s.phase), _STAGES.index(s.stage)))


def _gets(stage: str, cut: Layout) -> int:
    """Returns the requests of a stage: ranges, kept posts, sequences, what it gathers, manifests."""
    units = cut.stage_units()
    each = 2 + 2 * (stage in KEPT_READERS)
    gathered = 2 * units[GATHERS[stage]] if stage in GATHERS else 0
    sequences = cut.sequences if stage == "shard" else 0
    ranges = cut.ranges().get(READERS.get(stage, ""), 0)
    return ranges + sequences + units.get(stage, 1) * each + gathered


_STAGES: Final = (
    *("clean", "buckets", "join", "ship", RESOLVE, "drop"),
    *("sample", "words", "train", "encode", "pack", "deal", "shard"),
)


def stage_seconds(run: Measured, phase: str, stage: str) -> float:
    """Returns a stage's CPU seconds: of its units; of a run that was not timed a part of the phase's."""
    cost = run.stage(stage)
    if cost.cpu:
        return cost.working
    all_bytes = sum(e.bytes for e in run.edges if e.phase == phase)
    part = sum(e.bytes for e in run.edges if e.phase == phase and e.stage == stage)
    return run.phase_cpu[phase] * part / max(1, all_bytes)


def distinct_words(run: Measured, posts: float, assumed: Assumptions) -> float:
    """Returns the words that the BPE is trained on, some 16 bytes each in the merged files."""
    ratio = posts / run.posts * sampled(run, posts)
    words = run.bytes_of(MERGED_WORDS) / 16 * ratio**assumed.word_growth
    return min(words, schema.VocabularySection().max_words)


def requests(run: Measured, cut: Layout) -> tuple[float, float]:
    """Returns the puts and gets of a run: to write and read files and manifests, and to read ranges."""
    units = cut.stage_units()
    written = sum(e.files / run.stage(e.stage).units * units.get(e.stage, 1) for e in run.edges)
    return written + 2 * sum(units.values()), sum(_gets(stage, cut) for stage in units)


def driver_seconds(
    run: Measured, posts: float, cut: Layout, assumed: Assumptions
) -> dict[str, float]:
    """Returns what the driver does alone, in seconds: no worker helps."""
    ratio = posts / run.posts
    clean, passes = run.stage("clean"), assumed.manifest_passes
    counts = clean.manifest_bytes / clean.units * cut.units
    held = counts + cut.ranges()["clean.keys"] * RANGE_IN_MANIFEST
    request = assumed.request_seconds / assumed.requests_at_once
    return {
        "hash the inputs": run.stored_bytes * ratio / assumed.read_bytes_second,
        "wait for manifests": passes * cut.units * request,
        "decode manifests": passes * held * DRIVER_CPU,
    }
