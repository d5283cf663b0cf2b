"""What a list is: entries of one kind, and what becomes of posts that they name."""

import re
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from sluice.schemas.reject import EMPTY_TEXT, EXACT, NEAR, REDELIVERED

Kind = Literal["author", "id", "domain", "url", "phrase"]
Action = Literal["block", "allow", "only"]

MAX_LISTS: Final = 64
"""Lists of a recipe at most: a bit each."""
STAGE: Final = "lists"
"""The stage that reject rows name."""
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")
_REASON = re.compile(r"[a-z][a-z0-9_]*")
_TAKEN: Final = (REDELIVERED, EXACT, NEAR, EMPTY_TEXT)
_CODE = re.compile(r"[a-z]{2,3}")


class ListSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A list of a recipe.

    Attributes:
        name: names the list in reject rows and in the report.
        kind: what its entries are.
        action: `block`: posts that it names are rejected; `allow`: what it names is not looked at by the
            lists behind it; `only`: posts that it does not name are rejected.
        files: text files, an entry per line, as paths or URIs.
        platforms: values of the column `platform` whose posts it looks at; all posts if empty.
        languages: the predicted languages, or their groups, in whose posts phrases count; all if empty.
        reason: of reject rows; by default it says what the list is of, as `blocked_domain`.
    """

    name: str
    kind: Kind
    action: Action = "block"
    files: Annotated[tuple[str, ...], Meta(min_length=1)]
    platforms: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    reason: str | None = None

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ValueError(f"name must be lower-case letters, digits, - and _, got {self.name!r}")
        if self.languages and self.kind != "phrase":
            raise ValueError('languages has no effect unless kind = "phrase": leave it out')
        for code in self.languages:
            if not _CODE.fullmatch(code):
                raise ValueError(f"languages must be codes such as 'en' or 'yue', got {code!r}")
        if self.reason is not None and self.action == "allow":
            raise ValueError('reason has no effect with action = "allow": leave it out')
        if self.reason is not None and not _REASON.fullmatch(self.reason):
            raise ValueError(
                f"reason must be lower-case letters, digits and _, got {self.reason!r}"
            )
        if self.reason in _TAKEN:
            raise ValueError(
                f"reason {self.reason!r} is what duplicates or blank posts have: set another, as 'opted_out'"
            )

    @property
    def names_posts(self) -> bool:
        """Whether entries name whole posts, by a column, and not places in their texts."""
        return self.kind in ("author", "id")

    @property
    def why(self) -> str:
        """The reason of its reject rows."""
        if self.reason is not None:
            return self.reason
        return f"{self.kind}_not_listed" if self.action == "only" else f"blocked_{self.kind}"
