"""Which posts are later versions of others, by what their platforms say of them."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sluice.schemas.arrays import Bools, Uint64s


def version_numbers(post_ids: pa.StringArray, alias_ids: pa.StringArray) -> Uint64s:
    """Returns (N,) uint64, the ids of posts that name the first of their versions; 0 for all others.

    X gives each version an id of its own, a number that grows.

    >>> version_numbers(pa.array(["12", "12", "at://a"]), pa.array(["11", None, "11"])).tolist()
    [12, 0, 0]
    """
    is_number = pc.match_substring_regex(post_ids, r"^\d{1,19}$")
    numbers = pc.if_else(pc.and_(is_number, alias_ids.is_valid()), post_ids, "0")
    return np.asarray(numbers.cast(pa.uint64()))


def is_version(
    post_ids: pa.StringArray, alias_ids: pa.StringArray, edited_at: pa.TimestampArray
) -> Bools:
    """Returns (N,) bool: whether each post says that it is a later version of itself or another."""
    return np.asarray(
        edited_at.is_valid().to_numpy(zero_copy_only=False)
        | (version_numbers(post_ids, alias_ids) > 0)
    )
