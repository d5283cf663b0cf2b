"""Every filter that a recipe can name, with what it scores, keeps and reads: `sluice filters`."""

import re
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from typing import Any, Final, Literal

import msgspec

from sluice.filters.base import Filter
from sluice.filters.origin import claims, own_origin, point_origin
from sluice.filters.plugins import SHIPPED, conflict_of, loaded
from sluice.schemas.errors import FilterError
from sluice.schemas.origin import FilterOrigin

_SCORE: Final = re.compile(r"\bScore: +(.+?)(?:\.(?:\s|$)|\n\s*\n|\Z)", re.DOTALL)
"""What a docstring says is scored: to the end of the sentence."""


class FilterInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A filter that a recipe can name, or one that is refused.

    Attributes:
        name: in recipes.
        origin: the distribution that it is of.
        refused: why a recipe cannot name it; then all that follows is empty.
        score: what is scored, in words.
        keeps: which scores are kept: those of at least the threshold, or of at most.
        bound: the key of the threshold.
        threshold: its default; None where a recipe must give it.
        is_fixed: the threshold cannot be chosen: `bound` is not a key.
        keys: the other keys with their defaults, as a recipe has them; None for none.
        required: keys that a recipe must give.
        reason: of its rejects.
        version: of the filter.
        columns: of POST, that the scores depend on.
        costly: it runs a model.
        screen: a transformer can take the posts that it is unsure of.
    """

    name: str
    origin: FilterOrigin
    refused: str = ""
    score: str = ""
    keeps: Literal["at_least", "at_most"] = "at_least"
    bound: str = ""
    threshold: float | None = None
    is_fixed: bool = False
    keys: dict[str, Any] = {}
    required: tuple[str, ...] = ()
    reason: str = ""
    version: int = 0
    columns: tuple[str, ...] = ()
    costly: bool = False
    screen: bool = False


def list_filters() -> list[FilterInfo]:
    """Returns every filter that a recipe can name: ours, then those of other distributions, by name.

    A filter that is refused, because its name is claimed twice or because it cannot be loaded or breaks a
    rule, is in the list with the reason.

    >>> [f.bound for f in list_filters() if f.name == "min_words"]
    ['min_words']
    """
    ours = [_info(name, kind, own_origin(kind)) for name, kind in sorted(SHIPPED.items())]
    others = [info for name, points in claims().items() for info in _claimed(name, points)]
    return ours + sorted(others, key=lambda f: (f.name, f.origin.distribution))


def _claimed(name: str, points: tuple[EntryPoint, ...]) -> Iterator[FilterInfo]:
    """Yields what a recipe gets that uses a name which others claim, once for each that claims it."""
    conflict = conflict_of(name, points)
    for point in points:
        origin = point_origin(point)
        try:
            if conflict:
                raise FilterError(conflict)
            yield _info(name, loaded(point), origin)
        except FilterError as error:
            yield FilterInfo(name=name, origin=origin, refused=str(error))


def _info(name: str, kind: type[Filter], origin: FilterOrigin) -> FilterInfo:
    defaults = {f.name: _default(f) for f in msgspec.structs.fields(kind)}
    is_fixed = kind.bound not in defaults
    threshold = getattr(kind, kind.bound) if is_fixed else defaults.pop(kind.bound)
    given = {name: value for name, value in defaults.items() if value is not msgspec.NODEFAULT}
    needs_threshold = threshold is msgspec.NODEFAULT
    return FilterInfo(
        name=name,
        origin=origin,
        score=scored(kind),
        keeps="at_most" if kind.bound.startswith("max_") else "at_least",
        bound=kind.bound,
        threshold=None if needs_threshold else threshold,
        is_fixed=is_fixed,
        keys=msgspec.json.decode(msgspec.json.encode(given)),
        required=(kind.bound,) * needs_threshold + tuple(n for n in defaults if n not in given),
        reason=kind.reason,
        version=kind.version,
        columns=kind.columns,
        costly=kind.costly,
        screen=kind.screen,
    )


def _default(field: msgspec.structs.FieldInfo) -> Any:
    """Returns the default of a field; NODEFAULT where a recipe must give it."""
    if field.default_factory is not msgspec.NODEFAULT:
        return field.default_factory()
    return field.default


def scored(kind: type[Filter]) -> str:
    """Returns what a filter scores, as its docstring says it after `Score:`."""
    said = _SCORE.search(kind.__doc__ or "")
    return " ".join(said[1].split()) if said else ""
