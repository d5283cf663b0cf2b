"""The report's part about the vocabulary: its entries, and what they were learned from."""

from typing import Any

from msgspec.structs import asdict

from sluice.pipeline.ledger.tally import most_first
from sluice.pipeline.phases.job import Job
from sluice.pipeline.phases.results import Results
from sluice.pipeline.phases.vocabulary.sampling import composition
from sluice.pipeline.report.totals import stage_times
from sluice.schemas.counts import HoldoutAmounts, HoldoutTally, PostTally, amounts
from sluice.schemas.report import (
    EntryUseReport,
    HoldoutRates,
    HoldoutReport,
    StepTime,
    VocabularyReport,
)


def vocabulary_report(job: Job, results: Results) -> VocabularyReport:
    """Returns the entries of the vocabulary, its training text by language, and what making it took."""
    counts, made = results.phases.vocabulary, results.phases.vocabulary.made
    entries, use = made.vocabulary, results.phases.tokens.deal.token_use
    sample = counts.sample.sample if counts.sample else PostTally()
    text = amounts(results.survivors.by_lang, lambda group: group.text_bytes)
    return VocabularyReport(
        size=entries.size,
        **asdict(entries),
        sample=sample,
        words=made.words,
        use=EntryUseReport(use.used, use.used_seldom, unused=entries.size - use.used),
        held_back=_holdout(results.phases.tokens.encode.held_back),
        languages=composition(text, sample.by_lang, made.weights) if made.weights else {},
        steps=_steps(job, results),
    )


def _steps(job: Job, results: Results) -> dict[str, StepTime]:
    """Returns the time of sampling, training and saving the tokenizer."""
    times = stage_times(job, results, "vocabulary")
    return {
        step: StepTime(
            seconds=round(times[f"{step}/seconds"] / 1e6, 3),
            cpu_seconds=round(times[f"{step}/cpu_seconds"] / 1e6, 3),
        )
        for step in sorted({key.partition("/")[0] for key in times})
    }


def _holdout(counts: HoldoutTally | None) -> HoldoutReport | None:
    """Returns what the vocabulary makes of posts that it was not trained on; None where there are none."""
    if counts is None or not counts.posts:
        return None
    by_lang = most_first(counts.by_lang, "text_bytes")
    languages = {lang: HoldoutRates(**_rates(part)) for lang, part in by_lang}
    return HoldoutReport(**_rates(counts), languages=languages)


def _rates(counts: HoldoutAmounts) -> dict[str, Any]:
    """Returns what `HoldoutRates` holds."""
    return {
        "posts": counts.posts,
        "text_bytes": counts.text_bytes,
        "tokens": counts.tokens,
        "bytes_per_token": round(counts.text_bytes / max(1, counts.tokens), 4),
        "tokens_per_word": round(counts.tokens / max(1, counts.words), 4),
    }
