"""A table as one file, which all workers of a machine map: its pages are in memory once."""

from typing import Any, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa

from sluice.filters.decontamination.layout import TableArrays
from sluice.filters.decontamination.table import Items, SetFigures, Table
from sluice.schemas.arrays import Array
from sluice.schemas.kernel import utf8_array, utf8_view
from sluice.schemas.mapped_arrays import map_arrays, packed

_TEXTS = ("ids", "texts")


class _Sets(NamedTuple):
    """What a file says of its sets, as JSON."""

    names: tuple[str, ...]
    figures: tuple[SetFigures, ...]


def packed_table(table: Table) -> bytes:
    """Returns the bytes of the file; the same table gives the same bytes."""
    items = table.items
    sets = msgspec.json.encode(_Sets(items.sets, table.figures))
    arrays: dict[str, Array] = dict(table.arrays._asdict())
    arrays |= {"sets": np.frombuffer(sets, np.uint8)}
    arrays |= {name: getattr(items, name) for name in ("set_I", "item_P", "is_answer_P")}
    for name in _TEXTS:
        data_B, offsets_N1 = utf8_view(getattr(items, name))
        begin, end = offsets_N1[0], offsets_N1[-1]
        arrays |= {f"{name}_B": data_B[begin:end], f"{name}_offsets": offsets_N1 - begin}
    return packed(arrays)


def mapped_table(path: str) -> Table:
    """Returns the table of a local file, its arrays mapped and read-only.

    Raises:
        ValueError: the file is cut, or of another kind.
    """
    arrays = map_arrays(path)
    sets = msgspec.json.decode(arrays["sets"].tobytes(), type=_Sets)
    ids, texts = (_texts(arrays, name) for name in _TEXTS)
    return Table(
        TableArrays(*(arrays[name] for name in TableArrays._fields)),
        Items(
            sets.names,
            ids,
            arrays["set_I"],
            texts,
            arrays["item_P"],
            arrays["is_answer_P"],
        ),
        sets.figures,
    )


def _texts(arrays: dict[str, Any], name: str) -> pa.StringArray:
    return utf8_array(arrays[f"{name}_B"], arrays[f"{name}_offsets"])
