"""report.html of an output."""

from sluice.pipeline.report.render import render
from sluice.pipeline.storage import files as storage
from sluice.schemas.report import Report


def write_page(out: str, report: Report) -> None:
    """Writes the page of a report into its output."""
    storage.write_bytes(storage.join(out, "report", "report.html"), render(report).encode())
