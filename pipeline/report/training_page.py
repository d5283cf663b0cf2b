"""What the page and the terminal say of the training run and the mixture, in words."""

from typing import NamedTuple

from sluice.pipeline.report.figures import DASH, digits, large, number, percent
from sluice.schemas.report import (
    MixedGroup,
    MixtureReport,
    NextDay,
    Optimum,
    TrainedModel,
    TrainingReport,
)

LISTED_GROUPS = 30


class Fact(NamedTuple):
    """A name and what is said of it."""

    name: str
    value: str


def facts(*named: tuple[str, str | None]) -> list[Fact]:
    """Returns the facts that are known.

    >>> facts(("Shards", "8"), ("Worth", None))
    [Fact(name='Shards', value='8')]
    """
    return [Fact(name, value) for name, value in named if value]


def training_facts(training: TrainingReport) -> list[Fact]:
    """Returns how long the training is, how far its tokens go, and what another day adds."""
    if training.tokens is None:
        return []
    wanted = training.wanted_tokens
    return facts(
        (
            "Training",
            f"{_steps(training.total_steps)} of {large(training.tokens_per_step)} tokens: "
            f"{large(training.tokens)} tokens, {_epochs(training.epochs)}",
        ),
        ("Wanted", f"{large(wanted)} tokens" if wanted else None),
        ("Worth", _worth(training)),
        ("Model", _model(training.model)),
        ("Compute, 6 N D", f"{digits(training.flops)} FLOPs, N the active parameters"),
        ("Compute-optimal, active parameters", _optimum(training.optimal.active)),
        ("Compute-optimal, all parameters", _optimum(training.optimal.total)),
        ("Another day like this", _next_day(training.next_day)),
        ("Known from earlier days", _seen(training.next_day)),
    )


def _epochs(value: float) -> str:
    return f"{digits(value)} {_plural('epoch', value)}"


def _steps(value: int) -> str:
    return f"{number(value)} {_plural('step', value)}"


def _plural(name: str, value: float) -> str:
    return name if value == 1 else f"{name}s"


def _worth(training: TrainingReport) -> str | None:
    if training.tokens is None or training.worth_tokens >= training.tokens:
        return None
    return f"as much as {large(training.worth_tokens)} tokens that are all new"


def _model(model: TrainedModel) -> str:
    return (
        f"{model.name or DASH}: {large(model.total_parameters)} parameters, "
        f"{large(model.active_parameters)} active, {number(model.active_experts)} of "
        f"{number(model.experts)} experts, {number(model.vocabulary)} entries"
    )


def _optimum(optimum: Optimum) -> str:
    return (
        f"{large(optimum.tokens)} tokens: this training has {digits(100 * optimum.share)} %, "
        f"{large(optimum.days)} such days have as many, of {large(optimum.posts)} posts read"
    )


def _next_day(day: NextDay) -> str:
    return (
        f"{large(day.tokens)} distinct tokens, {number(day.sequences)} sequences, "
        f"{_steps(day.steps)}; {number(day.steps_with_leftover)} with what is left over here"
    )


def _seen(day: NextDay) -> str:
    if day.seen_before is None:
        return "nothing was read: another day adds less, by what both days have"
    share, runs = percent(day.seen_before), number(day.earlier_runs)
    return f"{share} of the posts, by {runs} earlier runs; they are not counted here"


def training_lines(training: TrainingReport) -> list[str]:
    """Returns the training as lines of the terminal."""
    active, total = training.optimal.active, training.optimal.total
    steps = training.total_steps
    return [
        f"training  {steps:>14,}   {_plural('step', steps)} of {large(training.tokens_per_step)} tokens, "
        f"{_epochs(training.epochs)}, {digits(training.flops)} FLOPs for {training.model.name}",
        f"optimal   {digits(100 * active.share):>12} %   of {large(active.tokens)} tokens for its "
        f"active parameters ({large(total.tokens)} for all); {large(active.days)} such days",
    ]


class MixtureTable(NamedTuple):
    """The groups of a mixture with the most text, and how many there are."""

    name: str
    rows: list[tuple[str, MixedGroup]]
    groups: int


class MixturePage(NamedTuple):
    """What the page says of the mixture."""

    mixture: MixtureReport
    tables: list[MixtureTable]


def mixture_tables(mixture: MixtureReport | None) -> MixturePage | None:
    """Returns shares before and after by language and source, groups with the most text first."""
    if mixture is None:
        return None
    tables = []
    for name, groups in (("Language", mixture.by_lang), ("Source", mixture.by_source)):
        rows = sorted(groups.items(), key=lambda item: (-item[1].share, item[0]))
        if rows:
            tables.append(MixtureTable(name, rows[:LISTED_GROUPS], len(rows)))
    return MixturePage(mixture, tables)
