"""What a recipe's `[privacy]` makes of authors' ids and of texts, with its key."""

import pyarrow as pa

from sluice.filters.privacy.keyed_ids import AUTHOR_KEY, IdKey
from sluice.filters.privacy.masking import Masking
from sluice.pipeline.recipes.schema import PrivacySection
from sluice.pipeline.storage.key_file import read_key
from sluice.schemas.post import POST


def key_of(privacy: PrivacySection) -> IdKey | None:
    """Returns the key of a recipe, read once a process; None where nothing needs one."""
    if privacy.keyed is None or privacy.key_file is None:
        return None
    return read_key(privacy.key_file, where="privacy.key_file")


def masking_of(privacy: PrivacySection) -> Masking | None:
    """Returns what is masked, and how; None where nothing is."""
    key = key_of(privacy) if privacy.handle == "pseudonym" else None
    return Masking(privacy.kinds, key) if privacy.kinds else None


def with_keyed_authors(posts: pa.RecordBatch, privacy: PrivacySection) -> pa.RecordBatch:
    """Returns posts with what a recipe wants to know of their authors: `author_key`, and `author_id`."""
    key, authors = key_of(privacy), posts.column("author_id")
    if privacy.author_key and key is not None:
        posts = posts.append_column(AUTHOR_KEY, key.authors(posts.column("platform"), authors))
    at, known = posts.schema.get_field_index("author_id"), author_ids(authors, privacy)
    return posts.set_column(at, POST.field("author_id"), known)


def author_ids(authors: pa.StringArray, privacy: PrivacySection) -> pa.StringArray:
    """Returns (N,) string, the ids of authors as a recipe wants them.

    A hashed one does not depend on the platform, which not all inputs name: rules by author go by the id.
    """
    if privacy.author_id == "keep":
        return authors
    key, none = key_of(privacy), pa.nulls(len(authors), pa.string())
    return none if privacy.author_id == "drop" or key is None else key.authors(none, authors)
