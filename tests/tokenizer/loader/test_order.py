import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.schemas.token_shard import ROWS_PER_BATCH
from sluice.tokenizer.loader.order import MAX_SEQUENCES, Order
from sluice.tokenizer.loader.permutation import ROUNDS

WORD = 2**64 - 1
GOLDEN = 0x9E3779B97F4A7C15

orders = st.builds(
    Order,
    num_shards=st.integers(1, 6),
    sequences_per_shard=st.one_of(st.integers(1, 20), st.integers(200, 800)),
    shuffle=st.sampled_from(("sequences", "blocks", "none")),
    seed=st.one_of(st.integers(0, 9), st.integers(0, WORD)),
    window_blocks=st.integers(1, 5),
)


def mixed(x: int) -> int:
    """SplitMix64's finalizer on Python's integers, from the paper."""
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9 & WORD
    x = (x ^ x >> 27) * 0x94D049BB133111EB & WORD
    return x ^ x >> 31


def permuted(x: int, size: int, *, key: int) -> int:
    """The Feistel network on Python's integers, walked until the value is inside."""
    bits = math.ceil(math.log2(size))
    low = (bits + 1) // 2
    while True:
        halves = [x % 2**low, x // 2**low]
        sizes = [2**low, 2 ** (bits - low)]
        for r in range(ROUNDS):
            changed = (r + 1) % 2
            of_round = mixed((halves[1 - changed] + key + (r + 1) * GOLDEN) & WORD)
            halves[changed] ^= of_round % sizes[changed]
        x = halves[0] + halves[1] * 2**low
        if x < size:
            return x


def key_of(seed: int, *numbers: int) -> int:
    key = mixed((seed + GOLDEN) & WORD)
    for number in numbers:
        key = mixed(((key ^ number) + GOLDEN) & WORD)
    return key


@given(order=orders, epoch=st.integers(0, 3))
def test_an_epoch_has_every_sequence_once(order: Order, epoch: int) -> None:
    """Whatever the sizes, each epoch is a permutation of all sequences."""
    size = order.check().num_sequences
    numbers_N = order.sequences(np.arange(epoch * size, (epoch + 1) * size))
    assert np.sort(numbers_N).tolist() == list(range(size))


@given(order=orders, data=st.data())
def test_a_position_does_not_depend_on_what_is_asked_with_it(
    order: Order, data: st.DataObject
) -> None:
    """Any positions, in any order and number, give what all of them give."""
    size = order.num_sequences
    all_P = order.sequences(np.arange(3 * size))
    asked = data.draw(st.lists(st.integers(0, 3 * size - 1), max_size=9))
    assert order.sequences(np.array(asked, np.int64)).tolist() == all_P[asked].tolist()


@given(size=st.integers(1, 5000), seed=st.integers(0, WORD), epoch=st.integers(0, 2**20))
def test_sequences_equal_the_network_of_the_papers(size: int, seed: int, epoch: int) -> None:
    """The arrays equal the same construction on Python's integers."""
    positions = [0, size // 2, size - 1]
    got = Order(1, size, "sequences", seed, 1).sequences(np.array(positions) + epoch * size)
    key = key_of(seed, epoch, 1, 0)
    assert got.tolist() == [permuted(p, size, key=key) for p in positions]


def test_the_order_stays() -> None:
    """A checkpoint holds no order: that of a seed must never change."""
    asked_P = np.arange(1000, 1006)
    order = Order(7, 300, "sequences", 42, 2)
    assert order.sequences(asked_P).tolist() == SEQUENCES
    assert order._replace(shuffle="blocks").sequences(asked_P).tolist() == BLOCKS
    assert order._replace(shuffle="none").sequences(asked_P + 2100).tolist() == asked_P.tolist()


SEQUENCES = [1068, 1237, 334, 673, 1187, 974]
BLOCKS = [1812, 2036, 612, 732, 676, 1974]


def of_epochs() -> np.ndarray:
    """Returns the orders of 7 sequences in 20,000 epochs."""
    return Order(1, 7, "sequences", 0, 1).sequences(np.arange(7 * 20_000)).reshape(-1, 7)


def of_seeds() -> np.ndarray:
    """Returns the orders of 7 sequences under 4,000 seeds."""
    seeds = range(4000)
    return np.array([Order(1, 7, "sequences", s, 1).sequences(np.arange(7)) for s in seeds])


@pytest.mark.parametrize("orders_of", [of_epochs, of_seeds])
def test_every_place_is_as_likely(orders_of: Callable[[], np.ndarray]) -> None:
    """Over epochs, and over seeds, each sequence is first, and follows each other, as often: chi-square.

    The bounds are exceeded by one of 10^6 truly random shuffles.
    """
    shuffles = orders_of()
    for place in range(7):
        counts = np.bincount(shuffles[:, place], minlength=7)
        assert chi_square(counts) < 38.3  # 6 degrees of freedom
    pairs = np.bincount(shuffles[:, 0] * 7 + shuffles[:, 1], minlength=49)
    assert chi_square(pairs[pairs > 0]) < 105.8  # 41 degrees of freedom
    assert (pairs > 0).sum() == 42


def chi_square(counts: np.ndarray) -> float:
    expected = counts.sum() / len(counts)
    return float(((counts - expected) ** 2 / expected).sum())


def test_epochs_and_seeds_differ() -> None:
    """Two epochs, or two seeds, agree at about one of 1,000 positions, as strangers do."""
    order = Order(10, 1000, "sequences", 1, 1)
    first_N = order.sequences(np.arange(10_000))
    assert (first_N == order.sequences(np.arange(10_000, 20_000))).sum() < 10
    assert (first_N == order._replace(seed=2).sequences(np.arange(10_000))).sum() < 10
    assert (first_N == np.arange(10_000)).sum() < 10


@pytest.mark.parametrize("each", [4 * ROWS_PER_BATCH, 4 * ROWS_PER_BATCH + 100])
def test_a_window_needs_few_record_batches(each: int) -> None:
    """In `blocks`, a full record batch is needed by one window, but for the 255 sequences that walk."""
    order = Order(6, each, "blocks", 3, 4)
    numbers_N = order.sequences(np.arange(order.num_sequences))
    window_N = np.arange(order.num_sequences) // (4 * ROWS_PER_BATCH)
    is_full_N = numbers_N % each < 4 * ROWS_PER_BATCH
    batch_N = numbers_N // each * 4 + numbers_N % each // ROWS_PER_BATCH
    outside = 0
    for batch in range(24):
        counts = np.bincount(window_N[is_full_N & (batch_N == batch)])
        assert counts.sum() == ROWS_PER_BATCH
        outside += ROWS_PER_BATCH - counts.max()
    assert outside == 0 if each % ROWS_PER_BATCH == 0 else outside < ROWS_PER_BATCH
    assert (np.diff(batch_N) != 0).mean() > 0.5  # and inside the window they are mixed


def test_billions_of_sequences() -> None:
    """The order of 2^40 sequences costs what is asked of it."""
    for shuffle in ("sequences", "blocks"):
        order = Order(2**27, 2**13, shuffle, 5, 32).check()
        assert order.num_sequences == MAX_SEQUENCES
        positions_P = np.arange(1000) + 2 * MAX_SEQUENCES
        numbers_P = order.sequences(positions_P)
        assert len(set(numbers_P.tolist())) == 1000
        assert numbers_P.min() >= 0
        assert MAX_SEQUENCES // 2 < numbers_P.max() < MAX_SEQUENCES


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"shuffle": "sequence"}, "shuffle must be one of sequences, blocks, none, got 'sequence'"),
        ({"seed": -1}, r"seed must be in \[0, 2\^64\), got -1"),
        ({"seed": 2**64}, r"seed must be in"),
        ({"window_blocks": 0}, "window_blocks must be at least 1, got 0"),
        ({"num_shards": 0}, r"must have 1 to 2\^40 sequences, got 0"),
    ],
)
def test_settings_are_checked(change: dict[str, object], message: str) -> None:
    """A setting outside its range is refused by name."""
    with pytest.raises(ValueError, match=message):
        Order(2, 3, "sequences", 1, 1)._replace(**change).check()
