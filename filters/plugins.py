"""Filters of other distributions: found by entry point, loaded when a recipe names them, refused by name.

A name means one filter. Where several distributions claim it, or one claims the name of a shipped filter, it
means none: nobody should have to know which of them Python found first.
"""

import math
import operator
import re
from collections.abc import Iterable
from functools import reduce
from importlib.metadata import EntryPoint
from typing import Any, Final, get_args

import msgspec

from sluice.filters.base import Filter
from sluice.filters.origin import Claims, own_origin, point_origin
from sluice.filters.registry import AnyFilter
from sluice.schemas.errors import FilterError
from sluice.schemas.post import POST
from sluice.schemas.reject import EMPTY_TEXT, EXACT, ID_CONFLICT, NEAR, REDELIVERED

SHIPPED: Final[dict[str, type[Filter]]] = {
    str(kind.__struct_config__.tag): kind for kind in get_args(AnyFilter)
}
"""The filters of ours, by name."""
NAME: Final = re.compile(r"[a-z][a-z0-9_]*")
"""What names of filters and reasons look like: they are columns, keys and parts of file names."""
TAKEN: Final = frozenset({*POST.names, "language", "language_group", "normalize", "clean", "score"})
"""Names of columns and stages, which no filter can have."""
TAKEN_REASONS: Final = frozenset({EMPTY_TEXT, EXACT, ID_CONFLICT, NEAR, REDELIVERED})


def find(name: str, claims: Claims) -> type[Filter] | None:
    """Returns the filter that a name in a recipe means, or None where nobody has it.

    Args:
        name: that the recipe has.
        claims: of other distributions, as `sluice.filters.origin.claims` finds them.

    Raises:
        FilterError: several distributions claim the name, or the filter cannot be loaded or breaks a rule.
    """
    points = claims.get(name, ())
    conflict = conflict_of(name, points)
    if conflict:
        raise FilterError(conflict)
    return loaded(points[0]) if points else SHIPPED.get(name)


def conflict_of(name: str, points: Iterable[EntryPoint]) -> str | None:
    """Returns what is wrong with a name that is claimed more than once, or None."""
    points = tuple(points)
    claimants = [f"{point_origin(p)} ({p.value})" for p in points]
    if points and name in SHIPPED:
        own = own_origin(SHIPPED[name])
        return (
            f"the name {name!r} is that of a filter of {own}, and {_and(claimants)} claims it, too: a "
            f"filter of another distribution needs a name of its own; uninstall it"
        )
    if len(points) > 1:
        return f"the name {name!r} is claimed by {_and(claimants)}: uninstall all of them but one"
    return None


def _and(parts: list[str]) -> str:
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)


def loaded(point: EntryPoint) -> type[Filter]:
    """Returns the class that an entry point leads to, which keeps the rules that a class can show.

    Raises:
        FilterError: it cannot be imported, or breaks a rule; the message names the distribution.
    """
    origin = point_origin(point)
    about = f"filter {point.name!r} of {origin} ({point.value})"
    try:
        kind = point.load()
    except Exception as error:
        raise FilterError(
            f"{about} cannot be loaded: {type(error).__name__}: {error}; install what it needs "
            f"(pip install --force-reinstall '{origin.requirement}'), or leave the filter out"
        ) from error
    wrong = wrong_kind(kind, point.name)
    if wrong:
        raise FilterError(f"{about} is no filter that a recipe can name: {wrong}")
    found: type[Filter] = kind
    return found


def wrong_kind(kind: Any, name: str) -> str | None:
    """Returns the first rule that what an entry point of a name leads to breaks, or None."""
    if not (isinstance(kind, type) and issubclass(kind, Filter)) or kind is Filter:
        return "must be a subclass of sluice.Filter"
    config = kind.__struct_config__
    reason, bound, version = (getattr(kind, n, None) for n in ("reason", "bound", "version"))
    columns = getattr(kind, "columns", None)
    rules = {
        f"its tag is {config.tag!r}; must be {name!r}, the entry point's name": config.tag == name,
        f"its name must match {NAME.pattern}": bool(NAME.fullmatch(name)),
        f"{name!r} is the name of a column or stage; must be another": name not in TAKEN,
        "must be frozen, with forbid_unknown_fields and tag_field='filter', as sluice.Filter is": (
            config.frozen and config.forbid_unknown_fields and config.tag_field == "filter"
        ),
        f"reason = {reason!r} must match {NAME.pattern}": (
            isinstance(reason, str) and bool(NAME.fullmatch(reason))
        ),
        f"reason = {reason!r} is one of Sluice's own; must be another": reason not in TAKEN_REASONS,
        f"bound = {bound!r} must name the field of the threshold, and begin with min_ or max_": (
            isinstance(bound, str) and bound.startswith(("min_", "max_")) and hasattr(kind, bound)
        ),
        f"version = {version!r} must be a whole number from 1 on": (
            type(version) is int and version >= 1
        ),
        f"columns = {columns!r} must be a tuple of columns of POST": (
            isinstance(columns, tuple) and set(columns) <= set(POST.names)
        ),
        "must define build()": kind.build is not Filter.build,
    }
    return next((rule for rule, holds in rules.items() if not holds), None)


def union_of(kinds: Iterable[type[Filter]]) -> Any:
    """Returns the type of any filter, ours and these: what a table of a recipe is decoded as."""
    return reduce(operator.or_, kinds, AnyFilter)


def wrong_spec(spec: Filter) -> str | None:
    """Returns what is wrong with the settings of a filter of another distribution, or None."""
    if not NAME.fullmatch(spec.name) or spec.name in TAKEN:
        return f"its name is {spec.name!r}; must match {NAME.pattern}, and be no column or stage"
    threshold = getattr(spec, spec.bound)
    if isinstance(threshold, bool) or not isinstance(threshold, int | float):
        return f"{spec.bound} must be a number, got {type(threshold).__name__}"
    if not math.isfinite(threshold):
        return f"{spec.bound} must be a finite number, got {threshold}"
    try:
        hash(spec)
    except TypeError as error:
        return f"its spec must be hashable ({error}): declare a list as tuple[T, ...]"
    try:
        again = msgspec.msgpack.decode(msgspec.msgpack.encode(spec), type=type(spec))
    except (msgspec.MsgspecError, TypeError) as error:
        return f"its spec must be made of what msgspec encodes: {error}"
    return None if again == spec else "its spec must be equal to itself after msgspec encoded it"
