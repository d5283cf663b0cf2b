"""The books: what was read, what became of it, and whether it adds up.

Counts are nested tables of integers that units write into their manifests; sums of them, in any
order, are the ledger of a phase and of the run. The keys of every `by_*` table are strings, `unknown`
where the post says nothing.
"""

from typing import Final

from sluice.pipeline.ledger.tally import Counts
from sluice.schemas.errors import LedgerError, LimitError

MARKS: Final = ("begin_of_document", "turns", "end_of_document")
"""The special tokens of documents, each a line of the tokens' equation."""


def check_limits(
    counts: Counts,
    by_file: dict[str, Counts],
    *,
    max_error_ratio: float,
    max_malformed_ratio: float,
) -> None:
    """Raises LimitError where a file has too many malformed rows, or the run too many errors.

    Args:
        counts: of the clean phase.
        by_file: source file -> {"read": n, "malformed": {reason: n}}.
        max_error_ratio: of all posts read.
        max_malformed_ratio: of the rows of a file.
    """
    for name, file in sorted(by_file.items()):
        malformed = sum(file.get("malformed", {}).values())
        if malformed > max_malformed_ratio * max(file["read"], 1):
            reasons = _most(file["malformed"])
            raise LimitError(
                f"{name}: {malformed:,} of {file['read']:,} rows are malformed ({reasons}), more than "
                f"limits.max_malformed_ratio = {max_malformed_ratio:g}; see rejects/ for the rows, check "
                f"input.columns, or raise the limit"
            )
    errors = sum(counts.get("errors", {}).values())
    if errors > max_error_ratio * max(counts["read"], 1):
        raise LimitError(
            f"{errors:,} of {counts['read']:,} posts made a stage fail ({_most(counts['errors'])}), more "
            f"than limits.max_error_ratio = {max_error_ratio:g}; see rejects/, kind = error, for the rows"
        )


def _most(reasons: dict[str, int]) -> str:
    ordered = sorted(reasons.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{name}: {n:,}" for name, n in ordered[:4])


def posts_equation(posts: Counts) -> str:
    """Returns the posts' equation in figures, as the report and the terminal print it."""
    policy, copies = sum(posts["rejected"].values()), sum(posts["duplicates"].values())
    return (
        f"{posts['read']:,} read = {posts['kept']:,} kept + {policy:,} rejected by rules + "
        f"{copies:,} duplicates + {posts['malformed']:,} malformed + {posts['errors']:,} errors"
    )


def check_posts(posts: Counts) -> None:
    """Raises LedgerError unless every post that was read is accounted for, once."""
    accounted = (
        posts["kept"]
        + sum(posts["rejected"].values())
        + sum(posts["duplicates"].values())
        + posts["malformed"]
        + posts["errors"]
    )
    if accounted != posts["read"]:
        raise LedgerError(
            f"the ledger does not balance: {posts_equation(posts)}: off by {posts['read'] - accounted:,}"
        )


def tokens_equation(t: Counts) -> str:
    """Returns the tokens' equation in figures; a special token that no document has is left out."""
    marks = "".join(f"{t[k]:,} {k.replace('_', '-')} + " for k in MARKS if t.get(k))
    return (
        f"{t['encoded']:,} encoded + {marks}{t['padding']:,} padding "
        f"= {t['in_shards']:,} in shards + {t['leftover']:,} leftover + {t['truncated']:,} truncated"
    )


def check_tokens(t: Counts) -> None:
    """Raises LedgerError unless every token, padding included, is accounted for."""
    made = t["encoded"] + sum(t.get(k, 0) for k in MARKS) + t["padding"]
    if made != t["in_shards"] + t["leftover"] + t["truncated"]:
        raise LedgerError(f"the ledger does not balance: {tokens_equation(t)}")
