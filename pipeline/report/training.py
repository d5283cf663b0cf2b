"""The report's parts about the training run: how long it is, how far the tokens go, what was mixed."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from sluice.pipeline.ledger.tally import Counts, column
from sluice.pipeline.phases.dedup.phase import history_read
from sluice.pipeline.phases.job import Job
from sluice.pipeline.phases.results import Results
from sluice.pipeline.phases.tokens import phase as tokens
from sluice.pipeline.phases.tokens.deal import shards_for
from sluice.pipeline.phases.tokens.mixture import target_shares
from sluice.pipeline.recipes import schema as recipe
from sluice.pipeline.recipes.schema import Training
from sluice.tokenizer.packing.budget import (
    HARMLESS_EPOCHS,
    Budget,
    plan_budget,
    reach,
    training_flops,
    worth,
)

GROUPS = {"by_lang": "language", "by_source": "source"}
"""Table of groups -> the table of the recipe's mixture that is about it."""


class Day(NamedTuple):
    """What a run like this one makes: distinct tokens, and the posts that were read for them."""

    tokens: float
    posts: int


def left_out(results: Results) -> Counts:
    """Returns posts and text bytes that the mixture left out; {} where there is none."""
    return dict(results["tokens"].total("tokens_encode", "left_out"))


def distinct(results: Results) -> Counts:
    """Returns {"posts", "tokens"}: of what is in sequences, that which is no repeat."""
    documents = results["tokens"].total("tokens_encode", "documents")
    return {
        "posts": documents.get("distinct_posts", documents.get("posts", 0)),
        "tokens": documents.get("distinct_tokens", documents.get("tokens", 0)),
    }


def training_section(job: Job, results: Results, *, vocabulary_size: int) -> dict[str, Any]:
    """Returns how long the training is, and how far the tokens go for its model."""
    t, model = job.recipe.training, job.recipe.training.model
    inside, outside = _sequences(results, "in_shards"), _sequences(results, "leftover")
    once = _distinct_share(results)
    budget = budget_of(t, inside)
    day = Day(once * (inside + outside) * t.sequence_length, _read(results))
    return {
        "global_batch_sequences": t.global_batch_sequences,
        "data_parallel_ranks": t.data_parallel_ranks,
        "workers_per_rank": t.workers_per_rank,
        "steps": results["tokens"].total("tokens_deal").get("steps", 0),
        "tokens_per_step": budget.tokens_per_step,
        "epoch_tokens": budget.epoch_tokens,
        "epochs": round(budget.epochs, 4),
        "wanted_tokens": t.tokens,
        "total_steps": budget.steps,
        "tokens": budget.tokens,
        "worth_tokens": round(worth(budget.tokens, distinct=once * budget.epoch_tokens)),
        "flops": _digits(training_flops(budget.tokens, active_parameters=model.active_parameters)),
        "model": {
            "name": model.name,
            "total_parameters": model.total_parameters,
            "active_parameters": model.active_parameters,
            "experts": model.experts,
            "active_experts": model.active_experts,
            "vocabulary": vocabulary_size,
        },
        "optimal": {
            "active": _optimal(model.active_parameters, budget, day),
            "total": _optimal(model.total_parameters, budget, day),
        },
        "next_day": {
            "tokens": round(day.tokens),
            "sequences": inside + outside,
            "steps": (inside + outside) // t.global_batch_sequences,
            "steps_with_leftover": (inside + 2 * outside) // t.global_batch_sequences,
            **seen_before(job, results),
        },
    }


def budget_of(training: Training, epoch_sequences: int) -> Budget:
    """Returns how long a training is, by the recipe and the sequences in the shards."""
    return plan_budget(
        epoch_sequences,
        sequence_length=training.sequence_length,
        global_batch_sequences=training.global_batch_sequences,
        epochs=training.epochs,
        tokens=training.tokens,
    )


def seen_before(job: Job, results: Results) -> dict[str, Any]:
    """Returns what share of the run's posts earlier runs had, and how many those runs were.

    Of the posts that would be kept if there were no history; null where nothing was read. More days in
    the history take more, so that a next day's share is at least this one.
    """
    runs = len(history_read(job))
    lost = sum(results["dedup"].total("dedup_drop", "earlier").values())
    left = results.survivors.get("posts", 0)
    share = _digits(lost / (lost + left)) if runs and lost + left else None
    return {"earlier_runs": runs, "seen_before": share}


def _sequences(results: Results, where: str) -> int:
    return int(results["tokens"].total("tokens_shard", where).get("sequences", 0))


def _distinct_share(results: Results) -> float:
    tokens = results["tokens"].total("tokens_encode", "documents").get("tokens", 0)
    return distinct(results)["tokens"] / tokens if tokens else 0.0


def _read(results: Results) -> int:
    return int(results["clean"].total("clean")["read"])


def _optimal(parameters: float, budget: Budget, day: Day) -> dict[str, float | None]:
    """Returns the compute-optimal tokens, the training's share of them, and how many days have as many."""
    found = reach(parameters, budget=budget, day_tokens=day.tokens)
    about = {"tokens": found.tokens, "share": _digits(found.share), "days": None, "posts": None}
    if found.days is not None:
        about |= {"days": _digits(found.days), "posts": _digits(found.days * day.posts)}
    return about


def _digits(value: float) -> float:
    """Returns a number to four significant digits."""
    return float(f"{value:.4g}")


def mixture_section(job: Job, results: Results) -> dict[str, Any] | None:
    """Returns shares before and after by language and source; None without a mixture.

    Shares are of text bytes: before, of the survivors; after, of what is in sequences, repeats counted.
    """
    section, mixture = job.recipe.mixture, tokens.mixture_of(job, results)
    if mixture is None:
        return None
    documents = results["tokens"].total("tokens_encode", "documents")
    rates = {"by_lang": dict(mixture.languages), "by_source": dict(mixture.sources)}
    return {
        "max_repeats": section.max_repeats,
        "left_out": left_out(results).get("posts", 0),
        "repeated": documents.get("posts", 0) - distinct(results)["posts"],
        **{by: _groups(results, by, getattr(section, GROUPS[by]), rates[by]) for by in GROUPS},
    }


def _groups(
    results: Results, by: str, shares: recipe.Shares, rates: dict[str, float]
) -> dict[str, Any]:
    documents = results["tokens"].total("tokens_encode", "documents")
    before, after = (column(c, by, "text_bytes") for c in (results.survivors, documents))
    posts, stand = (column(c, by, "posts") for c in (results.survivors, documents))
    out = column(left_out(results), by, "posts")
    aims = {} if shares == recipe.Shares() else target_shares(before, shares)
    return {
        name: {
            "share": _digits(num_bytes / sum(before.values())),
            "target": _digits(aims.get(name, 0.0)) if aims else None,
            "rate": _digits(rates[name]),
            "share_after": _digits(after.get(name, 0) / max(1, sum(after.values()))),
            "posts": posts[name],
            "left_out": out.get(name, 0),
            "documents": stand.get(name, 0),
        }
        for name, num_bytes in before.items()
    }


def training_warnings(job: Job, results: Results) -> Iterator[str]:
    """Yields what a person should know of the training and of the mixture."""
    t = job.recipe.training
    planned = shards_for(t, results["tokens"].total("tokens_pack").get("sequences", 0))
    if planned.warning:
        yield f"training: {planned.warning}"
    epochs = budget_of(t, _sequences(results, "in_shards")).epochs
    if epochs > HARMLESS_EPOCHS:
        asked = f"{t.tokens:,} tokens are" if t.tokens else "The training is"
        yield (
            f"training: {asked} {epochs:.3g} epochs of the shards: up to {HARMLESS_EPOCHS} are nearly "
            f"as good as new tokens, more are worth less and less (Muennighoff et al. 2023, "
            f"arXiv:2305.16264)"
        )
    for by, table in GROUPS.items():
        weights = getattr(job.recipe.mixture, table).weights
        missing = sorted(set(weights) - set(column(results.survivors, by, "text_bytes")))
        if missing:
            yield f"mixture.{table}.weights: no post is of {', '.join(missing)}"
