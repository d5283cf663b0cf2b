"""docs/training.md is true: a mixture of experts learns from shards through the loader."""

import re
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from sluice.pipeline import cli
from sluice.tokenizer.loader.dataset import TokenBatch, TokenDataset, TokenLoader
from tests.docs.pages import quoted, table
from tests.repository import ROOT

PAGE = ROOT / "docs" / "training.md"
BLOCK = re.compile(r"<!-- trained -->\n```(\w+)\n(.*?)^```$", re.M | re.S)


class Trained:
    """What the page's code left behind."""

    def __init__(self, folder: Path, names: dict[str, Any]):
        self.output = folder / "sluice-out"
        self.model, self.dataset, self.losses = (names[k] for k in ("model", "dataset", "losses"))
        self.shards, self.rows = names["shards"], names["rows"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """Runs the page's blocks: its commands first, then its code from top to bottom."""
    folder = tmp_path_factory.mktemp("training")
    blocks = BLOCK.findall(PAGE.read_text("utf-8"))
    names: dict[str, Any] = {"__name__": "docs.training"}
    with pytest.MonkeyPatch.context() as patch, torch.random.fork_rng():
        patch.chdir(folder)
        for language, text in sorted(blocks, key=lambda block: block[0] != "sh"):
            if language == "sh":
                run_commands(text)
            else:
                exec(compile(text, PAGE.name, "exec"), names)  # our own documentation
    return Trained(folder, names)


def run_commands(text: str) -> None:
    """Runs `sluice` command lines in this process."""
    for line in text.replace("\\\n", " ").splitlines():
        program, *argv = shlex.split(line)
        assert program == "sluice"
        assert cli.main(argv) == 0


def test_the_loss_falls(trained: Trained) -> None:
    """In one pass, every sequence new, the loss ends below what the best model without context has.

    That is the entropy of the labels' own frequencies, which a model of single tokens reaches only if it
    is told them in advance.
    """
    dataset = TokenDataset(trained.output, micro_batch_sequences=1, columns=["labels"], epochs=1)
    labels_T = torch.cat([batch.labels.flatten() for batch in TokenLoader(dataset)])
    share_V = torch.bincount(labels_T[labels_T >= 0]).double() / (labels_T >= 0).sum()
    entropy = float(torch.special.entr(share_V).sum())
    first, last = np.mean(trained.losses[:4]), np.mean(trained.losses[-10:])
    assert first > entropy + 1
    assert last < entropy - 0.5


def test_a_document_is_seen_alone(trained: Trained) -> None:
    """What is before or behind a document in its sequence does not change its loss."""
    dataset = TokenDataset(
        trained.output, micro_batch_sequences=8, columns=["position_ids", "document_ids", "labels"]
    )
    batch = next(iter(TokenLoader(dataset)))
    chosen = batch.document_ids == 1
    assert 8 < int(chosen.sum()) < chosen.numel() // 2
    labels = torch.where(chosen, batch.labels, -100)
    others = torch.where(chosen, batch.tokens, 300)
    assert (others != batch.tokens).any()
    with torch.no_grad():
        expected, _ = trained.model(batch._replace(labels=labels))
        got, _ = trained.model(batch._replace(labels=labels, tokens=others))
        torch.testing.assert_close(got, expected)
        joined = batch._replace(labels=labels, document_ids=torch.zeros_like(batch.document_ids))
        assert abs(float(trained.model(joined)[0] - expected)) > 1e-3  # the mask is what does it


def test_posts_of_a_step(trained: Trained) -> None:
    """The shards and rows that the page computes are those that a loader reads, and have provenance."""
    dataset = TokenDataset(trained.output, micro_batch_sequences=16, columns=["sequences"], seed=1)
    dataset.consumed = 7 * 16
    batch = next(iter(TokenLoader(dataset)))
    each = dataset.order.sequences_per_shard
    assert sorted(batch.sequences.tolist()) == sorted(trained.shards * each + trained.rows)
    pieces = pq.ParquetDataset(trained.output / "provenance").read()
    known = set(zip(pieces["shard"].to_pylist(), pieces["sequence"].to_pylist(), strict=True))
    assert set(zip(trained.shards.tolist(), trained.rows.tolist(), strict=True)) <= known


def test_fields_of_a_batch() -> None:
    """The page's table has every field, in order."""
    assert [quoted(row[0])[0] for row in table("batch")] == list(TokenBatch._fields)
