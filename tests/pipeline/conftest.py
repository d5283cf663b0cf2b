"""What the tests of the pipeline share: one run of the main job, ways to run it again, an object store."""

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.built_once import built_once
from tests.pipeline.runs import Job, finished, linked_output, run
from tests.pipeline.storage.stores import Store, running


@pytest.fixture(scope="session")
def job(tmp_path_factory: pytest.TempPathFactory) -> Job:
    """The main job on 5,000 synthetic posts, with a tokenizer trained on them."""
    folder = built_once(tmp_path_factory, "job", lambda f: finished(f, num_posts=5000, seed=3))
    return finished(folder, num_posts=5000, seed=3)


@pytest.fixture(scope="session")
def frozen(job: Job, tmp_path_factory: pytest.TempPathFactory) -> Job:
    """The same job with the tokenizer of the first run: its output, to be run again with other settings."""
    folder = built_once(tmp_path_factory, "frozen", lambda f: _with_tokenizer(job, f / "out"))
    return job._replace(output=folder / "out")


def _with_tokenizer(job: Job, output: Path) -> None:
    assert run(job, output, "--set", f"vocabulary.tokenizer={job.tokenizer}") == 0


@pytest.fixture
def rerun(job: Job, frozen: Job, tmp_path: Path) -> Callable[..., Path]:
    """Runs the job again with the tokenizer of the first run.

    The first call begins with a linked copy of `frozen`, so that phases that nothing changes are reused; with
    `fresh=True` or other inputs in a new folder.
    """
    output = tmp_path / "again"

    def again(*more: str, inputs: str | None = None, fresh: bool = False) -> Path:
        if not output.exists() and inputs is None and not fresh:
            linked_output(frozen.output, output)
        tokenizer = f"vocabulary.tokenizer={job.tokenizer}"
        assert run(job, output, "--set", tokenizer, *more, inputs=inputs) == 0
        return output

    return again


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
