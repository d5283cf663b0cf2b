"""Phase vocabulary: the words of survivors, counted and tempered by language -> tokenizer.json.

Words are counted where the posts are and meet by their hash, so that the texts stay where they are. A
tempered language is not sampled but weighed: the counts of a rare one are raised, also where all text fits
`sample_bytes`.

Sources: the exponent that tempers languages is that of Conneau and Lample 2019, "Cross-lingual
Language Model Pretraining", section 3.1.
"""

import math
from typing import Any

from sluice.pipeline.phases.job import Job, installed
from sluice.pipeline.phases.planned import PhasePlan, Step, survivor_units, survivors_of
from sluice.pipeline.phases.results import Results
from sluice.pipeline.phases.vocabulary import sampling
from sluice.pipeline.phases.vocabulary.count import PARTITION_BYTES, Count, Merge
from sluice.pipeline.phases.vocabulary.train import Freeze, Train
from sluice.pipeline.storage import files as storage
from sluice.pipeline.units import exchange
from sluice.pipeline.units.manifest import Unit
from sluice.schemas.counts import amounts

PHASE = "vocabulary"


def part(job: Job, left: str) -> list[Any]:
    """Returns what the phase depends on: a frozen tokenizer, or the posts that are left and the settings.

    Args:
        job: names the tokenizer, or the settings.
        left: fingerprint of the last phase that drops posts.
    """
    section = job.recipe.vocabulary
    if section.tokenizer is None:
        return [left, section, job.recipe.seed, installed("tokenizers")]
    return [job.tokenizer_sha256]


def plan(job: Job, results: Results, fingerprint: str) -> PhasePlan:
    """Returns the phase: train a tokenizer, or take a frozen one."""
    folder, frozen = job.work(PHASE, fingerprint), job.recipe.vocabulary.tokenizer
    if frozen is not None:
        freeze = Freeze(storage.join(folder, "train"), job.output, frozen)
        return PhasePlan(PHASE, fingerprint, folder, [Unit("tokenizer")], [Step(freeze)])
    count, merge, train = _training(job, results, folder)
    steps = [
        Step(count),
        Step(merge, exchange.Exchange("words", name="words")),
        # Of `count` too, so that there is a tokenizer where there is no word.
        Step(train, exchange.Exchange(None, name="tokenizer"), of=(count, merge)),
    ]
    units = survivor_units(job, results)
    return PhasePlan(PHASE, fingerprint, folder, units, steps, results.survivors.posts)


def _training(job: Job, results: Results, folder: str) -> tuple[Count, Merge, Train]:
    """Returns the stages that train a tokenizer on what is left of the posts."""
    section = job.recipe.vocabulary
    text = amounts(results.survivors.by_lang, lambda group: group.text_bytes)
    rates = sampling.sample_rates(
        text, sample_bytes=section.sample_bytes, exponent=section.language_exponent
    )
    weight_of = sampling.language_weights(
        text, rates, exponent=section.language_exponent, max_weight=section.max_weight
    )
    weights = tuple(sorted(weight_of.items()))
    sampled_bytes = min(section.sample_bytes, sum(text.values()))
    count = Count(
        storage.join(folder, "sample"),
        survivors_of(job, results),
        tuple(sorted(rates.items())),
        weights,
        max(1, math.ceil(sampled_bytes / PARTITION_BYTES)),
        job.recipe.seed,
        section.held_back,
        bool(job.recipe.text_tokens),
    )
    merge = Merge(storage.join(folder, "words"))
    train = Train(
        storage.join(folder, "train"),
        job.output,
        merge.folder,
        weights,
        section.max_words,
        section.strict,
    )
    return count, merge, train
