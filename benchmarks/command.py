"""What the commands of benchmarks share: arguments, timing, and what they tell the user."""

import argparse
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")


def parser_of(name: str, doc: str | None) -> argparse.ArgumentParser:
    """Returns a parser for a module of benchmarks, described by the first line of its docstring."""
    return argparse.ArgumentParser(
        prog=f"python -m benchmarks.{name}", description=(doc or "").partition("\n")[0]
    )


def add_data(parser: argparse.ArgumentParser) -> None:
    """Adds `--data`, a folder of real posts; `SLUICE_DATA` by default."""
    data = os.environ.get("SLUICE_DATA")
    parser.add_argument("--data", type=Path, default=data, required=data is None)


def timed(run: Callable[[], T]) -> tuple[T, float]:
    """Returns what a function returns, and the CPU seconds that it takes, in all threads."""
    begun = time.process_time()
    result = run()
    return result, time.process_time() - begun


def say(line: str) -> None:
    """Tells the user how far the benchmark is."""
    print(f"{line}  [load {os.getloadavg()[0]:.1f}]", file=sys.stderr, flush=True)
