"""report.html and DATACARD.md of an output."""

from sluice.pipeline.report.data_card import data_card
from sluice.pipeline.report.render import render
from sluice.pipeline.storage import files as storage
from sluice.schemas.report import Report


def write_page(out: str, report: Report) -> None:
    """Writes the page and the data card of a report into its output."""
    storage.write_bytes(storage.join(out, "report", "report.html"), render(report).encode())
    storage.write_bytes(storage.join(out, "report", "DATACARD.md"), data_card(report).encode())
