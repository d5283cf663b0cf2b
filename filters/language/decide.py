"""The decision: from scores of languages to one label and one confidence, whichever models made the scores.

1. A language that is not written in a script that the text holds (`scripts.py`) is none.
2. The softmax of the scores of those that are left gives each a share; the largest names the language.
3. The confidence is the share of the language and of its close relatives together: the members of its group
   (`ar`, `no`, `zh`), and Scots with English. So a text that is surely Arabic, and perhaps Egyptian, is sure.
4. `nb` is `no`, Norwegian of no decided variety, where Bokmål has less than a stated part of what it and
   Nynorsk have together.

A language that is alone with its script is so named at confidence 1, whatever models say.
"""

from collections.abc import Sequence

import numpy as np

from sluice.filters.language.codes import group_of, language_of
from sluice.filters.language.scripts import written_in
from sluice.schemas.arrays import Array, Bools, Uint64s

NO_CANDIDATE = np.float32(1e3)
"""Taken from the score of a language that is none: its share is 0."""
_WITH = {"sco": "en"}
"""Close relatives whose confidence is one, beyond those of a group."""


class Decision:
    """Decides between C candidates.

    Args:
        candidates: C labels of languages; `nb` and `nn` are among them.
        bokmal_share: see above.

    Attributes:
        codes: C + 1 codes of languages; the last, `no`, is not a candidate.
    """

    def __init__(self, candidates: Sequence[str], bokmal_share: float):
        self._candidates, self._bokmal_share = candidates, np.float32(bokmal_share)
        codes = [language_of(label) for label in candidates]
        self.codes = (*codes, "no")
        self._bokmal, self._nynorsk = codes.index("nb"), codes.index("nn")
        kin = [_WITH.get(code, group_of(code)) for code in codes]
        _, self._kin_C = np.unique(kin, return_inverse=True)
        sizes_K = np.bincount(self._kin_C)
        self._families = [np.flatnonzero(self._kin_C == k) for k in np.flatnonzero(sizes_K > 1)]

    def __call__(self, score_NC: Array, masks_N: Uint64s) -> tuple[Array, Array]:
        """Returns the places of the best candidates in `codes`, and their confidences.

        Args:
            score_NC: (N, C) float32; it is written over.
            masks_N: (N,) uint64, the scripts that each text holds.

        Returns:
            (N,) int64, -1 where no language is written so; (N,) float32 in [0, 1]. Row i depends on row i
            alone.
        """
        masks_U, mask_N = np.unique(masks_N, return_inverse=True)
        written_UC = written_in(masks_U, self._candidates)
        score_NC -= np.where(written_UC, np.float32(0), NO_CANDIDATE).take(mask_N, axis=0)
        share_NC = shares(score_NC)
        label_N = share_NC.argmax(axis=1)
        confidence_N = self._confidence(share_NC, label_N)
        self._undecide(share_NC, label_N)
        is_written_U = np.asarray(written_UC.any(axis=1))
        label_N[~is_written_U[mask_N]] = -1
        return label_N, confidence_N

    def is_alone(self, masks_N: Uint64s) -> Bools:
        """Returns (N,) bool, true where the languages of the scripts are one and its relatives."""
        masks_U, mask_N = np.unique(masks_N, return_inverse=True)
        written_UC = written_in(masks_U, self._candidates)
        alone_U = [len(np.unique(self._kin_C[row_C])) == 1 for row_C in written_UC]
        return np.array(alone_U, np.bool_)[mask_N]

    def _confidence(self, share_NC: Array, label_N: Array) -> Array:
        confidence_N = share_NC[np.arange(len(label_N)), label_N]
        for family in self._families:
            rows = np.flatnonzero(np.isin(label_N, family))
            confidence_N[rows] = share_NC[np.ix_(rows, family)].sum(axis=1)
        return np.minimum(confidence_N, np.float32(1))

    def _undecide(self, share_NC: Array, label_N: Array) -> None:
        """Makes `no` of Bokmål that is not sure to be Bokmål."""
        rows = np.flatnonzero(label_N == self._bokmal)
        bokmal_M = share_NC[rows, self._bokmal]
        norwegian_M = bokmal_M + share_NC[rows, self._nynorsk]
        label_N[rows[bokmal_M < self._bokmal_share * norwegian_M]] = len(self.codes) - 1


def shares(score_NC: Array) -> Array:
    """Returns the softmax of each row, (N, C) float32; writes over the scores."""
    score_NC -= score_NC.max(axis=1, keepdims=True)
    np.exp(score_NC, out=score_NC)
    score_NC /= score_NC.sum(axis=1, keepdims=True)
    return score_NC
