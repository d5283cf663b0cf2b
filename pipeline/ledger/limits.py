"""How many malformed rows and errors a run may have."""

from collections.abc import Mapping

from sluice.pipeline.ledger.tally import most_first
from sluice.schemas.counts import Counts, Table
from sluice.schemas.errors import LimitError


class FileCounts(Counts):
    """Rows of an input file, and those of them that are malformed, by reason."""

    read: int = 0
    malformed: Table = {}


def check_malformed(
    by_file: Mapping[str, FileCounts], *, max_malformed_ratio: float, min_malformed: int
) -> None:
    """Raises LimitError where a file has more malformed rows than this share of its rows.

    Args:
        by_file: path -> rows.
        max_malformed_ratio: in [0, 1].
        min_malformed: fewer malformed rows of a file are no reason to stop, unless all of its rows are.
    """
    for name, file in sorted(by_file.items()):
        malformed = sum(file.malformed.values())
        is_much = malformed >= min_malformed or malformed == file.read
        if is_much and malformed > max_malformed_ratio * max(file.read, 1):
            raise LimitError(
                f"{name}: {malformed:,} of {file.read:,} rows are malformed ({_most(file.malformed)}), more "
                f"than limits.max_malformed_ratio = {max_malformed_ratio:g}; see rejects/ for the rows, "
                f"check input.columns, or raise the limit"
            )


def check_errors(errors: Table, *, read: int, max_error_ratio: float) -> None:
    """Raises LimitError where more than this share of the posts read made a stage fail.

    Args:
        errors: stage -> posts.
        read: posts that were read.
        max_error_ratio: in [0, 1].
    """
    failed = sum(errors.values())
    if failed > max_error_ratio * max(read, 1):
        raise LimitError(
            f"{failed:,} of {read:,} posts made a stage fail ({_most(errors)}), more than "
            f"limits.max_error_ratio = {max_error_ratio:g}; see rejects/, kind = error, for the rows"
        )


def _most(reasons: Table) -> str:
    return ", ".join(f"{name}: {n:,}" for name, n in most_first(reasons)[:4])
