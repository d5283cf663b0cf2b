"""What payloads say against the use of a post: the names in the column `consent`, and how it is made."""

from collections.abc import Mapping
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

SIGNALS: Final = {
    "no_training": "the author refuses training on what they write",
    "no_unauthenticated": "the author shows their posts to those alone who are signed in (Bluesky)",
    "not_discoverable": "the author has not agreed to be shown to strangers (Mastodon)",
    "not_indexable": "the author has not agreed that their posts are found by search (Mastodon)",
    "protected": "the author shows their posts to followers alone (X)",
    "withheld": "X withholds the post or its author, in some country or everywhere",
}
"""Names that `consent` may have -> what each means."""


def consent_of(says: pa.BooleanArray, refusals: Mapping[str, pa.BooleanArray]) -> pa.StringArray:
    """Returns the column `consent`: what refuses the use of each post, sorted, joined by a blank.

    Args:
        says: (N,) bool, whether the payload has a say at all; a post without one has null.
        refusals: keys of SIGNALS -> (N,) bool, whether it is refused; null is no refusal.

    >>> flags = [pa.array(each) for each in ([True, True, None], [True, None, None])]
    >>> consent_of(flags[0], {"withheld": flags[0], "protected": flags[1]}).to_pylist()
    ['protected withheld', 'withheld', None]
    >>> consent_of(pa.array([True, False]), {}).to_pylist()
    ['', None]
    """
    joined = pa.repeat("", len(says))
    for name in sorted(refusals):
        if pc.any(refusals[name], min_count=0).as_py():
            word = pc.if_else(refusals[name].fill_null(False), f" {name}", "")
            joined = pc.binary_join_element_wise(joined, word, "")
    null = pa.scalar(None, pa.string())
    return pc.if_else(says.fill_null(False), pc.utf8_ltrim_whitespace(joined), null)


def is_true(flags: pa.StringArray) -> pa.BooleanArray:
    """Returns (N,) bool, where a part is `true`; null where it is not there."""
    return pc.equal(flags, "true")


def is_false(flags: pa.StringArray) -> pa.BooleanArray:
    """Returns (N,) bool, where a part is `false`; null where it is not there."""
    return pc.equal(flags, "false")


def any_of(*flags: pa.BooleanArray) -> pa.BooleanArray:
    """Returns (N,) bool, where one of some flags is true; null counts as false."""
    result = flags[0].fill_null(False)
    for each in flags[1:]:
        result = pc.or_(result, each.fill_null(False))
    return result


def any_there(*values: pa.Array) -> pa.BooleanArray:
    """Returns (N,) bool, where one of some columns has a value."""
    return any_of(*(each.is_valid() for each in values))
