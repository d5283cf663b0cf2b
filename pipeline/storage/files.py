"""Files by path, on local disks and in object stores: see `filesystems` for which paths there are.

Readers never see part of a file. An object appears by one put. Elsewhere (local disks, HDFS, and what fsspec
brings) a file gets a temporary name and is moved; on a local disk that is an atomic rename. Nothing is
appended to.
"""

import contextlib
import functools
import os
import posixpath
import shutil
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import pyarrow as pa
from pyarrow import fs

from sluice.pipeline.processes.threads import Threads
from sluice.pipeline.storage.filesystems import errors_of, local, located, puts_whole
from sluice.pipeline.storage.filesystems import is_remote as is_remote

_T = TypeVar("_T")
_R = TypeVar("_R")

OPEN_FILES = 8192
"""Remote files that a process keeps open for their ranges; one holds its size, and no connection."""
PART_BYTES = 64 << 20
"""What is sent or read at a time. Of several parts, an object is there once all are and it is completed."""
REQUESTS_AT_ONCE = 32
AHEAD_BYTES = 64 << 20
"""What a reader of ranges holds at most, about, or one range."""


class Entry(NamedTuple):
    """A file of a listing.

    Attributes:
        path: as it can be given to any function here.
        bytes: its size.
        mtime_ns: when it was written, in nanoseconds since 1970; 0 where the store does not say.
    """

    path: str
    bytes: int
    mtime_ns: int


# --- paths -----------------------------------------------------------------------------------


def absolute(path: str) -> str:
    """Returns a path that means the same in every process: a URI, or an absolute local path."""
    return path.rstrip("/") if is_remote(path) else os.path.abspath(local(path))


def join(folder: str, *names: str) -> str:
    """Returns the path of a file in a folder."""
    return posixpath.join(local(folder), *names)


def name_of(path: str) -> str:
    """Returns the last part of a path."""
    return posixpath.basename(path.rstrip("/"))


# --- what is there ---------------------------------------------------------------------------


def exists(path: str) -> bool:
    """Returns whether there is a file or a folder; in an object store a folder is what holds objects."""
    return bool(_info(path).type != fs.FileType.NotFound)


def is_file(path: str) -> bool:
    """Returns whether there is a file; in an object store one request, where `exists` may take two."""
    if not puts_whole(path):
        return entry(path) is not None
    try:
        open_input(path).close()
    except FileNotFoundError:
        return False
    return True


def entry(path: str) -> Entry | None:
    """Returns a file as a listing has it, or None where there is no such file."""
    info = _info(path)
    return _entry(path, info) if info.type == fs.FileType.File else None


def size(path: str) -> int:
    """Returns the bytes of a file, or -1 where there is none."""
    file = entry(path)
    return -1 if file is None else file.bytes


def listing(folder: str, *, recursive: bool = False) -> list[Entry]:
    """Returns the files in a folder, or below it, by path; none where there is no folder.

    A file that vanishes meanwhile is left out. On a local disk links to folders are not followed.
    """
    return sorted(_files(folder, recursive))


def paths(folder: str, *, ending: str) -> list[str]:
    """Returns the paths of the files in a folder whose names end so, sorted.

    Those that are being written, or were when their process was killed, are left out: their names begin
    with a dot.
    """
    found = (file.path for file in listing(folder) if file.path.endswith(ending))
    return [path for path in found if not name_of(path).startswith(".")]


def folders(folder: str) -> list[str]:
    """Returns the paths of the folders in a folder, sorted; none where there is no folder."""
    infos = _select(folder)
    return sorted(join(folder, name) for name, i in infos if i.type == fs.FileType.Directory)


def names(folder: str) -> list[str]:
    """Returns the names of the files in a folder, sorted; none where there is no folder.

    On a local disk no file is asked for its size: the progress display lists all units twice a second.
    """
    if is_remote(folder):
        return [name_of(file.path) for file in listing(folder)]
    with contextlib.suppress(FileNotFoundError), os.scandir(local(folder)) as entries:
        return sorted(entry.name for entry in entries if entry.is_file())
    return []


def free_bytes(path: str) -> int | None:
    """Returns the room that is left where a path will be; None where the store has no bound."""
    if is_remote(path):
        return None
    folder = Path(absolute(path))
    return shutil.disk_usage(next(f for f in (folder, *folder.parents) if f.exists())).free


def _info(path: str) -> Any:
    filesystem, inner = located(path)
    with errors_of(path):
        return filesystem.get_file_info(inner)


def _entry(path: str, info: Any) -> Entry:
    return Entry(path, int(info.size), int(info.mtime_ns or 0))


def _files(folder: str, recursive: bool) -> Iterator[Entry]:
    for name, info in _select(folder, recursive=recursive and is_remote(folder)):
        path = join(folder, name)
        if info.type == fs.FileType.File:
            yield _entry(path, info)
        elif recursive and not is_remote(folder) and not os.path.islink(path):
            yield from _files(path, recursive)


def _select(folder: str, *, recursive: bool = False) -> list[tuple[str, Any]]:
    """Returns what is in a folder, or below it: names relative to the folder, and pyarrow's FileInfo."""
    filesystem, inner = located(folder)
    selector = fs.FileSelector(inner, allow_not_found=True, recursive=recursive)
    with errors_of(folder):
        infos = filesystem.get_file_info(selector)
    start = len(inner.strip("/"))
    return [(info.path.strip("/")[start:].strip("/"), info) for info in infos]


# --- reading ---------------------------------------------------------------------------------


def open_input(path: str) -> Any:
    """Returns a file open for reading at any place: a pyarrow NativeFile."""
    filesystem, inner = located(path)
    with errors_of(path):
        return filesystem.open_input_file(inner)


def read_bytes(path: str) -> bytes:
    """Returns what is in a file.

    Raises:
        FileNotFoundError: there is none.
        StorageError: the store does not give it.
    """
    with errors_of(path), open_input(path) as file:
        return bytes(file.read())


def read_range(path: str, offset: int, length: int) -> bytes:
    """Returns the bytes from `offset` on, fewer where the file ends before."""
    if is_remote(path):
        with errors_of(path):
            return bytes(_held_open(path).read_at(length, offset))
    with open(local(path), "rb", buffering=0) as file:
        return os.pread(file.fileno(), length, offset)


def read_ranges(places: Iterable[tuple[str, int, int]]) -> Iterator[bytes]:
    """Yields what is at each (path, offset, length), in their order; remote ones are read ahead."""
    places = list(places)
    if not (places and is_remote(places[0][0])):
        yield from (read_range(*place) for place in places)
        return
    longest = max(length for _, _, length in places)
    at_once = min(REQUESTS_AT_ONCE, max(1, AHEAD_BYTES // max(1, longest)))
    yield from in_threads(lambda place: read_range(*place), places, at_once=at_once)


def in_threads(
    do: Callable[[_T], _R], items: Sequence[_T], *, at_once: int = REQUESTS_AT_ONCE
) -> Iterator[_R]:
    """Yields what requests give, in the order of the items; some are under way at a time."""
    with Threads(at_once) as threads:
        waiting: deque[Future[_R]] = deque()
        for item in items:
            waiting.append(threads.submit(do, item))
            if len(waiting) > at_once:
                yield threads.result(waiting.popleft())
        while waiting:
            yield threads.result(waiting.popleft())


@functools.lru_cache(maxsize=OPEN_FILES)
def _held_open(path: str) -> Any:
    """Returns a remote file that stays open: opening it asks for its size, a request more for each range.

    Ranges are read of files that a unit has finished, whose names no other file ever gets.
    """
    return open_input(path)


def dataset(paths: Sequence[str], *, format: str = "parquet", schema: Any = None) -> Any:
    """Returns files of one place as a pyarrow dataset."""
    import pyarrow.dataset as ds

    places = [located(path) for path in paths]
    filesystem = places[0][0] if places else None
    with errors_of(paths[0] if places else ""):
        inner = [path for _, path in places]
        return ds.dataset(inner, schema=schema, format=format, filesystem=filesystem)


# --- writing ---------------------------------------------------------------------------------

_guards: dict[str, Callable[[str], None]] = {}


def guard(folder: str, check: Callable[[str], None]) -> None:
    """Calls `check`, which may raise, before this process writes or deletes a path below a remote folder.

    The guard of a folder stays until another takes its place, so that threads that outlive a run that was
    stopped write nothing.
    """
    _guards[folder] = check


def _check_guard(path: str) -> None:
    for folder, check in _guards.items():
        if path.startswith(f"{folder}/"):
            check(path)


def write_bytes(path: str, data: bytes) -> None:
    """Writes a file whole: a reader sees all of it or what was there before."""
    _write(path, pa.py_buffer(data))


def put(finished: str, path: str) -> None:
    """Moves a finished local file to its place; on a local disk a rename."""
    if not is_remote(path):
        os.replace(finished, local(path))
        return
    # Mapped, so that a disk that fails ends the process: an error would close the stream, and a stream
    # that is closed makes the object appear.
    if os.path.getsize(finished):
        with pa.memory_map(finished) as file:
            _write(path, file.read_buffer())
    else:
        write_bytes(path, b"")
    os.unlink(finished)


def get(path: str, to: str) -> None:
    """Copies a file to a local path."""
    with errors_of(path), open_input(path) as source, open(to, "wb") as target:
        shutil.copyfileobj(source, target, PART_BYTES)


def delete(path: str) -> None:
    """Removes a file, if it is there."""
    filesystem, inner = located(path)
    _check_guard(path)
    with contextlib.suppress(FileNotFoundError), errors_of(path):
        filesystem.delete_file(inner)


def delete_tree(folder: str) -> None:
    """Removes a folder with all that is in it, if it is there; nothing behind a link."""
    if not is_remote(folder):
        shutil.rmtree(local(folder), ignore_errors=True)
        return
    filesystem, inner = located(folder)
    _check_guard(folder)
    with contextlib.suppress(FileNotFoundError), errors_of(folder):
        filesystem.delete_dir(inner)


def _write(path: str, data: Any) -> None:
    filesystem, inner = located(path)
    _check_guard(path)
    with errors_of(path):
        if puts_whole(path):
            _send(filesystem, inner, data)
            return
        folder, name = posixpath.split(inner)
        temporary = f"{folder}/.tmp-{uuid.uuid4().hex[:8]}-{name}"
        filesystem.create_dir(folder, recursive=True)
        try:
            _send(filesystem, temporary, data)
            move = filesystem.move if is_remote(path) else os.replace
            move(temporary, inner)
        except BaseException:
            with contextlib.suppress(OSError):
                filesystem.delete_file(temporary)
            raise


def _send(filesystem: Any, inner: str, data: Any) -> None:
    with filesystem.open_output_stream(inner, compression=None) as stream:
        for start in range(0, data.size, PART_BYTES):
            stream.write(data.slice(start, min(PART_BYTES, data.size - start)))
