"""The totals of a run for its report and manifest, and the check that they balance."""

from collections import Counter

import msgspec

from sluice.pipeline.phases.job import Job
from sluice.pipeline.phases.results import Results
from sluice.pipeline.phases.tokens import mixture
from sluice.pipeline.storage import files as storage
from sluice.pipeline.units.stage import total_times
from sluice.schemas.counts import JoinedCounts, PackCounts, PostTally, Table, amounts
from sluice.schemas.errors import LedgerError
from sluice.schemas.reject import EXACT, NEAR, REDELIVERED
from sluice.schemas.report import (
    SPECIAL_TOKENS,
    ConversationReport,
    InputReport,
    PostReport,
    TokenLedger,
    TokenReport,
    table_problems,
)

REASONS = (REDELIVERED, EXACT, NEAR)


def left_out(results: Results) -> PostTally:
    """Returns the posts that the mixture left out; none without one."""
    return results.phases.tokens.encode.left_out or PostTally()


def post_report(results: Results) -> PostReport:
    """Returns where every post went; its parts sum to `read`."""
    counts, mixed = results.phases.clean.clean, left_out(results)
    rejected, errors = Counter(counts.policy), Counter(counts.errors)
    if results.phases.exclude is not None:
        rejected.update(results.phases.exclude.drop.policy)
    for stage in results.phases.classify.values():
        rejected.update(stage.policy)
        errors.update(stage.errors)
    if mixed.posts:
        rejected[mixture.REASON] += mixed.posts
    kept = results.survivors - mixed
    return PostReport(
        read=counts.read,
        kept=kept.posts,
        rejected=dict(sorted(rejected.items())),
        duplicates=by_reason(results.phases.dedup.drop.duplicates),
        id_conflicts=results.phases.dedup.resolve.id_conflicts,
        malformed=sum(counts.malformed.values()),
        errors=errors.total(),
        malformed_by_reason=dict(sorted(counts.malformed.items())),
        errors_by_stage=dict(sorted(errors.items())),
        by_lang=amounts(kept.by_lang, lambda group: group.posts),
        by_day=amounts(kept.by_day, lambda group: group.posts),
        by_source=amounts(kept.by_source, lambda group: group.posts),
    )


def input_report(job: Job, results: Results) -> InputReport:
    """Returns what the files held."""
    clean = results.phases.clean.clean
    total = InputReport(files=len(job.inventory.files), dead_letter_reasons=clean.malformed)
    if clean.input is not None:
        total += clean.input
    return total


def by_reason(duplicates: Table) -> Table:
    """Returns duplicates by reason: the three that every run has, and those of conflicts of ids if any."""
    return dict.fromkeys(REASONS, 0) | duplicates


def special_tokens(packed: PackCounts) -> dict[str, int]:
    """Returns the special tokens of documents, by kind."""
    return {kind: getattr(packed, kind) for kind in SPECIAL_TOKENS}


def token_report(results: Results) -> TokenReport:
    """Returns the tokens of the documents: those of texts, by group, and special ones."""
    documents, packed = results.phases.tokens.encode.documents, results.phases.tokens.pack
    special, encoded = special_tokens(packed), documents.tokens
    total = encoded + sum(special.values())
    return TokenReport(
        total=total,
        encoded=encoded,
        distinct=documents.distinct_tokens,
        **special,
        bytes_per_token=round(documents.text_bytes / encoded, 4) if encoded else None,
        per_post=round(total / documents.posts, 4) if documents.posts else None,
        text_bytes=documents.text_bytes,
        by_lang=amounts(documents.by_lang, lambda group: group.tokens),
        by_day=amounts(documents.by_day, lambda group: group.tokens),
        by_source=amounts(documents.by_source, lambda group: group.tokens),
    )


def conversation_report(results: Results) -> ConversationReport | None:
    """Returns what was joined to conversations; None where posts are documents."""
    phase, joined = results.phases.conversations, results.phases.tokens.pack.joined
    if phase is None:
        return None
    linked = phase.resolve
    return ConversationReport(
        **msgspec.structs.asdict(joined or JoinedCounts()),
        **msgspec.structs.asdict(phase.match),
        **{name: getattr(linked, name) for name in LINKED},
    )


LINKED = ("subtrees_alone", "replaced", "cycles", "late_parents", "depths")
"""What the report says of linked posts."""


def token_ledger(results: Results) -> TokenLedger:
    """Returns the two sides of the tokens' equation: what was made, and where it is."""
    phase = results.phases.tokens
    inside, outside, packed = phase.shard.in_shards, phase.shard.leftover, phase.pack
    return TokenLedger(
        encoded=phase.encode.documents.tokens,
        **special_tokens(packed),
        padding=packed.padding,
        in_shards=inside.tokens + inside.padding,
        leftover=outside.tokens + outside.padding,
        truncated=packed.truncated,
    )


def check(job: Job, results: Results) -> None:
    """Raises LedgerError unless records, posts and tokens balance, and every table sums to its total."""
    posts, tokens = post_report(results), token_report(results)
    input_report(job, results).check(posts)
    posts.check()
    token_ledger(results).check()
    problems = list(table_problems(posts, tokens))
    encoded = results.phases.tokens.encode.documents.distinct_posts
    if encoded != posts.kept:
        problems.append(f"{encoded:,} posts were encoded, posts.kept is {posts.kept:,}")
    if problems:
        raise LedgerError(f"the ledger does not balance: {problems[0]}")


def ratio(part: float, whole: float) -> float:
    """Returns part / whole to six decimals, 0 where the whole is 0."""
    return round(part / whole, 6) if whole else 0.0


def stage_times(job: Job, results: Results, phase: str) -> Counter[str]:
    """Returns the microseconds that steps of a phase took, summed over units."""
    times: Counter[str] = Counter()
    for folder in storage.folders(job.work(phase, results.fingerprints[phase])):
        times.update(total_times(folder))
    return times
