"""Sluice turns social posts into packed token shards for pre-training.

The names below are the public API. They are imported when they are first used, so that `import sluice` costs
some milliseconds and loads neither Beam nor numba:

    >>> import sluice
    >>> "run" in dir(sluice)
    True

| name | what it is |
|---|---|
| `run`, `score`, `verify`, `inspect`, `export`, `sample` | the commands, as functions |
| `forget`, `scan_forgotten` | what `sluice forget` does, and `sluice forget --scan` |
| `filter_table` | the posts of a table or a frame, split by a recipe's filters; without files or Beam |
| `open_output` | a finished output: its tables, its report, the tokens and the text of a post |
| `Recipe` | what a run does, as a value |
| `Progress` | how far a run is; what its callback is given |
| `Partition` | what `filter_table` returns |
| `Filter`, `Scorer`, `Batch` | what a filter of your own is made of |
| `list_filters`, `FilterInfo` | every filter that a recipe can name, those of other distributions too |
| `TokenDataset`, `TokenLoader` | feed shards to PyTorch; torch is needed to make one |
| `sluice.errors` | what can go wrong |
| `sluice.testing` | what holds a filter to the rules that all filters follow |

docs/python.md has examples. The sub-packages `schemas`, `filters`, `tokenizer` and `pipeline` are the folders
of these names beside this one in the repository: docs/architecture.md says what lives where.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sluice.filters.base import Filter, Scorer
    from sluice.filters.batch import Batch
    from sluice.filters.listing import FilterInfo, list_filters
    from sluice.pipeline.api import (
        export,
        forget,
        inspect,
        open_output,
        run,
        sample,
        scan_forgotten,
        score,
        verify,
    )
    from sluice.pipeline.engine.progress import Progress
    from sluice.pipeline.filter_table import Partition, filter_table
    from sluice.pipeline.recipes.schema import Recipe
    from sluice.tokenizer.loader.dataset import TokenDataset, TokenLoader

__all__ = [
    "Batch",
    "Filter",
    "FilterInfo",
    "Partition",
    "Progress",
    "Recipe",
    "Scorer",
    "TokenDataset",
    "TokenLoader",
    "export",
    "filter_table",
    "forget",
    "inspect",
    "list_filters",
    "open_output",
    "run",
    "sample",
    "scan_forgotten",
    "score",
    "verify",
]

_HOME = {
    "Batch": "sluice.filters.batch",
    "Filter": "sluice.filters.base",
    "FilterInfo": "sluice.filters.listing",
    "Partition": "sluice.pipeline.filter_table",
    "Progress": "sluice.pipeline.engine.progress",
    "Recipe": "sluice.pipeline.recipes.schema",
    "Scorer": "sluice.filters.base",
    "TokenDataset": "sluice.tokenizer.loader.dataset",
    "TokenLoader": "sluice.tokenizer.loader.dataset",
    "export": "sluice.pipeline.api",
    "filter_table": "sluice.pipeline.filter_table",
    "forget": "sluice.pipeline.api",
    "scan_forgotten": "sluice.pipeline.api",
    "inspect": "sluice.pipeline.api",
    "list_filters": "sluice.filters.listing",
    "open_output": "sluice.pipeline.api",
    "run": "sluice.pipeline.api",
    "sample": "sluice.pipeline.api",
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
