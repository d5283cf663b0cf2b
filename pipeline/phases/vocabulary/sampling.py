"""How much of which language the vocabulary is trained on, and which posts are drawn for it."""

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sluice.filters.text.hashing import hash_texts
from sluice.schemas.arrays import Bools, Float64s, Int64s
from sluice.schemas.counts import UNKNOWN, PostAmounts
from sluice.schemas.report import TrainingShare
from sluice.tokenizer.training.words import WordCounts
from sluice.tokenizer.training.words_files import WEIGHT_OF_ONE


def fill(weight_G: Float64s, limit_G: Float64s, *, total: float) -> Float64s:
    """Returns (G,) float64, shares of a total in proportion to weights, none above its limit.

    What a limit cuts off goes to the others, in proportion (water-filling): min(c * weight, limit), with
    c such that the sum is the total, or all limits where they sum to less.

    Args:
        weight_G: (G,) at least 0; a group of weight 0 gets nothing.
        limit_G: (G,) above 0.
        total: above 0.
    """
    share_G = np.zeros(len(weight_G))
    some_K = np.flatnonzero(weight_G > 0)
    if not len(some_K):
        return share_G
    some_K = some_K[np.argsort(limit_G[some_K] / weight_G[some_K], kind="stable")]
    weight_K, limit_K = weight_G[some_K], limit_G[some_K]
    before_K = np.cumsum(limit_K) - limit_K
    behind_K = np.cumsum(weight_K[::-1])[::-1]
    level_K = (total - before_K) / behind_K
    free_F = np.flatnonzero(level_K * weight_K <= limit_K)
    level = level_K[free_F[0]] if len(free_F) else np.inf
    share_G[some_K] = np.minimum(level * weight_K, limit_K)
    return share_G


def by_group(
    groups: pa.StringArray, values: Mapping[str, float], default: float | None = None
) -> Float64s:
    """Returns (N,) float64, the value of each post's group; without a default every group must have one."""
    encoded = pc.fill_null(groups, UNKNOWN).dictionary_encode()
    names = encoded.dictionary.to_pylist()
    value_G = [values[name] if default is None else values.get(name, default) for name in names]
    return np.asarray(np.array(value_G, np.float64)[np.asarray(encoded.indices)])


def sample_rates(
    bytes_by_lang: Mapping[str, int], *, sample_bytes: int, exponent: float
) -> dict[str, float]:
    """Returns the share of each language's posts to take, in (0, 1].

    A language gets a part of `sample_bytes` in proportion to its share of the text to the power of
    `exponent`; what a small language cannot fill goes to the others, by the same rule.
    """
    langs = sorted(lang for lang, n in bytes_by_lang.items() if n > 0)
    bytes_L = np.array([bytes_by_lang[lang] for lang in langs], np.float64)
    total = bytes_L.sum()
    if total <= sample_bytes:
        return dict.fromkeys(langs, 1.0)
    taken_L = fill((bytes_L / total) ** exponent, bytes_L, total=sample_bytes)
    return dict(zip(langs, (taken_L / bytes_L).tolist(), strict=True))


def language_weights(
    bytes_by_lang: Mapping[str, int],
    rates: Mapping[str, float],
    *,
    exponent: float,
    max_weight: float,
) -> dict[str, int]:
    """Returns what an occurrence of a word weighs in each language, in parts of WEIGHT_OF_ONE.

    A language that has share p of the text gets a share of the weights in proportion to p ** exponent, as
    far as `max_weight` allows. The least weight is 1, so that a pair that occurs twice can be merged in
    every language.

    Args:
        bytes_by_lang: text of each language.
        rates: the share of it that is sampled.
        exponent: in [0, 1].
        max_weight: at least 1; 1 leaves all weights at 1.
    """
    total = sum(bytes_by_lang.values())
    found = {
        lang: (n / total) ** exponent / (rates[lang] * n)
        for lang, n in sorted(bytes_by_lang.items())
        if n > 0
    }
    least = min(found.values(), default=1.0)
    return {lang: round(min(w / least, max_weight) * WEIGHT_OF_ONE) for lang, w in found.items()}


def composition(
    bytes_by_lang: Mapping[str, int],
    sampled_by_lang: Mapping[str, PostAmounts],
    weights: Mapping[str, int],
) -> dict[str, TrainingShare]:
    """Returns what each language is of the training text, most text first.

    Args:
        bytes_by_lang: text that is left when duplicates are gone.
        sampled_by_lang: of the sample.
        weights: as `language_weights` returns them.
    """
    total = max(1, sum(bytes_by_lang.values()))
    weighed = {lang: weights[lang] * n.text_bytes for lang, n in sampled_by_lang.items()}
    all_weighed = max(1, sum(weighed.values()))
    return {
        lang: TrainingShare(
            posts=sampled_by_lang[lang].posts,
            text_bytes=sampled_by_lang[lang].text_bytes,
            weight=round(weights[lang] / WEIGHT_OF_ONE, 3),
            share_of_text=round(bytes_by_lang[lang] / total, 6),
            share_of_training=round(weighed[lang] / all_weighed, 6),
        )
        for lang in sorted(weighed, key=lambda lang: (-weighed[lang], lang))
    }


def weights_of(language: pa.Array, weights: Mapping[str, int]) -> Int64s:
    """Returns (N,) int64, what a word of each post weighs; one without a language has that of `unknown`."""
    return by_group(language, weights, WEIGHT_OF_ONE).astype(np.int64)


def once_at_most_one(words: WordCounts) -> WordCounts:
    """Returns the same, but a word that occurs once weighs 1 at most: no merge rests on one occurrence."""
    most_W = np.where(words.count_W == 1, WEIGHT_OF_ONE, np.iinfo(np.int64).max)
    return words._replace(weight_W=np.minimum(words.weight_W, most_W))


def taken_mask(batch: pa.RecordBatch, rates: Mapping[str, float], *, seed: int) -> Bools:
    """Returns (N,) bool: a post is taken when the seeded hash of its id falls below its language's rate."""
    hash_N = hash_texts(batch.column("post_id"), seed=seed) >> np.uint64(11)
    return np.asarray(hash_N * 2.0**-53 < by_group(batch.column("language"), rates, 1.0))
