"""The file of the key that ids are hashed with."""

from functools import lru_cache

from sluice.filters.privacy.keyed_ids import IdKey
from sluice.pipeline.storage import files as storage
from sluice.schemas.errors import RecipeError


@lru_cache(maxsize=4)
def read_key(path: str, *, where: str = "key file") -> IdKey:
    """Returns the key that a file holds; read once a process.

    Args:
        path: of the file, or its URI.
        where: begins the message of an error.

    Raises:
        RecipeError: the file is missing, cannot be read or is too short.
    """
    try:
        return IdKey(storage.read_bytes(path))
    except OSError as error:
        why = error.strerror or str(error)
        raise RecipeError(
            f"{where} = {path!r}: {why}: make one with `head -c 32 /dev/urandom > FILE`, and keep it: "
            f"with another one, ids have other hashes"
        ) from None
    except ValueError as error:
        raise RecipeError(f"{where} = {path!r}: {error}") from None
