"""Times the fastText library over lines of text: run by `benchmarks.fasttext_engine`.

A script, not a module of ours to import: it knows a package named `fasttext` and nothing else, so that any
Python that has one (the full library, or its prediction-only build) runs it.

python benchmarks/fasttext_library.py '{"texts": FILE, "models": [FILE, ...], "output": FILE}'
"""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fasttext

BATCH = 16_000


def one_by_one(model: Any, lines: list[str]) -> list[str]:
    """Returns the best label of each line, by a call a line; "" where there is none."""
    found = [model.predict(line, 1, 0.0, "strict") for line in lines]
    return [row[0][1] if row else "" for row in found]


def many_lines(model: Any, lines: list[str]) -> list[str]:
    """Returns the best label of each line, by a call for BATCH lines."""
    labels: list[str] = []
    for first in range(0, len(lines), BATCH):
        found = model.multilinePredict(lines[first : first + BATCH], 1, 0.0, "strict")
        rows = found[0] if isinstance(found, tuple) else found  # prediction-only: labels alone
        labels += [row[0] if row else "" for row in rows]
    return labels


def timed(run: Callable[[Any, list[str]], list[str]], model: Any, lines: list[str]) -> Any:
    """Returns the CPU seconds of this process, and the labels."""
    begun = time.process_time()
    labels = run(model, lines)
    return time.process_time() - begun, labels


def main(order: dict[str, Any]) -> None:
    """Writes, for each model, the CPU seconds of each way and the labels, as JSON."""
    lines = [line + "\n" for line in Path(order["texts"]).read_text("utf-8").split("\n")[:-1]]
    results = []
    for path in order["models"]:
        model = fasttext.load_model(path).f
        one, labels = timed(one_by_one, model, lines)
        many, again = timed(many_lines, model, lines)
        if labels != again:
            raise ValueError(f"{path}: the library's two ways give different labels")
        results.append({"one_by_one": one, "many_lines": many, "labels": labels})
    Path(order["output"]).write_text(json.dumps(results), "utf-8")


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
