"""What notices say: which post or author they are about, and what they do. Only those that act are read."""

from collections.abc import Mapping
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sluice.pipeline.inputs.json_fields import NULL, first_values, paths_of, read_fields, strings
from sluice.schemas.arrays import Bools, Int64s
from sluice.schemas.notice import NOTICES, no_notices
from sluice.schemas.payloads.columns import coalesce
from sluice.schemas.payloads.format import (
    ACT,
    NOTICE_AUTHOR,
    NOTICE_ID,
    NOTICE_TIME,
    OF_AUTHORS,
    Columns,
    PayloadFormat,
)
from sluice.schemas.payloads.times import read_times

Spans = tuple[bytes, Int64s, Int64s]
"""A block, and the first byte and the end of each of N records in it."""


def notice_kinds(format: PayloadFormat, spans: Spans) -> Int64s:
    """Returns (N,) int64, the first of the format's `notices` that each record has a value of, or -1."""
    data, starts_N, stops_N = spans
    kind_N = np.full(len(starts_N), -1, np.int64)
    if not len(starts_N) or not format.notices:
        return kind_N
    paths = tuple(format.notices)
    fields = read_fields(data, starts_N, stops_N, paths_of(paths), len(paths))
    for place in reversed(range(len(paths))):
        kind_N[fields.kinds_PN[place] != NULL] = place
    return kind_N


def acting_notices(
    format: PayloadFormat,
    columns: Columns,
    kinds: pa.StringArray,
    *,
    is_notice_N: Bools,
    spans: Spans,
    source_row_N: Int64s,
) -> pa.RecordBatch:
    """Returns the NOTICES rows of those of N records that are notices and act, in their order.

    A notice of a post without its id, or of an author without theirs, acts on nothing and is left out.

    Args:
        format: of the records.
        columns: what its `finish` returned.
        kinds: (N,) string, the kind of notice that each is.
        is_notice_N: (N,) bool.
        spans: where the records stand.
        source_row_N: (N,) int64.
    """
    acts = _acts(format, columns, kinds)
    is_acting = pc.and_(pa.array(is_notice_N), acts.is_valid())
    row_M = np.flatnonzero(is_acting.to_numpy(zero_copy_only=False))
    if not len(row_M):
        return no_notices()
    acts, kinds = acts.take(pa.array(row_M)), kinds.take(pa.array(row_M))
    parts = _parts(format, columns, spans, row_M)
    times, _ = read_times(parts[NOTICE_TIME])
    platforms = pa.repeat(pa.scalar(format.platform), len(row_M))
    is_of_author = pc.is_in(acts, value_set=pa.array(OF_AUTHORS))
    ids = pc.if_else(is_of_author, pa.scalar(None, pa.string()), parts[NOTICE_ID])
    about = [ids, parts[NOTICE_AUTHOR], times, pa.array(source_row_N[row_M])]
    rows = pa.RecordBatch.from_arrays([platforms, kinds, acts, *about], schema=NOTICES)
    return rows.filter(pc.if_else(is_of_author, parts[NOTICE_AUTHOR], ids).is_valid())


def _acts(format: PayloadFormat, columns: Columns, kinds: pa.StringArray) -> pa.StringArray:
    """Returns what each row does: as `finish` says, or by its kind; null for what acts on nothing."""
    if ACT in columns:
        return columns[ACT]
    found = pc.index_in(kinds, value_set=pa.array(list(format.acts), pa.string()))
    return pa.array(list(format.acts.values()), pa.string()).take(found)


def _parts(
    format: PayloadFormat, columns: Columns, spans: Spans, row_M: Int64s
) -> Mapping[str, pa.StringArray]:
    """Returns the id, the author and the time of M notices: of `finish`, or read where they stand."""
    names = tuple(dict.fromkeys(path for paths in format.notice_parts.values() for path in paths))
    places = {name: place for place, name in enumerate(names)}
    data, starts_N, stops_N = spans
    read = partial(read_fields, data, starts_N[row_M], stops_N[row_M])
    fields = read(paths_of(names), len(names)) if names else None
    parts = {}
    for part in (NOTICE_ID, NOTICE_AUTHOR, NOTICE_TIME):
        given = [columns[part].take(pa.array(row_M))] if part in columns else []
        paths = format.notice_parts.get(part)
        if paths and fields is not None:
            values = first_values(fields, [places[path] for path in paths])
            given.append(strings(fields.data, values, values.kinds_N != NULL).texts)
        parts[part] = coalesce(given) if given else pa.nulls(len(row_M), pa.string())
    return parts
