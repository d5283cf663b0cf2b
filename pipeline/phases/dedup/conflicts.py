"""Conflicts of ids: rows that have one id and unlike texts, in words and with an example.

Shape suffixes: C conflicts, one a partition at most.
"""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from sluice.pipeline.phases.dedup.candidates import PHASE, CandidateNumbers
from sluice.pipeline.phases.dedup.phase import candidate_numbers, history_read
from sluice.pipeline.phases.dedup.slicing import THIS_RUN
from sluice.pipeline.phases.edges import read_edge, take_kept
from sluice.pipeline.phases.job import Job
from sluice.pipeline.phases.results import Results
from sluice.pipeline.units.manifest import Done, done_units
from sluice.schemas.post import ROW_BITS, source_rows

EDGE = "conflict"
KEPT = (
    'all were kept. Where ids count within a file set input.ids = "per_file"; '
    'dedup.id_conflicts = "drop" keeps one post of each id'
)
DROPPED = 'dropped (dedup.id_conflicts). Where ids count within a file set input.ids = "per_file"'


def conflict_warning(job: Job, results: Results) -> str | None:
    """Returns what a user should know of posts that share an id and are unlike; None where there are none."""
    posts = results.phases.dedup.resolve.id_conflicts
    if not posts:
        return None
    became = DROPPED if job.recipe.dedup.id_conflicts == "drop" else KEPT
    have = "post has" if posts == 1 else "posts have"
    where = _example(job, results)
    return f"ids: {posts:,} {have} the id of another post and an unlike text{where}; {became}"


def _example(job: Job, results: Results) -> str:
    """Returns the first conflict in input order, as ids and places; nothing where the run's work is gone."""
    found = list(_found(job.work(PHASE, results.fingerprints[PHASE], "settle")))
    if not found:
        return ""
    rows = pa.Table.from_batches(found).sort_by("post").slice(0, 1).to_pylist()[0]
    numbers = candidate_numbers(
        job, done_units(job.work("clean", results.fingerprints["clean"], "clean"))
    )
    post_id, place = _place(job, numbers, rows["post"])
    if rows["segment"] == THIS_RUN:
        return f", as {post_id!r} at {_place(job, numbers, rows['of'])[1]} and at {place}"
    day = history_read(job)[rows["segment"]].day
    return f", as {post_id!r}, kept by an earlier run of {day}, and at {place}"


def _found(folder: str) -> Iterator[pa.RecordBatch]:
    for done in done_units(folder):
        if EDGE in done.manifest().files:
            try:
                yield from read_edge(done, EDGE)
            except FileNotFoundError:  # the example is lost, and nothing else
                continue


def _place(job: Job, numbers: CandidateNumbers, post: int) -> tuple[str, str]:
    """Returns the id of a post by its dense number, and its file and row."""
    unit = int(np.searchsorted(numbers.first, post, side="right")) - 1
    row_M = np.array([post - numbers.first[unit]])
    done = Done(numbers.folder, numbers.units[unit])
    rows = take_kept(done, row_M, columns=("post_id", "row_key"))
    found = next(batch for batch in rows if batch.num_rows).to_pylist()[0]
    file, key = found["row_key"] >> ROW_BITS, pa.array([found["row_key"]], pa.uint64())
    row = source_rows(key)[0].as_py()
    return found["post_id"], f"{job.inventory.files[file].path} row {row}"
