"""One run of the main job on synthetic posts, shared by the tests that look at its output."""

import gzip
import json
import shutil
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow.parquet as pq
import pytest

from sluice.pipeline import cli
from sluice.pipeline.sample.write import write_sample
from tests.pipeline.storage.stores import Store, running

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


@pytest.fixture(scope="session")
def job(tmp_path_factory: pytest.TempPathFactory) -> Job:
    """The main job on 5,000 synthetic posts, with a tokenizer trained on them."""
    folder = tmp_path_factory.mktemp("job")
    write_sample(folder / "sample", num_posts=5000, seed=3)
    (folder / "trial.toml").write_text(RECIPE)
    made = Job(folder / "sample", folder / "trial.toml", folder / "out")
    assert run(made, made.output) == 0
    return made


def run(job: Job, output: Path | str, *more: str, inputs: str | None = None) -> int:
    """Runs the job into a folder; with `--set` and the like in `more`."""
    files = inputs or str(job.sample / "posts-*.jsonl.gz")
    return cli.main(["run", str(job.recipe), "--input", files, "--output", str(output), *more])


@pytest.fixture
def rerun(job: Job, tmp_path: Path) -> Callable[..., Path]:
    """Runs the job again, into a new folder, with the tokenizer of the first run."""

    def again(*more: str, inputs: str | None = None) -> Path:
        output = tmp_path / "again"
        frozen = f"vocabulary.tokenizer={job.tokenizer}"
        assert run(job, output, "--set", frozen, *more, inputs=inputs) == 0
        return output

    return again


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


@pytest.fixture(scope="session")
def s3() -> Iterator[Store]:
    """An S3 server with the bucket `bucket`; the environment points at it until the tests end."""
    with running() as made:
        yield made


@pytest.fixture
def bucket(s3: Store) -> str:
    """A new, empty bucket, as a URI."""
    name = uuid.uuid4().hex
    s3.client().create_bucket(Bucket=name)
    return f"s3://{name}"
