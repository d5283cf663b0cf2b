"""Distributions that are on the path without being built: metadata and a module, as pip leaves them."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from textwrap import dedent

FILTER = '''
"""A filter of a test."""

from typing import ClassVar

import numpy as np

from sluice import Filter, Scorer


class Loud(Filter, frozen=True, kw_only=True, tag="loud"):
    """Drops a post with many exclamation marks. Score: exclamation marks.

    Attributes:
        max_marks: at most.
    """

    reason: ClassVar[str] = "too_loud"
    bound: ClassVar[str] = "max_marks"

    max_marks: int = 1

    def build(self) -> Scorer:
        """Returns the scorer."""
        return lambda batch: np.array([t.count("!") for t in batch.text.to_pylist()], np.float32)
'''


def write_distribution(
    folder: Path,
    name: str = "sluice-loud",
    *,
    version: str = "1.0",
    filters: dict[str, str] | None = None,
    code: str = FILTER,
) -> str:
    """Writes a distribution with one module, named as it is; returns the module's name.

    `filters` are its entry points: name -> class of the module.
    """
    module = name.replace("-", "_")
    about = folder / f"{module}-{version}.dist-info"
    about.mkdir(parents=True)
    (folder / f"{module}.py").write_text(dedent(code))
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    lines = [f"{n} = {module}:{kind}" for n, kind in (filters or {"loud": "Loud"}).items()]
    (about / "entry_points.txt").write_text("\n".join(["[sluice.filters]", *lines, ""]))
    return module


@contextmanager
def on_the_path(*folders: Path) -> Iterator[None]:
    """Puts folders on the path of imports; what was imported of them is forgotten afterwards."""
    before, modules = list(sys.path), set(sys.modules)
    sys.path[:0] = map(str, folders)
    try:
        yield
    finally:
        sys.path[:] = before
        for name in sys.modules.keys() - modules:
            file = getattr(sys.modules[name], "__file__", None) or ""
            if any(file.startswith(str(folder)) for folder in folders):
                del sys.modules[name]
