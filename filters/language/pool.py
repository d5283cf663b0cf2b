"""The evidence: what lid.176 and the shipped language models say for each language, added up.

A candidate is a label of a model. Its score adds up what each model says for it, and how common it is:

    score = prior + offset_gw + own_gw * log(1 + p_own / 0.0001) + lid_gw * log(1 + p_lid / 0.01)
                              + short_gw * log(1 + p_short / 0.0001)

where p_own is the shipped model's probability of the label, p_lid that of lid.176 if it is among its best
three and at least 0.05, p_short that of the model of short texts (a language that a model does not know
has 0), w says whether the text has one word, two, three or four, or more (p_short is then not asked for),
and g is how the languages are known:

| group | known by | the shipped model learnt it from |
|---|---|---|
| `own` | the shipped model alone | posts |
| `posts` | both | posts |
| `words` | both | word lists |
| `declaration` | both | the Declaration of Human Rights alone |
| `lid` | lid.176 alone | |

A candidate of `lid` that lid.176 does not name among its best is none. The numbers of a group are fitted on
held-out texts by maximum likelihood, which also calibrates the confidence. What the scores decide is said in
`decide.py`.

Source: a logarithmic opinion pool (Genest and Zidek, "Combining Probability Distributions", Statistical
Science 1(1), 1986, section 3), its weights shared by groups.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np

from sluice.filters.language.codes import language_of
from sluice.filters.language.decide import NO_CANDIDATE
from sluice.schemas.arrays import Array, Int32s

Group = Literal["own", "posts", "words", "declaration", "lid"]
Words = Literal["one", "two", "few", "more"]
"""How many words a text has: one at most, two, three or four, five and more."""
Groups = dict[Group, tuple[str, ...]]
"""Group -> its candidates."""

GROUPS: tuple[Group, ...] = ("own", "posts", "words", "declaration", "lid")
WORDS: tuple[Words, ...] = ("one", "two", "few", "more")
FEWEST_WORDS = (2, 3, 5)
"""Words from which on a text is of the next of WORDS; the model of short texts reads all but the last."""
OWN_FLOOR = np.float32(1e-4)
LID_FLOOR = np.float32(1e-2)
TOP = 3
"""Labels of lid.176 that are asked for."""
LEAST = 0.05
"""Their least probability; without it lid.176's tree is searched for 2 us per post more, to no gain."""
FOLDER = Path(__file__).parents[1] / "models"


class Weights(msgspec.Struct, frozen=True, kw_only=True):
    """What the models count for in a group of languages."""

    own: float
    lid: float
    offset: float
    short: float = 0.0


class LanguagePool(msgspec.Struct, frozen=True, kw_only=True):
    """How the models are pooled: `language.json` beside the shipped ones.

    Attributes:
        sha256: of the shipped model's file.
        lid_sha256: of lid.176's file.
        short_sha256: of the file of the model of short texts.
        groups: group -> its candidates, labels of the shipped model or codes of lid.176's languages.
        weights: number of words -> group -> its weights.
        prior: candidate -> a logarithm of how common it is, added to its score.
        bokmal_share: a post named `nb` is `no`, Norwegian of no decided variety, where Bokmål has less
            than this share of what Bokmål and Nynorsk have together.
        figures: what was measured, as in the model card.
    """

    sha256: str
    lid_sha256: str
    short_sha256: str
    groups: Groups
    weights: dict[Words, dict[Group, Weights]]
    prior: dict[str, float]
    bokmal_share: float
    figures: dict[str, Any]


@cache
def shipped_pool() -> LanguagePool:
    """Returns the pool of the shipped model."""
    return msgspec.json.decode((FOLDER / "language.json").read_bytes(), type=LanguagePool)


class Evidence:
    """What the models say for each candidate, as columns.

    Args:
        groups: group -> its C candidates in all.
        own_labels: labels of the shipped model, each of them a candidate.
        lid_labels: labels of lid.176; several may be one candidate (`sh` is Serbian).
        short_labels: labels of the model of short texts, each of them a candidate.
        prior: candidate -> what is added to its score; 0 where there is none.

    Attributes:
        candidates: C candidates, those of the shipped model first, in its order.
        group_C: (C,) int64, the index of each candidate's group in GROUPS.
        lid_alone_C: the places of the candidates of the group `lid`, in rising order.
    """

    def __init__(
        self,
        groups: Groups,
        *,
        own_labels: Sequence[str],
        lid_labels: Sequence[str],
        short_labels: Sequence[str] = (),
        prior: Mapping[str, float] | None = None,
    ):
        group_of_label = {label: group for group, labels in groups.items() for label in labels}
        others = sorted(set(group_of_label) - set(own_labels))
        self.candidates = (*own_labels, *others)
        self.group_C = np.array([GROUPS.index(group_of_label[label]) for label in self.candidates])
        place = {label: i for i, label in enumerate(self.candidates)}
        self.lid_alone_C = np.flatnonzero(self.group_C == GROUPS.index("lid"))
        self._of_lid = np.array([place[language_of(label)] for label in lid_labels])
        self._of_short = np.array([place[label] for label in short_labels], np.int64)
        known = prior or {}
        self.prior_C = np.array([known.get(label, 0) for label in self.candidates], np.float32)

    def own(self, probability_NL: Array) -> Array:
        """Returns (N, C) float32, 0 or more: the shipped model's evidence."""
        shape = (len(probability_NL), len(self.candidates))
        evidence_NC = np.zeros(shape, np.float32)
        evidence_NC[:, : probability_NL.shape[1]] = _evidence(probability_NL)
        return evidence_NC

    def lid(self, label_NK: Array, probability_NK: Array) -> Iterator[tuple[Array, Array]]:
        """Yields lid.176's evidence, of its best labels in turn: (N,) places of candidates, (N,) float32.

        Where it names no more, the evidence is 0, for any candidate.
        """
        evidence_NK = np.where(label_NK < 0, np.float32(0), np.log1p(probability_NK / LID_FLOOR))
        for label_N, evidence_N in zip(label_NK.T, evidence_NK.T, strict=True):
            yield self._of_lid[label_N], evidence_N

    def lid_dense(self, label_NK: Array, probability_NK: Array) -> Array:
        """Returns (N, C) float32, 0 or more: the same for all candidates."""
        evidence_NC = np.zeros((len(label_NK), len(self.candidates)), np.float32)
        for place_N, evidence_N in self.lid(label_NK, probability_NK):
            evidence_NC[np.arange(len(label_NK)), place_N] += evidence_N
        return evidence_NC

    def short(self, probability_NS: Array) -> Array:
        """Returns (N, C) float32, 0 or more: the evidence of the model of short texts."""
        evidence_NC = np.zeros((len(probability_NS), len(self.candidates)), np.float32)
        evidence_NC[:, self._of_short] = _evidence(probability_NS)
        evidence_NC[:, self.lid_alone_C] = (
            0  # of languages that stand in for some that it does not know
        )
        return evidence_NC


def _evidence(probability_NL: Array) -> Array:
    """Returns log(1 + p / OWN_FLOOR); NumPy has vectors for `log`, and none for `log1p`."""
    ratio_NL = probability_NL * np.float32(1 / OWN_FLOOR)
    ratio_NL += 1
    return np.asarray(np.log(ratio_NL, out=ratio_NL))


def word_classes(words_N: Int32s) -> Array:
    """Returns (N,) int64, the place of each number of words in WORDS."""
    return np.digitize(words_N, FEWEST_WORDS)


def scores(
    evidence: Evidence,
    weights: dict[Group, Weights],
    own_NL: Array,
    lid_label_NK: Array,
    lid_probability_NK: Array,
    short_NS: Array | None = None,
) -> Array:
    """Returns the score of each candidate, for texts of one class of length.

    Args:
        evidence: the candidates.
        weights: of each group.
        own_NL: (N, L) float32, the shipped model's probabilities.
        lid_label_NK: (N, K) int32, lid.176's best labels, -1 where there are no more.
        lid_probability_NK: (N, K) float32, their probabilities.
        short_NS: (N, S) float32, probabilities of the model of short texts; None for longer ones.

    Returns:
        (N, C) float32; row i depends on row i of the arguments alone.
    """
    rows = [(w.own, w.lid, w.offset, w.short) for w in (weights[group] for group in GROUPS)]
    own_C, lid_C, offset_C, short_C = np.array(rows, np.float32)[evidence.group_C].T.copy()
    base_C = offset_C + evidence.prior_C
    score_NC = evidence.own(own_NL)
    score_NC *= own_C
    score_NC += base_C
    score_NC[:, evidence.lid_alone_C] = -NO_CANDIDATE
    if short_NS is not None:
        score_NC += short_C * evidence.short(short_NS)
    rows_N = np.arange(len(score_NC))
    for place_N, evidence_N in evidence.lid(lid_label_NK, lid_probability_NK):
        score_N = score_NC[rows_N, place_N]
        is_new_N = (score_N == -NO_CANDIDATE) & (evidence_N > 0)
        score_N = np.where(is_new_N, base_C[place_N], score_N)
        score_NC[rows_N, place_N] = score_N + lid_C[place_N] * evidence_N
    return score_NC
