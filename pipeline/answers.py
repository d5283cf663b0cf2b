"""What each command answers with `--json`: one line, whose keys docs/operations.md lists.

A key that is there stays, with its meaning; more may come.
"""

import json
from typing import TYPE_CHECKING, Any

import msgspec

from sluice.pipeline.doctor import DoctorAnswer

if TYPE_CHECKING:
    from sluice.pipeline.commands import ScoreReport
    from sluice.pipeline.outputs.export import Export
    from sluice.pipeline.outputs.forgetting.command import Forgotten
    from sluice.pipeline.outputs.forgetting.scan import Scan
    from sluice.pipeline.outputs.inspect import Inspection
    from sluice.pipeline.phases.score.stage import ScoreSummary
    from sluice.pipeline.sample.write import SampleSummary
    from sluice.schemas.report import Report

QUANTILES = ("1%", "50%", "90%", "99%")


class PostTotals(msgspec.Struct, kw_only=True):
    """Where the posts went: `read` is the sum of the others."""

    read: int
    kept: int
    rejected: int
    duplicates: int
    malformed: int
    errors: int


class RunAnswer(msgspec.Struct, kw_only=True):
    """`sluice run`.

    Attributes:
        output: the folder.
        report: path of report.json, which has all figures.
        tokens: of the documents, special tokens among them.
        sequences: in the shards; others are left over.
        seconds: wall time of the phases; of those that were reused, the time of the run that did them.
        phases_reused: those that an earlier run did.
    """

    output: str
    report: str
    posts: PostTotals
    tokens: int
    sequences: int
    shards: int
    seconds: float
    cpu_seconds: float
    engine: str
    processes: int | None
    phases_reused: list[str]
    warnings: list[str]


class VerifyAnswer(msgspec.Struct, kw_only=True):
    """`sluice verify`: what is wrong, in words; nothing where the output is valid."""

    output: str
    valid: bool
    problems: list[str]


class InspectAnswer(msgspec.Struct, kw_only=True):
    """`sluice inspect`: as `sluice.inspect` returns it."""

    output: str
    post_id: str
    outcome: str
    reason: str | None
    score: float | None
    copies: int
    rejections: list[dict[str, Any]]
    placements: list[dict[str, Any]]
    cleaned: list[dict[str, Any]]
    transformers: list[dict[str, Any]]
    forgotten: list[dict[str, Any]]


class ReviewAnswer(msgspec.Struct, kw_only=True):
    """`sluice inspect --review`: posts that hold an item of an evaluation set, with both texts."""

    output: str
    hits: list[dict[str, Any]]


class ScoreAnswer(msgspec.Struct, kw_only=True):
    """`sluice score`: a row for each filter; `scores` is the folder of the Parquet files."""

    scores: str
    read: int
    scored: int
    filters: list[dict[str, Any]]
    language_thresholds: dict[str, float]


class SampleAnswer(msgspec.Struct, kw_only=True):
    """`sluice sample`."""

    output: str
    posts: int
    seed: int
    files: list[str]
    text_bytes: int
    by_label: dict[str, int]


class ExportAnswer(msgspec.Struct, kw_only=True):
    """`sluice export`: what export.json has of it."""

    folder: str
    format: str
    items: str
    leftover: bool
    num_items: int
    tokens: int
    padding: int
    bytes: int
    files: int


class ForgetAnswer(msgspec.Struct, kw_only=True):
    """`sluice forget`: as `sluice.forget` returns it."""

    output: str
    asked: str | None
    given: int
    kept: int
    rejected: int
    already: int
    unknown: int
    posts: int
    tokens: int
    copies: int
    shards: int
    of_shards: int
    tables: int
    in_history: int
    exports: list[dict[str, Any]]
    resumed: bool
    seconds: float


class ErrorTold(msgspec.Struct, kw_only=True):
    """What went wrong: the class of `sluice.errors`, the message, and what the process ends with."""

    type: str
    message: str
    exit_code: int


class ErrorAnswer(msgspec.Struct, kw_only=True):
    """Any command that fails."""

    error: ErrorTold


class ScanAnswer(msgspec.Struct, kw_only=True):
    """`sluice forget --scan`: as `sluice.scan_forgotten` returns it."""

    output: str
    tombstones: int
    files: int
    ids: int
    posts: int
    tokens: int
    findings: list[dict[str, Any]]
    seconds: float


ANSWERS: dict[str, type] = {
    "run": RunAnswer,
    "verify": VerifyAnswer,
    "inspect": InspectAnswer,
    "inspect --review": ReviewAnswer,
    "score": ScoreAnswer,
    "sample": SampleAnswer,
    "export": ExportAnswer,
    "forget": ForgetAnswer,
    "forget --scan": ScanAnswer,
    "doctor": DoctorAnswer,
    "an error": ErrorAnswer,
}
"""By command; `run --plan` answers with a `RunPlan`, `report` with report.json, and `filters` with a list."""


def json_line(value: Any) -> str:
    """Returns a value as one line of JSON, in ASCII, so that any terminal and locale can print it."""
    return json.dumps(msgspec.json.decode(msgspec.json.encode(value)))


def of_run(report: "Report", *, output: str, path: str) -> RunAnswer:
    """Returns the answer of a run; `path` is that of its report.json."""
    posts = report.posts
    return RunAnswer(
        output=output,
        report=path,
        posts=PostTotals(
            read=posts.read,
            kept=posts.kept,
            rejected=sum(posts.rejected.values()),
            duplicates=sum(posts.duplicates.values()),
            malformed=posts.malformed,
            errors=posts.errors,
        ),
        tokens=report.tokens.total,
        sequences=report.sequences.in_shards,
        shards=report.shards.count,
        seconds=report.run.seconds,
        cpu_seconds=round(sum(phase.cpu_seconds or 0.0 for phase in report.phases), 3),
        engine=report.run.engine,
        processes=report.run.processes,
        phases_reused=[phase.name for phase in report.phases if phase.units_reused == -1],
        warnings=report.warnings,
    )


def of_forget(done: "Forgotten") -> ForgetAnswer:
    """Returns the answer of a forget."""
    exports = [msgspec.structs.asdict(made) for made in done.exports]
    return ForgetAnswer(**(done._asdict() | {"exports": exports}))


def of_scan(done: "Scan") -> ScanAnswer:
    """Returns the answer of a scan."""
    findings = [finding._asdict() for finding in done.findings]
    return ScanAnswer(**(done._asdict() | {"findings": findings}))


def of_inspection(found: "Inspection", *, output: str) -> InspectAnswer:
    """Returns the answer of an inspection."""
    return InspectAnswer(
        output=output,
        post_id=found.post_id,
        outcome=found.outcome,
        reason=found.reason,
        score=found.score,
        copies=found.copies,
        rejections=[row._asdict() for row in found.rejections],
        placements=[row._asdict() for row in found.placements],
        cleaned=[row._asdict() for row in found.cleaned],
        transformers=[row._asdict() for row in found.transformers],
        forgotten=[
            {"at": row.at.isoformat(timespec="seconds"), "num_tokens": row.num_tokens}
            for row in found.forgotten
        ],
    )


def of_scores(report: "ScoreReport") -> ScoreAnswer:
    """Returns the answer of `sluice score`."""
    return ScoreAnswer(
        scores=report.folder,
        read=report.read,
        scored=report.scored,
        filters=list(map(_distribution, report.filters)),
        language_thresholds=report.language_thresholds,
    )


def _distribution(row: "ScoreSummary") -> dict[str, Any]:
    quantiles = dict(zip(QUANTILES, row.quantiles, strict=True)) if row.quantiles else {}
    return {
        "name": row.name,
        "threshold": row.threshold,
        "rejected": row.rejected,
        "quantiles": quantiles,
    }


def of_sample(summary: "SampleSummary", *, output: str) -> SampleAnswer:
    """Returns the answer of `sluice sample`."""
    return SampleAnswer(
        output=output,
        posts=summary.posts,
        seed=summary.seed,
        files=list(summary.files),
        text_bytes=summary.text_bytes,
        by_label=summary.by_label,
    )


def of_export(exported: "Export", *, folder: str) -> ExportAnswer:
    """Returns the answer of an export."""
    return ExportAnswer(
        folder=folder,
        format=exported.format,
        items=exported.items,
        leftover=exported.leftover,
        num_items=exported.counts.items,
        tokens=exported.counts.tokens,
        padding=exported.counts.padding,
        bytes=sum(file.bytes for file in exported.files),
        files=len(exported.files),
    )
