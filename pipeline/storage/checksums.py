"""Checksums of the files between phases: a bit that flips on a disk must not become data.

CRC-32 finds every error of up to 32 bits in a row, and all others but one in four billion. It runs at the
speed of memory, and comes with the library that unpacks the inputs. Files of the contract have SHA-256.
"""

import os
from functools import lru_cache
from typing import Any

import pyarrow as pa
from isal import isal_zlib

_SEAL = b',\n "crc32": "'
_END = b'"\n}'


def crc32(data: Any, value: int = 0) -> int:
    """Returns the CRC-32 of bytes; of several pieces where `value` is that of those before."""
    return int(isal_zlib.crc32(data, value))


def file_crc32(path: str) -> int:
    """Returns the CRC-32 of a local file; it is read once in a process, unless it is written again."""
    stat = os.stat(path)
    return _file_crc32(path, stat.st_mtime_ns, stat.st_ino, stat.st_size)


@lru_cache(maxsize=1 << 16)
def _file_crc32(path: str, mtime_ns: int, inode: int, size: int) -> int:
    if not size:
        return 0
    with pa.memory_map(path) as file:
        return crc32(file.read_buffer())


def seal(text: bytes) -> bytes:
    """Returns a JSON object of several lines with the checksum of its text as its last key."""
    body = text.rstrip().removesuffix(b"}").rstrip()
    return body + _SEAL + b"%08x" % crc32(body) + _END


def unsealed(text: bytes) -> bytes:
    """Returns a sealed JSON object, checked and without its seal.

    Raises:
        ValueError: it was cut or changed.
    """
    body, seal_key, rest = text.rpartition(_SEAL)
    if not seal_key or rest != b"%08x" % crc32(body) + _END:
        raise ValueError("its checksum is not that of its text: it was cut or changed")
    return body + b"\n}"
