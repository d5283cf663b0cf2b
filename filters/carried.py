"""Filters on their way to the workers of a cluster.

Python pickles an object by the name of its class. Where a worker lacks the distribution of a filter, a
pickled spec fails before any code of ours runs, with a traceback of the engine. Here the specs travel as
bytes, beside the distributions that a worker must have.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import msgspec

from sluice.filters.base import Filter
from sluice.filters.origin import GROUP, claims, origin_of
from sluice.filters.plugins import SHIPPED, find, union_of
from sluice.filters.registry import AnyFilter
from sluice.schemas.errors import FilterError
from sluice.schemas.origin import FilterOrigin


@dataclass(frozen=True)
class CarriedFilters:
    """Filters in recipe order, as a stage carries them.

    Attributes:
        origins: the name in recipes and the origin of each filter of another distribution.
        specs: of all filters, in MessagePack.
    """

    origins: tuple[tuple[str, FilterOrigin], ...]
    specs: bytes


def carried(filters: Sequence[Filter]) -> CarriedFilters:
    """Returns filters as a stage carries them.

    Raises:
        FilterError: a filter is neither ours nor of a distribution that is installed.
    """
    others = {name_of(f): _origin(f) for f in filters if type(f) not in SHIPPED.values()}
    return CarriedFilters(tuple(others.items()), msgspec.msgpack.encode(tuple(filters)))


def name_of(spec: Filter) -> str:
    """Returns what a recipe calls a filter."""
    return str(spec.__struct_config__.tag)


def _origin(spec: Filter) -> FilterOrigin:
    kind = type(spec)
    origin = origin_of(kind)
    if origin is None:
        raise FilterError(
            f"filter {spec.name!r}: no distribution has an entry point {name_of(spec)!r} of {GROUP} that "
            f"leads to {kind.__module__}.{kind.__qualname__}: workers would not find it; put it into a "
            f"package of its own, or try it with sluice.filter_table"
        )
    return origin


@cache
def unpacked(filters: CarriedFilters) -> tuple[Filter, ...]:
    """Returns the filters that a stage carries; once a process.

    Raises:
        FilterError: a distribution is not installed here, or in another version.
    """
    for name, origin in filters.origins:
        check_installed(name, origin)
    kind: Any = AnyFilter
    if filters.origins:
        claimed = claims()
        kind = union_of(filter(None, [find(name, claimed) for name, _ in filters.origins]))
    specs: tuple[Filter, ...] = msgspec.msgpack.decode(filters.specs, type=tuple[kind, ...])
    return specs


def check_installed(name: str, origin: FilterOrigin) -> None:
    """Raises FilterError unless the filter's distribution is installed here, in the version of the driver."""
    try:
        here = version(origin.distribution)
    except PackageNotFoundError:
        here = ""
    if here != origin.version:
        found = f"{here} is installed" if here else "it is not installed"
        raise FilterError(
            f"filter {name!r} needs {origin} on every worker, and on this one {found}: run "
            f"pip install '{origin.requirement}' there, or put it into the workers' image; finished units "
            f"are kept"
        )
