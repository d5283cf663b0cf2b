"""What a payload format is: how the records that a platform sends become posts.

A format is a value: which paths tell it, where the columns of POST stand, and one function that finishes
posts, columns in and columns out. `pipeline/inputs/payload_records.py` reads any of them; the formats
that are known are in `known_formats.py`.
"""

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

import pyarrow as pa

Columns = dict[str, pa.Array]
"""Name -> (N,) array, a value for each post."""

NOTICE = "notice"
"""The column in which `finish` says that a row is no post, and a notice of which kind. Null: it is a post;
the empty text: it is a part of its record that is counted nowhere, such as a medium that a page includes."""
RECORD = "record"
"""The column that `finish` is given besides: int64, the number of the record that a row is of."""

NOTICE_ID = "notice_id"
NOTICE_AUTHOR = "notice_author"
NOTICE_TIME = "notice_time"
"""What a notice is about: a post, or an author, and when it was given. Formats have paths of them in
`notice_parts`, or `finish` gives them as columns."""
ACT = "act"
"""The column in which `finish` says what a notice does, one of ACTS, where its kind does not say it."""
DELETE: Final = "delete"
RESTORE: Final = "restore"
DELETE_AUTHOR: Final = "delete_author"
RESTORE_AUTHOR: Final = "restore_author"
REFUSE_AUTHOR: Final = "refuse_author"
ALLOW_AUTHOR: Final = "allow_author"
OF_AUTHORS: Final = (DELETE_AUTHOR, RESTORE_AUTHOR, REFUSE_AUTHOR, ALLOW_AUTHOR)
"""What notices of authors do: all of their posts are gone, or back; they refuse training, or allow it."""
ACTS: Final = (DELETE, RESTORE, *OF_AUTHORS)
"""What notices do: besides, a post is gone, or may be used again."""

EMPTY = "empty"
"""The kind of notice that a record is in which no post stands, such as the last page of a search."""
ITSELF = ""
"""The path of an item of a list that is a string."""


def unchanged(columns: Columns) -> Columns:
    """Returns the columns as they are."""
    return columns


class ListOf(NamedTuple):
    """A list of objects that is read as a column: the paths of the list, and of what is in its objects.

    Attributes:
        paths: of the list; the first that is not null counts.
        fields: name -> paths in an object of the list, or ITSELF behind them. The column is a list of structs
            of these names, all of them strings.
    """

    paths: tuple[str, ...]
    fields: Mapping[str, tuple[str, ...]]


class Derived(NamedTuple):
    """A column of POST that is made from parts of its own, which are read only where it is wanted.

    Attributes:
        make: given what `finish` returns, with the parts and lists, returns the column.
        parts: see `PayloadFormat`.
        lists: see `PayloadFormat`.
    """

    make: Callable[[Columns], pa.Array]
    parts: Mapping[str, tuple[str, ...]] = {}
    lists: Mapping[str, ListOf] = {}


class PayloadFormat(NamedTuple):
    """How the records that a platform sends become posts.

    A record, and each item of it (see `items`), is a post where it has an id or a text. What has neither and
    holds items is the envelope of those. A record that gives no post is a notice or a dead letter.

    Attributes:
        name: the value of `input.format`.
        platform: the value of the column `platform`.
        about: what such files are, in words for people.
        told_by: sets of paths; a record is of the format if it has a value at all paths of one of them. A
            path may end in `=VALUE` (`kind=t1`), and `[]` stands for the first item of a list.
        told_against: a record with a value at one of these paths is of another format.
        columns: POST column -> paths; the first that is not null counts.
        parts: name -> paths, for `finish` alone: strings as they are, all else as its JSON.
        lists: name -> a list of objects, for `finish`.
        items: paths of objects, or lists of objects, that may be posts too, and hold items of their own. An
            object may be written as a string.
        notices: path -> kind of a record that gives no post and has a value there.
        notice_parts: NOTICE_ID, NOTICE_AUTHOR and NOTICE_TIME -> paths in a notice.
        acts: kind of notice -> what it does, one of ACTS; notices of other kinds are counted alone.
        told_by_notices: paths; a record with a value at one of them is a notice of the format, which counts
            where nothing else in a file says what its records are.
        finish: given all of these columns, and RECORD, returns POST columns, and NOTICE where it knows some.
            Columns of POST that the recipe leaves out are given as nulls, and what it returns for them is not
            used.
        counted: makes, from a few parts, the kind of each record that is a notice and is counted alone, of
            which nothing else is read; null for others.
        derived: POST column -> how it is made, where the recipe does not say where it stands.
        many: whether a record may give several posts: `row_key` then has room for the place of each.
    """

    name: str
    platform: str
    about: str
    told_by: tuple[tuple[str, ...], ...]
    columns: Mapping[str, tuple[str, ...]]
    told_against: tuple[str, ...] = ()
    parts: Mapping[str, tuple[str, ...]] = {}
    lists: Mapping[str, ListOf] = {}
    items: tuple[str, ...] = ()
    notices: Mapping[str, str] = {}
    notice_parts: Mapping[str, tuple[str, ...]] = {}
    acts: Mapping[str, str] = {}
    told_by_notices: tuple[str, ...] = ()
    finish: Callable[[Columns], Columns] = unchanged
    counted: Derived | None = None
    derived: Mapping[str, Derived] = {}
    many: bool = False
