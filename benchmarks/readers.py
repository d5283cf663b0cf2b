"""MB/s of one core by format: Sluice's readers beside pyarrow's, pandas and `datasets` on the same bytes.

The posts of some files of the firehose, written in each format, are read to the end by each. Sluice's readers
give posts of one schema with checked ids, times and UTF-8; the others give the columns that they find.

    python -m benchmarks.readers --data DATA [--files 2] [--peers PYTHON] [--results RESULTS.md]

`--peers` is the Python of an environment with pandas and `datasets`.
"""

import bz2
import csv
import gzip
import io
import json
import lzma
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.json as pa_json
import pyarrow.parquet as pq
import zstandard

from benchmarks.command import add_data, add_page, parser_of, timed
from benchmarks.page import publish, table
from benchmarks.process import this_machine
from sluice.pipeline.inputs.inventory import cut, find_inputs
from sluice.pipeline.inputs.reader import ReadOptions, read_unit

PEER: Final = Path(__file__).with_name("readers_peer.py")
REPEATS: Final = 3
Rows = list[dict[str, Any]]


def _lines(rows: Rows) -> bytes:
    return b"".join(json.dumps(row, ensure_ascii=False).encode() + b"\n" for row in rows)


def _csv(rows: Rows, delimiter: str = ",") -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), delimiter=delimiter)
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def _parquet(rows: Rows) -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), out)
    return out.getvalue()


def _stream(rows: Rows) -> bytes:
    out, table_ = io.BytesIO(), pa.Table.from_pylist(rows)
    with pa.ipc.new_stream(out, table_.schema) as writer:
        writer.write_table(table_, max_chunksize=10_000)
    return out.getvalue()


FORMATS: Final[dict[str, tuple[str, Callable[[Rows], bytes]]]] = {
    "lines": ("a.jsonl", _lines),
    "array": ("a.json", lambda rows: json.dumps(rows, ensure_ascii=False).encode()),
    "pretty-printed": (
        "b.json",
        lambda rows: "\n".join(json.dumps(r, ensure_ascii=False, indent=2) for r in rows).encode(),
    ),
    "one after the other": ("c.json", lambda rows: _lines(rows).replace(b"\n", b"")),
    "csv": ("a.csv", _csv),
    "tsv": ("a.tsv", lambda rows: _csv(rows, "\t")),
    "parquet": ("a.parquet", _parquet),
    "Arrow stream": ("a.arrows", _stream),
    "lines, gz": ("a.jsonl.gz", lambda rows: gzip.compress(_lines(rows), 6)),
    "lines, zst": ("a.jsonl.zst", lambda rows: zstandard.compress(_lines(rows))),
    "lines, bz2": ("a.jsonl.bz2", lambda rows: bz2.compress(_lines(rows))),
    "lines, xz": ("a.jsonl.xz", lambda rows: lzma.compress(_lines(rows), preset=1)),
    "lines, UTF-16": ("d.json", lambda rows: _lines(rows).decode().encode("utf-16")),
}
"""Kind -> name of its file, and how rows are written as one."""

PYARROW: Final[dict[str, Callable[[str], object]]] = {
    "lines": lambda path: pa_json.read_json(path, pa_json.ReadOptions(use_threads=False)),
    "csv": lambda path: pa_csv.read_csv(path, pa_csv.ReadOptions(use_threads=False), _OF_LINES),
    "tsv": lambda path: pa_csv.read_csv(path, pa_csv.ReadOptions(use_threads=False), _OF_TABS),
    "parquet": lambda path: pq.read_table(path, use_threads=False),
    "Arrow stream": lambda path: pa.ipc.open_stream(path).read_all(),
}
_OF_LINES = pa_csv.ParseOptions(newlines_in_values=True)
_OF_TABS = pa_csv.ParseOptions(newlines_in_values=True, delimiter="\t")


def read_all(path: Path) -> int:
    """Returns how many posts Sluice's readers find in a file."""
    inventory = find_inputs([str(path)], identity="listing")
    units = cut(inventory, unit_bytes=1 << 40)
    batches = (b for unit in units for b in read_unit(inventory.root, unit, ReadOptions()))
    return sum(batch.counts.posts for batch in batches)


def seconds_of(kind: str, path: Path, peers: str) -> dict[str, float]:
    """Returns the CPU seconds of each reader, the least of some repeats."""
    read_all(path)
    found = {"sluice": min(timed(lambda: read_all(path))[1] for _ in range(REPEATS))}
    if kind in PYARROW:
        found["pyarrow"] = min(timed(lambda: PYARROW[kind](str(path)))[1] for _ in range(REPEATS))
    if peers:
        run = [peers, str(PEER), kind, str(path)]
        found |= json.loads(subprocess.run(run, check=True, capture_output=True).stdout)
    return found


def figures(rows: Rows, peers: str) -> Iterator[tuple[str, ...]]:
    """Yields a row of the table for each format: MB/s of JSON lines of the same posts."""
    num_bytes = len(_lines(rows))
    with tempfile.TemporaryDirectory() as folder:
        for kind, (name, written) in FORMATS.items():
            path = Path(folder) / name
            path.write_bytes(written(rows))
            seconds = seconds_of(kind, path, peers)
            readers = ("sluice", "pyarrow", "pandas", "datasets")
            rates = [
                f"{num_bytes / 1e6 / seconds[r]:,.0f}" if r in seconds else "-" for r in readers
            ]
            yield kind, f"{path.stat().st_size / 1e6:,.1f}", *rates
            path.unlink()


def main() -> None:
    """Measures, prints, and writes the page."""
    parser = parser_of("readers", __doc__)
    add_data(parser)
    add_page(parser)
    parser.add_argument("--files", type=int, default=2, help="of the firehose")
    parser.add_argument("--peers", default="", help="the Python of pandas and datasets")
    arguments = parser.parse_args()
    paths = sorted((arguments.data / "firehose").glob("part-*.jsonl.gz"))[: arguments.files]
    rows = [
        json.loads(line)
        for path in paths
        for line in gzip.decompress(path.read_bytes()).split(b"\n")[:-1]
    ]
    head = ("format", "MB", "Sluice", "pyarrow", "pandas", "datasets")
    size = f"{len(rows):,} posts, {len(_lines(rows)) / 1e6:,.1f} MB as JSON lines"
    about = f"{size}; MB/s of these for every format, by CPU seconds of one core."
    lines = [this_machine(), "", about, "", *table(head, list(figures(rows, arguments.peers)))]
    publish("\n".join(lines), arguments.page, name="readers", title="Readers")


if __name__ == "__main__":
    sys.exit(main())
