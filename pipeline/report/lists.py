"""What the lists of a recipe did in a run."""

from collections.abc import Iterator, Sequence

import msgspec

from sluice.pipeline.inputs.list_files import num_entries, opened
from sluice.pipeline.phases.job import Job, carried_lists
from sluice.pipeline.phases.results import Results
from sluice.schemas.counts import ListCounts
from sluice.schemas.report import ListReport


def list_reports(job: Job, results: Results) -> list[ListReport]:
    """Returns what each list looked at, named and rejected, in recipe order."""
    lists, counts = carried_lists(job), results.phases.clean.clean.lists or {}
    if lists is None:
        return []
    entries = num_entries(opened(lists))
    return [
        ListReport(
            name=spec.name,
            kind=spec.kind,
            action=spec.action,
            reason=None if spec.action == "allow" else spec.why,
            entries=entries[place],
            **msgspec.structs.asdict(counts.get(spec.name, ListCounts())),
        )
        for place, spec in enumerate(lists.specs)
    ]


def unmet_lists(reports: Sequence[ListReport]) -> Iterator[str]:
    """Yields lists of which no entry names a post: they may hold ids of another form."""
    for row in reports:
        if row.asked and not row.named:
            yield (
                f"lists.{row.name}: no entry of {row.entries:,} names any of the posts that it looked at "
                f"({row.asked:,})"
            )
