"""A training that is under way when posts are forgotten goes on over the same sequences, without them."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from torch import nn

import sluice
from sluice.tokenizer.vocabulary.load import around_posts, load_vocabulary
from tests.pipeline.runs import Job, linked_output
from tests.pipeline.tombstones import key_file

COLUMNS = ("cu_seqlens", "position_ids", "document_ids", "labels", "positions", "sequences")
STEPS_BEFORE = 9
IGNORED = -100


def loader_of(output: Path) -> sluice.TokenLoader:
    dataset = sluice.TokenDataset(
        output, micro_batch_sequences=4, columns=COLUMNS, seed=5, epochs=1
    )
    return sluice.TokenLoader(dataset)


def taken_places(output: Path, ids: list[str]) -> np.ndarray:
    """Returns (N, L) bool: where tokens of the texts of posts are, sequence by sequence of all shards."""
    special = around_posts(load_vocabulary(output / "tokenizer" / "tokenizer.json"))
    rows = sluice.open_output(output).shards.to_table()
    tokens_NL = np.stack(rows["tokens"].to_numpy())
    taken_NL = np.zeros(tokens_NL.shape, bool)
    each = len(tokens_NL) // len(list((output / "tokens").iterdir()))
    for path in sorted((output / "provenance").glob("*.parquet")):
        for row in pq.read_table(path).to_pylist():
            if row["post_id"] in ids:
                place = slice(row["offset"], row["offset"] + row["length"])
                taken_NL[row["shard"] * each + row["sequence"], place] = True
    return taken_NL & ~np.isin(tokens_NL, special)


@pytest.fixture
def two(frozen: Job, tmp_path: Path) -> tuple[Path, Path, list[str]]:
    """An output, the same less every fortieth post, and the ids of those."""
    before = linked_output(frozen.output, tmp_path / "before")
    after = linked_output(frozen.output, tmp_path / "after")
    kept = sluice.open_output(before).provenance.to_table(columns=["post_id"])["post_id"]
    ids = sorted(set(kept.to_pylist()))[::40]
    (tmp_path / "ids.txt").write_text("".join(f"{i}\n" for i in ids))
    sluice.forget(after, ids=tmp_path / "ids.txt", key_file=key_file(tmp_path))
    return before, after, ids


def test_a_training_goes_on(two: tuple[Path, Path, list[str]]) -> None:
    """From an earlier state come the same sequences; labels differ where posts were, and only there."""
    before, after, ids = two
    taken_NL = taken_places(before, ids)
    first = loader_of(before)
    batches = iter(first)
    for _ in range(STEPS_BEFORE):
        next(batches)
    second = loader_of(after)
    second.load_state_dict(first.state_dict())
    embedding, model = nn.Embedding(64, 8), nn.Linear(8, 64)
    optimizer, seen = torch.optim.SGD(model.parameters(), lr=0.1), 0
    for old, new in zip(batches, second, strict=True):
        for name in ("cu_seqlens", "position_ids", "document_ids", "positions", "sequences"):
            assert torch.equal(getattr(old, name), getattr(new, name))
        taken = torch.from_numpy(taken_NL[new.sequences.numpy()])
        unlearned = taken.clone()
        unlearned[:, :-1] |= taken[:, 1:]
        assert torch.equal(new.labels, torch.where(unlearned, IGNORED, old.labels))
        assert torch.equal(new.tokens[~taken], old.tokens[~taken])
        seen += int(taken.sum())
        has_label = new.labels != IGNORED
        logits = model(embedding(new.tokens[has_label] % 64))
        loss = nn.functional.cross_entropy(logits, new.labels[has_label] % 64)
        assert loss.isfinite()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert seen > 100
