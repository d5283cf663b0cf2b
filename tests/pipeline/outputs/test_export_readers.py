"""What a run exports, read back with the trainers' own libraries."""

import contextlib
import itertools
import json
import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, get_args

import numpy as np
import pyarrow.parquet as pq
import pytest

from sluice.pipeline import cli
from sluice.pipeline.outputs.export import Items
from sluice.schemas.arrays import Array
from sluice.tokenizer.shards import ShardReader
from sluice.tokenizer.vocabulary.special import EOD, SPECIAL_TOKENS
from tests.pipeline.outputs.test_export import exported
from tests.pipeline.runs import Job
from tests.repository import ROOT

PAGE = ROOT / "docs" / "export.md"
READERS = ROOT / ".venv-readers" / "bin" / "python"


Tokens = list[int]


class Truth(NamedTuple):
    """What the shards and the leftover hold, read plainly.

    Attributes:
        tokens_SL: (S, L) int32.
        ends: of each sequence.
        cuts: post id -> its pieces, each with its number.
        order: post ids in the order of their first pieces.
    """

    tokens_SL: Array
    ends: list[Tokens]
    cuts: dict[str, list[tuple[int, Tokens]]]
    order: list[str]

    @property
    def lengths_S(self) -> list[int]:
        return [row[-1] for row in self.ends]

    @property
    def documents(self) -> list[Tokens]:
        return [joined([tokens for _, tokens in sorted(self.cuts[post])]) for post in self.order]


def truth_of(output: Path) -> Truth:
    """Reads an output, a post at a time."""
    tokens, ends, cuts, order = [], [], {}, []
    for path in shard_files(output):
        shard = ShardReader(path)
        folder = "leftover" if path.parent.name == "leftover" else "provenance"
        stem = "provenance" if folder == "leftover" else path.stem
        for row in pq.read_table(output / folder / f"{stem}.parquet").to_pylist():
            tokens_L = shard.sequence(row["sequence"])[0]
            own = tokens_L[row["offset"] : row["offset"] + row["length"]].tolist()
            cuts.setdefault(row["post_id"], []).append((row["piece"], own))
            order += [row["post_id"]] * (row["piece"] == 0)
        for batch in shard.batches():
            tokens.append(batch.tokens_SL)
            ends += batch.doc_ends.to_pylist()
    return Truth(np.concatenate(tokens), ends, cuts, order)


def shard_files(output: Path) -> list[Path]:
    """Returns the shards, and the leftover if there is one."""
    return [*sorted((output / "tokens").iterdir()), *output.glob("leftover/tokens.arrow")]


def joined(items: list[Tokens]) -> Tokens:
    return [*itertools.chain(*items)]


@pytest.fixture(scope="module")
def truth(job: Job) -> Truth:
    """What the main job wrote."""
    return truth_of(job.output)


def test_documents_that_a_run_cut(rerun: Callable[..., Path], tmp_path: Path) -> None:
    """Documents that the pipeline cut at the end of each sequence are those of the provenance again."""
    output = rerun("--set", "tokens.packing=concatenate")
    found = truth_of(output)
    assert sum(len(item) > 1 for item in found.cuts.values()) > len(found.ends) // 2
    assert exported(output, tmp_path / "to", leftover=True) == found.documents


# --- folders and errors --------------------------------------------------------------------------


KINDS = [(form, items) for form in ("megatron", "mds") for items in ("documents", "sequences")]


@pytest.fixture(scope="module")
def exports(job: Job, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the job's output, all four exports of it, FORMAT-ITEMS, and those of docs/export.md."""
    folder = tmp_path_factory.mktemp("exports")
    (folder / "sluice-out").symlink_to(job.output)
    commands = [
        ["export", "sluice-out", form, f"{form}-{items}", "--items", items, "--leftover"]
        for form, items in KINDS
    ]
    page = PAGE.read_text("utf-8")
    commands += [line.split("#")[0].split()[1:] for line in re.findall(r"^sluice .*", page, re.M)]
    with contextlib.chdir(folder):
        for command in commands:
            assert cli.main(command) == 0
    return folder


@pytest.fixture(scope="module")
def read(exports: Path) -> Path:
    """The same folder, with what the libraries read there: again-FORMAT-ITEMS, datasets.npz, page.npz."""
    if not READERS.exists():
        pytest.skip("needs .venv-readers; see `make install`")
    code = re.findall(
        r"<!-- run with \.venv-readers -->\n```python\n(.*?)```", PAGE.read_text(), re.S
    )
    (exports / "page.py").write_text("".join(code))
    plan = {
        "megatron": [[f"megatron-{i}/{i}", f"again-megatron-{i}"] for i in get_args(Items)],
        "mds": [[f"mds-{i}", f"again-mds-{i}"] for i in get_args(Items)],
        "datasets": [["datasets", *map(str, shard_files(exports / "sluice-out"))]],
        "page": [["page.py", "page"]],
    }
    (exports / "plan.json").write_text(json.dumps(plan))
    quiet = {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "HF_HOME": str(exports / "cache")}
    done = subprocess.run(
        [READERS, ROOT / "tests" / "readers" / "read_all.py", "plan.json"],
        capture_output=True,
        text=True,
        cwd=exports,
        env={**os.environ, **quiet},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return exports


def test_megatron_core_reads_it(read: Path, truth: Truth) -> None:
    """IndexedDataset has every token; its own builder makes the same bytes of them."""
    sequences = [row[:n].tolist() for row, n in zip(truth.tokens_SL, truth.lengths_S, strict=True)]
    for kind, expected in (("documents", truth.documents), ("sequences", sequences)):
        found = np.load(read / f"again-megatron-{kind}.npz")
        assert found["tokens"].tolist() == joined(expected)
        assert found["lengths"].tolist() == [len(item) for item in expected]
        assert found["document_indices"].tolist() == list(range(len(expected) + 1))
        for suffix in ("bin", "idx"):
            ours = read / f"megatron-{kind}" / f"{kind}.{suffix}"
            assert ours.read_bytes() == (read / f"again-megatron-{kind}.{suffix}").read_bytes()


def test_mosaicml_streaming_reads_it(read: Path, truth: Truth) -> None:
    """LocalDataset and StreamingDataset have every token; MDSWriter makes the same bytes of them."""
    documents, sequences = (np.load(read / f"again-mds-{kind}.npz") for kind in get_args(Items))
    assert sequences["tokens"].tolist() == truth.tokens_SL.reshape(-1).tolist()
    assert sequences["doc_ends"].tolist() == joined(truth.ends)
    assert sequences["doc_ends_lengths"].tolist() == [len(row) for row in truth.ends]
    assert documents["tokens"].tolist() == joined(truth.documents)
    assert documents["tokens_lengths"].tolist() == [len(item) for item in truth.documents]
    for kind, found in (("documents", documents), ("sequences", sequences)):
        assert found["epoch"].tolist() == found["once"].tolist()
        ours = {path.name: path.read_bytes() for path in (read / f"mds-{kind}").iterdir()}
        del ours["export.json"]
        theirs = (read / f"again-mds-{kind}").iterdir()
        assert ours == {path.name: path.read_bytes() for path in theirs}


def test_datasets_reads_the_shards(read: Path, truth: Truth) -> None:
    """Hugging Face datasets opens the shards as they are, by load_dataset and mapped."""
    found = np.load(read / "datasets.npz")
    np.testing.assert_array_equal(found["tokens"], truth.tokens_SL)
    np.testing.assert_array_equal(found["mapped"], truth.tokens_SL)
    assert found["doc_ends"].tolist() == joined(truth.ends)
    assert found["num_ends"].tolist() == [len(row) for row in truth.ends]


def test_the_page_reads_them(read: Path, truth: Truth) -> None:
    """The code of docs/export.md gives what it says that it gives."""
    found = np.load(read / "page.npz")
    assert found["document"].tolist() == truth.documents[0]
    runs = runs_between(found["trained_on"].tolist(), SPECIAL_TOKENS.index(EOD))
    assert len(runs) > 3
    assert all(run in truth.documents for run in runs[1:-1])
    positions = joined([[*range(len(run))] for run in runs])
    assert found["trained_positions"].tolist() == positions
    assert found["sample"].tolist() == truth.tokens_SL[0].tolist()
    assert found["doc_ends"].tolist() == truth.ends[0]
    assert found["row"].tolist() == found["mapped"][0].tolist() == truth.tokens_SL[0].tolist()
    begins = [0, *truth.ends[0][:-1]]
    positions = [range(b - a) for a, b in zip(begins, truth.ends[0], strict=True)]
    assert found["position_ids"].tolist() == joined(positions)


def runs_between(tokens: Tokens, end: int) -> list[Tokens]:
    """Returns the runs of tokens that end with one token; the last need not."""
    runs: list[Tokens] = [[]]
    for token in tokens:
        runs[-1].append(token)
        if token == end:
            runs.append([])
    return [run for run in runs if run]
