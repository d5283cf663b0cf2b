"""The file system of a path, as a `pyarrow.fs.FileSystem`, and what its errors mean.

A path with `://` is remote: `s3://bucket/prefix`, `gs://`, `abfs://` and `hdfs://` by pyarrow, any other
scheme by fsspec, if it is installed. Everything else, and `file://`, is local.

Credentials and endpoints are the environment's, as the store's own tools take them (for S3
`AWS_ACCESS_KEY_ID`, `AWS_PROFILE`, roles, `AWS_REGION`, `AWS_ENDPOINT_URL`); a path with a password or with
options is refused, because paths appear in logs and messages. What fails for a while is tried again: S3 up to
`S3_ATTEMPTS` times with growing pauses, GCS for its library's 15 minutes, others as their libraries do.
"""

import contextlib
import errno
import functools
import os
import re
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
from pyarrow import fs

from sluice.schemas.errors import StorageError

S3_ATTEMPTS = 10
_PUT_WHOLE = frozenset({"s3", "gs", "gcs", "abfs", "abfss"})
_URI = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]*)://([^/]*)(.*)$", re.DOTALL)
_LOCAL = fs.LocalFileSystem()


def is_remote(path: str) -> bool:
    """Returns whether a path is a URI of something else than a local file."""
    return scheme(path) not in ("", "file")


def scheme(path: str) -> str:
    """Returns the scheme of a URI in lower case, or "" for a path without one."""
    uri = _URI.match(path)
    return uri[1].lower() if uri else ""


def puts_whole(path: str) -> bool:
    """Returns whether the store of a path shows an object only once it is complete."""
    return scheme(path) in _PUT_WHOLE


def local(path: str) -> str:
    """Returns a local path without the `file://` that it may begin with."""
    return path.removeprefix("file://")


def located(path: str) -> tuple[Any, str]:
    """Returns the file system of a path, and the path in it."""
    uri = _URI.match(path)
    if uri is None or not is_remote(path):
        return _LOCAL, os.path.abspath(local(path))
    filesystem, root = _filesystem(uri[1].lower(), uri[2])
    inner = uri[3].strip("/")
    return filesystem, f"{root.rstrip('/')}/{inner}" if inner else root


@functools.lru_cache(maxsize=64)
def _filesystem(scheme: str, authority: str) -> tuple[Any, str]:
    """Returns a file system, and the path in it that a URI without a path names."""
    uri = f"{scheme}://{authority}"
    if ":" in authority.rpartition("@")[0]:
        raise StorageError(
            f"{scheme}://...@{authority.rpartition('@')[2]}: must have no password: it would appear in "
            f"logs; give credentials by the environment (docs/storage.md)"
        )
    with errors_of(uri):
        if scheme == "s3":
            return _s3(authority), authority
        try:
            filesystem, root = fs.FileSystem.from_uri(f"{uri}/")
        except pa.ArrowInvalid:
            return _by_fsspec(scheme, uri)
    return filesystem, root


def s3_place(bucket: str) -> tuple[str | None, str]:
    """Returns the endpoint of S3, None for Amazon's, and the region of a bucket, by the environment."""
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    if region is None:
        region = "us-east-1" if endpoint else fs.resolve_s3_region(bucket)
    return endpoint, region


def _s3(bucket: str) -> Any:
    """Returns S3 as the environment describes it; this constructor reads no endpoint there by itself."""
    if not bucket:
        raise StorageError("s3://: must name a bucket, as in s3://bucket/prefix")
    endpoint, region = s3_place(bucket)
    return fs.S3FileSystem(
        region=region,
        endpoint_override=endpoint,
        allow_delayed_open=True,  # a small object is one request
        retry_strategy=fs.AwsStandardS3RetryStrategy(max_attempts=S3_ATTEMPTS),
    )


def _by_fsspec(scheme: str, uri: str) -> tuple[Any, str]:
    try:
        import fsspec

        filesystem, root = fsspec.core.url_to_fs(f"{uri}/")
    except ValueError:
        known = "s3, gs, abfs, hdfs and what fsspec has"
        raise StorageError(
            f"{uri}: no file system has the scheme {scheme}; known: {known}"
        ) from None
    except ImportError as missing:
        raise StorageError(
            f"{uri}: pyarrow does not know {scheme}://, and fsspec cannot use it: a package is missing: "
            f"{missing}"
        ) from None
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
def errors_of(path: str) -> Iterator[None]:
    """Turns what a file system raises in the block into an error that names the path.

    What the operating system refuses, and a missing file anywhere, stays the OSError that it is; all other
    failures are StorageErrors.
    """
    try:
        yield
    except (OSError, pa.ArrowException) as failure:
        number = getattr(failure, "errno", None)
        if isinstance(failure, FileNotFoundError):
            number = errno.ENOENT
        elif is_remote(path):
            number = None
        if number is not None:
            raise OSError(number, os.strerror(number), path) from None
        text = " ".join(str(failure).split())
        cause = next((c for c, signs in _CAUSES.items() if re.search(signs, text)), None)
        told = f"{cause} ({text[:300]})" if cause else text[:300]
        raise StorageError(f"{path}: {told}") from failure
