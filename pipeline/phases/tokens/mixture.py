"""How often each post is in the shards: mixing weights by language and by source, and rates by quality.

The amounts that shares are of are text bytes of the survivors, by predicted language and by source: they
are known before anything is encoded. A group's rate is the bytes that it is to have over the bytes that
it has; with both tables the rates are multiplied, which gives both sets of shares where language and
source are independent. What came out is counted, and in the report. A rate by quality multiplies these; it
is a function of the post's text alone, and found where the text is encoded.

A post of rate 2.3 is there twice, and a third time with probability 0.3, drawn by a seeded hash of its
document: the posts of a conversation are drawn together, and neither units nor batches show.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from sluice.filters.base import on_grid
from sluice.filters.batch import Scores
from sluice.filters.screens.hashed import HashedScreen
from sluice.filters.screens.screen import build_screen
from sluice.filters.text.features import text_features
from sluice.filters.text.hashing import hash_texts
from sluice.filters.text.views import classifier_text
from sluice.pipeline.ledger.tally import tally
from sluice.pipeline.phases.names import TOKENS
from sluice.pipeline.phases.vocabulary.sampling import by_group, fill
from sluice.pipeline.recipes import schema as recipe
from sluice.pipeline.units.attempt import Attempt
from sluice.pipeline.units.manifest import Unit
from sluice.pipeline.units.reject_file import RejectFile
from sluice.schemas.arrays import Bools, Float64s, Int64s, Uint64s
from sluice.schemas.counts import MixedQuality, PostAmounts, PostTally, amounts
from sluice.schemas.hashing import GOLDEN_RATIO
from sluice.schemas.post import source_rows
from sluice.schemas.reject import POLICY, reject_batch

PHASE, STAGE, REASON = TOKENS, "mixture", "mixture"
BELOW = "below"
"""What posts are counted as whose score is below the first step of quality."""
RATE_GRID = 2.0**-32
"""Rates are multiples of it, so that the last bits of a power do not show."""

Rates = tuple[tuple[str, float], ...]

_DRAW_SEED = 0x313C7E


def target_shares(amounts: Mapping[str, int], shares: recipe.Shares) -> dict[str, float]:
    """Returns the share that each group is to have; they sum to 1.

    Groups with a weight get it; the others divide the rest in proportion to p ** (1 / temperature),
    none more than `max_share`, or all the same where there are too few of them for that. A weight of a
    group that has nothing is divided as well.

    Args:
        amounts: group -> what it has, at least 1.
        shares: the recipe's table.

    Source: tempered shares as in XLM (Conneau and Lample 2019, arXiv:1901.07291, section 3.1) and mT5
    (Xue et al. 2021, arXiv:2010.11934, section 3.2), where the exponent is 1 / temperature.
    """
    total = sum(amounts.values())
    named = {name: shares.weights[name] for name in amounts if name in shares.weights}
    rest = [name for name in amounts if name not in named]
    if not rest:
        whole = sum(named.values())
        return {name: share / whole for name, share in named.items()} if whole else {}
    free = max(0.0, 1.0 - sum(named.values()))
    tempered_R = np.array([amounts[n] / total for n in rest]) ** (1.0 / shares.temperature)
    limit = max(shares.max_share, free / len(rest))
    share_R = fill(tempered_R, np.full(len(rest), limit), total=free)
    found = named | dict(zip(rest, share_R.tolist(), strict=True))
    return {name: found[name] for name in amounts}


def repeat_rates(
    amounts: Mapping[str, int], shares: recipe.Shares, *, max_repeats: float
) -> dict[str, float]:
    """Returns how often a post of each group is to be in the shards, on average.

    The total stays as it is, if the limits let it: what a group cannot take, because its posts may be there
    `max_repeats` times at most, goes to the others in proportion, but to none above `max_share`.

    Args:
        amounts: group -> what it has, at least 1.
        shares: the recipe's table.
        max_repeats: at least 1. Repeating up to 4 times is nearly as good as new tokens: Muennighoff et
            al. 2023, arXiv:2305.16264.
    """
    total, targets = sum(amounts.values()), target_shares(amounts, shares)
    has_G = np.array([amounts[name] / total for name in amounts])
    aim_G = np.array([targets.get(name, 0.0) for name in amounts])
    limit_G = np.minimum(max_repeats * has_G, np.maximum(shares.max_share, aim_G))
    rate_G = fill(aim_G, limit_G, total=1.0) / has_G
    rate_G = np.round(rate_G / RATE_GRID) * RATE_GRID
    return dict(zip(amounts, rate_G.tolist(), strict=True))


@dataclass(frozen=True)
class RepeatRates:
    """How often a post of each language, source and quality is in the shards.

    Attributes:
        languages: (language, rate), sorted.
        sources: (source, rate), sorted.
        qualities: (least score, rate), rising; none where quality does not count.
        max_repeats: no post's rate is higher.
        seed: of the draw.
        output: the output folder, for `rejects/`.
        files: source file of each clean unit.
    """

    languages: Rates
    sources: Rates
    qualities: tuple[tuple[float, float], ...]
    max_repeats: float
    seed: int
    output: str
    files: tuple[str, ...]

    def steps(self, batch: pa.RecordBatch) -> Int64s:
        """Returns (N,) int64, how many of `qualities` each post's score reaches; 0 where none counts."""
        if not self.qualities:
            return np.zeros(batch.num_rows, np.int64)
        return quality_steps(self.qualities, quality_of(batch.column("text")))

    def rates(self, batch: pa.RecordBatch, step_N: Int64s | None = None) -> Float64s:
        """Returns (N,) float64, the copies of each post that are expected; `step_N` where it is known."""
        by_language_N = by_group(batch.column("language"), dict(self.languages))
        by_source_N = by_group(batch.column("source"), dict(self.sources))
        step_N = self.steps(batch) if step_N is None else step_N
        rate_Q1 = np.array([1.0, *(rate for _, rate in self.qualities)])
        rate_N = by_language_N * by_source_N * rate_Q1[step_N]
        return np.asarray(np.minimum(rate_N, self.max_repeats))

    def repeats(
        self, batch: pa.RecordBatch, order_N: Uint64s, rate_N: Float64s | None = None
    ) -> Int64s:
        """Returns (N,) int64, how often each post is in the shards: 0 where it is left out.

        Args:
            batch: with columns `language` and `source`, and `text` where quality counts.
            order_N: (N,) uint64, the hash of each post's document.
            rate_N: of `rates`, where they are known.
        """
        rate_N = self.rates(batch) if rate_N is None else rate_N
        whole_N = np.floor(rate_N)
        drawn_N = (_mix(order_N ^ _salt(self.seed)) >> np.uint64(11)) * 2.0**-53
        return (whole_N + (drawn_N < rate_N - whole_N)).astype(np.int64)


def quality_name(least: float | None) -> str:
    """Returns what posts of a step are counted as; None stands for those below the first one."""
    return BELOW if least is None else f"{least:g}"


def quality_steps(qualities: Sequence[tuple[float, float]], scores_N: Scores) -> Int64s:
    """Returns (N,) int64, how many steps a score reaches.

    Args:
        qualities: (least score, rate), rising; scores and bounds are compared on the grid of scores.
        scores_N: (N,) float32 on the grid.
    """
    least_Q = on_grid([least for least, _ in qualities])
    return np.asarray(np.searchsorted(least_Q, scores_N, side="right"))


def quality_of(texts: pa.StringArray) -> Scores:
    """Returns (N,) float32 in [0, 1] on the grid, what the shipped screen says of kept texts."""
    return _quality_screen().score(classifier_text(texts), text_features(texts))


@cache
def _quality_screen() -> HashedScreen:
    screen = build_screen("quality", model=None)
    assert isinstance(screen, HashedScreen)
    return screen


def plan_mixture(
    section: recipe.MixtureSection,
    survivors: PostTally,
    *,
    seed: int,
    output: str,
    files: tuple[str, ...],
) -> RepeatRates:
    """Returns the rates that a recipe's table and the text bytes of the survivors give.

    Args:
        section: the recipe's table.
        survivors: totals of the posts that are left, with `by_lang` and `by_source` of `text_bytes`.
        seed: of the draw.
        output: the output folder.
        files: source file of each clean unit.
    """
    return RepeatRates(
        _group_rates(survivors.by_lang, section.language, section.max_repeats),
        _group_rates(survivors.by_source, section.source, section.max_repeats),
        tuple((step.min_quality, step.rate) for step in section.quality),
        section.max_repeats,
        seed,
        output,
        files,
    )


def _group_rates(
    groups: Mapping[str, PostAmounts], shares: recipe.Shares, max_repeats: float
) -> Rates:
    text = amounts(groups, lambda group: group.text_bytes)
    if shares == recipe.Shares():
        return tuple((name, 1.0) for name in text)
    return tuple(sorted(repeat_rates(text, shares, max_repeats=max_repeats).items()))


def _salt(seed: int) -> np.uint64:
    return np.uint64(seed ^ _DRAW_SEED)


def _mix(hashes: Uint64s) -> Uint64s:
    """Returns other hashes: SplitMix64's step (Steele, Lea and Flood, OOPSLA 2014, figure 17)."""
    x = hashes + GOLDEN_RATIO
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


class Mixed(NamedTuple):
    """What a unit counts: what was left out, the sum of the ids in sequences, posts by quality."""

    left_out: PostTally
    id_sum: int
    qualities: dict[str, MixedQuality]


class Copies(NamedTuple):
    """Posts of a batch, each as often as it is in the shards, its copies one after the other.

    Attributes:
        row_M: (M,) int64, which post of the batch.
        order_M: (M,) uint64, the hash of the document; each copy has its own, so that copies go to
            different places.
        first_M: (M,) bool, the first copy of its post.
    """

    row_M: Int64s
    order_M: Uint64s
    first_M: Bools


def copies(order_N: Uint64s, repeats_N: Int64s) -> Copies:
    """Returns each post as often as it repeats; the first copy keeps the hash of its document."""
    row_M = np.repeat(np.arange(len(order_N)), repeats_N)
    stops_N = np.cumsum(repeats_N)
    copy_M = np.arange(len(row_M)) - (stops_N - repeats_N)[row_M]
    order_M, first_M = order_N[row_M], copy_M == 0
    order_M = np.where(first_M, order_M, _mix(order_M + copy_M.astype(np.uint64) * GOLDEN_RATIO))
    return Copies(row_M, order_M, first_M)


class Mixing:
    """A unit's posts, as often as the mixture says, and what it counts; one per unit."""

    def __init__(self, mixture: RepeatRates, unit: Unit, attempt: Attempt):
        self._mixture = mixture
        self._source_file = mixture.files[unit.index]
        self._file = RejectFile(attempt, mixture.output, f"{PHASE}-{unit.index:05d}")
        self._left_out, self._id_sum = PostTally(), 0
        self._qualities = np.zeros((len(mixture.qualities) + 1, 3), np.int64)

    def apply(
        self, batch: pa.RecordBatch, order_N: Uint64s
    ) -> tuple[pa.RecordBatch, Uint64s, Bools]:
        """Returns each post of a batch as often as it is in the shards; order_M and first_M as `Copies`."""
        step_N = self._mixture.steps(batch)
        rate_N = self._mixture.rates(batch, step_N)
        repeats_N = self._mixture.repeats(batch, order_N, rate_N)
        np.add.at(
            self._qualities,
            step_N,
            np.stack([np.ones_like(repeats_N), repeats_N == 0, repeats_N], axis=1),
        )
        out_N = repeats_N == 0
        self._leave_out(batch.filter(pa.array(out_N)), rate_N[out_N])
        row_M, order_M, first_M = copies(order_N, repeats_N)
        posts = batch.take(pa.array(row_M))
        self._id_sum += sum_of_ids(hash_texts(posts.column("post_id")))
        return posts, order_M, first_M

    def _leave_out(self, posts: pa.RecordBatch, rate_N: Float64s) -> None:
        if not posts.num_rows:
            return
        about = {
            "post_id": posts.column("post_id"),
            "kind": POLICY,
            "phase": PHASE,
            "stage": STAGE,
            "reason": REASON,
            "score": pa.array(rate_N.astype(np.float32)),
            "source_file": self._source_file,
            "source_row": source_rows(posts.column("row_key")),
        }
        self._file.write(reject_batch(posts.num_rows, about))
        self._left_out += tally(posts, PostTally)

    def finish(self) -> Mixed:
        """Closes the file of what was left out; returns what was counted."""
        self._file.finish()
        steps = [None, *(least for least, _ in self._mixture.qualities)]
        counted = self._qualities.tolist() if self._mixture.qualities else []
        qualities = {
            quality_name(least): MixedQuality(*row)
            for least, row in zip(steps, counted, strict=False)
        }
        return Mixed(self._left_out, self._id_sum, qualities)


def sum_of_ids(hashes_N: Uint64s) -> int:
    """Returns the sum of the upper halves of hashes: two lists of unlike posts have unlike sums.

    It does not overflow below 2^32 posts a call.
    """
    return int((hashes_N >> np.uint64(32)).sum())
