"""What the commands of benchmarks share: arguments, timing, and what they tell the user."""

import argparse
import os
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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


def add_page(parser: argparse.ArgumentParser, flag: str = "--results") -> None:
    """Adds the page whose figures are replaced."""
    parser.add_argument(flag, dest="page", type=Path, help="the page whose figures are replaced")


def add_output(parser: argparse.ArgumentParser) -> None:
    """Adds OUTPUT, a finished run."""
    parser.add_argument("output", type=Path, metavar="OUTPUT", help="a finished run with its work/")


def timed(run: Callable[[], T]) -> tuple[T, float]:
    """Returns what a function returns, and the CPU seconds that it takes, in all threads."""
    begun = time.process_time()
    result = run()
    return result, time.process_time() - begun


class Steps:
    """CPU time by step; a step inside another is taken out of it."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._open: list[str] = []
        self._since = 0.0

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        """Charges what happens inside to a step."""
        self._charge()
        self._open.append(name)
        try:
            yield
        finally:
            self._charge()
            self._open.pop()

    def _charge(self) -> None:
        now = time.process_time()
        if self._open:
            self.seconds[self._open[-1]] += now - self._since
        self._since = now


def say(line: str) -> None:
    """Tells the user how far the benchmark is."""
    print(f"{line}  [load {os.getloadavg()[0]:.1f}]", file=sys.stderr, flush=True)
