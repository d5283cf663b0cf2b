"""Which columns or fields of an input become those of POST: by the recipe, or by names that are common."""

from collections.abc import Mapping
from typing import TypeAlias
from urllib.parse import unquote

import msgspec

from sluice.schemas.errors import InputError, did_you_mean
from sluice.schemas.post import COUNT_COLUMNS, DEFAULT_MAPPING, FLAG_COLUMNS, INPUT_COLUMNS


class Constant(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A value that every row has: `source = { constant = "forum" }`."""

    constant: str


Source: TypeAlias = str | Constant
"""The name of a column or field, with points where it is inside another (`user.name`), or a constant."""

Sources: TypeAlias = str | Constant | tuple[str | Constant, ...]
"""What a recipe may say of a column: one source, or several of which the first that is not null counts."""

ColumnMapping: TypeAlias = Mapping[str, tuple[Source, ...]]
"""POST column -> where it is read from; the first that is not null gives a row's value."""

_NO_CONSTANT = ("media", *COUNT_COLUMNS, *FLAG_COLUMNS)
"""Columns that no constant can fill, beside the ids of posts."""

REQUIRED = ("post_id", "text")
"""Columns without which there is no post."""


def column_mapping(overrides: Mapping[str, Sources]) -> dict[str, tuple[Source, ...]]:
    """Returns DEFAULT_MAPPING with columns replaced; an empty name means that it is not read.

    Args:
        overrides: POST column -> sources, as in the recipe's `input.columns`.

    >>> mapping = column_mapping({"text": ("body", "title"), "source": Constant("forum")})
    >>> mapping["text"], mapping["source"], column_mapping({"media": ""})["media"]
    (('body', 'title'), (Constant(constant='forum'),), ())

    Raises:
        InputError: a name is no POST column, or a required column is switched off.
    """
    mapping: dict[str, tuple[Source, ...]] = dict(DEFAULT_MAPPING)
    for column, given in overrides.items():
        if column not in INPUT_COLUMNS:
            hint = did_you_mean(column, INPUT_COLUMNS)
            raise InputError(f"input.columns.{column}: not a column of a post{hint}")
        mapping[column] = _checked(column, given)
    media = set(source_names(mapping["media"]))
    for column, sources in mapping.items():
        if column != "media" and media & set(source_names(sources)):
            raise InputError(f"input.columns: {column} and media cannot be the same column")
    return mapping


def _checked(column: str, given: Sources) -> tuple[Source, ...]:
    if given == "" and column not in REQUIRED:
        return ()
    sources = given if isinstance(given, tuple) else (given,)
    if "" in sources or not sources:
        raise InputError(f"input.columns.{column}: must name a column, got an empty string")
    for source in sources:
        if isinstance(source, Constant) and column in ("post_id", *_NO_CONSTANT):
            raise InputError(
                f"input.columns.{column}: cannot be a constant, as each post has its own"
            )
    if any(isinstance(source, Constant) for source in sources[:-1]):
        raise InputError(f"input.columns.{column}: what stands behind a constant has no effect")
    return sources


def folder_keys(path: str) -> dict[str, str]:
    """Returns the keys of the folders right above a file that are called `key=value`, as Hive writes them.

    >>> folder_keys("/data/year=2023/lang=pt%2DBR/part-0.parquet")
    {'year': '2023', 'lang': 'pt-BR'}
    >>> folder_keys("/data/year=2023/posts/part-0.parquet")
    {}
    """
    keys: dict[str, str] = {}
    for folder in reversed(path.split("/")[:-1]):
        key, sign, value = folder.partition("=")
        if not sign or not key:
            break
        if value != "__HIVE_DEFAULT_PARTITION__":
            keys = {key: unquote(value), **keys}
    return keys


def with_constants(mapping: ColumnMapping, constants: Mapping[str, str]) -> ColumnMapping:
    """Returns a mapping in which a name that has a constant, but no value in a row, is the constant.

    >>> mapping = column_mapping({"media": "", "source": ("site", "lang")})
    >>> with_constants(mapping, {"lang": "en"})["source"]
    ('site', 'lang', Constant(constant='en'))
    """
    if not constants:
        return mapping
    return {
        column: tuple(
            each
            for source in sources
            for each in (source, *_constant_for(column, source, constants))
        )
        for column, sources in mapping.items()
    }


def _constant_for(
    column: str, source: Source, constants: Mapping[str, str]
) -> tuple[Constant, ...]:
    if column in _NO_CONSTANT or not isinstance(source, str) or source not in constants:
        return ()
    return (Constant(constants[source]),)


def source_names(sources: tuple[Source, ...]) -> tuple[str, ...]:
    """Returns the names among sources, in their order."""
    return tuple(source for source in sources if isinstance(source, str))


def names_of(mapping: ColumnMapping) -> tuple[str, ...]:
    """Returns the names that a mapping reads, each once."""
    return tuple(dict.fromkeys(n for sources in mapping.values() for n in source_names(sources)))


def constant_of(sources: tuple[Source, ...]) -> str | None:
    """Returns the constant that fills in where no name has a value, or None."""
    constants = [source.constant for source in sources if isinstance(source, Constant)]
    return constants[0] if constants else None


def is_by_name(column: str, sources: tuple[Source, ...]) -> bool:
    """Returns whether a column is looked for by common names, not by what the recipe says."""
    return source_names(sources) == DEFAULT_MAPPING[column]
