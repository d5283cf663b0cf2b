"""Which files a pattern means: a path, a glob or a folder, on a local disk or any filesystem with a URI."""

import difflib
import errno
import fnmatch
import glob
import itertools
import os
import posixpath
import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from sluice.pipeline.storage import files as storage
from sluice.pipeline.storage.files import Entry
from sluice.pipeline.storage.filesystems import is_remote, local, scheme
from sluice.schemas.errors import InputError

_WILD = re.compile(r"[*?\[]")


class Matches(NamedTuple):
    """What patterns name.

    Attributes:
        files: each once, by path.
        outright: the paths that a file or a pattern names, and not just a folder above them or a pattern
            that ends in `*` alone.
        hidden: paths that are left out of folders, because a name starts with `.` or `_`.
    """

    files: list[Entry]
    outright: frozenset[str]
    hidden: list[str]


def find(patterns: Iterable[str]) -> Matches:
    """Returns the files that patterns name.

    Args:
        patterns: files, glob patterns (`**` for any depth) or folders; paths or URIs. In a folder, at
            any depth, names that start with `.` or `_` (`_SUCCESS`, `_temporary`) are left out.

    Raises:
        InputError: a pattern finds no file, or a file cannot be asked for its size.
    """
    files: dict[str, Entry] = {}
    outright: set[str] = set()
    hidden: set[str] = set()
    for pattern in patterns:
        named, left_out, is_folder = _remote(pattern) if is_remote(pattern) else _local(pattern)
        files |= {file.path: file for file in named}
        hidden |= set(left_out)
        if not is_folder and pattern.rpartition("/")[2] not in ("*", "**"):
            outright |= {file.path for file in named}
    found = [files[path] for path in sorted(files)]
    return Matches(found, frozenset(outright), sorted(hidden - files.keys()))


def common_folder(paths: Sequence[str]) -> str:
    """Returns the longest folder that has all of the paths below it.

    Raises:
        InputError: there is none: local files and URIs, or two kinds of filesystem.
    """
    roots = {f"{scheme(path)}://" if is_remote(path) else "" for path in paths}
    if len(roots) > 1:
        kinds = sorted(root.removesuffix("://") or "the local disk" for root in roots)
        raise InputError(
            f"inputs on {' and '.join(kinds)}: give one run the files of one filesystem"
        )
    (root,) = roots
    return root + posixpath.commonpath([posixpath.dirname(path[len(root) :]) for path in paths])


def relative(path: str, root: str) -> str:
    """Returns a path below a root of `common_folder`."""
    return path.removeprefix(root).lstrip("/")


def _is_hidden(name: str) -> bool:
    return any(part.startswith((".", "_")) for part in name.split("/"))


# --- local -----------------------------------------------------------------------------------


class _Named(NamedTuple):
    """The files that one pattern names, the paths that it leaves out, and whether it is a folder."""

    files: list[Entry]
    hidden: list[str]
    is_folder: bool


def _local(pattern: str) -> _Named:
    paths, hidden, is_folder = _local_paths(local(pattern))
    absolute = [os.path.abspath(path) for path in paths]
    return _Named(
        [_entry(path) for path in absolute], list(map(os.path.abspath, hidden)), is_folder
    )


def _entry(path: str) -> Entry:
    try:
        file = storage.entry(path)
        if file is None:
            raise FileNotFoundError(errno.ENOENT, "a link to a file that is not there")
    except OSError as error:
        raise unreadable(path, error) from None
    return file


def unreadable(path: str, error: OSError) -> InputError:
    """Returns the error of a file that its filesystem does not let us read."""
    if error.errno is None:
        return InputError(f"{path}: cannot be read: {error}")
    return InputError(f"{path}: cannot be read: {os.strerror(error.errno)} (errno {error.errno})")


def _local_paths(pattern: str) -> tuple[list[str], list[str], bool]:
    """Returns (the paths that a pattern names, those that it leaves out, whether it is a folder)."""
    hidden: list[str] = []
    is_folder = os.path.isdir(pattern)
    if is_folder:
        below = os.path.join(glob.escape(pattern), "**")
        paths = glob.glob(below, recursive=True, include_hidden=True)
        hidden = [path for path in paths if _is_hidden(relative(path, pattern))]
        paths = [path for path in paths if not _is_hidden(relative(path, pattern))]
    elif os.path.lexists(pattern):
        return [pattern], [], False
    else:
        paths = glob.glob(pattern, recursive=True)
    files = [path for path in paths if not os.path.isdir(path)]
    if files:
        return files, [path for path in hidden if not os.path.isdir(path)], is_folder
    if paths:
        raise InputError(f"{pattern}: only folders there; add /** to read what is in them")
    raise InputError(f"no file matches {pattern}{_neighbours(pattern)}")


def _neighbours(pattern: str) -> str:
    """Returns a hint: the first part of the path that is not there, and the names that are."""
    folder, name = os.path.split(os.path.abspath(pattern))
    while not os.path.isdir(folder):
        folder, name = os.path.split(folder)
    names = [n for n in sorted(os.listdir(folder)) if not _is_hidden(n)][:1000]
    return f": no {name} in {folder}; {_instead(name, names)}"


def _instead(name: str, names: list[str]) -> str:
    close = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    if not names:
        return "it is empty"
    if close:
        return f"did you mean {', '.join(map(repr, close))}?"
    return f"it has {', '.join(map(repr, names[:3]))}{', ...' * (len(names) > 3)}"


# --- remote ----------------------------------------------------------------------------------


def _remote(pattern: str) -> _Named:
    parts = pattern.split("/")
    plain = list(itertools.takewhile(lambda part: not _WILD.search(part), parts))
    base, wild = "/".join(plain).rstrip("/"), parts[len(plain) :]
    if len(plain) < 3:
        raise InputError(
            f"{pattern}: name the bucket or host; wildcards can only be in what follows it"
        )
    if not wild and (file := storage.entry(base)) is not None:
        return _Named([file], [], False)
    files = {file.path[len(base) + 1 :]: file for file in storage.listing(base, recursive=True)}
    names = [n for n in files if (matches(n, "/".join(wild)) if wild else not _is_hidden(n))]
    if names:
        hidden = [] if wild else [files[name].path for name in files if _is_hidden(name)]
        return _Named([files[name] for name in names], hidden, not wild)
    if not wild:
        raise InputError(f"no file matches {base}: no such file, and no folder with files in it")
    there = sorted({name.split("/")[0] for name in files})
    raise InputError(f"no file matches {pattern}: in {base}, {_instead(wild[0], there)}")


def matches(name: str, pattern: str) -> bool:
    """Returns whether a relative path matches a pattern, by the rules of the standard library's `glob`.

    `*`, `?` and `[...]` match inside a name and no name that starts with `.`; `**` stands for any
    number of folders, as a last part for all files below.

    >>> matches("day-1/part-7.parquet", "day-?/*.parquet"), matches("a/b/c", "**"), matches(".a", "*")
    (True, True, False)
    """
    return _match(name.split("/"), pattern.split("/"))


def _match(names: list[str], parts: list[str]) -> bool:
    if not (names and parts):
        return not names and not parts
    visible = not names[0].startswith(".")
    if parts == ["**"]:
        return not any(name.startswith(".") for name in names)
    if parts[0] == "**":
        return _match(names, parts[1:]) or (visible and _match(names[1:], parts))
    fits = fnmatch.fnmatchcase(names[0], parts[0]) and (visible or parts[0].startswith("."))
    return fits and _match(names[1:], parts[1:])
