"""Phase dedup: band keys -> candidates -> components -> verified duplicates -> what to drop.

A shared key is only a candidate. Posts that any chain of keys connects form a component; a component
is brought together once, with its texts, and settled there by exact comparison with the posts that
stay. So every text of a candidate crosses machines once, whatever number of bands it has.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from filters.clusters import EXACT_CODE, NEAR_CODE, REDELIVERED_CODE, cluster
from filters.components import Components, bucket_edges
from filters.exact_hash import content_hash
from filters.minhash import MinHashSpec, text_band_keys
from filters.text_views import dedup_text
from pipeline import exchange
from pipeline.clean import RejectFile
from pipeline.ledger import Counts, tally, value_counts
from pipeline.survivors import DROPS, read_kept
from pipeline.units import Attempt, Done, DoUnits, Unit, Work
from schemas.post import ROW_BITS
from schemas.reject import DUPLICATE, EXACT, NEAR, REDELIVERED, reject_batch

PHASE = "dedup"
CANDIDATES_IN_PARTITION = 200_000

EDGES = pa.schema([("left", pa.uint32()), ("right", pa.uint32())])
COMPONENT = pa.schema([("row", pa.uint32()), ("component", pa.uint32())])
CANDIDATE = pa.schema(
    [
        ("component", pa.uint32()),
        ("post", pa.uint32()),
        ("rank", pa.int64()),
        ("post_id", pa.string()),
        ("text", pa.string()),
    ]
)
"""`post` is a dense number, `text` the deduplication text, `rank` is low for the one to keep."""
DROP = pa.schema(
    [
        ("row", pa.uint32()),
        ("reason", pa.uint8()),
        ("similarity", pa.float32()),
        ("duplicate_of", pa.string()),
    ]
)
REASONS = {REDELIVERED_CODE: REDELIVERED, EXACT_CODE: EXACT, NEAR_CODE: NEAR}


@dataclass(frozen=True)
class Posts:
    """The dense numbers of kept posts: those of clean unit u are first_U[u] + row.

    Attributes:
        folder: of the clean units.
        units: their names, in order.
        first: (U + 1,) dense number of each unit's first kept post; the last is the total.
        files: the source file of each unit.
    """

    folder: str
    units: tuple[str, ...]
    first: tuple[int, ...]
    files: tuple[str, ...]

    def first_of(self, unit: str) -> int:
        """Returns the dense number of a unit's first kept post."""
        return self.first[self.units.index(unit)]


@dataclass(frozen=True)
class DedupStage:
    """What the stages of this phase share; each is named by its folder's last part."""

    folder: str
    posts: Posts

    @property
    def name(self) -> str:
        """The stage's name, the last part of its folder."""
        return f"{PHASE}_{self.folder.rpartition('/')[2]}"


@dataclass(frozen=True)
class Buckets(DedupStage):
    """Keys of one partition -> edges between posts that share one."""

    def open(self) -> Work:
        """Returns the function that does a partition."""
        first = dict(zip(self.posts.units, self.posts.first, strict=False))
        return partial(_edges, first)


def _edges(first: dict[str, int], unit: Unit, attempt: Attempt) -> Counts:
    num_rows = sum(s.rows for s in exchange.unit_sources(unit))
    key_M, post_M = np.empty(num_rows, np.uint64), np.empty(num_rows, np.uint32)
    at = 0
    for source, batch in exchange.read(unit, "keys"):
        end = at + batch.num_rows
        key_M[at:end] = batch.column("key")
        np.add(batch.column("row"), np.uint32(first[source.unit]), out=post_M[at:end])
        at = end
    left_E, right_E = bucket_edges(key_M, post_M)
    path = attempt.path("edges")
    edges = pa.RecordBatch.from_arrays([pa.array(left_E), pa.array(right_E)], schema=EDGES)
    with pa.ipc.new_file(path, EDGES) as file:
        file.write_batch(edges)
    attempt.add("edges", path)
    return {"keys": num_rows, "edges": len(left_E)}


@dataclass(frozen=True)
class Join(DedupStage):
    """All edges -> the component of every candidate, sorted by clean unit. The one global step."""

    def open(self) -> Work:
        """Returns the function that joins all edges."""
        return partial(_components, self.posts)


def _components(posts: Posts, unit: Unit, attempt: Attempt) -> Counts:
    components = Components(posts.first[-1])
    for done in exchange.gathered(unit):
        with pa.memory_map(done.path("edges")) as file:
            for edges in _batches(pa.ipc.open_file(file)):
                components.add(*(np.asarray(edges.column(i)) for i in range(2)))
    label_N, shared_N = components.labels()
    path = attempt.path("components")
    with exchange.Writer(path, schema=COMPONENT, num_partitions=len(posts.units)) as writer:
        for u in range(len(posts.units)):
            start, stop = posts.first[u], posts.first[u + 1]
            row_C = np.flatnonzero(shared_N[start:stop]).astype(np.uint32)
            label_C = label_N[start:stop][row_C]
            rows = pa.RecordBatch.from_arrays(
                [pa.array(row_C), pa.array(label_C)], schema=COMPONENT
            )
            writer.write(rows, np.full(len(row_C), u))
    attempt.add("components", path, ranges=writer.ranges)
    return {"candidates": int(shared_N.sum())}


def _batches(reader: Any) -> list[pa.RecordBatch]:
    return [reader.get_batch(i) for i in range(reader.num_record_batches)]


@dataclass(frozen=True)
class Ship(DedupStage):
    """A clean unit's candidates -> their texts, by partition of components."""

    keep: str
    num_partitions: int

    def open(self) -> Work:
        """Returns the function that ships a unit's candidates."""
        return partial(_ship, self)


def _ship(stage: Ship, unit: Unit, attempt: Attempt) -> Counts:
    found = [batch for _, batch in exchange.read(unit, "components")]
    row_C = np.concatenate([b.column("row") for b in found])
    component_C = np.concatenate([b.column("component") for b in found])
    name = stage.posts.units[unit.payload["partition"]]
    first, start = stage.posts.first_of(name), 0
    path = attempt.path("candidates")
    with exchange.Writer(
        path, schema=CANDIDATE, num_partitions=stage.num_partitions, compression="lz4"
    ) as writer:
        columns = ("post_id", "text", "created_at")
        for batch in read_kept(Done(stage.posts.folder, name), columns=columns):
            lo, hi = np.searchsorted(row_C, [start, start + batch.num_rows])
            at_C = pa.array(row_C[lo:hi].astype(np.int64) - start)
            rows = _candidates(
                batch.take(at_C), component_C[lo:hi], row_C[lo:hi] + first, stage.keep
            )
            writer.write(rows, partition_of(component_C[lo:hi], stage.num_partitions))
            start += batch.num_rows
    attempt.add("candidates", path, ranges=writer.ranges)
    return {"candidates": len(row_C)}


def partition_of(component_C: np.ndarray[Any, Any], num_partitions: int) -> np.ndarray[Any, Any]:
    """Returns the partition of each component, (C,) int64 in [0, num_partitions)."""
    mixed_C = component_C.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    return ((mixed_C >> np.uint64(32)) * np.uint64(num_partitions) >> np.uint64(32)).astype(
        np.int64
    )


def _candidates(
    posts: pa.RecordBatch,
    component_C: np.ndarray[Any, Any],
    post_C: np.ndarray[Any, Any],
    keep: str,
) -> pa.RecordBatch:
    text = posts.column("text")
    if keep == "earliest":
        rank = pc.fill_null(posts.column("created_at").cast(pa.int64()), np.iinfo(np.int64).max)
    else:
        rank = pc.negate(pc.utf8_length(text).cast(pa.int64()))
    columns = [
        pa.array(component_C),
        pa.array(post_C.astype(np.uint32)),
        rank,
        posts.column("post_id"),
        dedup_text(text),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=CANDIDATE)


@dataclass(frozen=True)
class Settle(DedupStage):
    """Whole components with their texts -> verified duplicates, by clean unit."""

    minhash: MinHashSpec
    threshold: float
    max_checks: int

    def open(self) -> Work:
        """Returns the function that settles a partition of components."""
        return partial(_settle, self)


def _settle(stage: Settle, unit: Unit, attempt: Attempt) -> Counts:
    table = pa.Table.from_batches([batch for _, batch in exchange.read(unit, "candidates")])
    rows = table.combine_chunks().to_batches()[0]
    component_N, rank_N = np.asarray(rows.column("component")), np.asarray(rows.column("rank"))
    order_N = np.lexsort((np.asarray(rows.column("post")), rank_N, component_N))
    rows = rows.take(pa.array(order_N))
    text, post_id = rows.column("text"), rows.column("post_id")
    found = cluster(
        text,
        id_code_N=np.asarray(post_id.dictionary_encode().indices, np.int64),
        content_hash_N=content_hash(text),
        band_keys_NK=text_band_keys(text, stage.minhash),
        threshold=stage.threshold,
        ngram=stage.minhash.ngram,
        max_checks=stage.max_checks,
    )
    dropped_D = np.flatnonzero(found.reason_N)
    post_D = np.asarray(rows.column("post"))[dropped_D]
    first_U = np.asarray(stage.posts.first, np.int64)
    unit_D = np.searchsorted(first_U, post_D, side="right") - 1
    drops = pa.RecordBatch.from_arrays(
        [
            pa.array((post_D - first_U[unit_D]).astype(np.uint32)),
            pa.array(found.reason_N[dropped_D]),
            pa.array(found.similarity_N[dropped_D]),
            post_id.take(pa.array(found.leader_N[dropped_D])),
        ],
        schema=DROP,
    )
    path = attempt.path("found")
    num_units = len(stage.posts.units)
    with exchange.Writer(path, schema=DROP, num_partitions=num_units, compression="lz4") as writer:
        writer.write(drops, unit_D)
    attempt.add("found", path, ranges=writer.ranges)
    return {"unverified": int(found.num_unverified), "cluster_sizes": _sizes(found.leader_N)}


def _sizes(leader_N: np.ndarray[Any, Any]) -> dict[str, int]:
    """Returns how many clusters have 2, 3, 4, 5-8, 9-16 ... posts, the one kept included."""
    size_L = np.bincount(leader_N)
    size_L = size_L[size_L > 1]
    bins = {
        str(n)
        if n <= 4
        else f"{(1 << (n - 1).bit_length() - 1) + 1}-{1 << (n - 1).bit_length()}": int(count)
        for n, count in ((int(n), 0) for n in np.unique(size_L))
    }
    for n, count in zip(*np.unique(size_L, return_counts=True), strict=True):
        power = 1 << (int(n) - 1).bit_length()
        bins[str(n) if n <= 4 else f"{power // 2 + 1}-{power}"] += int(count)
    return bins


@dataclass(frozen=True)
class Drop(DedupStage):
    """A clean unit's verified duplicates -> reject rows, the rows to drop, and what the ledger loses."""

    output: str
    threshold: float

    def open(self) -> Work:
        """Returns the function that writes a unit's drops."""
        return partial(_drop, self)


def _drop(stage: Drop, unit: Unit, attempt: Attempt) -> Counts:
    index = unit.payload["partition"]
    found = pa.Table.from_batches([batch for _, batch in exchange.read(unit, "found")])
    found = found.combine_chunks().sort_by("row").to_batches()[0]
    row_D = np.asarray(found.column("row"))
    columns = ("post_id", "row_key", "language", "created_at", "source", "text")
    posts = _take_rows(Done(stage.posts.folder, stage.posts.units[index]), row_D, columns)
    reasons = pc.take(pa.array([REASONS.get(i, "") for i in range(4)]), found.column("reason"))
    source_row = pc.bit_wise_and(
        posts.column("row_key"), pa.scalar((1 << ROW_BITS) - 1, pa.uint64())
    )
    rejects = reject_batch(
        len(row_D),
        {
            "post_id": posts.column("post_id"),
            "kind": DUPLICATE,
            "phase": PHASE,
            "stage": "minhash",
            "reason": reasons,
            "score": found.column("similarity"),
            "threshold": stage.threshold,
            "source_file": stage.posts.files[index],
            "source_row": source_row,
            "duplicate_of": found.column("duplicate_of"),
        },
    )
    name = f"rejects/dedup-{index:05d}.parquet"
    file = RejectFile(attempt.contract_path(stage.output, name))
    file.write(rejects)
    file.close()
    size, sha256 = file.size_and_sha256()
    attempt.add_contract("rejects", name, size=size, sha256=sha256)
    path = attempt.path("drops")
    with pa.ipc.new_file(path, DROPS) as drops:
        drops.write_batch(pa.RecordBatch.from_arrays([found.column("row")], schema=DROPS))
    attempt.add("drops", path)
    lost = tally(
        language=posts.column("language"),
        created_at=posts.column("created_at"),
        source=posts.column("source"),
        amounts={"text_bytes": pc.binary_length(posts.column("text")).cast(pa.int64())},
    )
    return {"duplicates": value_counts(reasons), "lost": lost}


def _take_rows(done: Done, row_D: np.ndarray[Any, Any], columns: Sequence[str]) -> pa.RecordBatch:
    """Returns the rows at ascending places of a unit's `kept` file."""
    parts, start = [], 0
    for batch in read_kept(done, columns=columns):
        lo, hi = np.searchsorted(row_D, [start, start + batch.num_rows])
        parts.append(batch.take(pa.array(row_D[lo:hi].astype(np.int64) - start)))
        start += batch.num_rows
    return pa.concat_batches(parts)


@dataclass(frozen=True)
class DedupPlan:
    """The stages of the phase, made by `plan`."""

    buckets: Buckets
    join: Join
    ship: Ship
    settle: Settle
    drop: Drop


class Dedup(beam.PTransform):  # type: ignore[misc]
    """Cleaned units in, units with their drops out."""

    def __init__(self, plan: DedupPlan):
        super().__init__(label="Dedup")
        self._plan = plan

    def expand(self, cleaned: beam.PCollection) -> beam.PCollection:
        """Adds the phase to the graph."""
        return (
            cleaned
            | exchange.Exchange("keys", name="bucket")
            | DoUnits(self._plan.buckets)
            | exchange.OneUnit("all")
            | DoUnits(self._plan.join)
            | exchange.Scatter("components", name="candidates")
            | DoUnits(self._plan.ship)
            | exchange.Exchange("candidates", name="component")
            | DoUnits(self._plan.settle)
            | exchange.Exchange("found", name="unit")
            | DoUnits(self._plan.drop)
        )
