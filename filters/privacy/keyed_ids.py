"""Ids as keyed hashes: equal ids are equal, and nobody can tell an id, or try ids, without the key."""

import base64
import hashlib
from collections.abc import Iterable
from itertools import repeat
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sluice.schemas.arrays import Array, Uint64s

MIN_KEY_BYTES: Final = 32
"""Fewest bytes of a key."""
AUTHOR_KEY: Final = pa.field("author_key", pa.string())
"""The column that stands for a post's author."""
_DIGEST_BYTES = 16
_HANDLE_BYTES = 10
_AUTHOR, _POST, _TOKENS, _CHECK = b"author", b"post", b"tokens", b"check"
_HANDLE = b"handle"


class IdKey:
    """A key, and the hashes of ids under it: BLAKE2b of 128 bits, as 32 hexadecimal digits.

    Hashes of authors, posts, handles and tokens are of different families: an author's id is never taken
    for a post's.

    >>> key = IdKey(bytes(32))
    >>> key.post("7") == key.post("7"), key.post("7") == key.author("x", "7"), len(key.post("7"))
    (True, False, 32)

    Args:
        secret: at least 32 bytes; more than 64 are hashed to 64.

    Raises:
        ValueError: it is too short.
    """

    def __init__(self, secret: bytes):
        if len(secret) < MIN_KEY_BYTES:
            raise ValueError(
                f"a key must have at least {MIN_KEY_BYTES} bytes, got {len(secret)}: make one with "
                f"`head -c 32 /dev/urandom`"
            )
        self._key = secret if len(secret) <= 64 else hashlib.blake2b(secret).digest()

    def _hash(self, family: bytes, data: bytes) -> str:
        return self._digest(family, data, _DIGEST_BYTES).hex()

    def _digest(self, family: bytes, data: bytes, size: int) -> bytes:
        return hashlib.blake2b(data, digest_size=size, key=self._key, person=family).digest()

    @property
    def check(self) -> str:
        """What tells one key from another, and nothing about it."""
        return self._hash(_CHECK, b"")

    def post(self, post_id: str) -> str:
        """Returns the hash of a post's id, whatever its platform."""
        return self._hash(_POST, post_id.encode())

    def author(self, platform: str | None, author_id: str) -> str:
        """Returns the hash of an author's id on a platform; None where the input names none."""
        return self._hash(_AUTHOR, f"{platform or ''}\0{author_id}".encode())

    def handle(self, handle: str) -> str:
        """Returns 80 bits of the hash of a handle as 16 letters and digits, as handles may have them."""
        digest = self._digest(_HANDLE, handle.encode(), _HANDLE_BYTES)
        return base64.b32encode(digest).decode().lower()

    def tokens(self, tokens_T: Array) -> str:
        """Returns the hash of (T,) token ids, as int32."""
        return self._hash(_TOKENS, tokens_T.astype("<i4").tobytes())

    def posts(self, post_ids: pa.StringArray) -> pa.StringArray:
        """Returns (N,) string, the hashes of posts' ids; null where there is none."""
        return pa.array(
            [None if i is None else self.post(i) for i in post_ids.to_pylist()], pa.string()
        )

    def halves(self, post_ids: pa.StringArray) -> Uint64s:
        """Returns (N, 2) uint64, the two halves of the hashes of posts' ids; zeros where there is none.

        >>> key = IdKey(bytes(32))
        >>> "".join(f"{half:016x}" for half in key.halves(pa.array(["7"]))[0]) == key.post("7")
        True
        """
        begun = hashlib.blake2b(digest_size=_DIGEST_BYTES, key=self._key, person=_POST)
        digests = []
        for post_id in post_ids.to_pylist():
            one = begun.copy()
            one.update((post_id or "").encode())
            digests.append(one.digest() if post_id is not None else bytes(_DIGEST_BYTES))
        return np.frombuffer(b"".join(digests), ">u8").reshape(-1, 2).astype(np.uint64)

    def authors(self, platforms: pa.StringArray, author_ids: pa.StringArray) -> pa.StringArray:
        """Returns (N,) string, the hashes of authors' ids; null where a post has none.

        >>> hashed = IdKey(bytes(32)).authors(pa.array([None, "x", "x"]), pa.array(["7", "7", None]))
        >>> hashed[0] == hashed[1], hashed[2].as_py()
        (False, None)
        """
        authors = pc.dictionary_encode(author_ids)
        if platforms.null_count == len(platforms):
            return self._of(repeat(None), authors.dictionary).take(authors.indices)
        pairs = pa.table({"platform": platforms, "author": author_ids})
        return self._of(pairs["platform"].to_pylist(), pairs["author"])

    def _of(
        self, platforms: Iterable[str | None], authors: pa.StringArray | pa.ChunkedArray
    ) -> pa.StringArray:
        hashes = [
            None if author is None else self.author(platform, author)
            for platform, author in zip(platforms, authors.to_pylist(), strict=False)
        ]
        return pa.array(hashes, pa.string())
