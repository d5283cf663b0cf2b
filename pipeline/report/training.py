"""The report's parts about the training run: how long it is, how far the tokens go, what was mixed."""

from collections.abc import Iterator, Mapping

from msgspec.structs import asdict

from sluice.pipeline.phases.dedup.phase import history_read
from sluice.pipeline.phases.job import Job
from sluice.pipeline.phases.results import Results
from sluice.pipeline.phases.tokens import phase as tokens
from sluice.pipeline.phases.tokens.deal import shards_for
from sluice.pipeline.phases.tokens.mixture import quality_name, target_shares
from sluice.pipeline.recipes import schema as recipe
from sluice.pipeline.recipes.schema import TrainingSection
from sluice.pipeline.report.totals import left_out
from sluice.schemas.counts import MixedQuality, PostAmounts, amounts
from sluice.schemas.report import (
    MixedGroup,
    MixedStep,
    MixtureReport,
    NextDay,
    Optima,
    Optimum,
    TrainedModel,
    TrainingReport,
)
from sluice.tokenizer.packing.budget import (
    HARMLESS_EPOCHS,
    Budget,
    plan_budget,
    reach,
    training_flops,
    worth,
)


def training_report(job: Job, results: Results) -> TrainingReport:
    """Returns how long the training is, and how far the tokens go for its model."""
    t, model, phase = job.recipe.training, job.recipe.training.model, results.phases.tokens
    inside, outside = phase.shard.in_shards.sequences, phase.shard.leftover.sequences
    documents = phase.encode.documents
    once = documents.distinct_tokens / documents.tokens if documents.tokens else 0.0
    budget = budget_of(t, inside)
    tokens = once * (inside + outside) * t.sequence_length
    of_posts = results.phases.clean.clean.read
    return TrainingReport(
        global_batch_sequences=t.global_batch_sequences,
        data_parallel_ranks=t.data_parallel_ranks,
        workers_per_rank=t.workers_per_rank,
        steps=phase.deal.steps,
        tokens_per_step=budget.tokens_per_step,
        epoch_tokens=budget.epoch_tokens,
        epochs=round(budget.epochs, 4),
        wanted_tokens=t.tokens,
        total_steps=budget.steps,
        tokens=budget.tokens,
        worth_tokens=round(worth(budget.tokens, distinct=once * budget.epoch_tokens)),
        flops=_digits(training_flops(budget.tokens, active_parameters=model.active_parameters)),
        model=TrainedModel(
            **asdict(model), vocabulary=results.phases.vocabulary.made.vocabulary.size
        ),
        optimal=Optima(
            active=_optimum(model.active_parameters, budget, tokens, of_posts),
            total=_optimum(model.total_parameters, budget, tokens, of_posts),
        ),
        next_day=_next_day(job, results, tokens),
    )


def _next_day(job: Job, results: Results, tokens: float) -> NextDay:
    """Returns what another day adds.

    Of the posts that would be kept if there were no history, earlier runs had a share; more days in the
    history take more, so that a next day's share is at least this one.
    """
    shard, batch = results.phases.tokens.shard, job.recipe.training.global_batch_sequences
    inside, outside = shard.in_shards.sequences, shard.leftover.sequences
    runs = len(history_read(job))
    lost = sum(results.phases.dedup.drop.earlier.values())
    known = lost + results.survivors.posts
    return NextDay(
        tokens=round(tokens),
        sequences=inside + outside,
        steps=(inside + outside) // batch,
        steps_with_leftover=(inside + 2 * outside) // batch,
        earlier_runs=runs,
        seen_before=_digits(lost / known) if runs and known else None,
    )


def budget_of(training: TrainingSection, epoch_sequences: int) -> Budget:
    """Returns how long a training is, by the recipe and the sequences in the shards."""
    return plan_budget(
        epoch_sequences,
        sequence_length=training.sequence_length,
        global_batch_sequences=training.global_batch_sequences,
        epochs=training.epochs,
        tokens=training.tokens,
    )


def _optimum(parameters: float, budget: Budget, day_tokens: float, day_posts: int) -> Optimum:
    """Returns the compute-optimal tokens, the training's share of them, and how many days have as many.

    Args:
        parameters: of the model.
        budget: of the training.
        day_tokens: distinct tokens that a run like this one makes.
        day_posts: posts that it reads for them.
    """
    aim = reach(parameters, budget=budget, day_tokens=day_tokens)
    optimum = Optimum(tokens=aim.tokens, share=_digits(aim.share))
    if aim.days is not None:
        optimum.days, optimum.posts = _digits(aim.days), _digits(aim.days * day_posts)
    return optimum


def _digits(value: float) -> float:
    """Returns a number to four significant digits."""
    return float(f"{value:.4g}")


def mixture_report(job: Job, results: Results) -> MixtureReport | None:
    """Returns shares before and after by language and source; None without a mixture.

    Shares are of text bytes: before, of the survivors; after, of what is in sequences, repeats counted.
    """
    section, mixture = job.recipe.mixture, tokens.mixture_of(job, results)
    if mixture is None:
        return None
    documents = results.phases.tokens.encode.documents
    before, out = results.survivors, left_out(results)
    steps = [(None, 1.0), *mixture.qualities] if mixture.qualities else []
    qualities = results.phases.tokens.encode.qualities
    counted = [qualities.get(quality_name(least), MixedQuality()) for least, _ in steps]
    languages = before.by_lang, documents.by_lang, out.by_lang
    sources = before.by_source, documents.by_source, out.by_source
    return MixtureReport(
        max_repeats=section.max_repeats,
        left_out=out.posts,
        repeated=documents.posts - documents.distinct_posts,
        by_lang=_groups(*languages, section.language, dict(mixture.languages)),
        by_source=_groups(*sources, section.source, dict(mixture.sources)),
        by_quality=[
            MixedStep(least, rate, step.posts, step.left_out, step.documents)
            for (least, rate), step in zip(steps, counted, strict=True)
        ],
    )


def _groups(
    before: Mapping[str, PostAmounts],
    after: Mapping[str, PostAmounts],
    out: Mapping[str, PostAmounts],
    shares: recipe.Shares,
    rates: Mapping[str, float],
) -> dict[str, MixedGroup]:
    text = amounts(before, lambda group: group.text_bytes)
    aims = {} if shares == recipe.Shares() else target_shares(text, shares)
    all_after = max(1, sum(group.text_bytes for group in after.values()))
    none = PostAmounts()
    return {
        name: MixedGroup(
            share=_digits(num_bytes / sum(text.values())),
            target=_digits(aims.get(name, 0.0)) if aims else None,
            rate=_digits(rates[name]),
            share_after=_digits(after.get(name, none).text_bytes / all_after),
            posts=before[name].posts,
            left_out=out.get(name, none).posts,
            documents=after.get(name, none).posts,
        )
        for name, num_bytes in text.items()
    }


def training_warnings(job: Job, results: Results) -> Iterator[str]:
    """Yields what a person should know of the training and of the mixture."""
    t = job.recipe.training
    planned = shards_for(t, results.phases.tokens.pack.sequences)
    if planned.warning:
        yield f"training: {planned.warning}"
    epochs = budget_of(t, results.phases.tokens.shard.in_shards.sequences).epochs
    if epochs > HARMLESS_EPOCHS:
        asked = f"{t.tokens:,} tokens are" if t.tokens else "The training is"
        yield (
            f"training: {asked} {epochs:.3g} epochs of the shards: up to {HARMLESS_EPOCHS} are nearly "
            f"as good as new tokens, more are worth less and less (Muennighoff et al. 2023, "
            f"arXiv:2305.16264)"
        )
    mixture, left = job.recipe.mixture, results.survivors
    for table, weights, groups in (
        ("language", mixture.language.weights, left.by_lang),
        ("source", mixture.source.weights, left.by_source),
    ):
        missing = sorted(weights.keys() - {name for name, g in groups.items() if g.text_bytes})
        if missing:
            yield f"mixture.{table}.weights: no post is of {', '.join(missing)}"
