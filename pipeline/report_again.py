"""`sluice report`: the page of a finished run is made again."""

from sluice.pipeline.outputs.finished import read_report
from sluice.pipeline.report.page import write_page
from sluice.schemas.report import Report


def write_report_again(out: str) -> Report:
    """Renders report.html from report.json again, which stays as it is; returns the report."""
    report = read_report(out)
    write_page(out, report)
    return report
