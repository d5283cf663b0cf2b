"""What becomes of posts that hold an item of an evaluation set: rejects, counts, rows for people to read."""

import time
from collections import Counter
from typing import Final, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from sluice.filters.batch import Batch, Mask
from sluice.filters.decontamination.match import Held, held_parts
from sluice.filters.decontamination.table import Items, Table
from sluice.schemas.arrays import Int32s
from sluice.schemas.reject import ORIGIN, POLICY, rejects_of

STAGE: Final = "decontamination"
"""The stage that reject rows name."""
CONTAMINATED: Final = "contaminated"
"""The reason of reject rows."""

REVIEW = pa.schema(
    [
        pa.field("post_id", pa.string(), nullable=False),
        pa.field("set", pa.string(), nullable=False),
        pa.field("item", pa.string(), nullable=False),
        pa.field("share", pa.float32(), nullable=False),
        pa.field("text", pa.string(), nullable=False),
        pa.field("item_text", pa.string(), nullable=False),
        pa.field("source_file", pa.string(), nullable=False),
        pa.field("source_row", pa.int64(), nullable=False),
    ]
)
"""A post that holds an item beside it: `text` is the post's, `item_text` the question or the answer."""


class Decontaminated(NamedTuple):
    """What N posts hold.

    Attributes:
        clean_N: (N,) bool, true where a post holds no item.
        rejected: REJECT rows of the others, in order; `detail` is `set:item`, `score` the share that it has.
        by_set: name of a set -> posts.
        review: REVIEW rows, one for each of `rejected`.
        usec: microseconds that it took.
    """

    clean_N: Mask
    rejected: pa.RecordBatch
    by_set: dict[str, int]
    review: pa.RecordBatch
    usec: int


def decide(batch: Batch, table: Table, *, phase: str) -> Decontaminated:
    """Returns which posts of a batch hold an item of the table.

    Args:
        batch: N posts, their texts normalised.
        table: of the items.
        phase: the phase that reject rows name.
    """
    begun = time.perf_counter_ns()
    held = held_parts(batch.text, table.arrays)
    clean_N = held.part_N < 0
    posts, held = batch.posts.filter(pa.array(~clean_N)), held.filter(~clean_N)
    sets, items = named(table.items, held.part_N)
    detail = pc.binary_join_element_wise(sets, items, ":")
    rejected = rejects_of(
        posts.select(ORIGIN),
        kind=POLICY,
        phase=phase,
        stage=STAGE,
        reason=CONTAMINATED,
        score=pa.array(held.share_N),
        detail=detail,
    )
    by_set = dict(sorted(Counter(sets.to_pylist()).items()))
    review = _review(posts, held, sets, items, table.items)
    return Decontaminated(
        clean_N, rejected, by_set, review, (time.perf_counter_ns() - begun) // 1000
    )


def named(items: Items, part_N: Int32s) -> tuple[pa.StringArray, pa.StringArray]:
    """Returns (N,) names of the sets of parts, and the ids of their items."""
    item_N = items.item_P[part_N]
    sets = pa.array(items.sets, pa.string()).take(pa.array(items.set_I[item_N]))
    return sets, items.ids.take(pa.array(item_N))


def _review(
    posts: pa.RecordBatch, held: Held, sets: pa.StringArray, items: pa.StringArray, of: Items
) -> pa.RecordBatch:
    columns = {
        **{name: posts.column(name) for name in ("post_id", "text", "source_file", "source_row")},
        "set": sets,
        "item": items,
        "share": pa.array(held.share_N),
        "item_text": of.texts.take(pa.array(held.part_N)),
    }
    return pa.RecordBatch.from_arrays([columns[name] for name in REVIEW.names], schema=REVIEW)
