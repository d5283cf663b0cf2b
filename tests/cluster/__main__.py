"""Runs the main job locally and on a Spark cluster on loopback, and compares the outputs.

    python -m tests.cluster SOFTWARE FOLDER [FILES ...] [--posts 50000]

SOFTWARE is what `make .venv-spark/.installed` made. FOLDER gets the synthetic posts where no files are
named, both outputs, and the logs of the cluster. The recipe of synthetic posts is `sample`, that of
files `default`. Ends with 1 where the outputs differ.
"""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from tests.cluster.compare import compare
from tests.cluster.events import failed_tasks, records_by_worker
from tests.cluster.spark import Software, running


class Took(NamedTuple):
    """What a run took: wall and CPU seconds, the latter of this machine while it ran."""

    seconds: float
    cpu_seconds: float


def run_job(recipe: str, files: Sequence[Path], output: Path, flags: Sequence[str] = ()) -> Took:
    """Runs `sluice run`; raises CalledProcessError where it fails."""
    command = [sys.executable, "-m", "sluice.pipeline.cli", "run", recipe, "--output", str(output)]
    command += ["--input", *map(str, files)]
    begun, busy = time.monotonic(), busy_seconds()
    subprocess.run([*command, "--", *flags] if flags else command, check=True, stdout=sys.stderr)
    return Took(time.monotonic() - begun, busy_seconds() - busy)


def busy_seconds() -> float:
    """Returns the CPU seconds of all processes of this machine since it started."""
    with open("/proc/stat") as file:
        user, nice, system = map(int, file.readline().split()[1:4])
    return (user + nice + system) / os.sysconf("SC_CLK_TCK")


def sample(folder: Path, num_posts: int) -> list[Path]:
    """Returns the files of synthetic posts, written if they are not there yet."""
    posts = folder / f"sample-{num_posts}"
    if not (posts / "sample.json").exists():
        command = [sys.executable, "-m", "sluice.pipeline.cli", "sample", "--posts", str(num_posts)]
        subprocess.run([*command, str(posts)], check=True, stdout=subprocess.DEVNULL)
    return sorted(posts.glob("posts-*.jsonl.gz"))


def main() -> int:
    """Runs both, prints a table, returns the exit code."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    parsed = parser().parse_args()
    folder = parsed.folder.resolve()
    local, spark, logs = (folder / name for name in ("local", "spark", "logs"))
    for old in (local, spark, logs):
        shutil.rmtree(old, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    recipe = "default" if parsed.files else "sample"
    files = [path.resolve() for path in parsed.files] or sample(folder, parsed.posts)
    took = [run_job(recipe, files, local)]
    with running(Software.at(parsed.software.resolve()), logs=logs) as cluster:
        took.append(run_job(recipe, files, spark, cluster.flags))
    compared = compare(local, spark)
    print("           wall s    CPU s")
    for name, cost in zip(("local", "spark"), took, strict=True):
        print(f"{name:8}{cost.seconds:9.1f}{cost.cpu_seconds:9.1f}")
    workers = ", ".join(str(n) for _, n in sorted(records_by_worker(logs).items()))
    print(
        f"elements taken from shuffles by each worker: {workers}; failed tasks: {failed_tasks(logs).total()}"
    )
    print(
        f"compared {compared.files} files, {compared.bytes:,} bytes: {len(compared.differences)} differences"
    )
    print(f"logs of Spark: {logs}")
    for line in compared.differences:
        print(f"  {line}")
    return 1 if compared.differences else 0


def parser() -> argparse.ArgumentParser:
    """Returns the parser of the command."""
    parser = argparse.ArgumentParser(prog="tests.cluster", description=__doc__.split("\n", 1)[0])
    parser.add_argument("software", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("files", type=Path, nargs="*")
    parser.add_argument("--posts", type=int, default=50_000, help="synthetic posts, without files")
    return parser


if __name__ == "__main__":
    sys.exit(main())
