"""What Spark did, as its event logs tell."""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple


class Task(NamedTuple):
    """The end of a task.

    Attributes:
        worker: the name of the Spark worker's folder.
        reason: `Success`, or why it failed.
        records: elements that it read from a shuffle.
    """

    worker: str
    reason: str
    records: int


def tasks(logs: Path) -> Iterator[Task]:
    """Yields the end of every task of a cluster's jobs."""
    for path in sorted((logs / "events").iterdir()):
        workers = {p.name: p.parts[-3] for p in logs.glob(f"work-*/{path.name}/*")}
        for line in path.read_text("utf-8").splitlines():
            event = json.loads(line)
            if event["Event"] == "SparkListenerTaskEnd":
                yield Task(
                    workers.get(event["Task Info"]["Executor ID"], ""),
                    event["Task End Reason"]["Reason"],
                    _records(event.get("Task Metrics") or {}),
                )


def _records(metrics: dict[str, Any]) -> int:
    number: int = metrics.get("Shuffle Read Metrics", {}).get("Total Records Read", 0)
    return number


def records_by_worker(logs: Path) -> Counter[str]:
    """Returns how many elements each worker took from shuffles in tasks that succeeded."""
    records: Counter[str] = Counter()
    for task in tasks(logs):
        if task.reason == "Success":
            records[task.worker] += task.records
    return records


def failed_tasks(logs: Path) -> Counter[str]:
    """Returns the tasks that did not succeed, by Spark's reason."""
    return Counter(task.reason for task in tasks(logs) if task.reason != "Success")
