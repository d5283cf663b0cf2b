"""The funnel of a run as lines for the terminal."""

from sluice.pipeline.report.training_page import training_lines
from sluice.schemas.counts import Table
from sluice.schemas.report import Report, TransformerReport


def funnel(report: Report) -> list[str]:
    """Returns the funnel as lines: what was read, what left and why, what is in the shards."""
    posts, tokens, shards, sequences = (
        report.posts,
        report.tokens,
        report.shards,
        report.sequences,
    )

    def row(name: str, n: int, indent: str = "  ") -> str:
        share = 100 * n / max(posts.read, 1)
        return f"{indent}{name:<{28 - len(indent)}}{n:>14,}{share:>8.1f} %"

    lines = [row("posts read", posts.read, "")]
    lines += [row(f"- {r}", -n) for r, n in _by_size(posts.rejected)]
    lines += [row(f"- {r} duplicates", -n) for r, n in _by_size(posts.duplicates)]
    broken = {"malformed": posts.malformed, "errors": posts.errors}
    lines += [row(f"- {kind}", -n) for kind, n in broken.items() if n]
    lines += [
        row("kept", posts.kept, ""),
        "",
        f"tokens    {tokens.total:>14,}   {tokens.bytes_per_token or 0:.2f} bytes per token, "
        f"{tokens.per_post or 0:.1f} tokens per post",
        f"sequences {sequences.in_shards:>14,}   of {sequences.length:,} tokens in "
        f"{shards.count} shards of {shards.sequences_each:,}; {sequences.leftover:,} left over",
        *training_lines(report.training),
        f"ledger    {report.ledger.posts}",
    ]
    lines += map(_transformer_line, report.transformers)
    lines += [f"warning: {w}" for w in report.warnings]
    return lines


def _transformer_line(row: TransformerReport) -> str:
    """Returns what a transformer saw and rejected, and how far its screen agrees with it."""
    sample, agreed = row.agreement, ""
    if sample and sample.sampled:
        agreed = f"; its screen agrees on {sample.agreed:.1%} of {sample.sampled:,} sampled"
    return (
        f"{row.name:<10}{row.decided or 0:>14,}   of {row.posts or 0:,} posts decided on, "
        f"{row.rejected or 0:,} rejected{agreed}"
    )


def _by_size(table: Table) -> list[tuple[str, int]]:
    return sorted(((k, n) for k, n in table.items() if n), key=lambda item: (-item[1], item[0]))
