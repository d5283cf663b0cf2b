"""Numbers as people read them; a dash for what is not a number."""

from typing import Any

DASH = "–"


def number(value: Any, digits: int = 0) -> str:
    """Returns 1,234,567 or, with digits, 4.18; a dash for what is not a number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return DASH
    return f"{value:,.{digits}f}"


def percent(part: Any) -> str:
    """Returns a ratio in per cent, with enough digits to tell little from nothing."""
    if not isinstance(part, int | float):
        return DASH
    if 0 < abs(part) < 0.0005:
        return "< 0.1 %"
    return f"{part:.1%}".replace("%", " %")


def width(ratio: Any) -> str:
    """Returns a ratio as a CSS length, of a bar that is never longer than its track."""
    return f"{100 * min(1.0, max(0.0, ratio or 0.0)):.3f}%"


def size(value: Any) -> str:
    """Returns bytes in decimal units: 850.6 kB, 1.7 GB."""
    if not isinstance(value, int | float):
        return DASH
    for unit in ("bytes", "kB", "MB", "GB", "TB"):
        if abs(value) < 1000 or unit == "TB":
            break
        value /= 1000
    return f"{value:,.0f} {unit}" if unit == "bytes" else f"{value:,.1f} {unit}"


def duration(seconds: Any) -> str:
    """Returns 0.24 s, 12.3 s, 4 min 05 s or 2 h 03 min."""
    if not isinstance(seconds, int | float):
        return DASH
    if seconds < 60:
        return f"{seconds:.2f} s" if seconds < 1 else f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60:,} h {minutes % 60:02d} min"


def large(value: Any) -> str:
    """Returns 12,345, 10.5 million, 1.72 trillion or 6.28e+15: three digits, from a million on."""
    if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) < 1e6:
        return number(value)
    for name, unit in (("million", 1e6), ("billion", 1e9), ("trillion", 1e12)):
        if abs(value) < 999.5 * unit:
            return f"{value / unit:.3g} {name}"
    return f"{value:.3g}"


def digits(value: Any) -> str:
    """Returns a number to three digits: 0.00061, 5.41e+18, 1.5, 200."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return DASH
    return f"{value:.3g}"
