"""What the page says of the training run and the mixture, in words."""

from collections.abc import Mapping
from typing import Any

from sluice.pipeline.report.figures import DASH, digits, large, number, percent

LISTED_GROUPS = 30

Row = dict[str, Any]


def training_facts(about: Row) -> list[Row]:
    """Returns how long the training is, how far its tokens go, and what another day adds.

    Args:
        about: `training` of report.json, less what is null; what is not there is left out.
    """
    if "tokens" not in about:
        return []
    wanted, optimal = about.get("wanted_tokens"), about.get("optimal") or {}
    next_day = about.get("next_day") or {}
    facts = [
        (
            "Training",
            f"{_steps(about.get('total_steps'))} of {large(about.get('tokens_per_step'))} tokens: "
            f"{large(about['tokens'])} tokens, {_epochs(about.get('epochs'))}",
        ),
        ("Wanted", wanted and f"{large(wanted)} tokens"),
        ("Worth", _worth(about)),
        ("Model", _model(about.get("model") or {})),
        ("Compute, 6 N D", f"{digits(about.get('flops'))} FLOPs, N the active parameters"),
        ("Compute-optimal, active parameters", _optimal(optimal.get("active") or {})),
        ("Compute-optimal, all parameters", _optimal(optimal.get("total") or {})),
        ("Another day like this", _next_day(next_day)),
        ("Known from earlier days", _seen(next_day)),
    ]
    return [{"name": name, "value": value} for name, value in facts if value]


def _epochs(value: Any) -> str:
    return f"{digits(value)} {_plural('epoch', value)}"


def _steps(value: Any) -> str:
    return f"{number(value)} {_plural('step', value)}"


def _plural(name: str, value: Any) -> str:
    return name if value == 1 else f"{name}s"


def _worth(about: Row) -> str | None:
    tokens = about.get("worth_tokens")
    if not isinstance(tokens, int | float) or tokens >= about["tokens"]:
        return None
    return f"as much as {large(tokens)} tokens that are all new"


def _model(model: Row) -> str:
    return (
        f"{model.get('name') or DASH}: {large(model.get('total_parameters'))} parameters, "
        f"{large(model.get('active_parameters'))} active, {number(model.get('active_experts'))} of "
        f"{number(model.get('experts'))} experts, {number(model.get('vocabulary'))} entries"
    )


def _optimal(about: Row) -> str:
    share = about.get("share")
    return (
        f"{large(about.get('tokens'))} tokens: this training has {digits(share and 100 * share)} %, "
        f"{large(about.get('days'))} such days have as many, of {large(about.get('posts'))} posts read"
    )


def _next_day(about: Row) -> str:
    return (
        f"{large(about.get('tokens'))} distinct tokens, {number(about.get('sequences'))} sequences, "
        f"{_steps(about.get('steps'))}; {number(about.get('steps_with_leftover'))} with what is "
        f"left over here"
    )


def _seen(about: Row) -> str:
    share, runs = about.get("seen_before"), about.get("earlier_runs")
    if share is None:
        return "nothing was read: another day adds less, by what both days have"
    return (
        f"{percent(share)} of the posts, by {number(runs)} earlier runs; they are not counted here"
    )


def training_lines(about: Row) -> list[str]:
    """Returns the training as lines of the terminal.

    Args:
        about: `training` of report.json.
    """
    model, steps = about["model"], about["total_steps"]
    active, whole = about["optimal"]["active"], about["optimal"]["total"]
    return [
        f"training  {steps:>14,}   {_plural('step', steps)} of {large(about['tokens_per_step'])} tokens, "
        f"{_epochs(about['epochs'])}, {digits(about['flops'])} FLOPs for {model['name']}",
        f"optimal   {digits(100 * active['share']):>12} %   of {large(active['tokens'])} tokens for its "
        f"active parameters ({large(whole['tokens'])} for all); {large(active['days'])} such days",
    ]


def mixture_tables(about: Row) -> Row:
    """Returns shares before and after by language and source, groups with the most text first.

    Args:
        about: `mixture` of report.json, less what is null.
    """
    tables = []
    for by, name in (("by_lang", "Language"), ("by_source", "Source")):
        groups = [row for row in (about.get(by) or {}).items() if isinstance(row[1], Mapping)]
        groups.sort(key=lambda item: (-(item[1].get("share") or 0), item[0]))
        rows = [{"name": group} | dict(row) for group, row in groups[:LISTED_GROUPS]]
        if rows:
            tables.append({"name": name, "rows": rows, "groups": len(groups)})
    return {"tables": tables} | {k: about.get(k) for k in ("left_out", "repeated", "max_repeats")}
