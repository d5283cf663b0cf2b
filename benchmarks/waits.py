"""How long commands let their user wait: seconds on the clock and of CPU, the least of some tries.

python -m benchmarks.waits TOKENIZER [--tries 5] [--page docs/operations.md]

TOKENIZER is a tokenizer.json of an earlier run. The posts are 200 synthetic ones: what a command costs apart
from its posts. Kernels are compiled before.
"""

import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from benchmarks.command import add_page, parser_of
from benchmarks.page import publish, table
from benchmarks.process import Usage, run_measured, this_machine

SLUICE = (sys.executable, "-m", "sluice.pipeline.cli")
POSTS = 200


class Wait(NamedTuple):
    """A command, as the table names it, its words and the exit status that it has."""

    name: str
    words: tuple[str, ...]
    code: int = 0


def main() -> None:
    """Measures, prints and, with `--page`, writes."""
    parser = parser_of("waits", __doc__)
    parser.add_argument("tokenizer", type=Path, help="a tokenizer.json of an earlier run")
    parser.add_argument("--tries", type=int, default=5, help="the least of so many counts")
    add_page(parser, "--page")
    arguments, load = parser.parse_args(), os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        log = work / "log"
        run_measured([sys.executable, "-m", "sluice.schemas.compile_ahead"], log=log)
        sample = (*SLUICE, "sample", "--posts", str(POSTS), str(work / "posts"))
        run_measured(sample, log=log)
        rows = [
            [wait.name, f"{best.seconds:.2f}", f"{best.cpu_seconds:.2f}"]
            for wait in waits(work, arguments.tokenizer.resolve())
            for best in [least(wait, arguments.tries, log)]
        ]
    head = ["command", "seconds", "CPU seconds"]
    lines = [*table(head, rows), "", f"{this_machine()}. Load average before: {load:.1f}."]
    publish("\n".join(lines), arguments.page, name="waits", title="Waits")


def waits(work: Path, tokenizer: Path) -> Iterator[Wait]:
    """Yields the commands, in an order in which each has what it needs."""
    out, settings = str(work / "out"), ("--set", f"vocabulary.tokenizer={tokenizer}")
    job = (*settings, "--input", f"{work}/posts/*.jsonl.gz", "--output")
    yield Wait("`--help`", ("--help",))
    yield Wait("`run`, of a recipe that is not there", ("run", "defalt"), 2)
    misspelt = ("run", "default", "--set", "filters.spam.max_spma=1")
    yield Wait("`run`, with a key that is not there", misspelt, 2)
    yield Wait("`run --plan`", ("run", "default", *job, str(work / "new"), "--plan"))
    yield Wait(f"`run`, {POSTS} posts, a frozen tokenizer", ("run", "default", *job, out))
    yield Wait("the same again: all is reused", ("run", "default", *job, out))
    yield Wait("`inspect`, a post that is not there", ("inspect", out, "nobody"), 2)
    yield Wait("`report`", ("report", out))
    yield Wait("`verify`", ("verify", out))


def least(wait: Wait, tries: int, log: Path) -> Usage:
    """Returns the least that a command cost; each try of a run has an output of its own."""
    fresh = "posts" in wait.name
    usages = [
        run_measured([*SLUICE, *_words(wait, k if fresh else 0)], log=log, code=wait.code)
        for k in range(tries)
    ]
    seconds, cpu_seconds = zip(*(usage[:2] for usage in usages), strict=True)
    return Usage(min(seconds), min(cpu_seconds), usages[0].load_before)


def _words(wait: Wait, k: int) -> list[str]:
    return [*wait.words[:-1], f"{wait.words[-1]}-{k}"] if k else [*wait.words]


if __name__ == "__main__":
    main()
