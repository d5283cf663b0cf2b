"""Numbers as people read them; a dash for what is not a number."""

from collections.abc import Callable
from functools import wraps
from typing import Any

DASH = "–"


def _or_dash(write: Callable[..., str]) -> Callable[..., str]:
    """Returns the function with a dash for what is not a number."""

    @wraps(write)
    def written(value: Any, *args: Any) -> str:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        return write(value, *args) if is_number else DASH

    return written


@_or_dash
def number(value: float, digits: int = 0) -> str:
    """Returns 1,234,567 or, with digits, 4.18."""
    return f"{value:,.{digits}f}"


@_or_dash
def percent(part: float) -> str:
    """Returns a ratio in per cent, with enough digits to tell little from nothing."""
    return "< 0.1 %" if 0 < abs(part) < 0.0005 else f"{100 * part:.1f} %"


@_or_dash
def size(value: float) -> str:
    """Returns bytes in decimal units: 850.6 kB, 1.7 GB."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if abs(value) < 1000:
            return f"{value:,.0f} {unit}" if unit == "bytes" else f"{value:,.1f} {unit}"
        value /= 1000
    return f"{value:,.1f} TB"


@_or_dash
def duration(seconds: float) -> str:
    """Returns 0.24 s, 12.3 s, 4 min 05 s or 2 h 03 min."""
    if seconds < 60:
        return f"{seconds:.2f} s" if seconds < 1 else f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60:,} h {minutes % 60:02d} min"


@_or_dash
def large(value: float) -> str:
    """Returns 12,345, 10.5 million, 1.72 trillion or 6.28e+15: three digits, from a million on."""
    if abs(value) < 1e6:
        return number(value)
    for name, unit in (("million", 1e6), ("billion", 1e9), ("trillion", 1e12)):
        if abs(value) < 999.5 * unit:
            return f"{value / unit:.3g} {name}"
    return f"{value:.3g}"


@_or_dash
def digits(value: float) -> str:
    """Returns a number to three digits: 0.00061, 5.41e+18, 1.5, 200."""
    return f"{value:.3g}"


def width(ratio: float | None) -> str:
    """Returns a ratio as a CSS length, of a bar that is never longer than its track."""
    return f"{100 * min(1.0, max(0.0, ratio or 0.0)):.3f}%"
