"""How many shards, how long, and which sequence goes where.

Shards suit the training run: all hold the same number of sequences, and their number is a multiple
of the readers, data-parallel ranks times workers of a rank, so that every reader has as many files
and as many sequences as the others and none waits. What does not fill a round is the leftover: fewer
sequences than shards, or, where fewer tokens are wanted than there are, all that is not wanted.
"""

from typing import NamedTuple

import numpy as np

from sluice.schemas.arrays import Int64s

_TOKEN_BYTES = 4


class ShardPlan(NamedTuple):
    """The shards of a run.

    Attributes:
        num_shards: files, a multiple of the readers; of the ranks alone where there are fewer
            sequences than readers; 1 where there are fewer than ranks.
        sequences_per_shard: sequences in each of them.
        leftover: sequences in no shard.
        steps: optimiser steps in the shards, floor(sequences in shards / global batch).
        shard_bytes: tokens of one shard, in bytes; `doc_ends` come on top, 4 bytes per piece.
        warning: what the user should know about this plan, or None.
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
    workers_per_rank: int = 1,
    tokens: int | None = None,
) -> ShardPlan:
    """Plans the fewest shards that are a multiple of the readers and not above the target size.

    >>> planned = plan_shards(
    ...     1000,
    ...     sequence_length=8192,
    ...     data_parallel_ranks=8,
    ...     global_batch_sequences=64,
    ...     target_shard_bytes=4 << 20,
    ... )
    >>> planned.num_shards, planned.sequences_per_shard, planned.leftover, planned.steps
    (8, 125, 0, 15)

    A shard holds at least one sequence, even where that alone is above the target.

    Tokens that are wanted are rounded up twice: to whole optimiser steps, then to shards of equal
    length, fewer than one sequence per shard. Where that is as much as there is, or more, the plan is the
    same as if nothing were wanted: it holds all that fills a round of shards.

    Args:
        num_sequences: sequences of the run, at least 0.
        sequence_length: tokens in a sequence.
        data_parallel_ranks: ranks that share the shards equally.
        global_batch_sequences: sequences of one optimiser step, over all ranks.
        target_shard_bytes: tokens of a shard, in bytes, at most.
        workers_per_rank: readers of a rank, which share its shards equally.
        tokens: what the training wants to read, or None for all; padding counts as tokens.

    Raises:
        ValueError: an argument is below 1 (`num_sequences`: below 0).
    """
    settings = [sequence_length, data_parallel_ranks, global_batch_sequences, target_shard_bytes]
    settings += [workers_per_rank, 1 if tokens is None else tokens]
    if num_sequences < 0 or min(settings) < 1:
        raise ValueError(f"must be positive: {num_sequences} sequences, settings {settings}")
    ranks, batch = data_parallel_ranks, global_batch_sequences
    sequence_bytes = _TOKEN_BYTES * sequence_length
    most = max(1, target_shard_bytes // sequence_bytes)
    if num_sequences < ranks:
        most = max(most, num_sequences)
    readers = _readers(num_sequences, ranks, workers_per_rank)
    num_shards, each = _fewest(num_sequences, readers, most)
    if tokens is not None:
        wanted = batch * _ceil(tokens, batch * sequence_length)
        fewer = _fewest_for(wanted, readers, most)
        if fewer[0] * fewer[1] < num_sequences:
            num_shards, each = fewer
    steps = each * num_shards // batch
    return ShardPlan(
        num_shards=num_shards,
        sequences_per_shard=each,
        leftover=num_sequences - each * num_shards,
        steps=steps,
        shard_bytes=each * sequence_bytes,
        warning=_warning(num_sequences, ranks, workers_per_rank, batch, steps),
    )


def _readers(num_sequences: int, ranks: int, workers: int) -> int:
    """Returns what the number of shards is to be a multiple of, that all may have a sequence."""
    return next((n for n in (ranks * workers, ranks) if n <= num_sequences), 1)


def _fewest(num_sequences: int, readers: int, most: int) -> tuple[int, int]:
    """Returns (shards, sequences in each): the fewest for which floor(sequences / shards) <= most."""
    num_shards = readers * (num_sequences // (readers * (most + 1)) + 1)
    return num_shards, num_sequences // num_shards


def _fewest_for(num_sequences: int, readers: int, most: int) -> tuple[int, int]:
    """Returns (shards, sequences in each): the fewest that hold all, at most `most` in each."""
    num_shards = readers * _ceil(num_sequences, readers * most)
    return num_shards, _ceil(num_sequences, num_shards)


def _ceil(part: int, whole: int) -> int:
    return -(-part // whole)


def _warning(num_sequences: int, ranks: int, workers: int, batch: int, steps: int) -> str | None:
    if num_sequences < ranks:
        return (
            f"{num_sequences} sequences are fewer than data_parallel_ranks = {ranks}: "
            "one shard holds them all, and ranks cannot read equal shares"
        )
    if num_sequences < ranks * workers:
        return (
            f"{num_sequences} sequences are fewer than data_parallel_ranks = {ranks} times "
            f"workers_per_rank = {workers}: ranks read equal shares, and workers cannot"
        )
    if batch % ranks:
        return (
            f"global_batch_sequences = {batch} is not a multiple of data_parallel_ranks = {ranks}"
        )
    if steps == 0:
        return f"the shards hold less than one step of global_batch_sequences = {batch}"
    return None


def deal(num_sequences: int, plan: ShardPlan, *, seed: int) -> tuple[Int64s, Int64s]:
    """Assigns sequences to shards by a seeded permutation of all of them.

    >>> shards = ShardPlan(2, 3, leftover=1, steps=1, shard_bytes=96, warning=None)
    >>> shard_S, position_S = deal(7, shards, seed=1)
    >>> sorted(shard_S.tolist())
    [-1, 0, 0, 0, 1, 1, 1]

    The permutation sorts the raw 64-bit words of Philox, whose stream NumPy promises to keep,
    unlike that of `Generator.permutation`: a seed gives the same order under every version.

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
