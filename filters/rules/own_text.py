"""Own text: drops bare links, shells of reposts and calls to users."""

from typing import ClassVar

from sluice.filters.rules.bounds import Count, CountFilter


class OwnText(CountFilter, frozen=True, kw_only=True, tag="own_text"):
    """Drops a post without text of its own. Score: letters, digits and emoji outside URLs, handles, RT.

    Attributes:
        min_chars: the least number of such characters.

    Source: ours.
    """

    reason: ClassVar[str] = "no_own_text"
    bound: ClassVar[str] = "min_chars"
    counted: ClassVar[str] = "num_said"

    min_chars: Count = 2
