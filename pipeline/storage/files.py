"""Files by path, on local disks and in object stores.

A path with `://` is remote: `s3://bucket/prefix`, `gs://`, `abfs://` and `hdfs://` by pyarrow, any other
scheme by fsspec, if it is installed. Everything else, and `file://`, is local and goes to the operating
system as it is.

Readers never see part of a file. A local file appears by a rename, an object by one put. Stores that are
neither (HDFS, and what fsspec brings) get a temporary name and a move. Nothing is appended to.

Credentials and endpoints are the environment's, as the store's own tools take them (for S3
`AWS_ACCESS_KEY_ID`, `AWS_PROFILE`, roles, `AWS_REGION`, `AWS_ENDPOINT_URL`); a path with a password or with
options is refused, because paths stand in logs and messages. What fails for a while is tried again: S3 up to
`S3_ATTEMPTS` times with growing pauses, GCS for its library's 15 minutes, others as their libraries do.
"""

import contextlib
import errno
import functools
import os
import posixpath
import re
import shutil
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple, TypeVar

import pyarrow as pa
from pyarrow import fs

from sluice.schemas.errors import StorageError

_T = TypeVar("_T")
_R = TypeVar("_R")

S3_ATTEMPTS = 10
OPEN_FILES = 8192
"""Remote files that a process keeps open for their ranges; one holds its size, and no connection."""
PART_BYTES = 64 << 20
"""What is sent or read at a time. Of several parts, an object is there once all are and it is completed."""
REQUESTS_AT_ONCE = 32
AHEAD_BYTES = 64 << 20
"""What a reader of ranges holds at most, about, or one range."""
_WHOLE_PUTS = frozenset({"s3", "gs", "gcs", "abfs", "abfss"})
"""Stores where an object is there once it is whole; others get a temporary name and a move."""
_SCHEME = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]*)://([^/]*)(.*)$", re.DOTALL)


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


def is_remote(path: str) -> bool:
    """Returns whether a path is a URI of something else than a local file."""
    found = _SCHEME.match(path)
    return found is not None and found[1].lower() != "file"


def absolute(path: str) -> str:
    """Returns a path that means the same in every process: a URI, or an absolute local path."""
    return path.rstrip("/") if is_remote(path) else os.path.abspath(_local(path))


def join(folder: str, *names: str) -> str:
    """Returns the path of a file in a folder."""
    if not is_remote(folder):
        return os.path.join(_local(folder), *names)
    return "/".join([folder.rstrip("/"), *(name.strip("/") for name in names if name)])


def name_of(path: str) -> str:
    """Returns the last part of a path."""
    return posixpath.basename(path.rstrip("/"))


def exists(path: str) -> bool:
    """Returns whether there is a file or a folder; in an object store a folder is what holds objects."""
    if not is_remote(path):
        return os.path.exists(_local(path))
    return bool(_info(path).type != fs.FileType.NotFound)


def is_file(path: str) -> bool:
    """Returns whether there is a file; one request, where `exists` may take two."""
    if not is_remote(path):
        return os.path.isfile(_local(path))
    try:
        open_input(path).close()
    except FileNotFoundError:
        return False
    return True


def is_folder(path: str) -> bool:
    """Returns whether there is a folder."""
    if not is_remote(path):
        return os.path.isdir(_local(path))
    return bool(_info(path).type == fs.FileType.Directory)


def size(path: str) -> int:
    """Returns the bytes of a file, or -1 where there is none."""
    if is_remote(path):
        info = _info(path)
        return int(info.size) if info.type == fs.FileType.File else -1
    try:
        return os.path.getsize(_local(path))
    except FileNotFoundError:
        return -1


def entry(path: str) -> Entry | None:
    """Returns a file as a listing has it, or None where there is no such file."""
    if is_remote(path):
        info = _info(path)
        found = info.type == fs.FileType.File
        return Entry(path, int(info.size), int(info.mtime_ns or 0)) if found else None
    try:
        about = os.stat(_local(path))
    except FileNotFoundError:
        return None
    return Entry(path, about.st_size, about.st_mtime_ns)


def listing(folder: str, *, recursive: bool = False) -> list[Entry]:
    """Returns the files in a folder, or below it, by path; none where there is no folder."""
    found = _remote_files if is_remote(folder) else _local_files
    return sorted(found(folder, recursive))


def folders(folder: str) -> list[str]:
    """Returns the paths of the folders in a folder, sorted; none where there is no folder."""
    if not is_remote(folder):
        with contextlib.suppress(FileNotFoundError), os.scandir(_local(folder)) as entries:
            return sorted(entry.path for entry in entries if entry.is_dir())
        return []
    found = _select(folder, recursive=False)
    return sorted(join(folder, i.base_name) for i in found if i.type == fs.FileType.Directory)


def names(folder: str) -> list[str]:
    """Returns the names of the files in a folder, sorted; none where there is no folder."""
    return [name_of(entry.path) for entry in listing(folder)]


def read_bytes(path: str) -> bytes:
    """Returns what is in a file.

    Raises:
        FileNotFoundError: there is none.
        StorageError: the store does not give it.
    """
    if not is_remote(path):
        with open(_local(path), "rb") as file:
            return file.read()
    with _telling(path), open_input(path) as file:
        return bytes(file.read())


def read_range(path: str, offset: int, length: int) -> bytes:
    """Returns the bytes from `offset` on, fewer where the file ends before."""
    if is_remote(path):
        with _telling(path):
            return bytes(_held_open(path).read_at(length, offset))
    descriptor = os.open(_local(path), os.O_RDONLY)
    try:
        return os.pread(descriptor, length, offset)
    finally:
        os.close(descriptor)


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
    with ThreadPoolExecutor(at_once) as pool:
        waiting: deque[Future[_R]] = deque()
        try:
            for item in items:
                waiting.append(pool.submit(do, item))
                if len(waiting) > at_once:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


@functools.lru_cache(maxsize=OPEN_FILES)
def _held_open(path: str) -> Any:
    """Returns a remote file that stays open: opening it asks for its size, a request more for each range.

    Ranges are read of files that a unit has finished, whose names no other file ever gets.
    """
    return open_input(path)


def open_input(path: str) -> Any:
    """Returns a file open for reading at any place: a pyarrow NativeFile."""
    if not is_remote(path):
        return pa.OSFile(_local(path), "rb")
    filesystem, inner = _located(path)
    with _telling(path):
        return filesystem.open_input_file(inner)


def dataset(paths: Sequence[str], *, format: str = "parquet", schema: Any = None) -> Any:
    """Returns files of one place as a pyarrow dataset."""
    import pyarrow.dataset as ds

    if not (paths and is_remote(paths[0])):
        return ds.dataset([_local(path) for path in paths], schema=schema, format=format)
    found = [_located(path) for path in paths]
    with _telling(paths[0]):
        inner = [path for _, path in found]
        return ds.dataset(inner, schema=schema, format=format, filesystem=found[0][0])


def write_bytes(path: str, data: bytes) -> None:
    """Writes a file whole: a reader sees all of it or what was there before."""
    if not is_remote(path):
        temporary = _beside(_local(path))
        os.makedirs(os.path.dirname(temporary), exist_ok=True)
        try:
            with open(temporary, "wb") as file:
                file.write(data)
            os.replace(temporary, _local(path))
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise
        return
    with _telling(path):
        _upload(path, pa.py_buffer(data))


def put(local: str, path: str) -> None:
    """Moves a finished local file to its place; on a local disk a rename."""
    if not is_remote(path):
        os.replace(local, _local(path))
        return
    with _telling(path):
        # Mapped, so that a disk that fails ends the process: an error would close the stream, and a stream
        # that is closed makes the object appear.
        if os.path.getsize(local):
            with pa.memory_map(local) as file:
                _upload(path, file.read_buffer())
        else:
            _upload(path, pa.py_buffer(b""))
    os.unlink(local)


def get(path: str, local: str) -> None:
    """Copies a remote file to a local path."""
    filesystem, inner = _located(path)
    with _telling(path), filesystem.open_input_file(inner) as source, open(local, "wb") as target:
        while data := source.read(PART_BYTES):
            target.write(data)


def delete(path: str) -> None:
    """Removes a file, if it is there."""
    with contextlib.suppress(FileNotFoundError):
        if not is_remote(path):
            os.unlink(_local(path))
            return
        filesystem, inner = _located(path)
        with _telling(path):
            filesystem.delete_file(inner)


def delete_tree(folder: str) -> None:
    """Removes a folder with all that is in it, if it is there."""
    if not is_remote(folder):
        shutil.rmtree(_local(folder), ignore_errors=True)
        return
    filesystem, inner = _located(folder)
    with contextlib.suppress(FileNotFoundError), _telling(folder):
        filesystem.delete_dir(inner)


def free_bytes(path: str) -> int | None:
    """Returns the room that is left where a path will be; None where the store has no bound."""
    if is_remote(path):
        return None
    folder = os.path.abspath(_local(path))
    while not os.path.exists(folder):
        folder = os.path.dirname(folder)
    return shutil.disk_usage(folder).free


def _local(path: str) -> str:
    return path[len("file://") :] if path.startswith("file://") else path


def _beside(path: str) -> str:
    folder, name = posixpath.split(path)
    return f"{folder}/.tmp-{uuid.uuid4().hex[:8]}-{name}" if folder else f".tmp-{name}"


def _local_files(folder: str, recursive: bool) -> Iterator[Entry]:
    try:
        with os.scandir(_local(folder)) as found:
            entries = list(found)
    except FileNotFoundError:
        return
    for entry in entries:
        if entry.is_file():
            about = entry.stat()
            yield Entry(entry.path, about.st_size, about.st_mtime_ns)
        elif recursive and entry.is_dir(follow_symlinks=False):
            yield from _local_files(entry.path, True)


def _remote_files(folder: str, recursive: bool) -> Iterator[Entry]:
    _, root = _located(folder)
    for info in _select(folder, recursive=recursive):
        if info.type == fs.FileType.File:
            inner = info.path.strip("/")[len(root.strip("/")) :]
            yield Entry(join(folder, inner), int(info.size), int(info.mtime_ns or 0))


def _select(folder: str, *, recursive: bool) -> list[Any]:
    filesystem, inner = _located(folder)
    chosen = fs.FileSelector(inner, allow_not_found=True, recursive=recursive)
    with _telling(folder):
        return list(filesystem.get_file_info(chosen))


def _info(path: str) -> Any:
    filesystem, inner = _located(path)
    with _telling(path):
        return filesystem.get_file_info(inner)


def _upload(path: str, data: Any) -> None:
    filesystem, inner = _located(path)
    if _scheme_of(path) in _WHOLE_PUTS:
        _write(filesystem, inner, data)
        return
    temporary = _beside(inner)
    filesystem.create_dir(posixpath.dirname(inner), recursive=True)
    _write(filesystem, temporary, data)
    with contextlib.suppress(FileNotFoundError):
        filesystem.delete_file(inner)
    filesystem.move(temporary, inner)


def _write(filesystem: Any, inner: str, data: Any) -> None:
    with filesystem.open_output_stream(inner, compression=None) as stream:
        for start in range(0, data.size, PART_BYTES):
            stream.write(data.slice(start, min(PART_BYTES, data.size - start)))


def _scheme_of(path: str) -> str:
    return path.partition("://")[0].lower()


def _located(path: str) -> tuple[Any, str]:
    """Returns the file system of a URI and the path in it."""
    found = _SCHEME.match(path)
    assert found is not None  # the callers ask `is_remote` first
    filesystem, root = _filesystem(found[1].lower(), found[2])
    inner = found[3].strip("/")
    return filesystem, f"{root.rstrip('/')}/{inner}" if inner else root


@functools.lru_cache(maxsize=64)
def _filesystem(scheme: str, authority: str) -> tuple[Any, str]:
    """Returns a file system, and the path in it that a URI without a path stands for."""
    uri = f"{scheme}://{authority}"
    if ":" in authority.rpartition("@")[0]:
        raise StorageError(
            f"{scheme}://...@{authority.rpartition('@')[2]}: must have no password: it would stand in "
            f"logs; give credentials by the environment (docs/storage.md)"
        )
    with _telling(uri):
        if scheme == "s3":
            return _s3(authority), authority
        try:
            filesystem, root = fs.FileSystem.from_uri(f"{uri}/")
        except pa.ArrowInvalid:
            return _by_fsspec(scheme, uri)
    return filesystem, root


def _s3(bucket: str) -> Any:
    """Returns S3 as the environment describes it; this constructor reads no endpoint there by itself."""
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    if not bucket:
        raise StorageError("s3://: must name a bucket, as in s3://bucket/prefix")
    if region is None:
        region = "us-east-1" if endpoint else fs.resolve_s3_region(bucket)
    return fs.S3FileSystem(
        region=region,
        endpoint_override=endpoint,
        allow_delayed_open=True,  # a small object is one request
        retry_strategy=fs.AwsStandardS3RetryStrategy(max_attempts=S3_ATTEMPTS),
    )


def _by_fsspec(scheme: str, uri: str) -> tuple[Any, str]:
    try:
        import fsspec
    except ImportError:
        raise StorageError(
            f"{uri}: pyarrow does not know {scheme}://; with the package fsspec, and the one that it "
            f"names for this scheme, it can be used"
        ) from None
    try:
        filesystem, root = fsspec.core.url_to_fs(f"{uri}/")
    except ValueError:
        known = "s3, gs, abfs, hdfs and what fsspec has"
        raise StorageError(
            f"{uri}: no file system has the scheme {scheme}; known: {known}"
        ) from None
    except ImportError as missing:
        raise StorageError(f"{uri}: a package is missing: {missing}") from None
    return fs.PyFileSystem(fs.FSSpecHandler(filesystem)), root


_CAUSES = {
    "there is no such bucket or container": r"NO_SUCH_BUCKET|NoSuchBucket|bucket does not exist",
    "the store refuses the credentials, or they do not allow it; see docs/storage.md for what is "
    "needed": r"ACCESS_DENIED|AccessDenied|INVALID_ACCESS_KEY|InvalidAccessKeyId|"
    r"INVALID_SIGNATURE|SIGNATURE|SignatureDoesNotMatch|Forbidden|PERMISSION_DENIED|HTTP response code: 403|"
    r"Unauthorized",
    "the store cannot be reached": r"NETWORK_CONNECTION|resolve host|Connection refused|timed out",
    "a library that this scheme needs is missing": r"Unable to load lib(?:jvm|hdfs)",
}


@contextlib.contextmanager
def _telling(path: str) -> Iterator[None]:
    """Turns what a file system raises into an error that names the URI; a missing file stays what it is."""
    try:
        yield
    except FileNotFoundError:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path) from None
    except (OSError, pa.ArrowException) as failure:
        text = " ".join(str(failure).split())
        cause = next((c for c, signs in _CAUSES.items() if re.search(signs, text)), None)
        told = f"{cause} ({text[:300]})" if cause else text[:300]
        raise StorageError(f"{path}: {told}") from failure
