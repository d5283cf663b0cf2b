"""The encoder in a recipe: a cascade and `sluice score`, with neither torch nor transformers."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import pytest

from sluice.pipeline import cli
from tests.filters.transformers.encoder import tiny_encoder
from tests.filters.transformers.encoder.tiny_encoder import LABELS
from tests.pipeline.runs import Job, reject_rows

COLUMNS = [f"encoder.{label}" for label in LABELS]
WITHOUT_TORCH = """
import sys
sys.modules["torch"] = sys.modules["transformers"] = None
from sluice.pipeline import cli
sys.exit(cli.main(sys.argv[1:]))
"""

ALONE = """
import socket, sys
sys.modules["torch"] = sys.modules["transformers"] = None

def refused(*_args, **_kwargs):
    raise OSError("there is no network")

socket.socket.connect = socket.create_connection = socket.getaddrinfo = refused
from sluice.pipeline import cli
sys.exit(cli.main(sys.argv[1:]))
"""


@pytest.fixture(scope="module")
def recipe(job: Job, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The trial recipe with the encoder behind a screen, and a bound that some posts are above."""
    folder = tmp_path_factory.mktemp("recipe")
    tiny = tiny_encoder.write(folder / "tiny")
    path = folder / "trial.toml"
    path.write_text(
        job.recipe.read_text().replace(
            "[training]", '[[filters]]\nfilter = "toxicity"\n[training]', 1
        )
        + f'[vocabulary]\ntokenizer = "{job.tokenizer}"\n'
        + f'[[transformers]]\nmodel = "sluice/encoder"\ncheckpoint = "{tiny.folder}"\ndevice = "cpu"\n'
        + 'screen = "toxicity"\nmin_screen = 0.002\nmax_scores = { spam = 0.5 }\n'
    )
    return path


def outcome(job: Job, recipe: Path, command: str, output: Path) -> Path:
    """Returns the output of a command, in a process that can import neither library."""
    files = str(job.sample / "posts-*.jsonl.gz")
    ended = subprocess.run(
        [
            *(sys.executable, "-c", WITHOUT_TORCH, command, str(recipe)),
            *("--input", files, "--output", str(output), "--workers", "1"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return output


@pytest.fixture(scope="module")
def run(job: Job, recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return outcome(job, recipe, "run", tmp_path_factory.mktemp("run") / "out")


@pytest.fixture(scope="module")
def scored(job: Job, recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> pa.Table:
    folder = outcome(job, recipe, "score", tmp_path_factory.mktemp("score") / "out")
    return ds.dataset(sorted((folder / "scores").glob("*.parquet"))).to_table()


def decided(output: Path) -> pa.Table:
    return ds.dataset(sorted((output / "scores").glob("encoder-*.parquet"))).to_table()


def test_the_cascade_decides(run: Path) -> None:
    """Posts of the band above the bound are rejected by the encoder's column; the output is sound."""
    found = decided(run)
    assert found.schema.names == ["post_id", "language", "decided", *COLUMNS]
    over = found.filter((ds.field("encoder.spam") > 0.5) & ds.field("decided"))
    rows = [row for row in reject_rows(run) if row["phase"] == "classify"]
    assert 0 < over.num_rows < found.num_rows
    assert {row["post_id"] for row in rows} == set(over["post_id"].to_pylist())
    assert {(row["stage"], row["reason"]) for row in rows} == {("encoder", "encoder.spam")}
    assert cli.main(["verify", str(run)]) == 0


def test_score_writes_a_column_a_head(scored: pa.Table) -> None:
    """Every readable post has the three, in [0, 1], beside those of the filters."""
    assert set(COLUMNS) <= set(scored.schema.names)
    for name in COLUMNS:
        values_N = scored[name].to_numpy()
        assert values_N.dtype == np.float32
        assert ((values_N >= 0) & (values_N <= 1)).all()
        assert values_N.std() > 0.01


def test_a_post_has_one_score(run: Path, scored: pa.Table) -> None:
    """In a cascade and beside all posts of its file: the same bits."""
    part, places = decided(run), {id_: i for i, id_ in enumerate(scored["post_id"].to_pylist())}
    rows_M = [places[id_] for id_ in part["post_id"].to_pylist()]
    for name in COLUMNS:
        assert part[name].to_numpy().tolist() == scored[name].to_numpy()[rows_M].tolist()


def test_a_cascade_needs_no_network(job: Job, tmp_path: Path) -> None:
    """The shipped recipe with a cascade of one post in twenty runs where no address can be reached."""
    cascade = {"screen": '"toxicity"', "max_share": "0.05"}
    keys = [f"transformers.encoder.{key}={value}" for key, value in cascade.items()]
    sets = [
        word for key in [*keys, f"vocabulary.tokenizer={job.tokenizer}"] for word in ("--set", key)
    ]
    ended = subprocess.run(
        [
            *(sys.executable, "-c", ALONE, "run", "encoder", *sets, "--workers", "1"),
            *("--input", str(job.sample / "posts-*.jsonl.gz"), "--output", str(tmp_path / "out")),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    scores = ds.dataset(sorted((tmp_path / "out" / "scores").glob("encoder-*.parquet"))).to_table()
    assert scores.schema.names[-3:] == [f"encoder.{label}" for label in LABELS]
    assert 0 < np.asarray(scores["decided"]).sum() <= len(scores)
