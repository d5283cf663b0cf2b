"""Times: every format that inputs have, against the standard library."""

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from email.utils import format_datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.schemas.payloads.times import TIME_FORMATS, check_time_format, is_time_type, read_times

DATETIMES = st.datetimes(min_value=datetime(2, 1, 1), max_value=datetime(9998, 1, 1))
ZONES = st.integers(-23 * 60, 23 * 60).map(lambda m: timezone(timedelta(minutes=m)))


def _utc(when: datetime) -> datetime:
    return when.replace(tzinfo=UTC) if when.tzinfo is None else when.astimezone(UTC)


def _one(value: Any, time_format: str = "auto") -> datetime | None:
    """Returns a value's time; whether it is null must be what the mask says."""
    values = value if isinstance(value, pa.Array) else pa.array(["x", value])[1:]
    times, bad_N = read_times(values, time_format)
    assert times.type == pa.timestamp("us", "UTC")
    (time,) = times.to_pylist()
    assert bad_N.tolist() == [time is None]
    return time


@given(
    DATETIMES,
    st.sampled_from("Tt "),
    st.sampled_from(["", "Z", "z", "+00", "+05:30", "-0800", "+14:00", "-23:59"]),
    st.sampled_from(["auto", "hours", "minutes", "seconds", "milliseconds", "microseconds"]),
    st.booleans(),
    st.sampled_from(["auto", "iso8601"]),
)
def test_iso_times(
    when: datetime, separator: str, zone: str, spec: str, basic: bool, how: str
) -> None:
    """An ISO 8601 time, with or without punctuation and zone, is what datetime.fromisoformat gives."""
    text = when.isoformat(timespec=spec) + zone
    oracle = _utc(datetime.fromisoformat(text.upper()))
    date, _, clock = text.partition("T")
    if basic:
        clock = clock[: len(clock) - len(zone)].replace(":", "") + zone
        date = date.replace("-", "")
    assert _one(date + separator + clock, how) == oracle


@given(DATETIMES, st.booleans())
def test_week_dates(when: datetime, basic: bool) -> None:
    """A year, week and day of ISO 8601 are their day."""
    year, week, day = when.isocalendar()
    text = f"{year:04}-W{week:02}-{day}"
    expected = datetime(when.year, when.month, when.day, tzinfo=UTC)
    assert _one(text.replace("-", "") if basic else text) == expected
    assert _one(f"{year:04}-W{week:02}") == expected - timedelta(days=day - 1)


@given(DATETIMES, ZONES, st.booleans(), st.sampled_from(["auto", "rfc2822"]))
def test_mail_times(when: datetime, zone: timezone, weekday: bool, how: str) -> None:
    """An RFC 2822 time, with or without its weekday, is the instant that email.utils wrote."""
    whole = when.replace(microsecond=0, tzinfo=zone)
    text = format_datetime(whole)
    assert _one(text if weekday else text.partition(", ")[2], how) == whole.astimezone(UTC)


@given(DATETIMES, ZONES, st.booleans(), st.sampled_from(["auto", "x"]))
def test_x_times(when: datetime, zone: timezone, padded: bool, how: str) -> None:
    """X's format is the instant that strftime wrote, whether the day has a zero, a blank or one digit."""
    whole = when.replace(microsecond=0, tzinfo=zone)
    day = f"{whole.day:02}" if padded else f"{whole.day:2}"
    text = whole.strftime(f"%a %b {day} %H:%M:%S %z {whole.year:04}")
    assert _one(text, how) == whole.astimezone(UTC)


@given(
    st.integers(10**8, 9 * 10**9),
    st.integers(0, 999_999),
    st.sampled_from([("s", 1), ("ms", 10**3), ("us", 10**6), ("ns", 10**9)]),
    st.booleans(),
)
def test_epochs(second: int, micros: int, unit: tuple[str, int], told: bool) -> None:
    """Integers, digits, decimals and floats since 1970 are instants, the unit told by size."""
    name, ticks = unit
    how = name if told else "auto"
    expected = datetime.fromtimestamp(second, UTC)
    assert _one(pa.array([second * ticks]), how) == expected
    inexact = _one(pa.array([float(second * ticks)]), how)
    assert inexact is not None
    assert abs(inexact - expected) <= timedelta(microseconds=1)
    assert _one(str(second * ticks), how) == expected
    assert _one(pa.array([Decimal(second * ticks)]), how) == expected
    assert _one(f"{second}.{micros:06}", "s") == expected + timedelta(microseconds=micros)


@given(st.text("0123456789-:TZ+ .WeE/", max_size=26), st.sampled_from(list(TIME_FORMATS)))
def test_junk_never_fails(text: str, how: str) -> None:
    """Any text is a time or null and counted; what only ISO 8601 can be is what the library says."""
    time = _one(text, how)
    digits = text.strip().lstrip("+-").replace(".", "").lower().replace("e", "")
    if time is not None and how == "iso8601" and not digits.isdigit():
        plain = text.strip().replace("/", "-")
        for blank in (" Z", " +", " -"):
            plain = plain.replace(blank, blank.strip())
        assert time == _utc(datetime.fromisoformat(plain))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2008-02-22", "2008-02-22T00:00:00"),
        ("2008-02-22T15:12:18Z", "2008-02-22T15:12:18"),
        ("2008-02-22T15:12:18.123456789Z", "2008-02-22T15:12:18.123456"),
        ("2008-02-22T15:12:18,5+01", "2008-02-22T14:12:18.500000"),
        ("2008-02-22 15:12:18 UTC", "2008-02-22T15:12:18"),
        ("2008-02-22 15:12:18 +0100", "2008-02-22T14:12:18"),
        ("2008/02/22 15:12", "2008-02-22T15:12:00"),
        (" 2008-02-22\n", "2008-02-22T00:00:00"),
        ("2008-02-22T15", "2008-02-22T15:00:00"),
        ("20080222T151218Z", "2008-02-22T15:12:18"),
        ("20080222151218", "2008-02-22T15:12:18"),
        ("20080222", "2008-02-22T00:00:00"),
        ("2009-W53-4", "2009-12-31T00:00:00"),
        ("2000-02-29T00:00", "2000-02-29T00:00:00"),
        ("1203693138", "2008-02-22T15:12:18"),
        ("1203693138.5", "2008-02-22T15:12:18.500000"),
        ("1.203693138e9", "2008-02-22T15:12:18"),
        ("-1", "1969-12-31T23:59:59"),
        ("0", "1970-01-01T00:00:00"),
        ("Wed Aug 27 13:08:45 +0000 2008", "2008-08-27T13:08:45"),
        ("Wed Aug 27 13:08:45 2008", "2008-08-27T13:08:45"),
        ("Wed Aug 27 13:08:45 UTC 2008", "2008-08-27T13:08:45"),
        ("Wed, 27 Aug 2008 13:08:45 GMT", "2008-08-27T13:08:45"),
        ("Wed, 27 Aug 2008 13:08:45 +0200 (CEST)", "2008-08-27T11:08:45"),
        ("Wednesday, 27-Aug-08 13:08:45 GMT", "2008-08-27T13:08:45"),
        ("27 Aug 2008 13:08 PDT", "2008-08-27T20:08:00"),
        ("2008-W53-1", None),
        ("1900-02-29", None),
        ("2008-02-30", None),
        ("2008-13-01", None),
        ("0000-01-01", None),
        ("0001-01-01T00:00:00+01:00", None),
        ("2008-02-22T24:00:00Z", None),
        ("2008-02-22T15:12:60Z", None),
        ("2008-02-22T15:12:18.Z", None),
        ("2008-02-22T15:12:18+24:00", None),
        ("2008-02-22T", None),
        ("2008-02/22", None),
        ("Wed Feb 30 13:08:45 +0000 2008", None),
        ("Odd Aug 27 13:08:45 +0000 2008", None),
        ("Wed, 27 Aug 2008", None),
        ("1e99", None),
        ("1e", None),
        ("-", None),
        ("NaN", None),
        ("soon", None),
        ("", None),
    ],
)
def test_times_by_example(text: str, expected: str | None) -> None:
    """Each rule of the docstrings, by one text."""
    assert _one(text) == (None if expected is None else _utc(datetime.fromisoformat(expected)))


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("zone", [None, "UTC", "Europe/Riga"])
@pytest.mark.parametrize("how", ["auto", "s", "x"])
def test_arrow_timestamps(unit: str, zone: str | None, how: str) -> None:
    """Timestamps of every unit and zone are what their type says, whatever the format."""
    when = datetime(2023, 5, 1, 10)
    ticks = pa.array([when], pa.timestamp(unit)).cast(pa.int64())
    assert _one(ticks.cast(pa.timestamp(unit, zone)), how) == when.replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (pa.array([3], pa.date32()), "1970-01-04T00:00:00"),
        (pa.array([86_400_000], pa.date64()), "1970-01-02T00:00:00"),
        (pa.array([-1_000_001], pa.timestamp("us")), "1969-12-31T23:59:58.999999"),
        (pa.array([-1], pa.timestamp("ns")), "1969-12-31T23:59:59.999999"),
        (pa.array([2**62], pa.timestamp("s")), None),
        (pa.array([1682935200.25]), "2023-05-01T10:00:00.250000"),
        (pa.array([2.0**30], pa.float32()), "2004-01-10T13:37:04"),
        (pa.array([1682935200], pa.uint32()), "2023-05-01T10:00:00"),
        (pa.array([float("inf")]), None),
        (pa.array([b"2023-05-01"]), "2023-05-01T00:00:00"),
        (pa.array([b"\xff"]), None),
        (pa.array(["2023-05-01"]).dictionary_encode(), "2023-05-01T00:00:00"),
        (pa.array(["2023-05-01"], pa.large_string()), "2023-05-01T00:00:00"),
        (pa.array(["2023-05-01"], pa.string_view()), "2023-05-01T00:00:00"),
    ],
)
def test_times_of_arrow_types(values: pa.Array, expected: str | None) -> None:
    """Dates, numbers, bytes, dictionaries and views are times."""
    assert is_time_type(values.type)
    assert _one(values) == (None if expected is None else _utc(datetime.fromisoformat(expected)))


@pytest.mark.parametrize("kind", [pa.string(), pa.null(), pa.float64(), pa.timestamp("ns")])
def test_nulls_are_not_counted(kind: pa.DataType) -> None:
    """A null of any type, and NaN, is no time and nothing that was lost."""
    values = [None, float("nan")] if kind == pa.float64() else [None, None]
    times, bad_N = read_times(pa.array(values, kind, from_pandas=False))
    assert times.null_count == 2
    assert not np.any(bad_N)


def test_a_format_is_outright() -> None:
    """With a format or unit, a text of another is null, and a number is of that unit whatever its size."""
    assert _one("2023-05-01", "x") is None
    assert _one("1682935200", "iso8601") is None
    assert _one("2023-05-01", "s") is None
    assert _one("1000", "ms") == datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)
    assert _one(pa.array([20230501]), "s") == datetime(1970, 8, 23, 3, 35, 1, tzinfo=UTC)


def test_a_pattern() -> None:
    """A pattern of strptime reads the times of that form alone, as UTC."""
    times, bad_N = read_times(pa.array(["01/02/2023 10:30", "2023-02-01", None]), "%d/%m/%Y %H:%M")
    assert times.to_pylist() == [datetime(2023, 2, 1, 10, 30, tzinfo=UTC), None, None]
    assert bad_N.tolist() == [False, True, False]


@pytest.mark.parametrize(
    ("time_format", "message"),
    [
        ("isoo8601", "and no pattern with %; did you mean 'iso8601'?"),
        ("%d/%m/%Y %z", "a pattern cannot read zones; its times are UTC"),
    ],
)
def test_unknown_formats(time_format: str, message: str) -> None:
    """A format that is none says the key, what there is, and what is meant."""
    with pytest.raises(ValueError, match="time_format") as error:
        check_time_format(time_format)
    assert str(error.value).startswith(f"time_format: {time_format!r}")
    assert str(error.value).endswith(message)
