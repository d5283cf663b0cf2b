"""A worker's own disk, while it does a unit of a remote output: files that are fetched or not yet put.

What is there belongs to one unit, in a folder that nobody else may read (`$TMPDIR` says where), and goes
when the unit ends. A run whose output is local has none of it: files are mapped where they lie.
"""

import contextlib
import itertools
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextvars import ContextVar

from sluice.pipeline.storage import files as storage


class _Spool:
    """The files of one scope."""

    def __init__(self) -> None:
        self._folder = ""
        self._numbers = itertools.count()
        self._fetched: dict[str, str] = {}

    def path(self, name: str) -> str:
        """Returns a path that no other file here has."""
        self._folder = self._folder or tempfile.mkdtemp(prefix="sluice-")
        return os.path.join(self._folder, f"{next(self._numbers)}-{name}")

    def fetch(self, path: str) -> str:
        if path not in self._fetched:
            local = self.path(storage.name_of(path))
            storage.get(path, local)
            self._fetched[path] = local
        return self._fetched[path]

    def clear(self) -> None:
        if self._folder:
            shutil.rmtree(self._folder, ignore_errors=True)


_current: ContextVar[_Spool | None] = ContextVar("sluice_spool", default=None)


@contextlib.contextmanager
def scope() -> Iterator[None]:
    """Keeps what this thread fetches or spools until the block ends."""
    spool = _Spool()
    token = _current.set(spool)
    try:
        yield
    finally:
        _current.reset(token)
        spool.clear()


def new_path(name: str) -> str:
    """Returns a path for a file on the local disk, in the scope's private folder."""
    return _held().path(name)


def fetch(path: str) -> str:
    """Returns a local path of a file: its own, or that of a copy that lasts as long as the scope.

    Raises:
        FileNotFoundError: there is no such file.
        StorageError: the store does not give it.
    """
    return _held().fetch(path) if storage.is_remote(path) else path


def _held() -> _Spool:
    spool = _current.get()
    if spool is None:
        raise RuntimeError("files of a remote output are held by a spool.scope(), and here is none")
    return spool
