"""What the models of a run did: filters, screens, transformers, and whom they reject by language."""

from typing import Any

from sluice.pipeline.ledger.score_histograms import fairness
from sluice.pipeline.ledger.tally import Counts
from sluice.pipeline.phases.classify import cascade
from sluice.pipeline.phases.classify.thresholds import BAND, HIGH, LOW, bounds, reason
from sluice.pipeline.phases.job import Job
from sluice.pipeline.phases.results import Results
from sluice.pipeline.recipes.schema import Classifier
from sluice.pipeline.report.manifest import model_name
from sluice.pipeline.report.totals import ratio, stage_times
from sluice.schemas.reject import EMPTY_TEXT


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
                "model": model_name(spec),
                "sha256": located.weights[0].sha256,
                "labels": list(located.labels),
                "posts": counts["posts"],
                "decided": counts["band"],
                "scored": counts["scored"],
                "saved": ratio(counts["posts"] - counts["band"], counts["posts"]),
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
    return {"screen": spec.screen, "low": cascade.band_of(spec, before), "high": high}


def agreement_section(counts: Counts) -> dict[str, Any]:
    """Returns how far screen and transformer agree on the sample that both have scored.

    Below the band the cascade keeps a post, above it rejects it, in the band it does as the
    transformer says.
    """
    zones = {zone: counts["agreement"][zone] for zone in (LOW, BAND, HIGH)}
    sampled = sum(sum(z.values()) for z in zones.values())
    agreed = zones[LOW]["kept"] + sum(zones[BAND].values()) + zones[HIGH]["rejected"]
    return {"sampled": sampled, "agreed": ratio(agreed, sampled), **zones}


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
