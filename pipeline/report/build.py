"""Makes report.json out of the phases' results: what the manifest holds, and what is asked beside it."""

import platform
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version

from msgspec.structs import asdict

from sluice.pipeline.phases import run_order
from sluice.pipeline.phases.dedup.conflicts import conflict_warning
from sluice.pipeline.phases.dedup.phase import history_read
from sluice.pipeline.phases.job import Job
from sluice.pipeline.phases.results import PhaseRun, Results, run_day
from sluice.pipeline.phases.vocabulary.train import reserved_warning
from sluice.pipeline.processes.cost import cpu_seconds
from sluice.pipeline.report.contamination import decontamination_report
from sluice.pipeline.report.lists import list_reports, unmet_lists
from sluice.pipeline.report.manifest import contract_files, model_files
from sluice.pipeline.report.models import fairness_reports, filter_reports, transformer_reports
from sluice.pipeline.report.populations import author_spread, platform_reports
from sluice.pipeline.report.privacy import privacy_report
from sluice.pipeline.report.sources import sources_report, unmet_sources
from sluice.pipeline.report.totals import (
    by_reason,
    conversation_report,
    input_report,
    post_report,
    ratio,
    token_ledger,
    token_report,
)
from sluice.pipeline.report.training import (
    mixture_report,
    training_report,
    training_warnings,
)
from sluice.pipeline.report.vocabulary import vocabulary_report
from sluice.schemas.plurals import plural
from sluice.schemas.report import (
    AuthorReport,
    DedupReport,
    ExcludeReport,
    HistoryAdded,
    HistoryRead,
    HistoryReport,
    InputReport,
    LedgerReport,
    PhaseCost,
    RecipeName,
    Report,
    RunCost,
    SequenceReport,
    ShardReport,
    Versions,
)

MAX_UNVERIFIED_RATIO = 0.01
"""More posts than this, of those kept, with comparisons left out make a warning."""


def _left_out(files: InputReport) -> Iterator[str]:
    for reason, number in sorted(files.left_out.items()):
        yield f"{number:,} {plural('member', number)} of archives left out: {reason}"


def report(
    job: Job,
    results: Results,
    runs: Mapping[str, PhaseRun],
    *,
    engine: str = "",
    processes: int | None = None,
    notes: Sequence[str] = (),
) -> Report:
    """Returns the report of a run whose ledger balances.

    Args:
        job: the job.
        results: of its phases.
        runs: what each phase cost.
        engine: what did the work.
        processes: that shared it.
        notes: what was found to be odd about the input files before the run.
    """
    posts, ledger, phases = post_report(results), token_ledger(results), results.phases
    files = input_report(job, results)
    files.formats = job.inventory.formats
    files.notes = [*notes, *_left_out(files)]
    seconds = sum(run.cost.seconds for run in runs.values())
    return Report(
        sluice=version("sluice"),
        recipe=RecipeName(name=job.recipe.name, fingerprint=results.fingerprints["tokens"]),
        input=files,
        posts=posts,
        sources=sources_report(job, results),
        platforms=platform_reports(job, results),
        authors=AuthorReport(
            read=author_spread(phases.clean.clean.authors),
            kept=author_spread(phases.tokens.encode.authors),
        ),
        lists=list_reports(job, results),
        privacy=privacy_report(phases.clean.clean.masked, job.recipe.privacy.kinds),
        filters=filter_reports(job, results),
        transformers=transformer_reports(job, results),
        fairness=fairness_reports(job, results),
        documents=phases.tokens.pack.documents,
        conversations=conversation_report(results),
        tokens=token_report(results),
        encoded_by=phases.tokens.encode.engines,
        ledger=LedgerReport(
            balanced=True,
            input=files.equation,
            posts=posts.equation,
            tokens=ledger.equation,
        ),
        token_ledger=ledger,
        vocabulary=vocabulary_report(job, results),
        sequences=sequence_report(job, results),
        shards=shard_report(job, results),
        training=training_report(job, results),
        mixture=mixture_report(job, results),
        exclude=exclude_report(results),
        decontamination=decontamination_report(results),
        dedup=dedup_report(job, results),
        duplicate_clusters=phases.dedup.resolve.cluster_sizes,
        duplicate_checks_left_out=phases.dedup.resolve.unverified,
        phases=phase_costs(results, runs),
        run=RunCost(
            cpu_seconds_counted=round(cpu_seconds(), 3),
            seconds=round(seconds, 3),
            engine=engine,
            processes=processes,
        ),
        models=list(model_files(job)),
        versions=Versions(beam=version("apache-beam"), python=platform.python_version()),
        warnings=list(warnings(job, results)),
    )


def sequence_report(job: Job, results: Results) -> SequenceReport:
    """Returns how many sequences there are, and what of them is padding."""
    ledger, shard = token_ledger(results), results.phases.tokens.shard
    return SequenceReport(
        length=job.recipe.training.sequence_length,
        in_shards=shard.in_shards.sequences,
        leftover=shard.leftover.sequences,
        padding=ledger.padding,
        padding_ratio=ratio(ledger.padding, ledger.in_shards + ledger.leftover),
        truncated_tokens=ledger.truncated,
    )


def shard_report(job: Job, results: Results) -> ShardReport:
    """Returns how many shards there are, and how large they are."""
    entries = [written.entry for written in contract_files(job, results)]
    sizes = [entry.bytes for entry in entries if entry.name.startswith("tokens/")]
    return ShardReport(
        count=len(sizes),
        sequences_each=results.phases.tokens.deal.sequences_per_shard,
        bytes_each=max(sizes, default=0),
        total_bytes=sum(sizes),
    )


def exclude_report(results: Results) -> ExcludeReport | None:
    """Returns what notices did; None for a run that has none to act on."""
    counts = results.phases.exclude
    if counts is None:
        return None
    return ExcludeReport(
        notices=counts.match.notices,
        met=counts.match.met,
        earlier=counts.match.earlier,
        written=counts.deletions.rows,
        without_author_or_time=counts.send.without_author_or_time if counts.cap else None,
    )


STAYS = {
    "earliest": "the earliest created_at (a post without one comes last)",
    "longest": "the longest text",
    "informative": "the text with the most distinct n-grams",
}


def dedup_report(job: Job, results: Results) -> DedupReport:
    """Returns what counted as a duplicate, which copy was kept, and what was compared to find out."""
    d, counts = job.recipe.dedup, results.phases.dedup
    stays = (
        f"of each cluster {d.max_copies} stay{'s' if d.max_copies == 1 else ''}: {STAYS[d.keep]} first, "
        f"ties in input order; of the deliveries of a post, that with the latest created_at, then the last "
        f"in input order"
    )
    return DedupReport(
        rule=f"exact Jaccard index of code-point {d.ngram}-grams >= {d.threshold:g}",
        stays=stays,
        bands=d.bands,
        rows=d.rows,
        candidates=counts.join.candidates,
        component_sizes=counts.resolve.component_sizes,
        history=history_report(job, results),
    )


def history_report(job: Job, results: Results) -> HistoryReport | None:
    """Returns what the run read from the history, dropped because of it, and added to it."""
    added = results.phases.history
    if job.recipe.dedup.history is None or added is None:
        return None
    segments, earlier = history_read(job), results.phases.dedup.drop.earlier
    return HistoryReport(
        day=run_day(job, results.phases.clean.clean).isoformat(),
        days=job.recipe.dedup.history_days,
        read=HistoryRead(segments=len(segments), posts=sum(s.rows for s in segments)),
        duplicates=by_reason(earlier),
        added=HistoryAdded(posts=added.publish.posts, bytes=added.publish.bytes),
        bytes_per_post=ratio(added.publish.bytes, added.publish.posts),
    )


def phase_costs(results: Results, runs: Mapping[str, PhaseRun]) -> list[PhaseCost]:
    """Returns what each phase cost and how many posts it read."""
    phases, left = results.phases, results.survivors.posts
    posts = {
        "phrases": phases.phrases.count.posts if phases.phrases else 0,
        "clean": phases.clean.clean.read,
        "exclude": phases.clean.clean.kept.posts,
        "dedup": phases.included.posts,
        "classify": phases.deduplicated.posts,
    }
    return [
        PhaseCost(
            **asdict(run.cost),
            name=name,
            posts=posts.get(name, left),
            units_reused=run.units_reused,
        )
        for name, run in runs.items()
    ]


def warnings(job: Job, results: Results) -> Iterator[str]:
    """Yields what a user should know before using the output."""
    phases, kept = results.phases, post_report(results).kept
    reserved = reserved_warning(
        phases.vocabulary.made.vocabulary,
        is_frozen=job.recipe.vocabulary.tokenizer is not None,
    )
    if reserved:
        yield reserved
    yield from training_warnings(job, results)
    conflicts = conflict_warning(job, results)
    if conflicts:
        yield conflicts
    slow = phases.tokens.encode.engines.get("tokenizers")
    if slow:
        yield (
            f"tokens: {slow:,} posts were encoded by `tokenizers`, which is some twenty times slower: "
            f"gigatoken could not be used, and the log says why"
        )
    yield from unmet_sources(job, results)
    yield from unmet_lists(list_reports(job, results))
    for name, file in sorted(run_order.counts_by_file(job, results).items()):
        if {"truncated_input", "corrupt_input"} & file.malformed.keys():
            yield f"{name}: is damaged; what follows the damage could not be read"
    left = phases.dedup.resolve.unverified
    if left > MAX_UNVERIFIED_RATIO * kept:
        yield (
            f"dedup.max_checks = {job.recipe.dedup.max_checks}: {left:,} posts had more candidates than "
            f"were compared; they were kept"
        )
    unread = len(job.remembered) - len(history_read(job))
    if unread:
        day = run_day(job, phases.clean.clean)
        yield (
            f"dedup.history: {unread} of {len(job.remembered)} earlier runs are outside the "
            f"{job.recipe.dedup.history_days} days that end with {day}, and were not read"
        )
    if not kept:
        yield "no post was kept"
