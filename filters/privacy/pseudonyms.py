"""Pseudonyms of handles, by a key: one person is one pseudonym, which nobody can tell without the key."""

import base64
import hashlib

import pyarrow as pa
import pyarrow.compute as pc

KEY_BYTES = 16
"""Fewest bytes of a key."""
_DIGEST_BYTES = 10
_PREFIX = "@user_"


def pseudonyms(handles: pa.StringArray, *, key: bytes) -> pa.StringArray:
    """Returns a handle of 22 characters for each handle: equal ones are equal, in either case.

    It is BLAKE2b under the key, cut to 80 bits: of a billion people two share one with a chance of 4e-7.

    Args:
        handles: (M,) string, with @.
        key: 16 to 64 bytes, secret.

    Returns:
        (M,) string, in the order of the rows.

    Raises:
        ValueError: the key is too short or too long.

    >>> one, other = pseudonyms(pa.array(["@Ann", "@ann"]), key=bytes(16)).to_pylist()
    >>> one == other, one
    (True, '@user_k4p7xtbafkduzu4y')
    """
    if not KEY_BYTES <= len(key) <= hashlib.blake2b.MAX_KEY_SIZE:
        raise ValueError(
            f"the key of pseudonyms must have {KEY_BYTES} to {hashlib.blake2b.MAX_KEY_SIZE} bytes, "
            f"got {len(key)}: make one with `head -c 32 /dev/urandom`"
        )
    encoded = pc.dictionary_encode(pc.utf8_lower(handles))
    names = [_pseudonym(handle, key) for handle in encoded.dictionary.to_pylist()]
    return pa.array(names, pa.string()).take(encoded.indices)


def _pseudonym(handle: str, key: bytes) -> str:
    digest = hashlib.blake2b(handle.encode(), digest_size=_DIGEST_BYTES, key=key).digest()
    return _PREFIX + base64.b32encode(digest).decode().lower()
