"""The rule that combines lid.176 and the shipped language model into one label and one confidence.

A candidate is a label of either model. Its score adds up what each model says for it:

    score = offset_g + own_g * log(1 + p_own / 0.0001) + lid_g * log(1 + p_lid / 0.01)

where p_own is the shipped model's probability of the label, p_lid that of lid.176 if it is among its
best three and at least 0.05, else 0 (a language that a model does not know has 0), and g is how the
languages are known:

| group | known by | the shipped model learnt it from |
|---|---|---|
| `own` | the shipped model alone | posts |
| `posts` | both | posts |
| `words` | both | word lists |
| `declaration` | both | the Declaration of Human Rights alone |
| `lid` | lid.176 alone | |

A candidate of `lid` that lid.176 does not name among its best is none. The softmax of the scores is the
confidence, and its largest entry names the language. The three numbers of a group are fitted on held-out
texts by maximum likelihood, which also calibrates the confidence.

Source: a logarithmic opinion pool (Genest and Zidek, "Combining Probability Distributions", Statistical
Science 1(1), 1986, section 3), its weights shared by groups.
"""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np

from sluice.filters.language.codes import language_of
from sluice.schemas.arrays import Array

Group = Literal["own", "posts", "words", "declaration", "lid"]
Groups = dict[Group, tuple[str, ...]]
"""Group -> its candidates."""

GROUPS: tuple[Group, ...] = ("own", "posts", "words", "declaration", "lid")
OWN_FLOOR = np.float32(1e-4)
LID_FLOOR = np.float32(1e-2)
TOP = 3
"""Labels of lid.176 that are asked for."""
NO_CANDIDATE = np.float32(1e3)
"""Taken from the score of a candidate of which nothing speaks: its share is 0."""
LEAST = 0.05
"""Their least probability; without it lid.176's tree is searched for 2 us per post more, to no gain."""
FOLDER = Path(__file__).parents[1] / "models"


class Weights(msgspec.Struct, frozen=True, kw_only=True):
    """What the two models count for in a group of languages."""

    own: float
    lid: float
    offset: float


class LanguagePool(msgspec.Struct, frozen=True, kw_only=True):
    """How two models are pooled: `language.json` beside the shipped one.

    Attributes:
        sha256: of the shipped model's file.
        lid_sha256: of lid.176's file.
        groups: group -> its candidates, labels of the shipped model or codes of lid.176's languages.
        weights: group -> its weights.
        bokmal_share: a post named `nb` is `no`, Norwegian of no decided variety, where Bokmål has less
            than this share of what Bokmål and Nynorsk have together.
        figures: what was measured, as in the model card.
    """

    sha256: str
    lid_sha256: str
    groups: Groups
    weights: dict[Group, Weights]
    bokmal_share: float
    figures: dict[str, Any]


@cache
def shipped_pool() -> LanguagePool:
    """Returns the pool of the shipped model."""
    return msgspec.json.decode((FOLDER / "language.json").read_bytes(), type=LanguagePool)


class Evidence:
    """What two models say for each candidate, as columns.

    Args:
        groups: group -> its C candidates in all.
        own_labels: labels of the shipped model, each of them a candidate.
        lid_labels: labels of lid.176; several may be one candidate (`sh` is Serbian).

    Attributes:
        candidates: C candidates, those of the shipped model first, in its order.
        group_C: (C,) int64, the index of each candidate's group in GROUPS.
        lid_alone_C: the places of the candidates of the group `lid`, in rising order.
    """

    def __init__(self, groups: Groups, *, own_labels: Sequence[str], lid_labels: Sequence[str]):
        group_of_label = {label: group for group, labels in groups.items() for label in labels}
        others = sorted(set(group_of_label) - set(own_labels))
        self.candidates = (*own_labels, *others)
        self.group_C = np.array([GROUPS.index(group_of_label[label]) for label in self.candidates])
        place = {label: i for i, label in enumerate(self.candidates)}
        self.lid_alone_C = np.flatnonzero(self.group_C == GROUPS.index("lid"))
        self._of_lid = np.array([place[language_of(label)] for label in lid_labels])

    def own(self, probability_NL: Array) -> Array:
        """Returns (N, C) float32, 0 or more: the shipped model's evidence."""
        shape = (len(probability_NL), len(self.candidates))
        evidence_NC = np.zeros(shape, np.float32)
        evidence_NC[:, : probability_NL.shape[1]] = np.log1p(probability_NL / OWN_FLOOR)
        return evidence_NC

    def lid(self, label_NK: Array, probability_NK: Array) -> Array:
        """Returns (N, C) float32, 0 or more: lid.176's evidence, of its best labels."""
        evidence_NC = np.zeros((len(label_NK), len(self.candidates)), np.float32)
        evidence_NK = np.where(label_NK < 0, np.float32(0), np.log1p(probability_NK / LID_FLOOR))
        rows_N = np.arange(len(label_NK))
        for label_N, evidence_N in zip(label_NK.T, evidence_NK.T, strict=True):
            evidence_NC[rows_N, self._of_lid[label_N]] += evidence_N
        return evidence_NC


def scores(
    evidence: Evidence,
    weights: dict[Group, Weights],
    own_NL: Array,
    lid_label_NK: Array,
    lid_probability_NK: Array,
) -> Array:
    """Returns the score of each candidate.

    Args:
        evidence: the candidates.
        weights: of each group.
        own_NL: (N, L) float32, the shipped model's probabilities.
        lid_label_NK: (N, K) int32, lid.176's best labels, -1 where there are no more.
        lid_probability_NK: (N, K) float32, their probabilities.

    Returns:
        (N, C) float32; row i depends on row i of the arguments alone.
    """
    rows = [(w.own, w.lid, w.offset) for w in (weights[group] for group in GROUPS)]
    own_C, lid_C, offset_C = np.array(rows, np.float32)[evidence.group_C].T.copy()
    score_NC = evidence.own(own_NL)
    score_NC *= own_C
    score_NC += offset_C
    lid_NC = evidence.lid(lid_label_NK, lid_probability_NK)
    score_NC += lid_C * lid_NC
    score_NC[:, evidence.lid_alone_C] -= NO_CANDIDATE * (lid_NC[:, evidence.lid_alone_C] == 0)
    return score_NC


def shares(score_NC: Array) -> Array:
    """Returns the softmax of each row, (N, C) float32; writes over the scores."""
    score_NC -= score_NC.max(axis=1, keepdims=True)
    np.exp(score_NC, out=score_NC)
    score_NC /= score_NC.sum(axis=1, keepdims=True)
    return score_NC
