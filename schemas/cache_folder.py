"""The user's cache folder: files that were written by us alone, and are valid for as long as they are there.

Some of what is kept there is executed (compiled kernels), or believed (`remembered`). So a folder that others
may write to is not used, and a file begins with a checksum: what was cut, changed or put under a wrong name
counts as missing. A file is written under another name and renamed. Nothing may count on what is there.
"""

import contextlib
import hashlib
import logging
import os
import stat
import time
import uuid
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

UNUSED_DAYS: Final = 30
"""Days after which a file that was not used is deleted."""

_MAGIC: Final = b"sluice kernel 2\n"
_DAY_SECONDS: Final = 86_400
_OURS: Final = (".kernel", ".fact", ".tmp")
_T = TypeVar("_T")


def private_folder(*names: str) -> str | None:
    """Returns a folder in the user's cache, made where it is not there; None where there can be none.

    Args:
        names: of the folder and those above it. No user but ours may write to any of them.
    """
    caches = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    home = os.path.abspath(os.environ.get("SLUICE_CACHE_DIR") or os.path.join(caches, "sluice"))
    folders = [os.path.join(home, *names[:depth]) for depth in range(len(names) + 1)]
    try:
        os.makedirs(os.path.dirname(home), exist_ok=True)
        return folders[-1] if all(map(_made_private, folders)) else None
    except OSError:
        return None


def _made_private(folder: str) -> bool:
    """Makes a folder for us alone, where there is none; returns whether only we can write to it."""
    with contextlib.suppress(FileExistsError):
        os.mkdir(folder, 0o700)
    status = os.stat(folder)
    if status.st_uid == os.geteuid() and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return True
    _warn(folder)
    return False


@cache
def _warn(folder: str) -> None:
    logging.getLogger(__name__).warning(
        "%s: kernels are compiled at each start: others may write to the folder (chmod go-w), or own it",
        folder,
    )


def remembered(name: str, identity: Any, kind: type[_T], work_out: Callable[[], _T]) -> _T:
    """Returns what was worked out of something before, by any process of this user, or works it out.

    Args:
        name: what it is, as a part of a file's name.
        identity: all that the result follows from, as its `repr` says: digests of files and sources.
        kind: the result's type, which msgspec can encode.
        work_out: returns the result; what it raises is not kept.
    """
    folder = private_folder("facts")
    if folder is None:
        return work_out()
    digest = hashlib.sha256(repr(identity).encode()).hexdigest()
    path = Path(folder, f"{name}-{digest[:32]}.fact")
    payload = read_whole(path)
    with contextlib.suppress(msgspec.MsgspecError):
        if payload is not None:
            mark_used(path)
            return msgspec.msgpack.decode(payload, type=kind)
    result = work_out()
    with contextlib.suppress(OSError):
        write_whole(path, msgspec.msgpack.encode(result))
        delete_unused(path.parent)
    return result


def mark_used(path: Path) -> None:
    """Sets the time of a file to now, if it is not of today: `delete_unused` goes by it."""
    with contextlib.suppress(OSError):
        if path.stat().st_mtime < time.time() - _DAY_SECONDS:
            os.utime(path)


@cache
def delete_unused(folder: Path) -> None:
    """Deletes the files in a folder and its folders that no process has used for UNUSED_DAYS.

    It does so once in a process. A process that reads one at that moment has it open, or does without.
    """
    oldest = time.time() - UNUSED_DAYS * _DAY_SECONDS
    for path in (*folder.glob("*"), *folder.glob("*/*")):
        with contextlib.suppress(OSError):
            if path.suffix in _OURS and path.stat().st_mtime < oldest:
                path.unlink()


def write_whole(path: Path, payload: bytes) -> None:
    """Writes a payload so that a reader sees all of it or none; raises OSError where it cannot."""
    temporary = path.with_name(f".{uuid.uuid4().hex}.tmp")
    try:
        temporary.write_bytes(_MAGIC + _checksum(path.name, payload) + payload)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise


def read_whole(path: Path) -> bytes | None:
    """Returns the payload of a file, or None where it is missing or not as it was written."""
    try:
        content = path.read_bytes()
    except OSError:
        return None
    payload = content[len(_MAGIC) + 32 :]
    return payload if content == _MAGIC + _checksum(path.name, payload) + payload else None


def _checksum(name: str, payload: bytes) -> bytes:
    return hashlib.sha256(name.encode() + b"\0" + payload).digest()
