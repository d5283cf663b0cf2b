"""Two outputs of the same job, file by file and line by line of the ledger."""

import json
from pathlib import Path
from typing import Any, NamedTuple

NOT_COMPARED = ("work", "report")
"""`report/` is compared by its ledger: times, hosts and runners are there alone."""
TIMES = frozenset({"msec", "seconds", "cpu_seconds", "cpu_seconds_counted", "peak_rss_bytes"})
ENGINE = frozenset({"engine", "processes"})


class Compared(NamedTuple):
    """What a comparison found.

    Attributes:
        files: how many were compared, `manifest.json` among them.
        bytes: of these files.
        differences: a line each; none where the outputs are the same.
    """

    files: int
    bytes: int
    differences: tuple[str, ...]


def compare(one: Path, other: Path) -> Compared:
    """Compares all files of the contract byte for byte, and report.json without its times."""
    first, second = contract_files(one), contract_files(other)
    differences = [f"{name}: in one output alone" for name in sorted(set(first) ^ set(second))]
    for name in sorted(set(first) & set(second)):
        if first[name].read_bytes() != second[name].read_bytes():
            differences.append(f"{name}: other bytes")
    if ledger(one) != ledger(other):
        differences.append("report.json: another ledger")
    sizes = [path.stat().st_size for path in first.values()]
    return Compared(len(sizes), sum(sizes), tuple(differences))


def contract_files(output: Path) -> dict[str, Path]:
    """Returns the files that the contract promises, by name."""
    return {
        str(path.relative_to(output)): path
        for path in sorted(output.rglob("*"))
        if path.is_file() and path.relative_to(output).parts[0] not in NOT_COMPARED
    }


def ledger(output: Path) -> Any:
    """Returns report.json without times."""
    return without_times(json.loads((output / "report" / "report.json").read_text("utf-8")))


def without_times(value: Any) -> Any:
    """Returns a JSON value without the keys that hold times and memory."""
    if isinstance(value, dict):
        return {k: without_times(v) for k, v in value.items() if k not in TIMES | ENGINE}
    if isinstance(value, list):
        return [without_times(v) for v in value]
    return value
