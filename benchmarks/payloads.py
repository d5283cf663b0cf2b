"""Posts a CPU second that payloads of platforms are read at, beside flat JSON lines of the same posts.

Each recorded file is repeated to about 32 MB and read to the end, in turns with lines that have nothing but
the posts' columns. What a payload has besides its posts is read over, so that MB/s of it are shown too.

    python -m benchmarks.payloads --data DATA [--results RESULTS.md]
"""

import json
import tempfile
import time
from pathlib import Path
from typing import Any, Final, NamedTuple

from benchmarks.command import add_data, add_page, parser_of
from benchmarks.page import publish, table
from benchmarks.process import this_machine
from sluice.pipeline.inputs.inventory import Inventory, cut, find_inputs
from sluice.pipeline.inputs.reader import ReadOptions, read_unit
from sluice.schemas.post import INPUT_COLUMNS

BYTES: Final = 32 << 20
REPEATS: Final = 3


class Reading(NamedTuple):
    """What reading a file gave: posts, and the CPU seconds that it took."""

    posts: int
    seconds: float


def _posts(inventory: Inventory) -> list[dict[str, Any]]:
    batches = (
        batch.posts
        for unit in cut(inventory)
        for batch in read_unit(inventory.root, unit, ReadOptions())
    )
    return [row for batch in batches for row in batch.select(list(INPUT_COLUMNS)).to_pylist()]


def _read_once(inventory: Inventory) -> Reading:
    begin = time.process_time()
    posts = sum(
        batch.posts.num_rows
        for unit in cut(inventory)
        for batch in read_unit(inventory.root, unit, ReadOptions())
    )
    return Reading(posts, time.process_time() - begin)


def _fastest(inventories: list[Inventory]) -> list[Reading]:
    turns = [[_read_once(each) for each in inventories] for _ in range(REPEATS)]
    return [min(readings, key=lambda each: each.seconds) for readings in zip(*turns, strict=True)]


def _row(path: Path, folder: Path) -> list[str]:
    """Returns the row of a table for one recorded file."""
    payload, flat = folder / path.name, folder / f"flat-{path.name}"
    data = b"".join(line + b"\n" for line in path.read_bytes().splitlines())
    payload.write_bytes(data * (BYTES // len(data)))
    posts = _posts(find_inputs([str(path)]))
    lines = b"".join(json.dumps(post, default=str).encode() + b"\n" for post in posts)
    flat.write_bytes(lines * (BYTES // len(lines)))
    inventories = [
        find_inputs([str(payload)]),
        find_inputs([str(flat)], payload="rows"),
    ]
    of_payload, of_flat = _fastest(inventories)
    rates = [each.posts / each.seconds for each in (of_payload, of_flat)]
    megabytes = payload.stat().st_size / 1e6 / of_payload.seconds
    shares = f"{rates[0] / rates[1]:.0%}"
    sizes = f"{len(data) / max(1, len(posts)):,.0f}"
    return [path.stem, sizes, f"{rates[0]:,.0f}", f"{megabytes:,.0f}", f"{rates[1]:,.0f}", shares]


def main() -> None:
    """Measures, prints, and writes the page."""
    parser = parser_of("payloads", __doc__)
    add_data(parser)
    add_page(parser)
    arguments = parser.parse_args()
    head = ("payload", "bytes a post", "posts/s", "MB/s", "flat posts/s", "of flat")
    with tempfile.TemporaryDirectory() as folder:
        paths = sorted((arguments.data / "payloads").glob("*.jsonl"))
        rows = [_row(path, Path(folder)) for path in paths]
    lines = [this_machine(), "", *table(head, rows)]
    publish("\n".join(lines), arguments.page, name="payloads", title="Payloads")


if __name__ == "__main__":
    main()
