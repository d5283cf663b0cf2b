"""TokenPlaces in a shard's sequences, as rows of the provenance name them, and the tokens that they cover.

Shape suffixes: P places, S sequences of L tokens, T = S * L tokens.
"""

from typing import NamedTuple

import numpy as np

from sluice.schemas.arrays import Array, Bools, Int32s, Int64s
from sluice.schemas.token_shard import ShardFormat


class TokenPlaces(NamedTuple):
    """Where tokens are: so many from an offset on in a row of a shard, in the order of the rows.

    Attributes:
        sequence_P: (P,) int64.
        offset_P: (P,) int64.
        length_P: (P,) int64.
    """

    sequence_P: Int64s
    offset_P: Int64s
    length_P: Int64s

    @classmethod
    def of(cls, *columns: Array) -> "TokenPlaces":
        """Returns places in the order of their sequences, whatever their integer type and order."""
        wide = [np.asarray(column, np.int64) for column in columns]
        order_P = np.lexsort((wide[1], wide[0]))
        return cls(*(column[order_P] for column in wide))

    def among(self, first: int, stop: int) -> "TokenPlaces":
        """Returns the places in the sequences from `first` to before `stop`, which become 0 and on."""
        start, end = np.searchsorted(self.sequence_P, [first, stop])
        chosen = slice(start, end)
        return TokenPlaces(
            self.sequence_P[chosen] - first, self.offset_P[chosen], self.length_P[chosen]
        )

    def positions(self, sequence_length: int) -> Int64s:
        """Returns (T,) int64, the numbers of the tokens in the places, place after place.

        >>> TokenPlaces.of([1, 0], [0, 2], [2, 1]).positions(3).tolist()
        [2, 3, 4]
        """
        begin_P = self.sequence_P * sequence_length + self.offset_P
        skip_P = begin_P - (np.cumsum(self.length_P) - self.length_P)
        return np.asarray(np.arange(int(self.length_P.sum())) + np.repeat(skip_P, self.length_P))

    def covered(self, num_sequences: int, sequence_length: int) -> Bools:
        """Returns (S, L) bool: which tokens of S sequences are in one of the places.

        >>> TokenPlaces.of([1, 0], [0, 2], [1, 1]).covered(2, 3).tolist()
        [[False, False, True], [True, False, False]]
        """
        covered_T = np.zeros(num_sequences * sequence_length, np.bool_)
        covered_T[self.positions(sequence_length)] = True
        return covered_T.reshape(num_sequences, sequence_length)


def overwritten(
    tokens_SL: Int32s, places: TokenPlaces, *, stay: tuple[int, ...], pad_id: int
) -> Int32s:
    """Returns sequences whose tokens in the places are padding, but for those that stay.

    >>> tokens = np.array([[7, 8, 2, 9]], np.int32)
    >>> overwritten(tokens, TokenPlaces.of([0], [0], [3]), stay=(2,), pad_id=0).tolist()
    [[0, 0, 2, 9]]

    Args:
        tokens_SL: (S, L) int32.
        places: in them.
        stay: ids that are no part of a post's text: those that begin and end documents and part posts.
        pad_id: of padding.
    """
    goes_SL = places.covered(*tokens_SL.shape) & ~np.isin(tokens_SL, stay)
    return np.where(goes_SL, np.int32(pad_id), tokens_SL)


def as_if_there(tokens_SL: Int32s, places: TokenPlaces, format: ShardFormat) -> Int32s:
    """Returns sequences with some id of a text wherever places hold padding: as if the posts were there."""
    some_id = next(i for i in range(3) if i not in (format.pad_id, format.eod_id))
    is_pad_SL = places.covered(*tokens_SL.shape) & (tokens_SL == format.pad_id)
    return np.where(is_pad_SL, np.int32(some_id), tokens_SL)
