"""The manifest and the report of an output after a forget: other files, other totals, the same equations.

What was measured of the run stays: by language, day and source, of phases, of filters. What a post was is not
told of one that is gone, so that two reports do not say it either.
"""

from collections.abc import Iterable

from msgspec.structs import replace

from sluice.pipeline.outputs.finished import read_manifest, read_report
from sluice.pipeline.outputs.forgetting.journal import Journal
from sluice.pipeline.report.page import write_page
from sluice.pipeline.storage import files as storage
from sluice.pipeline.storage.sealed import write_json
from sluice.schemas.manifest import ContractFile, ForgottenCounts, Manifest, ShardFile
from sluice.schemas.reject import FORGOTTEN
from sluice.schemas.report import ForgetReport, PostReport, Report, TokenLedger, TokenReport


def update_manifest(output: str, journal: Journal, changed: Iterable[ContractFile]) -> Manifest:
    """Writes manifest.json with what a forget changed, unless it has it already; returns it."""
    manifest = read_manifest(output)
    before = manifest.forgotten or ForgottenCounts()
    if before.times > journal.number:
        return manifest
    files = {file.path: file for file in (*manifest.files, *changed)}
    counts = journal.counts
    manifest = replace(
        manifest,
        posts=_posts(manifest.posts, journal),
        tokens=_tokens(manifest.tokens, journal),
        token_ledger=_ledger(manifest.token_ledger, journal),
        shards=[_shard(shard, files[shard.path], journal) for shard in manifest.shards],
        files=[files[path] for path in sorted(files)],
        forgotten=ForgottenCounts(
            times=journal.number + 1,
            earlier=before.earlier,
            posts=before.posts + counts.posts,
            tokens=before.tokens + counts.tokens,
            id_sum=before.id_sum + counts.id_sum,
        ),
    )
    write_json(storage.join(output, "manifest.json"), manifest)
    return manifest


def _shard(shard: ShardFile, file: ContractFile, journal: Journal) -> ShardFile:
    if shard.path not in journal.tokens:
        return shard
    return replace(
        shard,
        bytes=file.bytes,
        sha256=file.sha256,
        tokens=shard.tokens - journal.tokens[shard.path],
        written_sha256=shard.written_sha256 or shard.sha256,
    )


def _posts(posts: PostReport, journal: Journal) -> PostReport:
    gone = journal.counts.posts
    rejected = posts.rejected | {FORGOTTEN: posts.rejected.get(FORGOTTEN, 0) + gone}
    return replace(
        posts,
        kept=posts.kept - gone,
        rejected=dict(sorted(rejected.items())),
        forgotten=posts.forgotten + gone,
    )


def _tokens(tokens: TokenReport, journal: Journal) -> TokenReport:
    gone = journal.counts.tokens
    distinct = sum(row.num_tokens for row in journal.tombstones)
    return replace(
        tokens,
        total=tokens.total - gone,
        encoded=tokens.encoded - gone,
        distinct=tokens.distinct - distinct,
        forgotten=tokens.forgotten + gone,
    )


def _ledger(ledger: TokenLedger, journal: Journal) -> TokenLedger:
    gone = journal.counts.tokens
    return replace(ledger, encoded=ledger.encoded - gone, forgotten=ledger.forgotten + gone)


def update_report(output: str, journal: Journal, manifest: Manifest) -> Report:
    """Writes report.json and its pages with what a forget changed; returns the report.

    Totals are those of the manifest, which may have them from an attempt before.
    """
    report = read_report(output)
    if report.forget is None or report.forget.times <= journal.number:
        report = _with_forget(report, journal, manifest)
        write_json(storage.join(output, "report", "report.json"), report)
    write_page(output, report)
    return report


def _with_forget(report: Report, journal: Journal, manifest: Manifest) -> Report:
    ledger = manifest.token_ledger
    return replace(
        report,
        posts=manifest.posts,
        tokens=manifest.tokens,
        token_ledger=ledger,
        ledger=replace(report.ledger, posts=manifest.posts.equation, tokens=ledger.equation),
        forget=_forget(report.forget or ForgetReport(), journal),
    )


def _forget(before: ForgetReport, journal: Journal) -> ForgetReport:
    counts, asked = journal.counts, journal.asked
    by_request = before.by_request | {asked: before.by_request.get(asked, 0) + counts.posts}
    return ForgetReport(
        times=journal.number + 1,
        posts=before.posts + counts.posts,
        rejected=before.rejected + counts.rejected,
        tokens=before.tokens + counts.tokens,
        copies=before.copies + counts.copies,
        by_request=by_request,
        last_at=journal.forgotten_at.isoformat(timespec="seconds"),
        exports=journal.exports,
    )
