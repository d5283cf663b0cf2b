"""`sluice score`: every score of every readable post, no decision, by the code that `run` decides with."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from filters import AnyFilter
from filters.base import (
    Batch,
    Filter,
    LanguageIdentifier,
    Machine,
    Partition,
    isolate_failures,
    on_grid,
)
from filters.normalize import normalize
from pipeline.clean import RejectFile, load_machines
from pipeline.inputs import InputUnit
from pipeline.job import Job, fingerprint, fingerprints, input_units, read_options
from pipeline.ledger import Counts
from pipeline.phases import Plan
from pipeline.reading import ReadOptions, read_unit
from pipeline.units import Attempt, DoUnits, Unit, Work, file_digest
from schemas.post import POST
from schemas.reject import reject_batch

PHASE = "score"


@dataclass(frozen=True)
class ScoreStage:
    """Reads, normalises and scores one input unit."""

    folder: str
    output: str
    root: str
    options: ReadOptions
    filters: tuple[AnyFilter, ...]
    language_model: str
    name: str = PHASE

    def open(self) -> Work:
        """Returns the function that scores a unit, with its models loaded."""
        identify, machines = load_machines(self.filters, self.language_model)
        return partial(_score_unit, self, identify, machines)


def score_schema(filters: Sequence[AnyFilter]) -> pa.Schema:
    """Returns the schema of the scores: id, language, and a float32 column a filter.

    The filter `language_confidence` has its column among those of the language.
    """
    fields = [pa.field(n, pa.string()) for n in ("post_id", "language", "language_group")]
    fields.append(pa.field("language_confidence", pa.float32()))
    return pa.schema(fields + [pa.field(n, pa.float32()) for n in _own_columns(filters)])


def _own_columns(filters: Sequence[Filter]) -> list[str]:
    return [f.name for f in filters if f.name != "language_confidence"]


def score_batch(batch: Batch, machines: Sequence[Machine], schema: pa.Schema) -> pa.RecordBatch:
    """Returns a row of scores for each post of the batch, in order."""
    found = batch.languages
    columns = [batch.posts.column("post_id"), found.language, found.language_group]
    columns.append(pa.array(on_grid(found.confidence_N)))
    own = _own_columns([f for f, _ in machines])
    columns += [pa.array(score(batch)) for f, score in machines if f.name in own]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _score_unit(
    stage: ScoreStage,
    identify: LanguageIdentifier,
    machines: Sequence[Machine],
    unit: Unit,
    attempt: Attempt,
) -> Counts:
    number = unit.name.rpartition("-")[2]
    names = {
        "scores": f"scores/scores-{number}.parquet",
        "rejects": f"rejects/score-{number}.parquet",
    }
    paths = {edge: attempt.contract_path(stage.output, name) for edge, name in names.items()}
    rejects = RejectFile(paths["rejects"])
    scored: list[pa.RecordBatch] = []
    schema = score_schema(stage.filters)

    def apply(batch: Batch) -> Partition:
        scored.append(score_batch(batch, machines, schema))
        return Partition(batch, {}, reject_batch(0, {}), {})

    counts = {"read": 0, "scored": 0}
    with pq.ParquetWriter(paths["scores"], schema, compression="zstd") as writer:
        for read in read_unit(stage.root, msgspec.convert(unit.payload, InputUnit), stage.options):
            rejects.write(read.rejected)
            counts["read"] += read.rejected.num_rows + read.posts.num_rows
            text = normalize(read.posts.column("text"))
            posts = read.posts.set_column(POST.names.index("text"), POST.field("text"), text)
            for part in isolate_failures(Batch(posts, identify), apply, phase=PHASE, stage=PHASE):
                rejects.write(part.rejected)
            for rows in scored:
                counts["scored"] += rows.num_rows
                writer.write_batch(rows)
            scored.clear()
    rejects.close()
    for edge, name in names.items():
        size, sha256 = file_digest(paths[edge])
        attempt.add_contract(edge, name, size=size, sha256=sha256)
    return counts


def plan_score(job: Job) -> Plan:
    """Returns the one phase of `sluice score`."""
    mark = fingerprint(PHASE, fingerprints(job)["clean"])
    folder = job.work(PHASE, mark)
    stage = ScoreStage(
        folder=f"{folder}/score",
        output=job.output,
        root=job.inventory.root,
        options=read_options(job.recipe),
        filters=job.recipe.filters,
        language_model=job.recipe.language.model,
    )
    units = [Unit(f"unit-{i:05d}", msgspec.to_builtins(u)) for i, u in enumerate(input_units(job))]
    return Plan(PHASE, mark, folder, units, DoUnits(stage), [stage], 0)


def summary(output: str, filters: Sequence[AnyFilter]) -> list[dict[str, Any]]:
    """Returns for each filter how its scores lie, and what share its threshold would reject."""
    table = ds.dataset(Path(output) / "scores", format="parquet")
    rows = []
    for spec in filters:
        scores = table.to_table(columns=[spec.name])[spec.name]
        values_N = scores.to_numpy()
        quantiles = (
            pc.quantile(scores, q=[0.01, 0.5, 0.9, 0.99]).to_pylist() if len(values_N) else []
        )
        rows.append(
            {
                "filter": spec.name,
                "threshold": spec.threshold,
                "rejects": float(np.mean(~spec.accepts(values_N))) if len(values_N) else 0.0,
                "quantiles": quantiles,
            }
        )
    return rows
