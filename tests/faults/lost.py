"""What is kept of a try that was lost: both outputs, what differs between them, and what they ran on.

A lost try may never come back, so all that could tell why is kept when it happens: which posts were decided
otherwise, which stage was the first that wrote something else, and with which of the two outputs another run
agrees that nothing disturbs.
"""

import hashlib
import json
import os
import platform
import sys
from collections import Counter, defaultdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from sluice.pipeline.phases.run_order import PHASES
from sluice.schemas import kernel

SHOWN = 20
"""Posts, and units, that are named; of the others there are counts."""
DECISION = ("kind", "phase", "stage", "reason", "score", "detail", "duplicate_of")
PACKAGES = ("sluice", "numba", "llvmlite", "numpy", "pyarrow", "apache-beam", "grpcio")


def decisions(output: Path) -> dict[str, tuple[str, ...]]:
    """Returns what became of each post of an output: its reject rows, and "kept" if it is in a shard."""
    rows_of: dict[str, list[str]] = defaultdict(list)
    for path in sorted(output.glob("rejects/*.parquet")):
        for row in pq.read_table(path).to_pylist():
            post = row["post_id"] or f"{row['source_file']} row {row['source_row']}"
            rows_of[post].append(" ".join(f"{n}={row[n]}" for n in DECISION if row[n] is not None))
    for path in sorted(output.glob("provenance/*.parquet")):
        for post in pq.read_table(path, columns=["post_id"]).column(0).unique().to_pylist():
            rows_of[post].append("kept")
    return {post: tuple(sorted(set(rows))) for post, rows in rows_of.items()}


def decided_otherwise(expected: Path, actual: Path) -> str:
    """Returns which posts two outputs decided otherwise, and how, as lines of text."""
    sides = decisions(expected), decisions(actual)
    posts = sorted(p for p in {*sides[0], *sides[1]} if sides[0].get(p) != sides[1].get(p))
    lines = [f"{len(posts)} posts were decided otherwise (expected -> found)"]
    told = [[" and ".join(side.get(p, ("nothing",))) for side in sides] for p in posts]
    lines += [f"  {p}: {a} -> {b}" for p, (a, b) in list(zip(posts, told, strict=True))[:SHOWN]]
    rest = Counter(tuple(map(_kind_of, pair)) for pair in told[SHOWN:])
    lines += [f"  {n} more: {a} -> {b}" for (a, b), n in sorted(rest.items())]
    return "\n".join(lines)


def _kind_of(told: str) -> str:
    """Returns the reason alone of what became of a post."""
    reasons = [w.partition("=")[2] for w in told.split() if w.startswith("reason=")]
    return " and ".join(sorted({*reasons, *({"kept"} & set(told.split()))})) or told


def wrote_otherwise(expected: Path, actual: Path) -> str:
    """Returns which units of which stages wrote other files or counts, the first phase first."""
    sides = _manifests(expected), _manifests(actual)
    differ = [n for n in {*sides[0], *sides[1]} if sides[0].get(n) != sides[1].get(n)]
    order = list(PHASES)
    differ.sort(key=lambda n: (order.index(n.partition("-")[0]), n))
    lines = [f"{len(differ)} units wrote something else"]
    for name in differ[:SHOWN]:
        a, b = (side.get(name, {}) for side in sides)
        what = (
            sorted(k for k in {*a, *b} if a.get(k) != b.get(k)) if a and b else ["only one has it"]
        )
        lines.append(f"  {name}: {', '.join(what)}")
    return "\n".join(lines)


def _manifests(output: Path) -> dict[str, dict[str, Any]]:
    """Returns each unit's counts and files without the names of attempts, by phase, stage and unit."""
    manifest_of = {}
    for path in output.glob("work/*/*/*.json"):
        if path.parent.name in ("times", "failures") or path.parent.parent.name not in _phases(
            output
        ):
            continue
        read = json.loads(path.read_text())
        files = {e: {k: v for k, v in f.items() if k != "name"} for e, f in read["files"].items()}
        manifest_of["/".join(path.with_suffix("").parts[-3:])] = {"counts": read["counts"], **files}
    return manifest_of


def _phases(output: Path) -> list[str]:
    return [p.name for p in output.glob("work/*") if p.name.partition("-")[0] in PHASES]


def surroundings() -> dict[str, Any]:
    """Returns the versions, the load of the machine, and the sha256 of every kernel in the cache."""
    folder = kernel.kernel_folder()
    files = sorted(p for p in Path(folder or os.devnull).rglob("*") if p.is_file())
    return {
        "python": sys.version,
        "machine": platform.platform(),
        "processors": os.cpu_count(),
        "load": os.getloadavg(),
        "hash seed": os.environ.get("PYTHONHASHSEED", "random"),
        "versions": {name: version(name) for name in PACKAGES},
        "kernels": {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in files},
    }
