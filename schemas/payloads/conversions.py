"""Arrow columns of any type to POST columns: which types each takes, and what becomes of the values."""

from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sluice.schemas.arrays import Bools
from sluice.schemas.payloads.columns import ID_COLUMNS, raw_type
from sluice.schemas.payloads.ids import ids_of_floats
from sluice.schemas.payloads.times import is_time_type
from sluice.schemas.post import COUNT_COLUMNS, FLAG_COLUMNS, MEDIA, TIME_COLUMNS

PLAIN_TEXTS: Final = (pa.string(), pa.large_string())
TEXTS: Final = (*PLAIN_TEXTS, pa.string_view())
_BYTES: Final = (pa.binary(), pa.large_binary(), pa.binary_view())
WANTED: Final = {
    **dict.fromkeys(ID_COLUMNS, "a string or a number"),
    **dict.fromkeys(TIME_COLUMNS, "a timestamp, a date, a number or a string"),
    **dict.fromkeys(COUNT_COLUMNS, "a whole number"),
    **dict.fromkeys(FLAG_COLUMNS, "true or false"),
    "media": "a list of structs of strings",
}
"""What errors say that a column may be; all others are strings."""

_FLOAT_TEXT: Final = r"^\s*-?\d+(\.\d*)?([eE][+-]?\d+)?\s*$"


class Converted(NamedTuple):
    """N values of a POST column.

    Attributes:
        values: string, MEDIA, or what `read_times` takes; null where there is none that is sound.
        bad_N: (N,) bool, true where a value was there and is none that the column takes.
        not_utf8_N: (N,) bool, those of `bad_N` that are not UTF-8.
        inexact_N: (N,) bool, those of `bad_N` that are floats which name no id any more.
    """

    values: pa.Array
    bad_N: Bools
    not_utf8_N: Bools
    inexact_N: Bools


def is_usable(column: str, kind: pa.DataType) -> bool:
    """Returns whether a POST column can be read from an Arrow type."""
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if column == "media":
        return _is_media(kind)
    if column in TIME_COLUMNS:
        return is_time_type(kind)
    if column in FLAG_COLUMNS and pa.types.is_boolean(kind):
        return True
    if column in (*ID_COLUMNS, *COUNT_COLUMNS) and (
        pa.types.is_integer(kind) or pa.types.is_decimal(kind) or pa.types.is_floating(kind)
    ):
        return True
    return bool(pa.types.is_null(kind) or kind in (*TEXTS, *_BYTES))


def _is_media(kind: pa.DataType) -> bool:
    if pa.types.is_null(kind):
        return True
    if not _is_list(kind):
        return False
    if pa.types.is_null(kind.value_type):
        return True
    known = {field.name for field in MEDIA.value_type}
    return pa.types.is_struct(kind.value_type) and all(
        f.type in (*TEXTS, pa.null()) for f in kind.value_type if f.name in known
    )


def _is_list(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_list(kind)
        or pa.types.is_large_list(kind)
        or pa.types.is_list_view(kind)
        or pa.types.is_large_list_view(kind)
        or pa.types.is_fixed_size_list(kind)
    )


def converted(column: str, values: pa.Array, *, untyped: bool = False) -> Converted:
    """Returns values of a type that `is_usable` names as those of a POST column.

    Args:
        column: of POST.
        values: (N,) of one type.
        untyped: the texts may stand for numbers (CSV): an id that is written as a float is one.

    >>> found = converted("author_id", pa.array([7.0, None, 1.5]))
    >>> found.values.to_pylist(), found.bad_N.tolist()
    (['7', None, None], [False, False, True])
    """
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    none_N = np.zeros(len(values), np.bool_)
    if pa.types.is_null(values.type):
        return Converted(values.cast(raw_type(column)), none_N, none_N, none_N)
    if column == "media":
        return _checked(_as_media(values))
    if values.type in (*TEXTS, *_BYTES):
        found = _checked(_as_string(values))
        if column in COUNT_COLUMNS:
            counts, bad_N = counts_of(found.values)
            return found._replace(values=counts, bad_N=found.bad_N | bad_N)
        if column in FLAG_COLUMNS:
            flags, bad_N = flags_of(found.values)
            return found._replace(values=flags, bad_N=found.bad_N | bad_N)
        return _untyped_ids(found) if untyped and column in ID_COLUMNS else found
    if column in (*TIME_COLUMNS, *FLAG_COLUMNS):
        return Converted(values, none_N, none_N, none_N)
    if column in COUNT_COLUMNS:
        counts, bad_N = counts_of(converted("post_id", values).values)
        bad_N |= _is_there(values) & np.asarray(counts.is_null())
        return Converted(counts, bad_N, none_N, none_N)
    if pa.types.is_floating(values.type):
        floats = values.cast(pa.float64()).fill_null(np.nan)
        ids, odd_N, inexact_N = ids_of_floats(floats.to_numpy(zero_copy_only=False))
        return Converted(ids, odd_N | inexact_N, none_N, inexact_N)
    if pa.types.is_decimal(values.type):
        return _decimal_ids(values)
    return Converted(values.cast(pa.string()), none_N, none_N, none_N)


def counts_of(texts: pa.StringArray) -> tuple[pa.Int64Array, Bools]:
    """Returns (texts of up to 18 digits as whole numbers, others null; (N,) bool, true for the others).

    >>> counts, bad_N = counts_of(pa.array(["12", None, "many"]))
    >>> counts.to_pylist(), bad_N.tolist()
    ([12, None, None], [False, False, True])
    """
    sound = pc.match_substring_regex(texts, r"^-?\d{1,18}$").fill_null(False)
    bad = pc.and_(pc.invert(sound), texts.is_valid())
    counts = pc.if_else(sound, texts, None).cast(pa.int64())
    return counts, np.asarray(bad.to_numpy(zero_copy_only=False))


def flags_of(texts: pa.StringArray) -> tuple[pa.BooleanArray, Bools]:
    """Returns (texts `true` and `false`, in any case, as flags, others null; (N,) bool, true for the others).

    >>> flags, bad_N = flags_of(pa.array(["true", None, "maybe"]))
    >>> flags.to_pylist(), bad_N.tolist()
    ([True, None, None], [False, False, True])
    """
    found = pc.index_in(pc.utf8_lower(texts), value_set=pa.array(["false", "true"]))
    bad = pc.and_(found.is_null(), texts.is_valid())
    return pc.equal(found, 1), np.asarray(bad.to_numpy(zero_copy_only=False))


def _is_there(values: pa.Array) -> Bools:
    """Returns (N,) bool, false for null and NaN."""
    return np.asarray(values.is_null(nan_is_null=True).to_numpy(zero_copy_only=False) == 0)


def _as_string(values: pa.Array) -> pa.StringArray:
    """Returns strings or bytes as strings that need not be UTF-8."""
    if values.type == pa.string():
        return values
    return values.cast(pa.binary()).view(pa.string())


def _checked(values: pa.Array) -> Converted:
    """Returns values with those null whose strings are not UTF-8; one call where all are."""
    none_N = np.zeros(len(values), np.bool_)
    if is_valid(values):
        return Converted(values, none_N, none_N, none_N)
    bad_N = np.zeros(len(values), np.bool_)
    bad_N[_not_utf8(values, 0)] = True
    nulled = values.take(pa.array(np.arange(len(values)), mask=bad_N))
    return Converted(nulled, bad_N, bad_N, none_N)


def _not_utf8(values: pa.Array, first: int) -> list[int]:
    """Returns the rows whose strings are not UTF-8, from row `first` on: a sound half is one call."""
    if is_valid(values):
        return []
    if len(values) == 1:
        return [first]
    half, rows = len(values) // 2, np.arange(len(values))
    ahead = _not_utf8(values.take(rows[:half]), first)
    return ahead + _not_utf8(values.take(rows[half:]), first + half)


def is_valid(values: Any) -> bool:
    """Returns whether offsets are in bounds and strings UTF-8."""
    try:
        values.validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True


def _untyped_ids(found: Converted) -> Converted:
    """Returns ids with those that are written as floats (`7.0`, `1.5e+18`) taken for floats."""
    is_float = pc.and_(
        pc.match_substring_regex(found.values, r"[.eE]"),
        pc.match_substring_regex(found.values, _FLOAT_TEXT),
    ).fill_null(False)
    float_N = np.asarray(is_float.to_numpy(zero_copy_only=False))
    if not float_N.any():
        return found
    texts = pc.if_else(is_float, pc.utf8_trim_whitespace(found.values), None)
    floats_N = texts.cast(pa.float64()).fill_null(np.nan).to_numpy(zero_copy_only=False)
    ids, odd_N, inexact_N = ids_of_floats(floats_N)
    values = pc.if_else(is_float, ids, found.values)
    return Converted(values, found.bad_N | odd_N | inexact_N, found.not_utf8_N, inexact_N)


def _decimal_ids(values: pa.Array) -> Converted:
    texts = pc.replace_substring_regex(values.cast(pa.string()), r"\.0+$", "")
    odd = pc.match_substring_regex(texts, r"[^0-9-]").fill_null(False)
    none_N = np.zeros(len(values), np.bool_)
    odd_N = np.asarray(odd.to_numpy(zero_copy_only=False))
    return Converted(pc.if_else(odd, None, texts), odd_N, none_N, none_N)


def _as_media(values: pa.Array) -> pa.Array:
    """Returns lists of structs with MEDIA's fields, missing ones null, others left out."""
    if pa.types.is_null(values.type.value_type):
        return values.cast(pa.list_(pa.null())).cast(MEDIA)
    if not pa.types.is_list(values.type):
        values = values.cast(pa.list_(values.type.value_type))
    items = values.flatten()
    fields = [
        _as_field(items, field)
        if items.type.get_field_index(field.name) >= 0
        else pa.nulls(len(items), field.type)
        for field in MEDIA.value_type
    ]
    structs = pa.StructArray.from_arrays(
        fields, fields=list(MEDIA.value_type), mask=items.is_null()
    )
    lengths_N = pc.list_value_length(values).fill_null(0).to_numpy()
    offsets = pa.array(np.concatenate([[0], np.cumsum(lengths_N)]), pa.int32())
    return pa.ListArray.from_arrays(offsets, structs, type=MEDIA, mask=values.is_null())


def _as_field(items: pa.StructArray, field: pa.Field) -> pa.StringArray:
    values = items.field(field.name)
    return values.cast(pa.string()) if pa.types.is_null(values.type) else _as_string(values)
