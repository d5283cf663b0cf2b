"""Makes report.json and manifest.json out of the phases' results.

The manifest holds what a reader relies on and nothing that differs between two runs of the same job:
no times, hosts or absolute paths. The report adds what a person asks: times, memory, warnings.
"""

import platform
from importlib.metadata import version
from typing import Any

import apache_beam

from sluice.pipeline.ledger import balance
from sluice.pipeline.ledger.tally import Counts
from sluice.pipeline.phases import run_order
from sluice.pipeline.phases.dedup.phase import history_read
from sluice.pipeline.phases.job import Job
from sluice.pipeline.phases.results import Results, run_day
from sluice.pipeline.phases.vocabulary.train import reserved_warning
from sluice.pipeline.processes.cost import cpu_seconds
from sluice.pipeline.report.manifest import contract_files, models_section
from sluice.pipeline.report.models import fairness_section, filters_section, transformers_section
from sluice.pipeline.report.totals import (
    posts_section,
    ratio,
    stage_times,
    token_ledger,
    tokens_section,
)
from sluice.pipeline.report.training import (
    mixture_section,
    training_section,
    training_warnings,
)
from sluice.pipeline.report.vocabulary import vocabulary_section
from sluice.schemas.reject import EXACT, NEAR, REDELIVERED

MAX_UNVERIFIED_RATIO = 0.01
"""More posts than this, of those kept, with comparisons left out make a warning."""


def report(job: Job, results: Results, costs: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Returns report.json."""
    posts, tokens, books = posts_section(results), tokens_section(results), token_ledger(results)
    vocabulary = results["vocabulary"].counts
    made = next(c["vocabulary"] for c in vocabulary.values() if "vocabulary" in c)
    training, deal = job.recipe.training, results["tokens"].total("tokens_deal")
    shard = results["tokens"].total("tokens_shard")
    inside = shard.get("in_shards", {})
    sizes = [e.bytes for s, e, _ in contract_files(job, results) if e.name.startswith("tokens/")]
    return {
        "sluice": version("sluice"),
        "recipe": {"name": job.recipe.name, "fingerprint": results["tokens"].fingerprint},
        "posts": posts,
        "filters": filters_section(job, results),
        "transformers": transformers_section(job, results),
        "fairness": fairness_section(job, results),
        "documents": results["tokens"].total("tokens_pack").get("documents", 0),
        "tokens": tokens,
        "encoded_by": results["tokens"].total("tokens_encode", "engines"),
        "ledger": {
            "balanced": True,
            "posts": balance.posts_equation(posts),
            "tokens": balance.tokens_equation(books),
        },
        "token_ledger": books,
        "vocabulary": vocabulary_section(results, made, steps=vocabulary_steps(job, results)),
        "sequences": {
            "length": training.sequence_length,
            "in_shards": inside.get("sequences", 0),
            "leftover": shard.get("leftover", {}).get("sequences", 0),
            "padding": books["padding"],
            "padding_ratio": ratio(books["padding"], books["in_shards"] + books["leftover"]),
            "truncated_tokens": books["truncated"],
        },
        "shards": {
            "count": len(sizes),
            "sequences_each": deal.get("sequences_per_shard", 0),
            "bytes_each": max(sizes, default=0),
            "total_bytes": sum(sizes),
        },
        "training": training_section(job, results, vocabulary_size=sum(made.values())),
        "mixture": mixture_section(job, results),
        "dedup": dedup_section(job, results),
        "duplicate_clusters": dict(results["dedup"].total("dedup_settle", "cluster_sizes")),
        "duplicate_checks_left_out": results["dedup"].total("dedup_settle").get("unverified", 0),
        "phases": phases_section(results, costs),
        "run": {"cpu_seconds_counted": round(cpu_seconds(), 3), "seconds": _sum(costs, "seconds")},
        "models": models_section(job),
        "versions": {"beam": apache_beam.__version__, "python": platform.python_version()},
        "warnings": warnings(job, results, made, posts),
    }


STAYS = {
    "earliest": "the earliest created_at (a post without one comes last)",
    "longest": "the longest text",
    "informative": "the text with the most distinct n-grams",
}


def dedup_section(job: Job, results: Results) -> dict[str, Any]:
    """Returns what counted as a duplicate, which copy stayed, and what was looked at to find out."""
    d, counts = job.recipe.dedup, results["dedup"]
    stays = (
        f"of each cluster {d.max_copies} stay{'s' if d.max_copies == 1 else ''}: {STAYS[d.keep]} first, "
        f"ties in input order; of one post id, the delivery with the latest created_at, then the last "
        f"in input order"
    )
    return {
        "rule": f"exact Jaccard index of code-point {d.ngram}-grams >= {d.threshold:g}",
        "stays": stays,
        "bands": d.bands,
        "rows": d.rows,
        "candidates": counts.total("dedup_join").get("candidates", 0),
        "component_sizes": dict(counts.total("dedup_settle", "component_sizes")),
        "history": history_section(job, results),
    }


def history_section(job: Job, results: Results) -> dict[str, Any] | None:
    """Returns what the run read from the history, dropped for its sake, and added to it."""
    if job.recipe.dedup.history is None:
        return None
    read = history_read(job)
    earlier = results["dedup"].total("dedup_drop", "earlier")
    published = results["history"].total("history_publish")
    return {
        "day": run_day(job, results["clean"]).isoformat(),
        "days": job.recipe.dedup.history_days,
        "read": {"segments": len(read), "posts": sum(s.rows for s in read)},
        "duplicates": {r: earlier.get(r, 0) for r in (REDELIVERED, EXACT, NEAR)},
        "added": {k: published.get(k, 0) for k in ("posts", "bytes")},
        "bytes_per_post": ratio(published.get("bytes", 0), published.get("posts", 0)),
    }


def _sum(costs: dict[str, dict[str, Any]], what: str) -> float:
    return round(sum(float(getattr(c["cost"], what)) for c in costs.values()), 3)


def vocabulary_steps(job: Job, results: Results) -> dict[str, dict[str, float]]:
    """Returns seconds and CPU seconds of sampling, training and saving the tokenizer."""
    steps: dict[str, dict[str, float]] = {}
    for key, usec in sorted(stage_times(job, results, "vocabulary").items()):
        step, _, clock = key.partition("/")
        steps.setdefault(step, {})[clock] = round(usec / 1e6, 3)
    return steps


def phases_section(results: Results, costs: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """Returns what each phase cost and how many posts it read."""
    kept = results["clean"].total("clean", "kept").get("posts", 0)
    left = results.survivors.get("posts", 0)
    lost = sum(stage["lost"]["posts"] for stage in results.transformers)
    posts = {
        "clean": results["clean"].total("clean")["read"],
        "dedup": kept,
        "classify": left + lost,
        "vocabulary": left,
        "tokens": left,
    }
    return [
        {
            "name": name,
            "seconds": cost["cost"].seconds,
            "cpu_seconds": cost["cost"].cpu_seconds,
            "peak_rss_bytes": cost["cost"].peak_rss_bytes,
            "posts": posts.get(name, left),
            "units_reused": cost["units_reused"],
        }
        for name, cost in costs.items()
    ]


def warnings(job: Job, results: Results, made: dict[str, int], posts: Counts) -> list[str]:
    """Returns what a person should know before using the output."""
    found = []
    reserved = reserved_warning(made)
    if reserved:
        found.append(reserved)
    found += training_warnings(job, results)
    slow = results["tokens"].total("tokens_encode", "engines").get("tokenizers", 0)
    if slow:
        found.append(
            f"tokens: {slow:,} posts were encoded by `tokenizers`, which is some twenty times slower: "
            f"gigatoken could not be used, and the log says why"
        )
    for name, file in sorted(run_order.counts_by_file(job, results).items()):
        cut = sum(file["malformed"].get(r, 0) for r in ("truncated_input", "corrupt_input"))
        if cut:
            found.append(f"{name}: is damaged; what follows the damage could not be read")
    left = results["dedup"].total("dedup_settle").get("unverified", 0)
    if left > MAX_UNVERIFIED_RATIO * posts["kept"]:
        found.append(
            f"dedup.max_checks = {job.recipe.dedup.max_checks}: {left:,} posts had more candidates than "
            f"were compared; they were kept"
        )
    unread = len(job.remembered) - len(history_read(job))
    if unread:
        found.append(
            f"dedup.history: {unread} of {len(job.remembered)} earlier runs lie outside the "
            f"{job.recipe.dedup.history_days} days that end with "
            f"{run_day(job, results['clean'])}, and were not read"
        )
    if not posts["kept"]:
        found.append("no post was kept")
    return found
