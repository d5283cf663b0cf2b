"""Files that are replaced only if they still hold what their writer has seen: what a lease is made of."""

import contextlib
import functools
from typing import Any

from sluice.pipeline.storage import files as storage
from sluice.pipeline.storage.filesystems import errors_of, s3_place, scheme

_CHANGED = ("PreconditionFailed", "ConditionalRequestConflict", "NoSuchKey")


def read_or_none(path: str) -> bytes | None:
    """Returns what is in a file, or None where there is none."""
    try:
        return storage.read_bytes(path)
    except FileNotFoundError:
        return None


def replace(path: str, *, old: bytes | None, new: bytes) -> bool:
    """Writes a file if it holds `old`; returns whether it now holds `new`.

    On S3, where boto3 is installed, the store itself compares (If-Match and If-None-Match), so that one of
    several writers succeeds. Elsewhere the file is read and then written: of writers within a moment of each
    other, more than one may succeed.

    Args:
        path: of a small file.
        old: what it must hold; None where it must not exist.
        new: what no other writer writes. A file that holds it already was written by an earlier try.
    """
    found = read_or_none(path)
    if found != old:
        return found == new
    if scheme(path) == "s3":
        with contextlib.suppress(ImportError), errors_of(path):
            return _put_in_s3(path, old, new)
    storage.write_bytes(path, new)
    return True


def _put_in_s3(path: str, old: bytes | None, new: bytes) -> bool:
    bucket, _, key = path.partition("://")[2].partition("/")
    client, place = s3_client(bucket), {"Bucket": bucket, "Key": key}
    condition = {"IfNoneMatch": "*"}
    try:
        if old is not None:
            held = client.get_object(**place)
            if held["Body"].read() != old:
                return False
            condition = {"IfMatch": held["ETag"]}
        client.put_object(**place, Body=new, **condition)
    except client.exceptions.ClientError as refused:
        if refused.response["Error"]["Code"] not in _CHANGED:
            raise OSError(str(refused)) from refused
        return read_or_none(path) == new  # true where the answer to an earlier try was lost
    except Exception as failure:
        raise OSError(f"{type(failure).__name__}: {failure}") from failure
    return True


@functools.lru_cache(maxsize=8)
def s3_client(bucket: str) -> Any:
    """Returns boto3's client of S3, for the store that pyarrow is told to use."""
    import boto3

    endpoint, region = s3_place(bucket)
    return boto3.client("s3", endpoint_url=endpoint, region_name=region)
