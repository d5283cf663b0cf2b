"""What a training costs and how far its tokens go, against figures worked out by hand."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.tokenizer.packing.budget import (
    Budget,
    optimal_tokens,
    plan_budget,
    reach,
    training_flops,
    worth,
)

SEQUENCES = st.integers(0, 10_000)
BATCH = st.integers(1, 300)


def test_one_epoch() -> None:
    """1,280 sequences of 8,192 tokens in batches of 1,024 are one step; the rest is not read."""
    found = plan_budget(1280, sequence_length=8192, global_batch_sequences=1024)
    assert found == Budget(8_388_608, 10_485_760, 1, 8_388_608, 1.0)


def test_epochs_join_before_they_are_cut_into_steps() -> None:
    """Five epochs of 1,280 sequences are 6,400 sequences: six steps of 1,024, not five."""
    found = plan_budget(1280, sequence_length=8192, global_batch_sequences=1024, epochs=5)
    assert (found.steps, found.tokens, found.epochs) == (6, 6 * 8_388_608, 5.0)


@pytest.mark.parametrize(
    ("tokens", "steps", "epochs"),
    [(1, 1, 0.64), (640, 1, 0.64), (641, 2, 1.28), (6_400, 10, 6.4)],
)
def test_wanted_tokens_are_whole_steps(tokens: int, steps: int, epochs: float) -> None:
    """100 sequences of 10 tokens, steps of 64: 640 tokens a step, 1,000 an epoch."""
    found = plan_budget(100, sequence_length=10, global_batch_sequences=64, tokens=tokens)
    assert (found.steps, found.tokens) == (steps, 640 * steps)
    assert found.epochs == pytest.approx(epochs)


@given(SEQUENCES, BATCH, st.integers(1, 9), st.integers(1, 1 << 22))
def test_a_training_reads_what_was_asked_and_less_than_a_step_more(
    sequences: int, batch: int, epochs: int, tokens: int
) -> None:
    """Epochs lose less than a step, wanted tokens gain less than one; without sequences there is nothing."""
    whole = plan_budget(sequences, sequence_length=16, global_batch_sequences=batch, epochs=epochs)
    wanted = plan_budget(sequences, sequence_length=16, global_batch_sequences=batch, tokens=tokens)
    step = 16 * batch
    assert 0 <= epochs * 16 * sequences - whole.tokens < step
    assert whole.tokens == whole.steps * step
    if sequences:
        assert 0 <= wanted.tokens - tokens < step
        assert wanted.epochs * 16 * sequences == pytest.approx(wanted.tokens)
    else:
        assert (whole.tokens, wanted.tokens, wanted.epochs) == (0, 0, 0.0)


def test_epochs_and_tokens_contradict_each_other() -> None:
    """Both say how long the training is."""
    with pytest.raises(ValueError, match="give one of them"):
        plan_budget(9, sequence_length=8, global_batch_sequences=1, epochs=1, tokens=1)


def test_flops_of_gpt3() -> None:
    """GPT-3: 175e9 parameters and 300e9 tokens are 3.15e23 FLOPs (Brown et al. 2020, table D.1: 3.14e23)."""
    assert training_flops(300e9, active_parameters=175e9) == pytest.approx(3.15e23)


def test_optimal_tokens_of_chinchilla_and_grok() -> None:
    """70e9 parameters: the 1.4e12 tokens of Chinchilla; Grok-1: 1.72e12 by active, 6.28e12 by all."""
    assert optimal_tokens(70e9) == 1.4e12
    assert [optimal_tokens(n) for n in (86e9, 314e9)] == [1.72e12, 6.28e12]


def test_reach() -> None:
    """A day of 8.6e9 tokens is half a per cent of 1.72e12: 200 such days have as many."""
    day = Budget(1, 8_600_000_000, 8_600_000_000, 8_600_000_000, 1.0)
    assert reach(86e9, budget=day, day_tokens=8.6e9) == (1.72e12, 0.005, 200.0)
    assert reach(86e9, budget=day, day_tokens=0).days is None


def test_repeated_tokens_are_worth_what_the_paper_says() -> None:
    """4 epochs are worth 3.73; R* repetitions are worth 1 - 1/e of new ones; the limit is 1 + R*."""
    assert worth(4.0, distinct=1.0) == pytest.approx(1 + 15.387756 * (1 - math.exp(-3 / 15.387756)))
    assert worth(4.0, distinct=1.0) / 4 == pytest.approx(0.932, abs=0.001)
    repeats = 15.387756
    mean = (worth(1 + repeats, distinct=1.0) - 1) / repeats
    assert mean == pytest.approx(1 - 1 / math.e)
    assert worth(1e9, distinct=1.0) == pytest.approx(16.387756)


@given(st.floats(0, 1e13), st.floats(0, 1e13))
def test_worth_is_between_what_is_new_and_what_is_read(tokens: float, distinct: float) -> None:
    """Repeats are worth something, and less than new tokens."""
    found = worth(tokens, distinct=distinct)
    assert min(tokens, distinct) <= found * (1 + 1e-12)
    assert found <= tokens * (1 + 1e-12)
    assert found <= worth(2 * tokens, distinct=distinct) * (1 + 1e-12)
