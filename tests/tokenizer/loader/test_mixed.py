import itertools
import json
import pickle
from collections import Counter
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.schemas.errors import InputError
from sluice.tokenizer.loader.dataset import TokenBatch, TokenDataset, TokenLoader
from sluice.tokenizer.loader.files import ShardSet
from sluice.tokenizer.loader.mixed_order import PERIOD, MixedOrder, quotas_of, turns
from sluice.tokenizer.loader.order import Order
from tests.tokenizer.loader.test_files import write_output

SIZES = (2 * 150, 301)
quotas = st.lists(st.integers(1, 60), min_size=1, max_size=6)


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two outputs, of 2 shards of 150 sequences and of 1 of 301."""
    folder = tmp_path_factory.mktemp("mixed")
    return [
        write_output(folder / "a", num_shards=2, each=150),
        write_output(folder / "b", num_shards=1, each=301),
    ]


def loader_of(output: Any, *, num_workers: int = 0, **settings: Any) -> TokenLoader:
    settings = {"micro_batch_sequences": 2, "columns": ("sequences", "outputs"), **settings}
    return TokenLoader(TokenDataset(output, **settings), num_workers=num_workers)


def read(loader: TokenLoader, num_batches: int | None = None) -> list[int]:
    batches = itertools.islice(loader, num_batches)
    return [number for batch in batches for number in batch.sequences.tolist()]


# --- the order -------------------------------------------------------------------------------


@given(quotas=quotas)
def test_weights_hold_after_every_sequence(quotas: list[int]) -> None:
    """After n sequences each output was given n times its share, to within 1 - 1 / (2 m - 2) of one."""
    turn_Q, period = turns(quotas), sum(quotas)
    bound = 1 - 1 / (2 * len(quotas) - 2) if len(quotas) > 1 else 0
    for output, quota in enumerate(quotas):
        given_Q = np.cumsum(turn_Q == output)
        share_Q = np.arange(1, period + 1) * quota / period
        assert np.abs(given_Q - share_Q).max() <= bound + 1e-9
        assert given_Q[-1] == quota


@given(weights=st.lists(st.floats(1e-3, 1e3), min_size=1, max_size=6))
def test_quotas_are_the_weights(weights: list[float]) -> None:
    """Each is a weight's share of the period, to within a position for each output; the period is short."""
    found = quotas_of(weights)
    period = sum(found)
    assert period <= PERIOD + len(weights)
    for quota, weight in zip(found, weights, strict=True):
        exact = Fraction(weight) / sum(map(Fraction, weights))
        assert quota >= 1
        assert abs(quota / period - exact) <= (len(weights) + 1) / PERIOD


def test_short_periods_are_exact() -> None:
    """Decimal weights are taken as they are written, and whole numbers as a ratio."""
    assert quotas_of([0.7, 0.2, 0.1]) == (7, 2, 1)
    assert quotas_of([300, 100]) == (3, 1)
    assert quotas_of([5.0]) == (1,)


@given(quotas=quotas, sizes=st.data(), count=st.integers(1, 600))
def test_an_output_comes_as_it_would_alone(
    quotas: list[int], sizes: st.DataObject, count: int
) -> None:
    """The sequences of one output, taken out of the stream, are the beginning of that output's own order."""
    orders = [
        Order(1, sizes.draw(st.integers(1, 40)), "sequences", seed, 1)
        for seed in range(len(quotas))
    ]
    mixed = MixedOrder(orders, quotas)
    numbers_P = mixed.sequences(np.arange(count))
    of_P = mixed.outputs(numbers_P)
    assert of_P.tolist() == np.resize(turns(quotas), count).tolist()
    for output, order in enumerate(orders):
        own = numbers_P[of_P == output] - mixed.first_sequences[output]
        assert own.tolist() == order.sequences(np.arange(len(own))).tolist()


@given(quotas=quotas, epochs=st.integers(1, 3))
def test_the_end_is_the_first_new_epoch(quotas: list[int], epochs: int) -> None:
    """Before it no output has had more than its epochs; the sequence there would begin another."""
    orders = [Order(1, 3 + 2 * k, "none", 0, 1) for k in range(len(quotas))]
    mixed = MixedOrder(orders, quotas)
    end = mixed.end(epochs)
    counts = np.bincount(mixed.outputs(mixed.sequences(np.arange(end + 1))), minlength=len(quotas))
    allowed = [epochs * order.num_sequences for order in orders]
    over = [int(count) - most for count, most in zip(counts, allowed, strict=True)]
    assert max(over) == 1
    assert sum(much > 0 for much in over) == 1


# --- datasets --------------------------------------------------------------------------------


def test_a_batch_has_the_sequences_of_its_outputs(outputs: list[Path]) -> None:
    """Tokens and ends are those that each output's own shards have, whichever output a row is of."""
    dataset = TokenDataset(
        dict.fromkeys(outputs, 1.0),
        micro_batch_sequences=7,
        columns=["sequences", "outputs", "cu_seqlens"],
    )
    sets = [ShardSet(output) for output in outputs]
    for batch in itertools.islice(TokenLoader(dataset), 20):
        assert sorted(set(batch.outputs.tolist())) == [0, 1]
        for row, (number, output) in enumerate(
            zip(batch.sequences.tolist(), batch.outputs.tolist(), strict=True)
        ):
            expected = sets[output].rows(np.array([number - output * SIZES[0]]))
            assert batch.tokens[row].tolist() == expected.tokens_BL[0].tolist()


def test_weights_of_a_loader(outputs: list[Path]) -> None:
    """Of 1,000 sequences 900 are of the first; each output's come once an epoch."""
    numbers = read(loader_of({outputs[0]: 0.9, outputs[1]: 0.1}), 500)
    of_first = Counter(number for number in numbers if number < SIZES[0])
    of_second = Counter(number for number in numbers if number >= SIZES[0])
    assert (sum(of_first.values()), sum(of_second.values())) == (900, 100)
    assert set(of_first.values()) == {3}
    assert set(of_second.values()) == {1}


def test_without_weights_all_epochs_end_together(outputs: list[Path]) -> None:
    """Outputs in a list are weighted by their sizes: an epoch has every sequence of each once."""
    numbers = read(loader_of(outputs, epochs=1, micro_batch_sequences=1))
    assert sorted(numbers) == list(range(sum(SIZES)))


@given(
    parts=st.lists(
        st.tuples(st.integers(0, 9), st.sampled_from([1, 2, 3]), st.sampled_from([1, 2])),
        min_size=1,
        max_size=4,
    ),
    shuffle=st.sampled_from(["sequences", "blocks", "none"]),
)
def test_a_state_resumes_the_mixture(
    outputs: list[Path], parts: list[tuple[int, int, int]], shuffle: str
) -> None:
    """Broken off and resumed with other ranks and batches, a run reads the same sequences, none twice."""
    weights, state, got = {outputs[0]: 2.0, outputs[1]: 1.0}, None, []
    for steps, micro, ranks in parts:
        states = []
        for rank in range(ranks):
            loader = loader_of(
                weights, micro_batch_sequences=micro, shuffle=shuffle, rank=rank, world_size=ranks
            )
            if state is not None:
                loader.load_state_dict(json.loads(json.dumps(state)))
            got += read(loader, steps)
            states.append(loader.state_dict())
        state = states[0]
        assert states == [state] * ranks
    order = TokenDataset(weights, micro_batch_sequences=1, shuffle=shuffle).order
    assert Counter(got) == Counter(order.sequences(np.arange(len(got))).tolist())


@pytest.mark.parametrize("num_workers", [1, 2])
def test_workers_do_not_show_in_a_mixture(outputs: list[Path], num_workers: int) -> None:
    """The batches are the same and in the same order with any number of workers."""
    weights = {outputs[0]: 3.0, outputs[1]: 1.0}
    alone = read(loader_of(weights), 30)
    assert read(loader_of(weights, num_workers=num_workers), 30) == alone


def test_a_mixture_is_pickled(outputs: list[Path]) -> None:
    """As a dataset of one output, for workers that are spawned."""
    dataset = loader_of(outputs).dataset
    first: TokenBatch = next(iter(pickle.loads(pickle.dumps(dataset))))
    assert first.sequences.tolist() == next(iter(dataset)).sequences.tolist()


def test_a_list_of_one_is_that_output(outputs: list[Path]) -> None:
    """Order and state are those of the output itself, and a state without quotas is of one output."""
    one, listed = loader_of(outputs[1]), loader_of([outputs[1]])
    assert read(one, 9) == read(listed, 9)
    state = dict(one.state_dict())
    assert listed.state_dict() == state
    del state["quotas"]
    listed.load_state_dict(state)


# --- what is refused -------------------------------------------------------------------------


def test_other_weights_are_refused(outputs: list[Path]) -> None:
    """A state goes with its weights: others would repeat or lose sequences."""
    state = loader_of({outputs[0]: 1, outputs[1]: 1}).state_dict()
    with pytest.raises(
        ValueError, match=r"quotas of the checkpoint must be \[2, 1\].* got \[1, 1\]"
    ):
        loader_of({outputs[0]: 2, outputs[1]: 1}).load_state_dict(state)


@pytest.mark.parametrize("weight", [0, -1, float("nan"), float("inf")])
def test_weights_are_above_0(outputs: list[Path], weight: float) -> None:
    """A weight is a number above 0; an output that is not wanted is left out."""
    with pytest.raises(ValueError, match="a weight must be a number above 0, got"):
        loader_of({outputs[0]: 1, outputs[1]: weight})


def test_nothing_given() -> None:
    """No output is an error at once."""
    with pytest.raises(ValueError, match="no output"):
        loader_of([])


def change(folder: Path, to: Path, **changes: Any) -> Path:
    """Copies an output and changes keys of its manifest."""
    write_output(to, num_shards=2, each=150)
    manifest = json.loads((folder / "manifest.json").read_text())
    (to / "manifest.json").write_text(json.dumps({**manifest, **changes}))
    return to


def test_outputs_that_do_not_fit(outputs: list[Path], tmp_path: Path) -> None:
    """Another sequence length, or another tokenizer, is refused: both outputs and the remedy are named."""
    form = json.loads((outputs[0] / "manifest.json").read_text())["format"]
    other = change(outputs[0], tmp_path / "c", format={**form, "eod_id": 1})
    with pytest.raises(InputError, match=r"c: has ShardFormat.*eod_id=1.*must be equal"):
        loader_of([outputs[0], other])
    files = [{"path": "tokenizer/tokenizer.json", "sha256": "00"}]
    other = change(outputs[0], tmp_path / "d", files=files)
    with pytest.raises(
        InputError, match=r"d: has another tokenizer than .*vocabulary.tokenizer = "
    ):
        loader_of([outputs[0], other])
