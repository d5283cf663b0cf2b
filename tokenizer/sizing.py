"""How many shards, how long, and which sequence goes where.

Shards suit the training run: all hold the same number of sequences, and their number is a multiple
of the data-parallel ranks, so that every rank reads as many files and as many sequences as the
others and none waits. What does not fill a round is the leftover: fewer sequences than shards.
"""

from typing import Any, NamedTuple

import numpy as np

Index = np.ndarray[Any, np.dtype[np.int64]]

_TOKEN_BYTES = 4


class ShardPlan(NamedTuple):
    """The shards of a run.

    Attributes:
        num_shards: files, a multiple of the ranks unless there are fewer sequences than ranks.
        sequences_per_shard: sequences in each of them.
        leftover: sequences in no shard.
        steps: optimiser steps in the shards, floor(sequences in shards / global batch).
        shard_bytes: tokens of one shard, in bytes; `doc_ends` come on top, 4 bytes a piece.
        warning: what a person should know about this plan, or None.
    """

    num_shards: int
    sequences_per_shard: int
    leftover: int
    steps: int
    shard_bytes: int
    warning: str | None


def plan_shards(
    num_sequences: int,
    *,
    sequence_length: int,
    data_parallel_ranks: int,
    global_batch_sequences: int,
    target_shard_bytes: int,
) -> ShardPlan:
    """Plans the fewest shards that are a multiple of the ranks and not above the target size.

    A shard holds at least one sequence, even where that alone is above the target.

    Args:
        num_sequences: sequences of the run, at least 0.
        sequence_length: tokens in a sequence.
        data_parallel_ranks: readers that share the shards equally.
        global_batch_sequences: sequences of one optimiser step, over all ranks.
        target_shard_bytes: tokens of a shard, in bytes, at most.

    Raises:
        ValueError: an argument is below 1 (`num_sequences`: below 0).
    """
    settings = (sequence_length, data_parallel_ranks, global_batch_sequences, target_shard_bytes)
    if num_sequences < 0 or min(settings) < 1:
        raise ValueError(f"must be positive: {num_sequences} sequences, settings {settings}")
    sequence_bytes = _TOKEN_BYTES * sequence_length
    ranks = data_parallel_ranks
    if num_sequences < ranks:
        num_shards = 1
    else:
        # The least multiple of the ranks for which floor(sequences / shards) is within the target.
        most = max(1, target_shard_bytes // sequence_bytes)
        num_shards = ranks * (num_sequences // (ranks * (most + 1)) + 1)
    each = num_sequences // num_shards
    steps = each * num_shards // global_batch_sequences
    return ShardPlan(
        num_shards=num_shards,
        sequences_per_shard=each,
        leftover=num_sequences - each * num_shards,
        steps=steps,
        shard_bytes=each * sequence_bytes,
        warning=_warning(num_sequences, ranks, global_batch_sequences, steps),
    )


def _warning(num_sequences: int, ranks: int, batch: int, steps: int) -> str | None:
    if num_sequences < ranks:
        return (
            f"{num_sequences} sequences are fewer than data_parallel_ranks = {ranks}: "
            "one shard holds them all, and ranks cannot read equal shares"
        )
    if batch % ranks:
        return (
            f"global_batch_sequences = {batch} is not a multiple of data_parallel_ranks = {ranks}"
        )
    if steps == 0:
        return f"the shards hold less than one step of global_batch_sequences = {batch}"
    return None


def deal(num_sequences: int, plan: ShardPlan, *, seed: int) -> tuple[Index, Index]:
    """Deals sequences to shards by a seeded permutation of all of them.

    The permutation sorts the raw 64-bit words of Philox, whose stream NumPy promises to keep,
    unlike that of `Generator.permutation`: a seed deals the same way under every version.

    Args:
        num_sequences: sequences of the run, those of the plan.
        plan: from `plan_shards`.
        seed: at least 0.

    Returns:
        shard_S: (S,) int64, the shard of each sequence, -1 where it is left over.
        position_S: (S,) int64, its place in the shard or, left over, among the leftover, from 0.
    """
    in_shards = plan.num_shards * plan.sequences_per_shard
    if in_shards + plan.leftover != num_sequences:
        raise ValueError(
            f"the plan is for {in_shards + plan.leftover} sequences, got {num_sequences}"
        )
    order_S = np.argsort(np.random.Philox(seed).random_raw(num_sequences), kind="stable")
    shard_S = np.full(num_sequences, -1, np.int64)
    position_S = np.empty(num_sequences, np.int64)
    placed_K = np.arange(in_shards)
    each = max(1, plan.sequences_per_shard)
    shard_S[order_S[:in_shards]] = placed_K // each
    position_S[order_S[:in_shards]] = placed_K % each
    position_S[order_S[in_shards:]] = np.arange(plan.leftover)
    return shard_S, position_S
