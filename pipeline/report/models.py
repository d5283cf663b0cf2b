"""What the models of a run did: filters, screens, transformers, and their rejection rates by language."""

from msgspec.structs import asdict

from sluice.filters.lists.spec import STAGE as LISTS
from sluice.filters.origin import origin_of
from sluice.pipeline.ledger.score_histograms import fairness
from sluice.pipeline.phases.classify import cascade
from sluice.pipeline.phases.classify.thresholds import bounds, reason
from sluice.pipeline.phases.job import Job
from sluice.pipeline.phases.results import Results
from sluice.pipeline.recipes.schema import Classifier
from sluice.pipeline.report.manifest import model_name
from sluice.pipeline.report.totals import ratio, stage_times
from sluice.schemas.counts import AgreementCounts, FilterCounts
from sluice.schemas.reject import EMPTY_TEXT
from sluice.schemas.report import Agreement, Band, Fairness, FilterReport, TransformerReport


def filter_reports(job: Job, results: Results) -> list[FilterReport]:
    """Returns posts in and out and the time of normalisation, of the lists, and of each filter in order."""
    counts, usec = results.phases.clean.clean, stage_times(job, results, "clean")
    blank = counts.policy.get(EMPTY_TEXT, 0)
    steps = [counts.filters.get(spec.name, FilterCounts()) for spec in job.recipe.filters]
    first = steps[0].posts_in if steps else counts.kept.posts
    named = first + sum(each.rejected for each in (counts.lists or {}).values())
    lists = FilterReport(name=LISTS, posts_in=named, posts_out=first, msec=usec[LISTS] // 1000)
    return [
        FilterReport(name="normalize", reason=EMPTY_TEXT, posts_in=named + blank, posts_out=named),
        *([lists] if job.recipe.lists else []),
        *(
            FilterReport(
                **asdict(step),
                name=spec.name,
                reason=spec.reason,
                threshold=float(getattr(spec, spec.bound)),
                msec=usec[spec.name] // 1000,
                origin=origin_of(type(spec)),
            )
            for spec, step in zip(job.recipe.filters, steps, strict=True)
        ),
    ]


def transformer_reports(job: Job, results: Results) -> list[TransformerReport]:
    """Returns what each transformer saw, decided and saved, in recipe order."""
    if not job.recipe.transformers:
        return []
    usec, rows = stage_times(job, results, "classify"), []
    for spec, located in zip(job.recipe.transformers, job.located, strict=True):
        counts = results.phases.classify[f"classify_{spec.prefix}"]
        rows.append(
            TransformerReport(
                name=spec.prefix,
                model=model_name(spec),
                sha256=located.weights[0].sha256,
                labels=list(located.labels),
                posts=counts.posts,
                decided=counts.band,
                scored=counts.scored,
                saved=ratio(counts.posts - counts.band, counts.posts),
                rejected=sum(counts.policy.values()),
                errors=sum(counts.errors.values()),
                tokens=counts.tokens,
                truncated=counts.truncated,
                seconds=round(usec[spec.prefix] / 1e6, 3),
                band=_band(job, results, spec),
                agreement=_agreement(counts.agreement) if spec.screen else None,
            )
        )
    return rows


def _band(job: Job, results: Results, spec: Classifier) -> Band | None:
    """Returns the band of a cascade: which screen, from which score, to which."""
    if spec.screen is None:
        return None
    high = next(f.threshold for f in job.recipe.filters if f.name == spec.screen)
    low = cascade.band_of(spec, results.phases.deduplicated)
    return Band(screen=spec.screen, low=low, high=high)


def _agreement(counts: AgreementCounts) -> Agreement:
    low, band, high = counts.low, counts.band, counts.high
    sampled = sum(part.kept + part.rejected for part in (low, band, high))
    agreed = low.kept + band.kept + band.rejected + high.rejected
    return Agreement(low, band, high, sampled=sampled, agreed=ratio(agreed, sampled))


def fairness_reports(job: Job, results: Results) -> list[Fairness]:
    """Returns rejection rates by language of every screen, then of every label with a threshold."""
    counts = results.phases.clean.clean.screens
    rows = [
        fairness(f.name, counts.get(f.name, {}), threshold=getattr(f, f.bound))
        for f in job.recipe.filters
        if f.screen
    ]
    for spec in job.recipe.transformers:
        screens = results.phases.classify[f"classify_{spec.prefix}"].screens
        for rule in bounds(spec):
            name = reason(spec, rule)
            by_lang = screens.get(name, {})
            rows.append(fairness(name, by_lang, threshold=rule.value, upper=rule.upper))
    return rows
