"""Sluice turns social posts into packed token shards for pre-training.

The names below are the public API. They are imported when they are first used, so that `import sluice` costs
some milliseconds and loads neither Beam nor numba:

    >>> import sluice
    >>> "run" in dir(sluice)
    True

| name | what it is |
|---|---|
| `run`, `score`, `verify`, `inspect` | the commands of the same names, as functions (`sluice.pipeline.api`) |
| `Filter`, `Scorer`, `Batch` | what a filter of your own is made of (`sluice.filters`) |
| `list_filters`, `FilterInfo` | every filter that a recipe can name, those of other distributions too |
| `TokenDataset`, `TokenLoader` | feed shards to PyTorch (`sluice.tokenizer.loader`); torch is needed to
make one |
| `sluice.errors` | what can go wrong |
| `sluice.testing` | what holds a filter to the rules that all filters follow |

The sub-packages `schemas`, `filters`, `tokenizer` and `pipeline` are the folders of these names beside
this one in the repository: docs/architecture.md says what lives where.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sluice.filters.base import Filter, Scorer
    from sluice.filters.batch import Batch
    from sluice.filters.listing import FilterInfo, list_filters
    from sluice.pipeline.api import inspect, run, score, verify
    from sluice.tokenizer.loader.dataset import TokenDataset, TokenLoader

__all__ = [
    "Batch",
    "Filter",
    "FilterInfo",
    "Scorer",
    "TokenDataset",
    "TokenLoader",
    "inspect",
    "list_filters",
    "run",
    "score",
    "verify",
]

_HOME = {
    "Batch": "sluice.filters.batch",
    "Filter": "sluice.filters.base",
    "FilterInfo": "sluice.filters.listing",
    "Scorer": "sluice.filters.base",
    "TokenDataset": "sluice.tokenizer.loader.dataset",
    "TokenLoader": "sluice.tokenizer.loader.dataset",
    "inspect": "sluice.pipeline.api",
    "list_filters": "sluice.filters.listing",
    "run": "sluice.pipeline.api",
    "score": "sluice.pipeline.api",
    "verify": "sluice.pipeline.api",
}
"""The module of each public name."""


def __getattr__(name: str) -> object:
    """Imports a public name when it is first used.

    Raises:
        AttributeError: there is no such name.
    """
    if name not in _HOME:
        raise AttributeError(f"module 'sluice' has no attribute {name!r}")
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Returns the public names, whether they are imported yet or not."""
    return sorted({*globals(), *__all__})
