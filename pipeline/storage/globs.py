"""Which files a pattern means: a path, a glob or a folder, on a local disk or any filesystem with a URI."""

import difflib
import errno
import glob
import os
import posixpath
import re
from collections.abc import Iterable

from sluice.pipeline.storage import files as storage
from sluice.pipeline.storage.files import Entry
from sluice.schemas.errors import InputError

_WILD = re.compile(r"[*?\[]")


def find(patterns: Iterable[str]) -> list[Entry]:
    """Returns the files that patterns name, each once, by path.

    Args:
        patterns: files, glob patterns (`**` for any depth) or folders; paths or URIs. In a folder, at
            any depth, names that start with `.` or `_` (`_SUCCESS`, `_temporary`) are left out.

    Raises:
        InputError: a pattern finds no file, or a file cannot be asked for its size.
    """
    found = (_remote if storage.is_remote(p) else _local for p in patterns)
    rows = {f.path: f for look, p in zip(found, patterns, strict=True) for f in look(p)}
    return [rows[path] for path in sorted(rows)]


def common_folder(paths: Iterable[str]) -> str:
    """Returns the longest folder that has all of the paths below it.

    Raises:
        InputError: there is none: local files and URIs, or two kinds of filesystem.
    """
    folders = [p.rpartition("/")[0] if storage.is_remote(p) else os.path.dirname(p) for p in paths]
    schemes = {f.partition("://")[0] if storage.is_remote(f) else "" for f in folders}
    if len(schemes) > 1:
        raise InputError(
            f"inputs on {' and '.join(sorted(s or 'the local disk' for s in schemes))}: give one run "
            f"the files of one filesystem"
        )
    scheme = schemes.pop()
    if not scheme:
        return os.path.commonpath(folders)
    return f"{scheme}://{posixpath.commonpath([f.partition('://')[2] for f in folders])}"


def relative(path: str, root: str) -> str:
    """Returns a path below a root of `common_folder`, with forward slashes."""
    if storage.is_remote(path):
        return path.removeprefix(root).lstrip("/")
    return os.path.relpath(path, root).replace(os.sep, "/")


def _is_hidden(relative: str) -> bool:
    return relative != "." and any(part.startswith((".", "_")) for part in relative.split("/"))


# --- local -----------------------------------------------------------------------------------


def _local(pattern: str) -> list[Entry]:
    pattern = pattern.removeprefix("file://")
    return [_entry(os.path.abspath(path)) for path in _local_paths(pattern)]


def _entry(path: str) -> Entry:
    try:
        found = storage.entry(path)
    except OSError as error:
        raise unreadable(path, error) from None
    if found is None:
        raise unreadable(
            path, FileNotFoundError(errno.ENOENT, "a link to a file that is not there")
        )
    return found


def unreadable(path: str, error: OSError) -> InputError:
    """Returns the error of a file that its filesystem does not let us read."""
    if error.errno is None:
        return InputError(f"{path}: cannot be read: {error}")
    return InputError(f"{path}: cannot be read: {os.strerror(error.errno)} (errno {error.errno})")


def _local_paths(pattern: str) -> list[str]:
    if os.path.isdir(pattern):
        everything = glob.glob(os.path.join(glob.escape(pattern), "**"), recursive=True)
        found = [p for p in everything if not _is_hidden(relative(p, pattern))]
    elif os.path.lexists(pattern):
        return [pattern]
    else:
        found = glob.glob(pattern, recursive=True)
    files = [path for path in found if not os.path.isdir(path)]
    if files:
        return files
    if found:
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


def _remote(pattern: str) -> list[Entry]:
    if not _WILD.search(pattern):
        return _remote_path(pattern)
    parts = pattern.split("/")
    first = next(i for i, part in enumerate(parts) if _WILD.search(part))
    if first < 3:
        raise InputError(f"{pattern}: name the bucket or host; wildcards stand in what follows it")
    base = "/".join(parts[:first])
    wanted = glob_regex("/".join(parts[first:]))
    rows = storage.listing(base, recursive=True)
    found = [row for row in rows if wanted.fullmatch(row.path[len(base) + 1 :])]
    if found:
        return found
    names = sorted({row.path[len(base) + 1 :].split("/")[0] for row in rows})
    raise InputError(f"no file matches {pattern}: in {base}, {_instead(parts[first], names)}")


def _remote_path(path: str) -> list[Entry]:
    """Returns a file, or the files below a folder, but for hidden ones."""
    path = path.rstrip("/")
    if (file := storage.entry(path)) is not None:
        return [file]
    found = [
        f for f in storage.listing(path, recursive=True) if not _is_hidden(f.path[len(path) + 1 :])
    ]
    if not found:
        raise InputError(f"no file matches {path}: no such file, and no folder with files in it")
    return found


def glob_regex(pattern: str) -> re.Pattern[str]:
    """Returns what a relative glob pattern matches, by the rules of the standard library's `glob`.

    `*`, `?` and `[...]` match inside a name and no name that starts with `.`; `**` stands for any
    number of folders, as a last part for all files below.
    """
    regex = ""
    parts = pattern.split("/")
    for index, part in enumerate(parts):
        last = index == len(parts) - 1
        if part == "**":
            regex += r"(?:(?!\.)[^/]+/)*" + (r"(?!\.)[^/]+" if last else "")
        else:
            hidden = "" if part.startswith(".") else r"(?!\.)"
            regex += hidden + _name_regex(part) + ("" if last else "/")
    return re.compile(regex)


def _name_regex(part: str) -> str:
    """Returns the regular expression of one name of a glob pattern."""
    return "".join(map(_piece_regex, re.findall(r"\*+|\?|\[!?\]?[^\]]*\]|.", part)))


def _piece_regex(piece: str) -> str:
    if piece.startswith("*"):
        return "[^/]*"
    if piece == "?":
        return "[^/]"
    if len(piece) == 1:
        return re.escape(piece)
    chars = re.sub(r"([\\\[\]^&~|])", r"\\\1", piece[1:-1].removeprefix("!"))
    return f"(?!/)[{'^' if piece[1] == '!' else ''}{chars}]"
