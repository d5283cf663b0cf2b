"""Payloads in files of lines, read as a run reads them."""

import json
from pathlib import Path
from typing import Any, NamedTuple

from sluice.pipeline.inputs.inventory import cut, find_inputs
from sluice.pipeline.inputs.reader import ReadOptions, read_unit
from sluice.schemas.counts import ReadTally
from sluice.schemas.payloads.mapping import Sources

Json = dict[str, Any]


class Outcome(NamedTuple):
    """What a file gave: its payload format, posts without nulls, reasons of dead letters, and the counts."""

    format: str
    posts: list[Json]
    reasons: list[str]
    counts: ReadTally

    def by_id(self) -> dict[str, Json]:
        """Returns the posts by their ids."""
        return {post["post_id"]: post for post in self.posts}


def outcome(folder: Path, records: list[Json], *, batch_rows: int = 16_384) -> Outcome:
    """Returns what lines of records give."""
    path = folder / "a.jsonl"
    path.write_text("".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records))
    return outcome_of(path, batch_rows=batch_rows)


def outcome_of(
    path: Path,
    *,
    batch_rows: int = 16_384,
    format: str = "auto",
    unit_bytes: int = 1 << 25,
    columns: dict[str, Sources] | None = None,
) -> Outcome:
    """Returns what a file gives; its counts balance."""
    inventory, counts = find_inputs([str(path)], payload=format), ReadTally()
    options = ReadOptions(batch_rows=batch_rows, columns=columns or {})
    posts: list[Json] = []
    reasons: list[str] = []
    for unit in cut(inventory, unit_bytes=unit_bytes):
        for batch in read_unit(inventory.root, unit, options):
            counts += batch.counts
            posts += batch.posts.to_pylist()
            reasons += batch.rejected.column("reason").to_pylist()
    num_notices = sum(counts.notices.values())
    assert counts.records == counts.records_with_posts + num_notices + counts.dead_letters
    assert (counts.posts, counts.dead_letters) == (len(posts), len(reasons))
    assert len({post["row_key"] for post in posts}) == len(posts)
    filled = [{k: v for k, v in post.items() if v is not None} for post in posts]
    return Outcome(inventory.files[0].payload, filled, reasons, counts)
