"""The funnel of a run as lines for the terminal."""

from typing import Any

from sluice.pipeline.report.training_page import training_lines


def funnel(report: dict[str, Any]) -> list[str]:
    """Returns the funnel as lines: what was read, what left and why, what is in the shards."""
    posts, read = report["posts"], max(report["posts"]["read"], 1)

    def row(name: str, n: int, indent: str = "  ") -> str:
        return f"{indent}{name:<{28 - len(indent)}}{n:>14,}{100 * n / read:>8.1f} %"

    lines = [row("posts read", posts["read"], "")]
    lines += [row(f"- {r}", -n) for r, n in _by_size(posts["rejected"])]
    lines += [row(f"- {r} duplicates", -n) for r, n in _by_size(posts["duplicates"])]
    lines += [row(f"- {k}", -posts[k]) for k in ("malformed", "errors") if posts[k]]
    lines.append(row("kept", posts["kept"], ""))
    tokens, shards, sequences = report["tokens"], report["shards"], report["sequences"]
    lines += [
        "",
        f"tokens    {tokens['total']:>14,}   {tokens['bytes_per_token'] or 0:.2f} bytes a token, "
        f"{tokens['per_post'] or 0:.1f} tokens a post",
        f"sequences {sequences['in_shards']:>14,}   of {sequences['length']:,} tokens in "
        f"{shards['count']} shards of {shards['sequences_each']:,}; {sequences['leftover']:,} left over",
        *training_lines(report["training"]),
        f"ledger    {report['ledger']['posts']}",
    ]
    lines += [_transformer_line(row) for row in report.get("transformers", [])]
    lines += [f"warning: {w}" for w in report["warnings"]]
    return lines


def _transformer_line(row: dict[str, Any]) -> str:
    """Returns what a transformer saw and rejected, and how far its screen agrees with it."""
    found = row["agreement"]
    agreed = ""
    if found and found["sampled"]:
        agreed = f"; its screen agrees on {found['agreed']:.1%} of {found['sampled']:,} sampled"
    return (
        f"{row['name']:<10}{row['decided']:>14,}   of {row['posts']:,} posts decided on, "
        f"{row['rejected']:,} rejected{agreed}"
    )


def _by_size(table: dict[str, int]) -> list[tuple[str, int]]:
    return sorted(((k, n) for k, n in table.items() if n), key=lambda item: (-item[1], item[0]))
