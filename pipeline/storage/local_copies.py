"""Files on a worker's own disk while it does a unit of a remote output: fetched ones, and ones to be put.

They belong to one unit, are in a folder that nobody else may read (`$TMPDIR` says where), and are removed
when the unit ends. A run whose output is local has none: its files are mapped where they are.
"""

import contextlib
import itertools
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextvars import ContextVar

from sluice.pipeline.storage import files as storage


class _Copies:
    """The files of one scope; their folder is made when the first is."""

    def __init__(self) -> None:
        self.folder = ""
        self._numbers = itertools.count()
        self.fetched: dict[str, str] = {}

    def new_path(self, name: str) -> str:
        self.folder = self.folder or tempfile.mkdtemp(prefix="sluice-")
        return os.path.join(self.folder, f"{next(self._numbers)}-{name}")


_current: ContextVar[_Copies | None] = ContextVar("sluice_local_copies", default=None)


@contextlib.contextmanager
def scope() -> Iterator[None]:
    """Keeps the files of this thread until the block ends."""
    copies = _Copies()
    token = _current.set(copies)
    try:
        yield
    finally:
        _current.reset(token)
        if copies.folder:
            shutil.rmtree(copies.folder, ignore_errors=True)


def new_path(name: str) -> str:
    """Returns a path that no other file of the scope has, in its private folder."""
    return _copies().new_path(name)


def fetch(path: str) -> str:
    """Returns a local path of a file: its own, or that of a copy that lasts as long as the scope.

    Raises:
        FileNotFoundError: there is no such file.
        StorageError: the store does not give it.
    """
    if not storage.is_remote(path):
        return path
    copies = _copies()
    if path not in copies.fetched:
        local = copies.new_path(storage.name_of(path))
        storage.get(path, local)
        copies.fetched[path] = local
    return copies.fetched[path]


def _copies() -> _Copies:
    copies = _current.get()
    if copies is None:
        raise RuntimeError("a remote file is copied inside local_copies.scope(), and none is open")
    return copies
