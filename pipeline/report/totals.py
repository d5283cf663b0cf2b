"""The totals of a run for its report and manifest, and the check that they balance."""

from functools import reduce

from sluice.pipeline.ledger import balance, tally
from sluice.pipeline.ledger.tally import Counts, add_counts, column
from sluice.pipeline.phases.job import Job
from sluice.pipeline.phases.results import Results
from sluice.pipeline.phases.tokens import mixture
from sluice.pipeline.report.training import distinct, left_out
from sluice.pipeline.storage import files as storage
from sluice.pipeline.units.stage import total_times
from sluice.schemas.errors import LedgerError
from sluice.schemas.reject import EXACT, NEAR, REDELIVERED

POSTS_TABLES = ("by_lang", "by_day", "by_source")


def posts_section(results: Results) -> Counts:
    """Returns where every post went; its parts sum to `read`."""
    counts = results["clean"].total("clean")
    rejected, errors = dict(counts["policy"]), dict(counts["errors"])
    for stage in results.transformers:
        add_counts(rejected, stage["policy"])
        add_counts(errors, stage["errors"])
    duplicates = results["dedup"].total("dedup_drop", "duplicates")
    mixed = left_out(results)
    if mixed:
        add_counts(rejected, {mixture.REASON: mixed["posts"]})
    survivors = tally.subtract(results.survivors, mixed)
    posts: Counts = {
        "read": counts["read"],
        "kept": survivors.get("posts", 0),
        "rejected": dict(sorted(rejected.items())),
        "duplicates": {r: duplicates.get(r, 0) for r in (REDELIVERED, EXACT, NEAR)},
        "malformed": sum(counts["malformed"].values()),
        "errors": sum(errors.values()),
        "malformed_by_reason": dict(sorted(counts["malformed"].items())),
        "errors_by_stage": dict(sorted(errors.items())),
    }
    return posts | {by: column(survivors, by, "posts") for by in POSTS_TABLES}


def tokens_section(results: Results) -> Counts:
    """Returns the tokens of the documents: those of texts, by group, and special ones."""
    documents = results["tokens"].total("tokens_encode", "documents")
    encoded, posts = documents.get("tokens", 0), documents.get("posts", 0)
    packed = results["tokens"].total("tokens_pack")
    marks = {k: packed.get(k, 0) for k in balance.MARKS}
    total = encoded + sum(marks.values())
    text_bytes = documents.get("text_bytes", results.survivors.get("text_bytes", 0))
    section: Counts = {
        "total": total,
        "encoded": encoded,
        "distinct": distinct(results)["tokens"],
        **marks,
        "bytes_per_token": round(text_bytes / encoded, 4) if encoded else None,
        "per_post": round(total / posts, 4) if posts else None,
        "text_bytes": text_bytes,
    }
    return section | {by: column(documents, by, "tokens") for by in POSTS_TABLES}


def token_ledger(results: Results) -> Counts:
    """Returns the two sides of the tokens' equation: what was made, and where it is."""
    counts, tokens = results["tokens"], tokens_section(results)
    shard = counts.total("tokens_shard")
    inside, outside = shard.get("in_shards", {}), shard.get("leftover", {})
    packed = counts.total("tokens_pack")
    return {
        "encoded": tokens["encoded"],
        **{k: tokens[k] for k in balance.MARKS},
        "padding": packed.get("padding", 0),
        "in_shards": inside.get("tokens", 0) + inside.get("padding", 0),
        "leftover": outside.get("tokens", 0) + outside.get("padding", 0),
        "truncated": packed.get("truncated", 0),
    }


def check(results: Results) -> None:
    """Raises LedgerError unless posts and tokens balance, and every table sums to its total."""
    posts, tokens = posts_section(results), tokens_section(results)
    balance.check_posts(posts)
    balance.check_tokens(token_ledger(results))
    _equal("posts encoded", distinct(results)["posts"], "posts kept", posts["kept"])
    for by in POSTS_TABLES:
        _equal(f"posts.{by}", sum(posts[by].values()), "posts.kept", posts["kept"])
        _equal(f"tokens.{by}", sum(tokens[by].values()), "tokens.encoded", tokens["encoded"])


def _equal(name: str, value: int, other: str, expected: int) -> None:
    if value != expected:
        raise LedgerError(
            f"the ledger does not balance: {name} = {value:,}, {other} = {expected:,}"
        )


def ratio(part: int, whole: int) -> float:
    """Returns part / whole to six decimals, 0 where the whole is 0."""
    return round(part / whole, 6) if whole else 0.0


def stage_times(job: Job, results: Results, phase: str) -> dict[str, int]:
    """Returns the microseconds that steps of a phase took, summed over units."""
    folders = storage.folders(job.work(phase, results[phase].fingerprint))
    return reduce(add_counts, map(total_times, folders), {})
