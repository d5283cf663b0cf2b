"""The funnel of a run as lines for the terminal."""

from collections.abc import Mapping

from sluice.pipeline.ledger.tally import most_first
from sluice.pipeline.report.figures import digits, large
from sluice.schemas.plurals import counted, plural
from sluice.schemas.report import (
    ConversationReport,
    ExcludeReport,
    ForgetReport,
    InputReport,
    Report,
    TrainingReport,
    TransformerReport,
)


def funnel(report: Report) -> list[str]:
    """Returns the funnel as lines: what was read, what left and why, what is in the shards."""
    posts, tokens = report.posts, report.tokens
    shards, sequences = report.shards, report.sequences

    def row(name: str, n: int, indent: str = "  ") -> str:
        share = 100 * n / max(posts.read, 1)
        return f"{indent}{name:<{28 - len(indent)}}{n:>14,}{share:>8.1f} %"

    lines = [*input_lines(report.input), *exclude_lines(report.exclude)]
    lines.append(row("posts read", posts.read, ""))
    copies = {f"{kind} duplicates": n for kind, n in posts.duplicates.items()}
    broken = [("malformed", posts.malformed), ("errors", posts.errors)]
    losses = [*most_first(posts.rejected), *most_first(copies), *broken]
    lines += [row(f"- {name}", -n) for name, n in losses if n]
    lines += [
        row("kept", posts.kept, ""),
        "",
        f"tokens    {tokens.total:>14,}   {tokens.bytes_per_token or 0:.2f} bytes per token, "
        f"{tokens.per_post or 0:.1f} tokens per post",
        f"sequences {sequences.in_shards:>14,}   of {sequences.length:,} tokens in "
        f"{shards.count} {plural('shard', shards.count)} of {shards.sequences_each:,}; "
        f"{sequences.leftover:,} left over",
        *conversation_lines(report.conversations),
        *training_lines(report.training),
        *forget_lines(report.forget),
        f"ledger    {report.ledger.posts}",
    ]
    lines += map(_transformer_line, report.transformers)
    lines += [f"warning: {w}" for w in report.warnings]
    return lines


def input_lines(files: InputReport | None) -> list[str]:
    """Returns what the files held as a line of the terminal; none of an earlier version's report."""
    if files is None:
        return []
    notices = _listed(sum(files.notices.values()), "notice", files.notices)
    dead_letters = _listed(files.dead_letters, "dead letter", files.dead_letter_reasons)
    told = ", ".join(
        (counted(files.files, "file"), *notices, *(dead_letters or ["no dead letters"]))
    )
    return [f"records   {files.records:>14,}   in {told}"]


def _listed(total: int, name: str, kinds: Mapping[str, int]) -> list[str]:
    """Returns how many things there are, and of which kinds; none of nothing."""
    listed = ", ".join(f"{n:,} {kind}" for kind, n in most_first(kinds))
    return [counted(total, name) + (f" ({listed})" if listed else "")] if total else []


def format_line(formats: Mapping[str, int]) -> str:
    """Returns which formats the files of a run have, as a line of the terminal.

    >>> format_line({"x_v1": 2, "rows": 1})
    'recognised as x_v1 (2 files), rows (1 file)'
    """
    told = (f"{name} ({counted(n, 'file')})" for name, n in formats.items())
    return f"recognised as {', '.join(told)}"


def exclude_lines(told: ExcludeReport | None) -> list[str]:
    """Returns what notices did as a line of the terminal; none where there was nothing to act on."""
    if told is None or not (told.notices or told.earlier):
        return []
    earlier = f" and {told.earlier:,} of earlier days" if told.earlier else ""
    return [
        f"notices   {told.notices:>14,}   of this run{earlier} about posts and authors; {told.met:,} met a "
        f"post that clean kept, {told.written:,} went to deletions/ for later days"
    ]


def forget_lines(told: ForgetReport | None) -> list[str]:
    """Returns what was forgotten as a line of the terminal; none where nothing was."""
    if told is None:
        return []
    times = f"{told.times:,} {plural('time', told.times)}"
    return [
        f"forgotten {told.posts:>14,}   posts since the run, {told.tokens:,} tokens, {times}, last at "
        f"{told.last_at}"
    ]


def conversation_lines(joined: ConversationReport | None) -> list[str]:
    """Returns what was joined as a line of the terminal; none where posts are documents."""
    if joined is None:
        return []
    return [
        f"joined    {joined.documents:>14,}   conversations of {joined.posts:,} posts, of which "
        f"{joined.by_links:,} stand there by a link, {joined.by_quotes:,} by a quote, {joined.by_id:,} by id",
    ]


def _transformer_line(row: TransformerReport) -> str:
    """Returns what a transformer saw and rejected, and how far its screen agrees with it."""
    sample, agreed = row.agreement, ""
    if sample and sample.sampled:
        agreed = f"; its screen agrees on {sample.agreed:.1%} of {sample.sampled:,} sampled"
    return (
        f"{row.name:<10}{row.decided or 0:>14,}   of {row.posts or 0:,} posts decided on, "
        f"{row.rejected or 0:,} rejected{agreed}"
    )


def training_lines(training: TrainingReport) -> list[str]:
    """Returns the training as lines of the terminal."""
    active, total = training.optimal.active, training.optimal.total
    steps, epochs = training.total_steps, training.epochs
    return [
        f"training  {steps:>14,}   {plural('step', steps)} of {large(training.tokens_per_step)} tokens, "
        f"{digits(epochs)} {plural('epoch', epochs)}, {digits(training.flops)} FLOPs for "
        f"{training.model.name}",
        f"optimal   {digits(100 * active.share):>12} %   of {large(active.tokens)} tokens for its "
        f"active parameters ({large(total.tokens)} for all); {large(active.days)} such days",
    ]
