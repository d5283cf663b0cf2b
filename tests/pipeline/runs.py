"""Runs of the main job on synthetic posts, what they write, and copies of what they wrote."""

import gzip
import json
import os
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow.parquet as pq

from sluice.pipeline import cli
from sluice.pipeline.sample.write import write_sample

RECIPE = """
name = "trial"
[limits]
max_malformed_ratio = 0.2
[[filters]]
filter = "own_text"
[[filters]]
filter = "min_words"
[[filters]]
filter = "hashtag_ratio"
[[filters]]
filter = "language_confidence"
[[filters]]
filter = "spam"
[training]
sequence_length = 256
global_batch_sequences = 8
data_parallel_ranks = 2
target_shard_bytes = 262144
[tokens]
partition_bytes = 131072
"""


SMALL_SHARDS = """
[training]
sequence_length = 64
global_batch_sequences = 4
data_parallel_ranks = 2
target_shard_bytes = 65536
[tokens]
partition_bytes = 65536
"""
"""Of a recipe that makes several shards of a few hundred posts; keys of `[tokens]` may follow."""

PHASES = ("clean", "dedup", "vocabulary", "tokens")


class Job(NamedTuple):
    """A finished run and what it was made from."""

    sample: Path
    recipe: Path
    output: Path

    @property
    def tokenizer(self) -> Path:
        return self.output / "tokenizer" / "tokenizer.json"

    def report(self) -> dict[str, Any]:
        return json.loads((self.output / "report" / "report.json").read_text())


def finished(folder: Path, *, num_posts: int, seed: int, recipe: str = RECIPE) -> Job:
    """Runs the job on synthetic posts in a folder, unless it has been run there; trains its tokenizer."""
    made = Job(folder / "sample", folder / "trial.toml", folder / "out")
    if not made.output.exists():
        write_sample(made.sample, num_posts=num_posts, seed=seed)
        made.recipe.write_text(recipe)
        assert run(made, made.output) == 0
    return made


def linked_output(output: Path, folder: Path) -> Path:
    """Makes a folder that is a finished output to all who read it or run the job into it; returns it.

    Its files are hard links. The program replaces files and never changes one in place, so what a run does
    here stays here; a test that damages a file unlinks it first, or takes a copy.
    """
    return link_tree(output, folder)


def link_tree(source: Path, folder: Path) -> Path:
    """Makes a folder of hard links to the files of another, with a lock of its own; returns it.

    A lock belongs to a file, not to its name: with a link to it two folders would be one to `flock`.
    """

    def link(path: str, to: str) -> None:
        if Path(path).name == "lock":
            Path(to).touch()
        else:
            os.link(path, to)

    return Path(shutil.copytree(source, folder, copy_function=link))


def before_phase(job: Job, folder: Path, phase: str) -> Path:
    """Makes a folder as a run leaves it that ended when the phases before one were done; returns it."""
    if phase == PHASES[0]:
        return folder
    linked_output(job.output, folder)
    later = PHASES[PHASES.index(phase) :]
    for name in later:
        forget(folder, name)
        for path in folder.glob(f"rejects/{name}-*"):
            path.unlink()
    for name in (
        "tokens",
        "provenance",
        "leftover",
        "report",
        *["tokenizer"] * ("vocabulary" in later),
    ):
        shutil.rmtree(folder / name, ignore_errors=True)
    for name in ("COMPLETED", "manifest.json"):
        (folder / name).unlink()
    return folder


def forget(output: Path, phase: str) -> None:
    """Takes a phase's work away, so that the next run does it again."""
    for folder in (output / "work").glob(f"{phase}-*"):
        shutil.rmtree(folder)


def run(job: Job, output: Path | str, *more: str, inputs: str | None = None) -> int:
    """Runs the job into a folder; with `--set` and the like in `more`."""
    files = inputs or str(job.sample / "posts-*.jsonl.gz")
    return cli.main(["run", str(job.recipe), "--input", files, "--output", str(output), *more])


def contract_bytes(output: Path, *folders: str) -> dict[str, bytes]:
    """Returns the bytes of the contract's files, by name."""
    return {
        str(path.relative_to(output)): path.read_bytes()
        for folder in folders
        for path in sorted((output / folder).glob("*"))
    }


def reject_rows(output: Path) -> list[dict[str, Any]]:
    """Returns all reject rows, in an order of their own."""
    table = pq.ParquetDataset(output / "rejects").read()
    return sorted(table.to_pylist(), key=lambda r: (r["source_file"], r["source_row"], r["phase"]))


def copy_plain(job: Job, folder: Path) -> Path:
    """Writes the sample's files uncompressed."""
    folder.mkdir()
    for path in sorted(job.sample.glob("posts-*.jsonl.gz")):
        with gzip.open(path) as source, (folder / path.name.removesuffix(".gz")).open("wb") as out:
            shutil.copyfileobj(source, out)
    return folder
