import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.tokenizer.packing.sizing import ShardPlan, deal, plan_shards

RUN = st.fixed_dictionaries(
    {
        "num_sequences": st.integers(0, 5000),
        "sequence_length": st.sampled_from([1, 64, 8192]),
        "data_parallel_ranks": st.integers(1, 64),
        "global_batch_sequences": st.integers(1, 512),
        "target_shard_bytes": st.integers(1, 1 << 22),
        "workers_per_rank": st.integers(1, 8),
    }
)


def planned(run: dict[str, int], tokens: int | None = None) -> ShardPlan:
    """Plans the shards of a drawn run."""
    return plan_shards(
        run["num_sequences"],
        sequence_length=run["sequence_length"],
        data_parallel_ranks=run["data_parallel_ranks"],
        global_batch_sequences=run["global_batch_sequences"],
        target_shard_bytes=run["target_shard_bytes"],
        workers_per_rank=run["workers_per_rank"],
        tokens=tokens,
    )


def readers(run: dict[str, int]) -> int:
    """Returns who can read equal shares: all workers, or all ranks, or one."""
    ranks, workers = run["data_parallel_ranks"], run["workers_per_rank"]
    if run["num_sequences"] < ranks:
        return 1
    return ranks if run["num_sequences"] < ranks * workers else ranks * workers


@given(run=RUN)
def test_every_rank_reads_the_same_and_nothing_is_lost(run: dict[str, int]) -> None:
    """Shards are a multiple of the readers, and sequences in shards and leftover add up."""
    plan, ranks = planned(run), run["data_parallel_ranks"]
    in_shards = plan.num_shards * plan.sequences_per_shard
    assert in_shards + plan.leftover == run["num_sequences"]
    assert plan.steps == in_shards // run["global_batch_sequences"]
    assert plan.shard_bytes == plan.sequences_per_shard * run["sequence_length"] * 4
    if run["num_sequences"] < ranks:
        assert (plan.num_shards, plan.leftover) == (1, 0)
        assert plan.warning is not None
    else:
        assert plan.num_shards % readers(run) == 0
        assert 0 <= plan.leftover < plan.num_shards


@given(run=RUN)
def test_shards_are_the_fewest_within_the_target(run: dict[str, int]) -> None:
    """A shard is within the target or holds one sequence, and fewer shards would be above it."""
    plan = planned(run)
    if run["num_sequences"] < run["data_parallel_ranks"]:
        return
    assert plan.shard_bytes <= run["target_shard_bytes"] or plan.sequences_per_shard == 1
    fewer = plan.num_shards - readers(run)
    if fewer:
        each = run["num_sequences"] // fewer * run["sequence_length"] * 4
        assert each > run["target_shard_bytes"]


@given(run=RUN)
def test_every_worker_reads_the_same(run: dict[str, int]) -> None:
    """Assigned in turns to ranks and workers, shards give each as many sequences as the others."""
    plan, num_readers = planned(run), readers(run)
    read = [0] * num_readers
    for shard in range(plan.num_shards):
        read[shard % num_readers] += plan.sequences_per_shard
    assert len(set(read)) == 1
    assert read[0] > 0 or run["num_sequences"] == 0


@given(run=RUN, tokens=st.integers(1, 1 << 24))
def test_the_tokens_that_are_wanted_are_in_the_shards(run: dict[str, int], tokens: int) -> None:
    """Wanted tokens become whole steps and less than a sequence a shard, or all that there is."""
    plan, every, round_of = planned(run, tokens), planned(run), readers(run)
    step = run["global_batch_sequences"] * run["sequence_length"]
    wanted = -(-tokens // step) * run["global_batch_sequences"]
    if wanted >= run["num_sequences"]:
        assert plan == every
        return
    most = max(1, run["target_shard_bytes"] // (4 * run["sequence_length"]))
    if run["num_sequences"] < run["data_parallel_ranks"]:
        most = max(most, run["num_sequences"])
    num_shards = next(k for k in itertools.count(round_of, round_of) if k * most >= wanted)
    in_shards = num_shards * -(-wanted // num_shards)
    if in_shards >= run["num_sequences"]:
        assert plan == every
        return
    assert (plan.num_shards, plan.num_shards * plan.sequences_per_shard) == (num_shards, in_shards)
    assert in_shards + plan.leftover == run["num_sequences"]
    assert wanted <= in_shards < wanted + num_shards
    assert plan.steps * step >= tokens
    assert plan.sequences_per_shard <= most


def test_wanted_tokens_of_a_run() -> None:
    """One million tokens of 10,000 sequences of 8,192: 2 steps of 64, which 12 readers share."""
    plan = plan_shards(
        10_000,
        sequence_length=8192,
        data_parallel_ranks=4,
        global_batch_sequences=64,
        target_shard_bytes=64 << 20,
        workers_per_rank=3,
        tokens=1_000_000,
    )
    assert (plan.num_shards, plan.sequences_per_shard, plan.steps) == (12, 11, 2)
    assert plan.leftover == 10_000 - 132


def test_a_run_as_in_the_recipe() -> None:
    """10,000 sequences of 8,192 tokens for 8 ranks in shards of at most 64 MiB."""
    plan = plan_shards(
        10_000,
        sequence_length=8192,
        data_parallel_ranks=8,
        global_batch_sequences=512,
        target_shard_bytes=64 << 20,
    )
    assert plan == ShardPlan(
        num_shards=8,
        sequences_per_shard=1250,
        leftover=0,
        steps=19,
        shard_bytes=1250 * 32768,
        warning=None,
    )


@pytest.mark.parametrize(
    ("num_sequences", "batch", "message"),
    [
        (7, 8, "7 sequences are fewer than data_parallel_ranks = 4 times workers_per_rank = 2"),
        (3, 8, "3 sequences are fewer than data_parallel_ranks = 4"),
        (0, 8, "0 sequences are fewer"),
        (100, 6, "6 is not a multiple of data_parallel_ranks = 4"),
        (100, 128, "less than one step of global_batch_sequences = 128"),
        (100, 8, None),
    ],
)
def test_warnings(num_sequences: int, batch: int, message: str | None) -> None:
    """A plan that a training run cannot read evenly, or in whole steps, says so."""
    warning = plan_shards(
        num_sequences,
        sequence_length=8,
        data_parallel_ranks=4,
        global_batch_sequences=batch,
        target_shard_bytes=1 << 20,
        workers_per_rank=2,
    ).warning
    assert (warning is None) if message is None else (warning is not None and message in warning)


@pytest.mark.parametrize("key", ["data_parallel_ranks", "workers_per_rank", "tokens"])
def test_settings_below_one_are_refused(key: str) -> None:
    """No ranks, no workers or no tokens make no plan."""
    settings = {"data_parallel_ranks": 2, "workers_per_rank": 1, "tokens": 100} | {key: 0}
    with pytest.raises(ValueError, match="must be positive"):
        plan_shards(
            5,
            sequence_length=8,
            global_batch_sequences=1,
            target_shard_bytes=1,
            **settings,
        )


@given(run=RUN, seed=st.integers(0, 2**63 - 1))
def test_every_place_is_dealt_once(run: dict[str, int], seed: int) -> None:
    """Each (shard, position), and each place among the leftover, has exactly one sequence."""
    plan = planned(run)
    shard_S, position_S = deal(run["num_sequences"], plan, seed=seed)
    places = sorted(zip(shard_S.tolist(), position_S.tolist(), strict=True))
    expected = [(-1, p) for p in range(plan.leftover)]
    expected += [(s, p) for s in range(plan.num_shards) for p in range(plan.sequences_per_shard)]
    assert places == expected


def test_the_deal_is_seeded_and_mixes() -> None:
    """A seed gives the same order each time, another one another, and neighbours are separated."""
    plan = ShardPlan(4, 250, 3, 1, 0, None)
    first, again, other = (deal(1003, plan, seed=seed) for seed in (5, 5, 6))
    np.testing.assert_array_equal(first, again)
    assert (np.stack(first) != np.stack(other)).mean() > 0.5
    neighbours = np.mean(first[0][1:] == first[0][:-1])
    assert 0.15 < neighbours < 0.35


def test_the_deal_of_a_seed_never_changes() -> None:
    """The first places of seed 0 are written down: another version must deal the same."""
    shard_S, position_S = deal(12, ShardPlan(2, 5, 2, 1, 0, None), seed=0)
    assert shard_S.tolist() == [0, 1, 1, 0, -1, 1, -1, 0, 0, 0, 1, 1]
    assert position_S.tolist() == [0, 1, 3, 3, 1, 0, 0, 4, 1, 2, 4, 2]


def test_a_plan_of_another_run_is_refused() -> None:
    """The number of sequences must be that of the plan."""
    with pytest.raises(ValueError, match="the plan is for 1003 sequences, got 7"):
        deal(7, ShardPlan(4, 250, 3, 1, 0, None), seed=0)
