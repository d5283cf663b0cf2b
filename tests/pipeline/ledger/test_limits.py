"""Limits of malformed rows and errors."""

import pytest

from sluice.pipeline.ledger.limits import FileCounts, check_errors, check_malformed
from sluice.schemas.errors import LimitError


def test_limits_name_the_file_and_the_stage() -> None:
    """Malformed rows are limited by file, errors for the run; both messages say what and where."""
    files = {"a.jsonl": FileCounts(100, {"not_json": 6})}
    check_malformed(files, max_malformed_ratio=0.06)
    with pytest.raises(LimitError, match=r"a\.jsonl: 6 of 100 rows are malformed \(not_json: 6\)"):
        check_malformed(files, max_malformed_ratio=0.05)
    check_errors({"spam": 2}, read=100, max_error_ratio=0.02)
    with pytest.raises(LimitError, match=r"2 of 100 posts made a stage fail \(spam: 2\)"):
        check_errors({"spam": 2}, read=100, max_error_ratio=0.01)
