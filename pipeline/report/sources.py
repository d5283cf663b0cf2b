"""The licences and terms of a run's input, and what of it has none."""

from collections import Counter
from collections.abc import Iterator

from sluice.pipeline.inputs.source_notes import notes_of_files
from sluice.pipeline.phases.job import Job
from sluice.pipeline.phases.results import Results
from sluice.pipeline.phases.run_order import counts_by_file
from sluice.pipeline.report.totals import post_report
from sluice.schemas.errors import did_you_mean
from sluice.schemas.report import SourceReport, SourcesReport

LISTED = 20
"""Files or values without a note that are named."""


def sources_report(job: Job, results: Results) -> SourcesReport | None:
    """Returns what each note on a source is about; None where the recipe has none."""
    if not job.recipe.sources:
        return None
    if job.recipe.sources[0].values:
        return _by_values(job, results)
    return _by_files(job, results)


def _by_values(job: Job, results: Results) -> SourcesReport:
    noted = {value for note in job.recipe.sources for value in note.values}
    without = sorted(post_report(results).by_source.keys() - noted)
    notes = [
        SourceReport(name=n.name, licence=n.licence, terms=n.terms, values=list(n.values))
        for n in job.recipe.sources
    ]
    return SourcesReport(notes=notes, without=without[:LISTED], num_without=len(without))


def _by_files(job: Job, results: Results) -> SourcesReport:
    files, by_file = job.inventory.files, counts_by_file(job, results)
    of_files = list(notes_of_files(job.recipe.sources, files))
    num_files: Counter[str] = Counter()
    read: Counter[str] = Counter()
    for file, note in zip(files, of_files, strict=True):
        if note is not None:
            num_files[note.name] += 1
            read[note.name] += by_file[file.path].read if file.path in by_file else 0
    notes = [
        SourceReport(
            name=n.name,
            licence=n.licence,
            terms=n.terms,
            platforms=list(n.platforms),
            files=num_files[n.name],
            read=read[n.name],
        )
        for n in job.recipe.sources
    ]
    without = [file.path for file, note in zip(files, of_files, strict=True) if note is None]
    return SourcesReport(notes=notes, without=without[:LISTED], num_without=len(without))


def unmet_sources(job: Job, results: Results) -> Iterator[str]:
    """Yields notes by a value of the column `source` that no kept post has, and inputs without a note."""
    found = post_report(results).by_source
    for note in job.recipe.sources:
        for value in note.values:
            if value not in found:
                hint = did_you_mean(value, found)
                yield f"sources.{note.name}.values: no kept post has the source {value!r}{hint}"
    report = sources_report(job, results)
    if report is not None and report.num_without:
        what = "values of the column source" if job.recipe.sources[0].values else "input files"
        yield f"sources: {report.num_without:,} {what} have no note: {', '.join(report.without[:3])}"
