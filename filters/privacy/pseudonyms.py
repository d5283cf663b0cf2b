"""Pseudonyms of handles, by a key: one person is one pseudonym, which nobody can tell without the key."""

import pyarrow as pa
import pyarrow.compute as pc

from sluice.filters.privacy.keyed_ids import IdKey

_PREFIX = "@user_"


def pseudonyms(handles: pa.StringArray, *, key: IdKey) -> pa.StringArray:
    """Returns a handle of 22 characters for each handle: equal ones are equal, in either case.

    It has 80 bits of a keyed hash: of a billion people two share one with a chance of 4e-7.

    Args:
        handles: (M,) string, with @.
        key: that they are hashed with.

    Returns:
        (M,) string, in the order of the rows.

    >>> one, other = pseudonyms(pa.array(["@Ann", "@ann"]), key=IdKey(bytes(32))).to_pylist()
    >>> one == other, len(one)
    (True, 22)
    """
    encoded = pc.dictionary_encode(pc.utf8_lower(handles))
    names = [f"{_PREFIX}{key.handle(handle)}" for handle in encoded.dictionary.to_pylist()]
    return pa.array(names, pa.string()).take(encoded.indices)
