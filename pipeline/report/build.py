"""Makes report.json and manifest.json out of the phases' results.

The manifest holds what a reader relies on and nothing that differs between two runs of the same job:
no times, hosts or absolute paths. The report adds what a person asks: times, memory, warnings.
"""

import platform
from collections.abc import Iterator
from functools import reduce
from importlib.metadata import version
from pathlib import Path
from typing import Any

import apache_beam
import msgspec

from sluice.filters.language.identify import identifier_models
from sluice.pipeline.ledger import balance
from sluice.pipeline.phases.tokens import mixture
from sluice.pipeline.phases import plan as phases
from sluice.pipeline.storage import local_copies, files as storage
from sluice.pipeline.phases.job import Job, Results, history_read, run_day
from sluice.pipeline.ledger.balance import Counts, column
from sluice.pipeline.processes.cost import cpu_seconds
from sluice.pipeline.recipes.schema import Classifier, Recipe, canonical
from sluice.pipeline.report.training import distinct, left_out, mixture_section, training_section, training_warnings
from sluice.pipeline.report.vocabulary import vocabulary_section
from sluice.pipeline.ledger.score_histograms import fairness
from sluice.pipeline.units.stage import FileEntry, UnitManifest, add_counts, done_units, manifests, total_times
from sluice.pipeline.phases.classify.thresholds import BAND, HIGH, LOW, bounds, reason
from sluice.pipeline.phases.vocabulary.phase import reserved_warning, tokenizer_path
from sluice.schemas.errors import LedgerError
from sluice.schemas.reject import EMPTY_TEXT, EXACT, NEAR, REDELIVERED
from sluice.tokenizer.vocabulary.load import load_vocabulary

MANIFEST_VERSION = 1
OWN_LICENCE = "Apache-2.0"
"""Of the shipped screens, which are trained on data that sets no condition but attribution."""
MAX_UNVERIFIED_RATIO = 0.01
"""More posts than this, of those kept, with comparisons left out make a warning."""
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
    survivors = balance.subtract(results.survivors, mixed)
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


def contract_files(job: Job, results: Results) -> Iterator[tuple[str, FileEntry, UnitManifest]]:
    """Yields (stage, file, its unit's manifest) for every file of the output contract, by stage and unit."""
    for phase, result in results.by_phase.items():
        for stage in storage.folders(job.work(phase, result.fingerprint)):
            for unit in manifests(done_units(stage)):
                for entry in unit.files.values():
                    if entry.sha256:
                        yield storage.name_of(stage), entry, unit


def manifest(job: Job, results: Results) -> dict[str, Any]:
    """Returns manifest.json."""
    files, shards = [], []
    for stage, entry, unit in contract_files(job, results):
        about = {"path": entry.name, "bytes": entry.bytes, "sha256": entry.sha256}
        files.append(about)
        if stage == "shard" and entry.name.startswith("tokens/"):
            shards.append(about | {k: unit.counts["in_shards"][k] for k in ("sequences", "tokens")})
    deal = results["tokens"].total("tokens_deal")
    made = load_vocabulary(local_copies.fetch(tokenizer_path(job.output)))
    return {
        "manifest_version": MANIFEST_VERSION,
        "sluice": version("sluice"),
        "recipe": canonical(_without_paths(job.recipe)),
        "fingerprints": {name: r.fingerprint for name, r in results.by_phase.items()},
        "inputs": [file.about() for file in job.inventory.files],
        "models": models_section(job),
        "phases": {name: r.counts for name, r in results.by_phase.items()},
        "posts": posts_section(results),
        "tokens": tokens_section(results),
        "token_ledger": token_ledger(results),
        "format": {
            "sequence_length": job.recipe.training.sequence_length,
            "vocabulary_size": made.size,
            "pad_id": made.pad_id,
            "eod_id": made.eod_id,
            "sequences_per_shard": deal.get("sequences_per_shard", 0),
        },
        "shards": sorted(shards, key=lambda s: s["path"]),
        "files": sorted(files, key=lambda f: f["path"]),
    }


def _without_paths(recipe: Recipe) -> Recipe:
    """Returns the recipe without the input globs, and the folders of a tokenizer and a history."""
    vocabulary = recipe.vocabulary
    if vocabulary.tokenizer is not None:
        name = Path(vocabulary.tokenizer).name
        vocabulary = msgspec.structs.replace(vocabulary, tokenizer=name)
    inputs = msgspec.structs.replace(recipe.input, files=())
    dedup = recipe.dedup
    if dedup.history is not None:
        dedup = msgspec.structs.replace(dedup, history=Path(dedup.history).name)
    transformers = tuple(map(_by_name, recipe.transformers))
    return msgspec.structs.replace(
        recipe, input=inputs, vocabulary=vocabulary, dedup=dedup, transformers=transformers
    )


def _by_name(spec: Classifier) -> Classifier:
    """Returns the table of a transformer with names in place of paths; its files' sha256 say what it is."""
    names = {k: Path(v).name for k in ("checkpoint", "base") if (v := getattr(spec, k)) is not None}
    return msgspec.structs.replace(spec, model=_model_name(spec), **names)


def _model_name(spec: Classifier) -> str:
    """Returns the model's name on the hub, or that of its folder."""
    return Path(spec.model).name if Path(spec.model).is_dir() else spec.model


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
            "padding_ratio": _ratio(books["padding"], books["in_shards"] + books["leftover"]),
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
        "bytes_per_post": _ratio(published.get("bytes", 0), published.get("posts", 0)),
    }


def _sum(costs: dict[str, dict[str, Any]], what: str) -> float:
    return round(sum(float(getattr(c["cost"], what)) for c in costs.values()), 3)


def _ratio(part: int, whole: int) -> float:
    return round(part / whole, 6) if whole else 0.0


def filters_section(job: Job, results: Results) -> list[dict[str, Any]]:
    """Returns posts in and out and the time of each filter, in recipe order."""
    steps, usec = results["clean"].total("clean", "filters"), stage_times(job, results, "clean")
    blank = results["clean"].total("clean", "policy").get(EMPTY_TEXT, 0)
    begun = [steps[f.name]["posts_in"] for f in job.recipe.filters[:1] if f.name in steps]
    first = begun[0] if begun else results["clean"].total("clean", "kept").get("posts", 0)
    rows = [
        {
            "name": "normalize",
            "reason": EMPTY_TEXT,
            "threshold": None,
            "posts_in": first + blank,
            "posts_out": first,
            "msec": None,
        }
    ]
    for spec in job.recipe.filters:
        step = steps.get(spec.name, {"posts_in": 0, "posts_out": 0})
        rows.append(
            {
                "name": spec.name,
                "reason": spec.reason,
                "threshold": float(getattr(spec, spec.bound)),
                "posts_in": step["posts_in"],
                "posts_out": step["posts_out"],
                "msec": usec.get(spec.name, 0) // 1000,
            }
        )
    return rows


def transformers_section(job: Job, results: Results) -> list[dict[str, Any]]:
    """Returns what each transformer saw, said and saved, in recipe order."""
    if not job.recipe.transformers:
        return []
    usec = stage_times(job, results, "classify")
    rows = []
    for spec, located in zip(job.recipe.transformers, job.located, strict=True):
        counts = results["classify"].total(f"classify_{spec.prefix}")
        seconds = usec.get(spec.prefix, 0) / 1e6
        rows.append(
            {
                "name": spec.prefix,
                "model": _model_name(spec),
                "sha256": located.weights[0].sha256,
                "labels": list(located.labels),
                "posts": counts["posts"],
                "decided": counts["band"],
                "scored": counts["scored"],
                "saved": _ratio(counts["posts"] - counts["band"], counts["posts"]),
                "rejected": sum(counts["policy"].values()),
                "errors": sum(counts["errors"].values()),
                "tokens": counts["tokens"],
                "truncated": counts["truncated"],
                "seconds": round(seconds, 3),
                "band": band_section(job, results, spec),
                "agreement": agreement_section(counts) if spec.screen else None,
            }
        )
    return rows


def band_section(job: Job, results: Results, spec: Classifier) -> dict[str, Any] | None:
    """Returns the band of a cascade: which screen, from which score, to which."""
    if spec.screen is None:
        return None
    high = next(f.threshold for f in job.recipe.filters if f.name == spec.screen)
    before = Results({k: v for k, v in results.by_phase.items() if k in ("clean", "dedup")})
    return {"screen": spec.screen, "low": phases.band_of(spec, before), "high": high}


def agreement_section(counts: Counts) -> dict[str, Any]:
    """Returns how far screen and transformer agree on the sample that both have scored.

    Below the band the cascade keeps a post, above it rejects it, in the band it does as the
    transformer says.
    """
    zones = {zone: counts["agreement"][zone] for zone in (LOW, BAND, HIGH)}
    sampled = sum(sum(z.values()) for z in zones.values())
    agreed = zones[LOW]["kept"] + sum(zones[BAND].values()) + zones[HIGH]["rejected"]
    return {"sampled": sampled, "agreed": _ratio(agreed, sampled), **zones}


def fairness_section(job: Job, results: Results) -> list[dict[str, Any]]:
    """Returns rejection rates by language of every screen, then of every label with a threshold."""
    counts = results["clean"].total("clean", "screens")
    rows = [
        {"name": f.name} | fairness(counts.get(f.name, {}), threshold=getattr(f, f.bound))
        for f in job.recipe.filters
        if f.screen
    ]
    for spec in job.recipe.transformers:
        found = results["classify"].total(f"classify_{spec.prefix}", "screens")
        for rule in bounds(spec):
            name = reason(spec, rule)
            about = fairness(found.get(name, {}), threshold=rule.value, upper=rule.upper)
            rows.append({"name": name} | about)
    return rows


def stage_times(job: Job, results: Results, phase: str) -> dict[str, int]:
    """Returns the microseconds that steps of a phase took, summed over units."""
    folders = storage.folders(job.work(phase, results[phase].fingerprint))
    return reduce(add_counts, map(total_times, folders), {})


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


def models_section(job: Job) -> list[dict[str, str | None]]:
    """Returns the models that the run used, by who used them, with the licence where we know it."""
    found: list[dict[str, str | None]] = [
        {"name": "language", "model": file, "sha256": sha256, "licence": licence}
        for file, sha256, licence in identifier_models(job.recipe.language.model)
    ]
    for spec in job.recipe.filters:
        sha256 = getattr(spec, "model_sha256", None)
        if sha256:
            own = getattr(spec, "model", None)
            about = {"model": Path(own or spec.name).name, "sha256": sha256}
            found.append({"name": spec.name, "licence": None if own else OWN_LICENCE} | about)
    for transformer, located in zip(job.recipe.transformers, job.located, strict=True):
        name = _model_name(transformer)
        for file in located.files:
            about = {"name": transformer.prefix, "model": f"{name} {file.name}"}
            found.append({**about, "sha256": file.sha256, "licence": None})
    return found


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
    for name, file in sorted(phases.counts_by_file(job, results).items()):
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
