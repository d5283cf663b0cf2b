"""What reading payloads of platforms costs, beside flat JSON lines of the same posts, and other readers.

Each recorded file is repeated to about 32 MB and read to the end by what `default` reads of it, in turns with
lines that have the posts' columns alone: those that are not null, in UTF-8. A line that is not JSON, where a
recording was cut off, is left out. Two measures: the bytes of JSON
that are read a CPU second, and the posts, which are fewer where a record has more beside them.

    python -m benchmarks.payloads --data DATA [--peers PYTHON ...] [--results RESULTS.md]

`--peers` are Pythons of environments that have pandas, `datasets` or twarc-csv; each file is read by them
once, repeated to about 4 MB.
"""

import json
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any, Final, NamedTuple

from benchmarks.command import add_data, add_page, parser_of
from benchmarks.page import Aim, aim_table, publish, table
from benchmarks.process import this_machine
from sluice.pipeline.inputs.inventory import Inventory, cut, find_inputs
from sluice.pipeline.inputs.reader import ReadOptions, read_unit
from sluice.pipeline.phases.job import read_options
from sluice.pipeline.recipes.loader import load
from sluice.schemas.post import INPUT_COLUMNS

BYTES: Final = 32 << 20
PEER_BYTES: Final = 4 << 20
REPEATS: Final = 5
LEAST: Final = 0.6
"""Of the bytes of flat lines that are read a CPU second."""
PEER: Final = Path(__file__).with_name("payloads_peer.py")


class Reading(NamedTuple):
    """What reading a file gave: posts, and the CPU seconds and bytes that it took."""

    posts: int
    seconds: float
    num_bytes: int

    @property
    def post_rate(self) -> float:
        """Posts a CPU second."""
        return self.posts / self.seconds

    @property
    def byte_rate(self) -> float:
        """MB a CPU second."""
        return self.num_bytes / 1e6 / self.seconds


def _posts(inventory: Inventory) -> list[dict[str, Any]]:
    batches = (
        batch.posts
        for unit in cut(inventory)
        for batch in read_unit(inventory.root, unit, ReadOptions())
    )
    return [row for batch in batches for row in batch.select(list(INPUT_COLUMNS)).to_pylist()]


def _flat_line(post: dict[str, Any]) -> bytes:
    filled = {name: value for name, value in post.items() if value is not None}
    return json.dumps(filled, default=str, ensure_ascii=False).encode() + b"\n"


def _read_once(inventory: Inventory) -> Reading:
    options = read_options(load("default"), inventory)
    num_bytes = sum(file.bytes for file in inventory.files)
    begin = time.process_time()
    posts = sum(
        batch.posts.num_rows
        for unit in cut(inventory)
        for batch in read_unit(inventory.root, unit, options)
    )
    return Reading(posts, time.process_time() - begin, num_bytes)


def _fastest(inventories: list[Inventory]) -> list[Reading]:
    turns = [[_read_once(each) for each in inventories] for _ in range(REPEATS)]
    return [min(readings, key=lambda each: each.seconds) for readings in zip(*turns, strict=True)]


def _lines(path: Path) -> bytes:
    return b"".join(line + b"\n" for line in path.read_bytes().splitlines() if line.endswith(b"}"))


def _repeated(data: bytes, num_bytes: int) -> bytes:
    return data * max(1, num_bytes // len(data))


def measured(path: Path, folder: Path) -> tuple[Reading, Reading]:
    """Returns what a recorded file takes, and flat lines of its posts."""
    payload, flat = folder / path.name, folder / f"flat-{path.name}"
    payload.write_bytes(_repeated(_lines(path), BYTES))
    lines = b"".join(map(_flat_line, _posts(find_inputs([str(path)]))))
    flat.write_bytes(_repeated(lines, BYTES))
    inventories = [find_inputs([str(payload)]), find_inputs([str(flat)], payload="rows")]
    of_payload, of_flat = _fastest(inventories)
    return of_payload, of_flat


def row_of(name: str, of_payload: Reading, of_flat: Reading) -> list[str]:
    """Returns the row of a table for one recorded file."""
    sizes = [each.num_bytes / max(1, each.posts) for each in (of_payload, of_flat)]
    return [
        name,
        *(f"{size:,.0f}" for size in sizes),
        *(f"{each.byte_rate:,.0f}" for each in (of_payload, of_flat)),
        f"{of_payload.byte_rate / of_flat.byte_rate:.0%}",
        *(f"{each.post_rate:,.0f}" for each in (of_payload, of_flat)),
        f"{of_payload.post_rate / of_flat.post_rate:.0%}",
    ]


def peers_of(path: Path, folder: Path, pythons: list[str]) -> dict[str, Any]:
    """Returns MB a CPU second of other readers, or what they raised."""
    file = folder / f"peer-{path.name}"
    file.write_bytes(_repeated(_lines(path), PEER_BYTES))
    found: dict[str, Any] = {}
    for python in pythons:
        run = subprocess.run([python, str(PEER), str(file)], check=True, capture_output=True)
        found |= json.loads(run.stdout)
    megabytes = file.stat().st_size / 1e6
    return {k: v if isinstance(v, str) else megabytes / v[1] for k, v in found.items()}


def peer_row(name: str, of_payload: Reading, found: dict[str, Any], names: list[str]) -> list[str]:
    """Returns the row of the second table: MB a CPU second, and how many times as fast Sluice is."""
    cells = [name, f"{of_payload.byte_rate:,.0f}"]
    for peer in names:
        rate = found.get(peer, "-")
        is_rate = isinstance(rate, float)
        cells.append(f"{rate:,.1f} ({of_payload.byte_rate / rate:,.0f}x)" if is_rate else rate)
    return cells


def main() -> None:
    """Measures, prints, and writes the page."""
    parser = parser_of("payloads", __doc__)
    add_data(parser)
    add_page(parser)
    parser.add_argument("--peers", nargs="*", default=[], help="Pythons of other readers")
    arguments = parser.parse_args()
    paths = sorted((arguments.data / "payloads").glob("*.jsonl"))
    with tempfile.TemporaryDirectory() as folder:
        found = {path.stem: measured(path, Path(folder)) for path in paths}
        peers = {path.stem: peers_of(path, Path(folder), arguments.peers) for path in paths}
    sizes, bytes_, posts = ("bytes a post", "flat"), ("MB/s", "flat"), ("posts/s", "flat")
    head = ("payload", *sizes, *bytes_, "of flat", *posts, "of flat")
    lines = [this_machine(), "", *table(head, [row_of(n, *each) for n, each in found.items()])]
    names = list(dict.fromkeys(peer for each in peers.values() for peer in each))
    if names:
        rows = [peer_row(n, found[n][0], each, names) for n, each in peers.items()]
        lines += ["", "MB a CPU second of other readers:", ""]
        lines += table(("payload", "Sluice", *names), rows)
    shares = {n: each[0].byte_rate / each[1].byte_rate for n, each in found.items()}
    least = min(shares, key=shares.__getitem__)
    what = f"{LEAST:.0%} of the bytes a CPU second of flat lines"
    aims = [Aim(what, f"{shares[least]:.0%} ({least})", shares[least] >= LEAST)]
    lines += ["", *aim_table(aims)]
    publish("\n".join(lines), arguments.page, name="payloads", title="Payloads")


if __name__ == "__main__":
    main()
