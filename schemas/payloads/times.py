"""Times as inputs have them: text of several formats, numbers since 1970, and Arrow's own types."""

from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sluice.schemas.arrays import Array, Bools
from sluice.schemas.errors import did_you_mean
from sluice.schemas.kernel import BYTES, OFFSETS, kernel, read_only, types, utf8_view
from sluice.schemas.post import POST

TIME_FORMATS: Final = {
    "auto": "any of those below, told by what each value looks like",
    "iso8601": "`2023-05-01T10:00:00Z`, also without zone, seconds, time or punctuation; week dates",
    "rfc2822": "`Mon, 1 May 2023 10:00:00 +0000`, as mail and HTTP write it",
    "x": "`Mon May 01 10:00:00 +0000 2023`, as X writes it; also without a zone",
    "s": "seconds since 1970, as a number or its digits",
    "ms": "milliseconds since 1970",
    "us": "microseconds since 1970",
    "ns": "nanoseconds since 1970",
}
"""Names that `input.time_format` takes, beside patterns of strptime, -> what they stand for."""

FIRST_MICROSECOND: Final = -62_135_596_800_000_000
"""0001-01-01T00:00:00Z, in microseconds since 1970."""
LAST_MICROSECOND: Final = 253_402_300_799_999_999
"""9999-12-31T23:59:59.999999Z."""

_AUTO, _ISO, _MAIL, _X, _S, _MS, _US, _NS = range(len(TIME_FORMATS))
_TIME_TYPE = POST.field("created_at").type
_TEXTS = (pa.string(), pa.large_string(), pa.string_view())
_BINARIES = (pa.binary(), pa.large_binary(), pa.binary_view())


def check_time_format(time_format: str) -> None:
    """Raises ValueError for what is neither one of TIME_FORMATS nor a pattern of strptime.

    >>> check_time_format("%d/%m/%Y %H:%M")
    """
    if time_format in TIME_FORMATS:
        return
    if "%" not in time_format:
        names = ", ".join(TIME_FORMATS)
        hint = did_you_mean(time_format, TIME_FORMATS)
        raise ValueError(
            f"time_format: {time_format!r} is none of {names}, and no pattern with %{hint}"
        )
    if "%z" in time_format.replace("%%", "") or "%Z" in time_format.replace("%%", ""):
        raise ValueError(
            f"time_format: {time_format!r}: a pattern cannot read zones; its times are UTC"
        )


def is_time_type(kind: pa.DataType) -> bool:
    """Returns whether `read_times` takes values of an Arrow type, null and dictionaries among them."""
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    is_number = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
    is_time = pa.types.is_timestamp(kind) or pa.types.is_date(kind)
    return bool(is_number or is_time or pa.types.is_null(kind) or kind in (*_TEXTS, *_BINARIES))


def read_times(values: pa.Array, time_format: str = "auto") -> tuple[pa.Array, Bools]:
    """Reads times of any type that `is_time_type` names; those without a zone are UTC.

    Timestamps and dates are what their type says, whatever the format. A number is told by its size: below
    1e11 it is seconds, below 1e14 milliseconds, below 1e17 microseconds, else nanoseconds; but 8 or 14
    digits that are a date of the years 1900 to 2099 are that date (`20230501`). What is finer than a
    microsecond is cut off.

    Args:
        values: (N,) of one type.
        time_format: one of TIME_FORMATS, or a pattern of strptime.

    Returns:
        (N,) timestamp[us, UTC], null where there is no time; (N,) bool, true where a value that is
        not null (or NaN) is no time of the years 1 to 9999.

    >>> times, bad_N = read_times(pa.array(["2023-05-01", "1682935200", "soon", None]))
    >>> times.cast(pa.int64()).to_pylist(), bad_N.tolist()
    ([1682899200000000, 1682935200000000, None, None], [False, False, True, False])
    """
    if pa.types.is_dictionary(values.type):
        times, bad_N = read_times(values.dictionary, time_format)
        bad = pa.array(bad_N, pa.bool_()).take(values.indices).fill_null(False)
        return times.take(values.indices), np.asarray(bad.to_numpy(zero_copy_only=False))
    if pa.types.is_null(values.type):
        return pa.nulls(len(values), _TIME_TYPE), np.zeros(len(values), np.bool_)
    if pa.types.is_timestamp(values.type) or pa.types.is_date(values.type):
        return _from_ticks(values)
    if pa.types.is_floating(values.type):
        return _from_floats(values.cast(pa.float64()), time_format)
    return _from_texts(_as_text(values), time_format)


def _as_text(values: pa.Array) -> pa.StringArray:
    """Returns texts, bytes that need not be UTF-8, or numbers as the text of each."""
    if values.type in _BINARIES:
        return values.cast(pa.binary()).view(pa.string())
    return values.cast(pa.string())


def _from_ticks(values: pa.Array) -> tuple[pa.Array, Bools]:
    if pa.types.is_date(values.type):
        values = values.cast(pa.timestamp("s" if pa.types.is_date32(values.type) else "ms"))
    ticks_N = values.cast(pa.int64()).fill_null(0).to_numpy()
    if values.type.unit == "ns":
        return _time_array(ticks_N // 1000, ~_is_null(values)), np.zeros(len(values), np.bool_)
    scale = {"s": 1_000_000, "ms": 1_000, "us": 1}[values.type.unit]
    ok_N = (ticks_N >= FIRST_MICROSECOND // scale) & (ticks_N <= LAST_MICROSECOND // scale)
    micros_N = np.where(ok_N, ticks_N, 0) * scale
    return _time_array(micros_N, ~_is_null(values) & ok_N), ~ok_N


def _from_floats(values: pa.Array, time_format: str) -> tuple[pa.Array, Bools]:
    """Reads whole numbers as their digits, and others to the nearest microsecond; NaN is null."""
    seconds_N = values.fill_null(np.nan).to_numpy(zero_copy_only=False)
    there_N = ~np.isnan(seconds_N)
    whole_N = there_N & (np.abs(seconds_N) < 2.0**53) & (np.floor(seconds_N) == seconds_N)
    digits = pa.array(np.where(whole_N, seconds_N, 0).astype(np.int64), mask=~whole_N)
    times, bad_N = _from_texts(digits.cast(pa.string()), time_format)
    micros_N = np.where(there_N & ~whole_N, seconds_N, 0) * _micros_per_tick(seconds_N, time_format)
    ok_N = (micros_N >= FIRST_MICROSECOND) & (micros_N <= LAST_MICROSECOND) & there_N & ~whole_N
    others = _time_array(np.rint(np.where(ok_N, micros_N, 0)).astype(np.int64), ok_N)
    return pc.coalesce(times, others), bad_N | (there_N & ~whole_N & ~ok_N)


def _micros_per_tick(seconds_N: Array, time_format: str) -> Array:
    """Returns (N,) float64, the microseconds that 1 stands for; NaN where numbers are no times."""
    fixed = {"s": 1e6, "ms": 1e3, "us": 1.0, "ns": 1e-3}
    if time_format != "auto":
        return np.full(len(seconds_N), fixed.get(time_format, np.nan))
    size_N = np.abs(np.nan_to_num(seconds_N))
    return np.select([size_N < 1e11, size_N < 1e14, size_N < 1e17], [1e6, 1e3, 1.0], 1e-3)


def _from_texts(texts: pa.StringArray, time_format: str) -> tuple[pa.Array, Bools]:
    null_N = _is_null(texts)
    if time_format not in TIME_FORMATS:
        return _from_pattern(texts, time_format)
    view = utf8_view(texts)
    micros_N = np.zeros(len(texts), np.int64)
    ok_N = np.zeros(len(texts), np.bool_)
    how = list(TIME_FORMATS).index(time_format)
    _parse_times(view.data_B, view.offsets_N1, how, micros_N, ok_N)
    return _time_array(micros_N, ok_N & ~null_N), ~ok_N & ~null_N


def _from_pattern(texts: pa.StringArray, pattern: str) -> tuple[pa.Array, Bools]:
    times = pc.strptime(texts, format=pattern, unit="s", error_is_null=True)
    times, outside_N = _from_ticks(times)
    return times, outside_N | (_is_null(times) & ~_is_null(texts))


def _is_null(values: pa.Array) -> Bools:
    return np.asarray(values.is_null().to_numpy(zero_copy_only=False))


def _time_array(micros_N: Array, valid_N: Array) -> pa.Array:
    return pa.array(micros_N, pa.int64(), mask=~valid_N).cast(_TIME_TYPE)


# --- one text --------------------------------------------------------------------------------

_NONE = np.iinfo(np.int64).min  # what the parts of a time return where they are not there
_DAY, _HOUR, _MINUTE, _SECOND = 86_400_000_000, 3_600_000_000, 60_000_000, 1_000_000
_PAIR = types.UniTuple(types.int64, 2)
_MOST_DIGITS = 922_337_203_685_477_579  # ten times that and a digit fits 64 bits


def _three_letters(words: str) -> Any:
    """Returns (W,) int64, each word's first three letters as one number, as `_word` gives it."""
    return np.array([int.from_bytes(word[:3].encode(), "big") for word in words.split()], np.int64)


_MONTHS = _three_letters("jan feb mar apr may jun jul aug sep oct nov dec")
_WEEKDAYS = _three_letters("mon tue wed thu fri sat sun")
_ZONES = _three_letters("utc gmt est edt cst cdt mst mdt pst pdt")
_ZONE_HOURS = np.array([0, 0, -5, -4, -6, -5, -7, -6, -8, -7], np.int64)


@kernel(types.int64(BYTES, types.int64, types.int64, types.int64))
def _digits(data_B: Any, j: Any, end: Any, count: Any) -> Any:
    """Returns the number of `count` decimal digits at j, or -1."""
    value = np.int64(0) if j + count <= end else np.int64(-1)
    for k in range(count):
        if value >= 0:
            digit = np.int64(data_B[j + k]) - 0x30
            value = value * 10 + digit if 0 <= digit <= 9 else np.int64(-1)
    return value


@kernel(_PAIR(BYTES, types.int64, types.int64, types.int64))
def _run(data_B: Any, j: Any, end: Any, most: Any) -> Any:
    """Returns (the number of the digits at j, -1 where there is none or more than `most`, their end)."""
    value, first = np.int64(0), j
    while j < end and 0x30 <= data_B[j] <= 0x39 and j - first <= most:
        value = value * 10 + np.int64(data_B[j]) - 0x30
        j += 1
    return (value if 0 < j - first <= most else np.int64(-1)), j


@kernel(types.UniTuple(types.int64, 3)(BYTES, types.int64, types.int64))
def _word(data_B: Any, j: Any, end: Any) -> Any:
    """Returns (the first three letters at j in lower case as a number, how many letters, their end)."""
    value, first = np.int64(0), j
    while j < end and 0x61 <= (data_B[j] | 0x20) <= 0x7A:
        if j - first < 3:
            value = value << 8 | np.int64(data_B[j] | 0x20)
        j += 1
    return value, j - first, j


@kernel(types.int64(read_only(types.int64), types.int64))
def _place(words_W: Any, word: Any) -> Any:
    """Returns where a word is among words, or -1."""
    place = -1
    for k in range(len(words_W)):
        if words_W[k] == word:
            place = k
    return place


@kernel(types.int64(BYTES, types.int64, types.int64))
def _blanks(data_B: Any, j: Any, end: Any) -> Any:
    """Returns where the blanks at j end, or -1 where there is none."""
    first = j
    while j < end and (data_B[j] == 0x20 or data_B[j] == 0x09):
        j += 1
    return j if j > first else np.int64(-1)


@kernel(types.int64(types.int64, types.int64, types.int64))
def _day_micros(year: Any, month: Any, day: Any) -> Any:
    """Returns the microseconds from 1970 to a day, or _NONE where there is no such day."""
    micros = np.int64(_NONE)
    if year > 0 and 1 <= month <= 12 and day > 0:
        last = 30 if month == 4 or month == 6 or month == 9 or month == 11 else 31
        if month == 2:
            last = 29 if (year % 4 == 0 and year % 100 != 0) or year % 400 == 0 else 28
        if day <= last:
            # Days since 1970 in years that begin in March: Hinnant, chrono-compatible algorithms.
            y = year - 1 if month <= 2 else year
            day_of_year = (153 * ((month + 9) % 12) + 2) // 5 + day - 1
            micros = (365 * y + y // 4 - y // 100 + y // 400 + day_of_year - 719_468) * _DAY
    return micros


@kernel(types.int64(types.int64, types.int64, types.int64))
def _week_micros(year: Any, week: Any, day: Any) -> Any:
    """Returns the microseconds from 1970 to a day of an ISO week, or _NONE."""
    micros = np.int64(_NONE)
    if year > 0 and 1 <= week <= 53 and 1 <= day <= 7:
        fourth = _day_micros(year, np.int64(1), np.int64(4)) // _DAY  # is always in week 1
        monday = fourth - (fourth + 3) % 7  # 1970-01-01 was a Thursday
        micros = (monday + (week - 1) * 7 + day - 1) * _DAY
        if week == 53:  # a year has one if its Thursday is still in it
            thursday = monday + 52 * 7 + 3
            if thursday > _day_micros(year, np.int64(12), np.int64(31)) // _DAY:
                micros = np.int64(_NONE)
    return micros


@kernel(_PAIR(BYTES, types.int64, types.int64))
def _date(data_B: Any, j: Any, end: Any) -> Any:
    """Returns (microseconds from 1970 to the ISO 8601 date at j or _NONE, where it ends)."""
    micros = np.int64(_NONE)
    year = _digits(data_B, j, end, 4)
    if year < 0 or j + 7 > end:
        return micros, j
    mark = data_B[j + 4]
    if mark == 0x57 or (mark == 0x2D and data_B[j + 5] == 0x57):  # W
        k = j + 5 if mark == 0x57 else j + 6
        week, day = _digits(data_B, k, end, 2), np.int64(1)
        k += 2
        if mark == 0x57 and k < end and 0x30 <= data_B[k] <= 0x39:
            day = _digits(data_B, k, end, 1)
            k += 1
        elif mark == 0x2D and k + 1 < end and data_B[k] == 0x2D:
            day = _digits(data_B, k + 1, end, 1)
            k += 2
        micros, j = _week_micros(year, week, day), k
    elif mark == 0x2D or mark == 0x2F:  # - or /
        if j + 10 <= end and data_B[j + 7] == mark:
            month, day = _digits(data_B, j + 5, end, 2), _digits(data_B, j + 8, end, 2)
            micros, j = _day_micros(year, month, day), j + 10
    elif j + 8 <= end:
        month, day = _digits(data_B, j + 4, end, 2), _digits(data_B, j + 6, end, 2)
        micros, j = _day_micros(year, month, day), j + 8
    return micros, j


@kernel(_PAIR(BYTES, types.int64, types.int64))
def _fraction(data_B: Any, j: Any, end: Any) -> Any:
    """Returns (microseconds of the digits after a decimal mark, -1 where there are none, their end)."""
    micros, first, place = np.int64(0), j, np.int64(_SECOND // 10)
    while j < end and 0x30 <= data_B[j] <= 0x39:
        micros += (np.int64(data_B[j]) - 0x30) * place
        place //= 10
        j += 1
    return (micros if j > first else np.int64(-1)), j


@kernel(_PAIR(BYTES, types.int64, types.int64))
def _clock(data_B: Any, j: Any, end: Any) -> Any:
    """Returns (microseconds of `hh[:mm[:ss[.digits]]]` at j, colons or none, or _NONE, its end)."""
    hour, minute, second, part = _digits(data_B, j, end, 2), np.int64(0), np.int64(0), np.int64(0)
    j += 2
    colons = j < end and data_B[j] == 0x3A
    if colons or (j < end and 0x30 <= data_B[j] <= 0x39):
        minute = _digits(data_B, j + colons, end, 2)
        j += 2 + colons
        more = j < end and (data_B[j] == 0x3A if colons else 0x30 <= data_B[j] <= 0x39)
        if more and minute >= 0:
            second = _digits(data_B, j + colons, end, 2)
            j += 2 + colons
            if second >= 0 and j < end and (data_B[j] == 0x2E or data_B[j] == 0x2C):  # . or ,
                part, j = _fraction(data_B, j + 1, end)
    is_time = 0 <= hour <= 23 and 0 <= minute <= 59 and 0 <= second <= 59 and part >= 0
    micros = hour * _HOUR + minute * _MINUTE + second * _SECOND + part
    return (micros if is_time else np.int64(_NONE)), j


@kernel(_PAIR(BYTES, types.int64, types.int64))
def _zone(data_B: Any, j: Any, end: Any) -> Any:
    """Returns (the offset of the zone at j, 0 where the text ends, or _NONE, where it ends)."""
    micros, sign = np.int64(_NONE), np.int64(1)
    if j == end:
        micros = np.int64(0)
    elif data_B[j] == 0x2B or data_B[j] == 0x2D:
        sign = np.int64(1) if data_B[j] == 0x2B else np.int64(-1)
        hours, minutes = _digits(data_B, j + 1, end, 2), np.int64(0)
        j += 3
        if j < end and data_B[j] == 0x3A:
            minutes = _digits(data_B, j + 1, end, 2)
            j += 3
        elif j < end and 0x30 <= data_B[j] <= 0x39:
            minutes = _digits(data_B, j, end, 2)
            j += 2
        if 0 <= hours <= 23 and 0 <= minutes <= 59:
            micros = sign * (hours * _HOUR + minutes * _MINUTE)
    else:
        word, letters, after = _word(data_B, j, end)
        if (letters == 1 and word == 0x7A) or (letters == 2 and word == 0x7574):  # Z
            micros, j = np.int64(0), after
        elif letters == 3 and _place(_ZONES, word) >= 0:
            micros, j = _ZONE_HOURS[_place(_ZONES, word)] * _HOUR, after
    return micros, j


@kernel(types.int64(BYTES, types.int64, types.int64))
def _iso(data_B: Any, j: Any, end: Any) -> Any:
    """Returns the microseconds of the ISO 8601 time from j to the end, or _NONE."""
    micros, k = _date(data_B, j, end)
    if micros == _NONE or k == end:
        return micros
    if data_B[k] == 0x54 or data_B[k] == 0x74 or data_B[k] == 0x20:  # T, t or a blank
        k += 1
    elif k - j != 8 or end - j != 14 or not 0x30 <= data_B[k] <= 0x39:  # YYYYMMDDhhmmss
        return np.int64(_NONE)
    clock, k = _clock(data_B, k, end)
    if clock == _NONE:
        return clock
    if k + 1 < end and data_B[k] == 0x20:
        k += 1
    zone, k = _zone(data_B, k, end)
    return micros + clock - zone if zone != _NONE and k == end else np.int64(_NONE)


@kernel(types.boolean(BYTES, types.int64, types.int64))
def _is_compact_date(data_B: Any, j: Any, end: Any) -> Any:
    """Returns whether j to the end are 8 or 14 digits that begin with a date of 1900 to 2099."""
    is_date = end - j == 8 or end - j == 14
    for k in range(j, end):
        is_date = is_date and 0x30 <= data_B[k] <= 0x39
    return is_date and 1900 <= _digits(data_B, j, end, 4) <= 2099 and _iso(data_B, j, end) != _NONE


@kernel(types.int64(BYTES, types.int64, types.int64, types.int64))
def _number(data_B: Any, j: Any, end: Any, how: Any) -> Any:
    """Returns the microseconds that the decimal number from j to the end stands for, or _NONE."""
    negative = data_B[j] == 0x2D
    if negative or data_B[j] == 0x2B:
        j += 1
    value, exponent, digits, point = np.int64(0), np.int64(0), np.int64(0), False
    while j < end and (0x30 <= data_B[j] <= 0x39 or (data_B[j] == 0x2E and not point)):
        if data_B[j] == 0x2E:
            point = True
        elif value <= _MOST_DIGITS:
            value = value * 10 + np.int64(data_B[j]) - 0x30
            digits += 1
            exponent -= point
        else:
            exponent += not point
        j += 1
    if digits > 0 and j < end and (data_B[j] | 0x20) == 0x65:  # e
        sign = np.int64(-1) if j + 1 < end and data_B[j + 1] == 0x2D else np.int64(1)
        if j + 1 < end and (data_B[j + 1] == 0x2D or data_B[j + 1] == 0x2B):
            j += 1
        power, j = _run(data_B, j + 1, end, 3)
        digits = digits if power >= 0 else np.int64(0)
        exponent += sign * power
    if digits == 0 or j != end:
        return np.int64(_NONE)
    if value == 0:
        return np.int64(0)
    size = np.float64(value) * 10.0 ** np.float64(exponent)
    if how in (_AUTO, _ISO):
        how = _S if size < 1e11 else _MS if size < 1e14 else _US if size < 1e17 else _NS
    exponent += 6 - 3 * (how - _S)
    size *= 10.0 ** np.float64(6 - 3 * (how - _S))
    if size > 3e17:
        return np.int64(_NONE)
    for _ in range(exponent):
        value *= 10
    value = -value if negative else value
    for _ in range(min(-exponent, 19)):
        value //= 10
    return value


@kernel(types.int64(BYTES, types.int64, types.int64))
def _mail(data_B: Any, j: Any, end: Any) -> Any:
    """Returns the microseconds of `[Mon, ]1 May 2023 10:00[:00] +0000`, j to the end, or _NONE."""
    none = np.int64(_NONE)
    word, letters, j = _word(data_B, j, end)
    if letters > 0:
        if _place(_WEEKDAYS, word) < 0 or j >= end or data_B[j] != 0x2C:  # ,
            return none
        j = max(_blanks(data_B, j + 1, end), j + 1)
    day, j = _run(data_B, j, end, 2)
    if day < 0 or j >= end:
        return none
    j = max(_blanks(data_B, j, end), j + (data_B[j] == 0x2D))  # blanks or -
    word, letters, j = _word(data_B, j, end)
    month = np.int64(_place(_MONTHS, word) + 1)
    if letters < 3 or month < 1 or j >= end:
        return none
    first = max(_blanks(data_B, j, end), j + (data_B[j] == 0x2D))
    year, j = _run(data_B, first, end, 4)
    if j - first == 2:
        year += 2000 if year < 50 else 1900
    elif j - first == 3:
        year += 1900
    micros, k = _day_micros(year, month, day), _blanks(data_B, j, end)
    if year < 0 or j - first < 2 or micros == _NONE or k < 0:
        return none
    clock, j = _clock(data_B, k, end)
    if clock == _NONE or j - k < 5:
        return none
    j = max(_blanks(data_B, j, end), j)
    zone, j = _zone(data_B, j, end)
    k = _blanks(data_B, j, end)
    if k > 0 and data_B[k] == 0x28 and data_B[end - 1] == 0x29:  # a comment: (UTC)
        j = end
    return micros + clock - zone if zone != _NONE and j == end else none


@kernel(types.int64(BYTES, types.int64, types.int64))
def _x(data_B: Any, j: Any, end: Any) -> Any:
    """Returns the microseconds of `Mon May 01 10:00:00 [+0000 ]2023`, j to the end, or _NONE."""
    none = np.int64(_NONE)
    word, letters, j = _word(data_B, j, end)
    j = _blanks(data_B, j, end)
    if letters < 3 or _place(_WEEKDAYS, word) < 0 or j < 0:
        return none
    word, letters, j = _word(data_B, j, end)
    month, j = np.int64(_place(_MONTHS, word) + 1), _blanks(data_B, j, end)
    if letters < 3 or month < 1 or j < 0:
        return none
    day, j = _run(data_B, j, end, 2)
    first = _blanks(data_B, j, end)
    if day < 0 or first < 0:
        return none
    clock, j = _clock(data_B, first, end)
    k = _blanks(data_B, j, end)
    if clock == _NONE or j - first < 8 or k < 0 or k == end:
        return none
    zone = np.int64(0)
    if not 0x30 <= data_B[k] <= 0x39:
        zone, j = _zone(data_B, k, end)
        k = _blanks(data_B, j, end)
        if zone == _NONE or k < 0:
            return none
    year = _digits(data_B, k, end, 4) if k + 4 == end else np.int64(-1)
    micros = _day_micros(year, month, day)
    return micros + clock - zone if micros != _NONE else none


@kernel(types.boolean(BYTES, types.int64, types.int64))
def _looks_like_mail(data_B: Any, j: Any, end: Any) -> Any:
    """Returns whether a text begins with `Mon,`, `1 M` or `01-M`."""
    _, letters, k = _word(data_B, j, end)
    if letters > 0:
        return k < end and data_B[k] == 0x2C
    day, k = _run(data_B, j, end, 2)
    if day < 0 or k + 1 >= end:
        return False
    return (data_B[k] == 0x20 or data_B[k] == 0x2D) and (data_B[k + 1] | 0x20) >= 0x61


@kernel(types.boolean(BYTES, types.int64, types.int64))
def _looks_like_number(data_B: Any, j: Any, end: Any) -> Any:
    """Returns whether all bytes are digits, signs at the start or after e, points or e."""
    number = True
    for k in range(j, end):
        c = data_B[k]
        sign = (c == 0x2B or c == 0x2D) and (k == j or (data_B[k - 1] | 0x20) == 0x65)
        number = number and (0x30 <= c <= 0x39 or c == 0x2E or (c | 0x20) == 0x65 or sign)
    return number


@kernel(types.int64(BYTES, types.int64, types.int64))
def _any_time(data_B: Any, j: Any, end: Any) -> Any:
    """Returns the microseconds of a time of any format, or _NONE."""
    if end - j >= 10 and data_B[j + 4] == 0x2D and 0x30 <= data_B[j + 3] <= 0x39:  # 2023-
        return _iso(data_B, j, end)
    if _looks_like_number(data_B, j, end):
        if _is_compact_date(data_B, j, end):
            return _iso(data_B, j, end)
        return _number(data_B, j, end, _AUTO)
    if _looks_like_mail(data_B, j, end):
        return _mail(data_B, j, end)
    if (data_B[j] | 0x20) >= 0x61:
        return _x(data_B, j, end)
    return _iso(data_B, j, end)


@kernel(types.void(BYTES, OFFSETS, types.int64, types.int64[::1], types.boolean[::1]))
def _parse_times(data_B: Any, offsets_N1: Any, how: Any, micros_N: Any, ok_N: Any) -> None:
    """Fills in the microseconds of each text, and whether it is a time."""
    for i in range(len(micros_N)):
        j, end = np.int64(offsets_N1[i]), np.int64(offsets_N1[i + 1])
        while j < end and data_B[j] <= 0x20:
            j += 1
        while j < end and data_B[end - 1] <= 0x20:
            end -= 1
        micros = np.int64(_NONE)
        if j == end:
            pass
        elif how == _AUTO:
            micros = _any_time(data_B, j, end)
        elif how == _ISO:
            micros = _iso(data_B, j, end)
        elif how == _MAIL:
            micros = _mail(data_B, j, end)
        elif how == _X:
            micros = _x(data_B, j, end)
        else:
            micros = _number(data_B, j, end, how)
        if FIRST_MICROSECOND <= micros <= LAST_MICROSECOND:
            micros_N[i] = micros
            ok_N[i] = True
