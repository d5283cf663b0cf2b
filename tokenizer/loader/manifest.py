"""What a loader reads of manifest.json, with the standard library alone; docs/output.md has the rest."""

import json
from typing import Any, Final, NamedTuple

from sluice.schemas.errors import VerifyError
from sluice.schemas.token_shard import ShardFormat

MANIFEST_VERSION: Final = 1
TOKENIZER: Final = "tokenizer/tokenizer.json"


class ListedShard(NamedTuple):
    """A shard as the manifest names it.

    Attributes:
        sha256: of the shard as its run wrote it, whatever was forgotten since.
    """

    path: str
    bytes: int
    sha256: str
    sequences: int


class ListedShards(NamedTuple):
    """The shards of a run, the numbers that they share, and the SHA-256 of the tokenizer of their ids."""

    format: ShardFormat
    sequences_per_shard: int
    shards: tuple[ListedShard, ...]
    tokenizer: str | None


def parse(text: bytes) -> ListedShards:
    """Returns what a manifest.json says of shards.

    Raises:
        VerifyError: it is not JSON, lacks a key, or is of another version; the message names the key.
    """
    try:
        manifest = json.loads(text)
    except ValueError as failure:
        raise VerifyError(f"must be JSON: {failure}") from None
    version = _get(manifest, "manifest_version", int, at="$")
    if version != MANIFEST_VERSION:
        raise VerifyError(f"manifest_version must be {MANIFEST_VERSION}, got {version}")
    form = _get(manifest, "format", dict, at="$")
    numbers = [_get(form, name, int, at="$.format") for name in ShardFormat._fields]
    each = _get(form, "sequences_per_shard", int, at="$.format")
    listed = _get(manifest, "shards", list, at="$")
    shards = tuple(_shard(entry, f"$.shards[{index}]") for index, entry in enumerate(listed))
    return ListedShards(ShardFormat(*numbers), each, shards, _tokenizer(manifest.get("files")))


def _tokenizer(files: Any) -> str | None:
    """Returns the SHA-256 of tokenizer.json; None where no file of the manifest is it."""
    entries = files if isinstance(files, list) else []
    found = [e for e in entries if isinstance(e, dict) and e.get("path") == TOKENIZER]
    return str(found[0].get("sha256")) if found else None


def _shard(entry: Any, at: str) -> ListedShard:
    fields = ListedShard.__annotations__.items()
    shard = ListedShard(**{name: _get(entry, name, kind, at=at) for name, kind in fields})
    if "written_sha256" not in entry:
        return shard
    return shard._replace(sha256=_get(entry, "written_sha256", str, at=at))


def _get(table: Any, name: str, kind: type, *, at: str) -> Any:
    """Returns the value of a key, of a type."""
    if not isinstance(table, dict):
        raise VerifyError(f"{at} must be an object, got {type(table).__name__}")
    if name not in table:
        raise VerifyError(f"{at}.{name} is missing")
    value = table[name]
    if not isinstance(value, kind) or isinstance(value, bool):
        raise VerifyError(f"{at}.{name} must be of type {kind.__name__}, got {value!r}")
    return value
