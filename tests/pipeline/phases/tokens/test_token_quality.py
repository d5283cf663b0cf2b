"""How often entries are used, and what the vocabulary makes of posts that it was not trained on."""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.pipeline.phases.vocabulary.holdout import holdout_mask
from sluice.tokenizer.shards import ShardReader
from sluice.tokenizer.vocabulary.special import PAD, SPECIAL_TOKENS
from tests.pipeline.runs import Job, forget, linked_output, run

ids = st.lists(st.integers(0, 1 << 40).map(str), min_size=1, max_size=200, unique=True)


def rows(post_ids: list[str]) -> pa.RecordBatch:
    return pa.RecordBatch.from_pydict({"post_id": pa.array(post_ids, pa.string())})


def sequences(job: Job) -> list[Any]:
    """The tokens of the shards and the leftover."""
    found = sorted(job.output.glob("tokens/*.arrow")) + sorted(job.output.glob("leftover/*.arrow"))
    return [batch.tokens_SL for path in found for batch in ShardReader(path).batches()]


def test_token_counts_are_those_of_the_shards(job: Job) -> None:
    """Every id, counted again in the shards and the leftover; padding is none of them."""
    expected_V = np.zeros(131_072, np.int64)
    for tokens_SL in sequences(job):
        expected_V += np.bincount(tokens_SL.reshape(-1), minlength=131_072)
    assert expected_V[SPECIAL_TOKENS.index(PAD)] > 0
    expected_V[SPECIAL_TOKENS.index(PAD)] = 0
    table = pq.read_table(job.output / "tokenizer" / "token_counts.parquet")
    assert table["id"].to_pylist() == list(range(131_072))
    assert np.array_equal(table["count"].to_numpy(), expected_V)
    use = job.report()["vocabulary"]["use"]
    used = int((expected_V > 0).sum())
    seldom = int(((expected_V > 0) & (expected_V < 10)).sum())
    assert use == {"used": used, "unused": 131_072 - used, "used_seldom": seldom}
    assert 0 < seldom < used


def test_the_report_says_who_encoded(
    job: Job, frozen: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is gigatoken; where that is missing `tokenizers`, with a warning, and the shards are the same."""
    kept = job.report()["posts"]["kept"]
    assert job.report()["encoded_by"] == {"gigatoken": kept}
    assert not told_slow(job.report())
    output = linked_output(frozen.output, tmp_path / "out")
    for engine in ("gigatoken", "tokenizers"):
        if engine == "tokenizers":
            monkeypatch.setitem(sys.modules, "gigatoken", None)
        forget(output, "tokens")
        assert run(job, output, "--set", f"vocabulary.tokenizer={job.tokenizer}") == 0
        report = json.loads((output / "report" / "report.json").read_text())
        assert report["encoded_by"] == {engine: kept}
        assert told_slow(report) == (engine == "tokenizers")
        for path in sorted(job.output.glob("tokens/*.arrow")):
            assert (output / "tokens" / path.name).read_bytes() == path.read_bytes()


def told_slow(report: dict[str, Any]) -> bool:
    return any("gigatoken could not be used" in warning for warning in report["warnings"])


def test_posts_held_back_are_not_counted_for_training(job: Job) -> None:
    """The holdout and what was trained on add up, and the seeded hash says which is which."""
    report = job.report()
    held, sample = report["vocabulary"]["held_back"], report["vocabulary"]["sample"]
    assert held["posts"] + sample["posts"] == report["posts"]["kept"]
    assert held["text_bytes"] + sample["text_bytes"] == report["tokens"]["text_bytes"]
    files = [*job.output.glob("provenance/*.parquet"), *job.output.glob("leftover/*.parquet")]
    table = pa.concat_tables([pq.read_table(path) for path in files])
    first = table.filter(pa.array(table["piece"].to_numpy() == 0))
    post_ids = first["post_id"].to_pylist()
    chosen_N = holdout_mask(rows(post_ids), share=0.01, seed=1)
    assert int(chosen_N.sum()) == held["posts"] > 0
    chosen = {post_ids[i] for i in np.flatnonzero(chosen_N)}
    lengths = zip(table["post_id"].to_pylist(), table["length"].to_pylist(), strict=True)
    tokens = sum(length for post_id, length in lengths if post_id in chosen)
    assert held["tokens"] == tokens - held["posts"]  # each with its end of document


def test_measures_of_posts_held_back_add_up(job: Job) -> None:
    """Languages sum to the whole; bytes per token is their quotient."""
    held = job.report()["vocabulary"]["held_back"]
    for amount in ("posts", "text_bytes", "tokens"):
        assert sum(part[amount] for part in held["languages"].values()) == held[amount]
    assert held["bytes_per_token"] == pytest.approx(held["text_bytes"] / held["tokens"], abs=1e-4)
    assert held["tokens_per_word"] > 1


@given(post_ids=ids, cut=st.integers(0, 200), share=st.floats(0, 1, exclude_max=True))
def test_holding_back_depends_on_the_id_alone(post_ids: list[str], cut: int, share: float) -> None:
    """A post is drawn alike in any batch, and a larger share draws it again."""
    whole_N = holdout_mask(rows(post_ids), share=share, seed=7)
    parts = [holdout_mask(rows(p), share=share, seed=7) for p in (post_ids[:cut], post_ids[cut:])]
    assert np.array_equal(whole_N, np.concatenate(parts))
    more_N = holdout_mask(rows(post_ids), share=(1 + share) / 2, seed=7)
    assert (more_N | ~whole_N).all()
    assert not holdout_mask(rows(post_ids), share=0.0, seed=7).any()


def test_the_share_is_kept() -> None:
    """Of 100,000 ids a twentieth is drawn, and another seed draws others."""
    batch = rows([str(n) for n in range(100_000)])
    first_N, second_N = (holdout_mask(batch, share=0.05, seed=seed) for seed in (1, 2))
    assert abs(first_N.sum() - 5000) < 300
    assert abs((first_N & second_N).sum() - 250) < 80
