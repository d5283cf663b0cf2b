"""What meets by an id: posts, versions that clean rejected, and notices; and the rows in which they are sent.

Shape suffixes: N rows.
"""

from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sluice.filters.dedup.exact_hash import ID_SEED
from sluice.filters.text.hashing import hash_texts
from sluice.schemas.arrays import Array, Uint32s, Uint64s

POST: Final = 0
"""A post of a payload, by an id of its own: notices and later versions take it out."""
NAMED: Final = 1
"""A post that only notices take out by the id: one of a file of rows, or by its author or another name."""
VERSION: Final = 2
"""A version of a post that clean rejected."""
REPOST: Final = 3
"""A post by the id of that which it repeats: with it goes its text."""
GONE: Final = 4
BACK: Final = 5
"""Notices of this run: what is named is gone, or may be used again."""
GONE_EARLIER: Final = 6
"""A notice of an earlier day."""
REFUSED: Final = 7
ALLOWED: Final = 8
"""Notices of this run: the author refuses training, or allows it."""

DELETED: Final = 0
SUPERSEDED: Final = 1
NO_CONSENT: Final = 2
TOO_MANY: Final = 3
REASONS: Final = ("deleted", "superseded", "no_consent", "too_many_of_author")
STAGES: Final = ("deleted", "superseded", "no_consent", "author_day_cap")
"""Why a post is out: reasons and stages of reject rows, by code; of several the lowest counts."""

NEVER: Final = int(np.iinfo(np.int64).min)
"""The time of what has none."""
NO_PLACE: Final = 0
"""The place in its author's day of a post that is out for another reason."""

SENT: Final = pa.schema(
    [
        ("key", pa.uint64()),
        ("check", pa.uint64()),
        ("role", pa.uint8()),
        ("platform", pa.uint32()),
        ("number", pa.uint64()),
        ("time", pa.int64()),
        ("unit", pa.uint32()),
        ("row", pa.uint32()),
        ("author", pa.uint64()),
        ("author_check", pa.uint64()),
        ("platform_name", pa.string()),
        ("id", pa.string()),
        ("author_id", pa.string()),
    ]
)
"""The `sent` edge. `key` and `check` are two hashes of an id; `platform` is a hash of its name, 0 where that
is unknown. `number` and `time` order the versions of a post, `time` also notices. `author` and `author_check`
are 0 unless authors have a cap. Only notices have names and ids."""

FOUND: Final = pa.schema([("row", pa.uint32()), ("reason", pa.uint8()), ("place", pa.uint32())])
"""The `found` edge: posts of a clean unit that are out, and why; `place` is that in the author's day."""

AUTHORED: Final = pa.schema(
    [
        ("author", pa.uint64()),
        ("author_check", pa.uint64()),
        ("is_out", pa.bool_()),
        ("time", pa.int64()),
        ("post_id", pa.string()),
        ("unit", pa.uint32()),
        ("row", pa.uint32()),
    ]
)
"""The `authors` edge: posts by their authors; and those that are out already, without time and id."""

_AUTHOR_SEEDS = (11, 12)


def id_keys(ids: pa.StringArray) -> tuple[Uint64s, Uint64s]:
    """Returns two hashes of each id of a post, (N,) each."""
    return hash_texts(ids, seed=ID_SEED), hash_texts(ids, seed=ID_SEED + 1)


def author_keys(ids: pa.StringArray) -> tuple[Uint64s, Uint64s]:
    """Returns two hashes of each id of an author, (N,) each: others than those of a post of the same id."""
    return hash_texts(ids, seed=_AUTHOR_SEEDS[0]), hash_texts(ids, seed=_AUTHOR_SEEDS[1])


def platform_keys(names: pa.StringArray) -> Uint32s:
    """Returns (N,) uint32, a hash of the name of each platform; 0 for null and for none else.

    >>> keys = platform_keys(pa.array(["x", "x", None]))
    >>> int(keys[0]) == int(keys[1]) != 0, int(keys[2])
    (True, 0)
    """
    hash_N = (hash_texts(names, seed=3) >> np.uint64(32)).astype(np.uint32) | np.uint32(1)
    return np.where(_is_there(names), hash_N, np.uint32(0)).astype(np.uint32)


def times_of(times: pa.TimestampArray) -> Array:
    """Returns (N,) int64, microseconds since 1970, NEVER for null."""
    return np.asarray(pc.fill_null(times.cast(pa.int64()), NEVER))


def _is_there(values: pa.Array) -> Array:
    return np.asarray(values.is_valid().to_numpy(zero_copy_only=False))
