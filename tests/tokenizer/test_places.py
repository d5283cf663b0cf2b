"""Places in sequences, and what is overwritten there: any of them, against a loop."""

import random

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from sluice.schemas.token_shard import ShardFormat
from sluice.tokenizer.places import TokenPlaces, as_if_there, overwritten

LENGTH = 6
PAD, EOD = 0, 1


@st.composite
def places(draw: st.DrawFn) -> list[tuple[int, int, int]]:
    """Returns (sequence, offset, length) that do not overlap, in any order."""
    found = []
    for sequence in range(draw(st.integers(1, 5))):
        cuts = sorted(draw(st.sets(st.integers(0, LENGTH))))
        found += [(sequence, a, b - a) for a, b in zip(cuts[::2], cuts[1::2], strict=False)]
    return draw(st.permutations(found))


@given(places(), st.integers(0, 5), st.integers(0, 5), st.randoms(use_true_random=False))
def test_any_places(
    rows: list[tuple[int, int, int]], first: int, more: int, draw: random.Random
) -> None:
    """Those among some sequences, the tokens that they cover, and sequences without these tokens."""
    columns = np.array(rows, np.int32).reshape(-1, 3).T
    there = TokenPlaces.of(*columns).among(first, first + more)
    tokens = [[draw.choice([PAD, EOD, 7, 8]) for _ in range(LENGTH)] for _ in range(more)]
    tokens_SL = np.array(tokens, np.int32).reshape(more, LENGTH)
    covered = np.zeros((more, LENGTH), np.bool_)
    for sequence, offset, length in rows:
        if first <= sequence < first + more:
            covered[sequence - first, offset : offset + length] = True
    assert np.array_equal(there.covered(more, LENGTH), covered)
    assert sorted(there.positions(LENGTH)) == np.flatnonzero(covered).tolist()
    after = overwritten(tokens_SL, there, stay=(EOD,), pad_id=PAD)
    assert np.array_equal(after, np.where(covered & (tokens_SL != EOD), PAD, tokens_SL))
    back = as_if_there(after, there, ShardFormat(LENGTH, 9, pad_id=PAD, eod_id=EOD))
    assert not (back[covered] == PAD).any()
    assert np.array_equal(back[~covered], tokens_SL[~covered])
