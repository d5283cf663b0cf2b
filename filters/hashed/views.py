"""The view `hashed` of a batch: what hashed tables make of its texts, once for all screens."""

from typing import Any

from sluice.filters.batch import Batch, Mask, Views
from sluice.filters.hashed.table import HashedTable, Sums


class HashedSums(dict[HashedTable, Sums]):
    """What some tables make of the same texts."""

    def filter(self, mask_N: Mask) -> "HashedSums":
        """Returns the rows where the mask is true."""
        return HashedSums((table, sums.filter(mask_N)) for table, sums in self.items())


def hashed_view(*machines: Any) -> Views:
    """Returns the view `hashed` of machines that name their table in `table`; none without one."""
    tables = tuple(dict.fromkeys(m.table for m in machines if hasattr(m, "table")))

    def hashed(batch: Batch) -> HashedSums:
        return HashedSums((table, table.read(batch.classifier_text)) for table in tables)

    return {"hashed": hashed} if tables else {}


def sums_of(batch: Batch, table: HashedTable) -> Sums:
    """Returns what a table makes of the classifier texts of a batch, known already or not."""
    known: HashedSums = batch.view("hashed") if batch.has("hashed") else HashedSums()
    return known[table] if table in known else table.read(batch.classifier_text)
