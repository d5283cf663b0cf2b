"""What a training run costs and how far its tokens go: steps, FLOPs, compute-optimal tokens, epochs.

Everything here is arithmetic on a handful of numbers; nothing is read and nothing is measured. Tokens
are places in sequences, padding counted: that is what a step reads and what compute is spent on.
"""

import math
from typing import NamedTuple

FLOPS_PER_PARAMETER_AND_TOKEN = 6
"""Two for the forward pass, four for the backward pass; attention's share of the context is left out.

Source: Kaplan et al. 2020, "Scaling Laws for Neural Language Models", arXiv:2001.08361, section 2.1.
"""
OPTIMAL_TOKENS_PER_PARAMETER = 20
"""About; 1.4e12 tokens for 67e9 parameters.

Source: Hoffmann et al. 2022, "Training Compute-Optimal Large Language Models", arXiv:2203.15556, table 3.
"""
HARMLESS_EPOCHS = 4
"""So often tokens can be repeated with a loss nearly as good as that of as many new ones.

Source: Muennighoff et al. 2023, "Scaling Data-Constrained Language Models", arXiv:2305.16264.
"""
REPEATS_SCALE = 15.387756
"""R*_D: the repetitions after which one more is worth 1/e of new tokens (ibid., appendix A)."""


class Budget(NamedTuple):
    """How long a training is.

    Attributes:
        tokens_per_step: of one optimiser step, over all ranks.
        epoch_tokens: in the shards.
        steps: optimiser steps of the whole training, whole ones alone.
        tokens: that these steps read.
        epochs: how often they read the shards; 0 where the shards are empty.
    """

    tokens_per_step: int
    epoch_tokens: int
    steps: int
    tokens: int
    epochs: float


def plan_budget(
    epoch_sequences: int,
    *,
    sequence_length: int,
    global_batch_sequences: int,
    epochs: int | None = None,
    tokens: int | None = None,
) -> Budget:
    """Returns how long the training is: so many epochs, or as many steps as the wanted tokens take.

    >>> plan_budget(1000, sequence_length=8192, global_batch_sequences=64, epochs=2)
    Budget(tokens_per_step=524288, epoch_tokens=8192000, steps=31, tokens=16252928, epochs=2.0)

    What is left of the last epoch and is less than a step is not read.

    Args:
        epoch_sequences: sequences in the shards.
        sequence_length: tokens in a sequence.
        global_batch_sequences: sequences of one optimiser step, over all ranks.
        epochs: of all shards; 1 where neither is given.
        tokens: wanted, rounded up to whole steps.

    Raises:
        ValueError: epochs and tokens are both given.
    """
    if epochs is not None and tokens is not None:
        raise ValueError("epochs and tokens both say how long the training is: give one of them")
    step, epoch = global_batch_sequences * sequence_length, epoch_sequences * sequence_length
    steps = (epochs or 1) * epoch // step if tokens is None else -(-tokens // step)
    if not epoch_sequences:
        steps = 0
    passes = steps * step / epoch if epoch and tokens is not None else float(epochs or 1)
    return Budget(step, epoch, steps, steps * step, passes if epoch else 0.0)


def training_flops(tokens: float, *, active_parameters: float) -> float:
    """Returns 6 N D, the floating-point operations of training on D tokens with N parameters per token.

    Of a mixture of experts, N is what one token meets: attention, embeddings and the chosen experts.
    """
    return FLOPS_PER_PARAMETER_AND_TOKEN * active_parameters * tokens


def optimal_tokens(parameters: float) -> float:
    """Returns the tokens at which a dense model of so many parameters makes best use of its compute.

    The law was fitted to dense models. A mixture of experts is better than a dense model of its active
    parameters and not as good as one of its total (Clark et al. 2022, "Unified Scaling Laws for Routed
    Language Models", arXiv:2202.01169, give the dense size it equals), so that its own count is assumed to
    be between those of the two.
    """
    return OPTIMAL_TOKENS_PER_PARAMETER * parameters


def worth(tokens: float, *, distinct: float) -> float:
    """Returns how many new tokens a training on repeated ones is worth.

    >>> round(worth(4e9, distinct=1e9) / 1e9, 2)
    3.73

    D' = U + U R* (1 - exp(-R / R*)), with R = D / U - 1 repetitions of U distinct tokens.

    Args:
        tokens: D, read in all.
        distinct: U, new ones among them, all repeated alike.

    Source: Muennighoff et al. 2023, arXiv:2305.16264, section 3.1 and appendix A.
    """
    if tokens <= distinct or not distinct:
        return min(tokens, distinct)
    repeats = tokens / distinct - 1
    return distinct * (1 + REPEATS_SCALE * (1 - math.exp(-repeats / REPEATS_SCALE)))


class Reach(NamedTuple):
    """How far tokens go for a model of some size.

    Attributes:
        tokens: the compute-optimal count of a dense model of that size.
        share: of it that the training reads.
        days: runs like this one that hold as many distinct tokens; None where one holds none.
    """

    tokens: float
    share: float
    days: float | None


def reach(parameters: float, *, budget: Budget, day_tokens: float) -> Reach:
    """Returns how the tokens of a training compare with the compute-optimal count.

    Args:
        parameters: active or total ones.
        budget: how long the training is.
        day_tokens: distinct tokens that one day's run makes, at least 0.
    """
    optimal = optimal_tokens(parameters)
    return Reach(optimal, budget.tokens / optimal, optimal / day_tokens if day_tokens else None)
