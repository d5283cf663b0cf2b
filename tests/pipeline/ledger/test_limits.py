"""Limits of malformed rows and errors."""

import pytest

from sluice.pipeline.ledger.limits import FileCounts, check_errors, check_malformed
from sluice.schemas.errors import LimitError


def test_limits_name_the_file_and_the_stage() -> None:
    """Malformed rows are limited by file, errors for the run; both messages say what and where."""
    files = {"a.jsonl": FileCounts(100, {"not_json": 6})}
    check_malformed(files, max_malformed_ratio=0.06, min_malformed=1)
    with pytest.raises(LimitError, match=r"a\.jsonl: 6 of 100 rows are malformed \(not_json: 6\)"):
        check_malformed(files, max_malformed_ratio=0.05, min_malformed=6)
    check_errors({"spam": 2}, read=100, max_error_ratio=0.02)
    with pytest.raises(LimitError, match=r"2 of 100 posts made a stage fail \(spam: 2\)"):
        check_errors({"spam": 2}, read=100, max_error_ratio=0.01)


def test_a_few_rows_are_no_reason() -> None:
    """Fewer malformed rows than the least number do not stop a run, but a file of nothing else does."""
    few = {"a.jsonl": FileCounts(9, {"not_json": 8})}
    check_malformed(few, max_malformed_ratio=0.05, min_malformed=9)
    with pytest.raises(LimitError, match=r"a\.jsonl: 8 of 9 rows"):
        check_malformed(few, max_malformed_ratio=0.05, min_malformed=8)
    with pytest.raises(LimitError, match=r"b\.jsonl: 2 of 2 rows"):
        check_malformed(
            {"b.jsonl": FileCounts(2, {"missing_post_id": 2})},
            max_malformed_ratio=0.05,
            min_malformed=10,
        )
