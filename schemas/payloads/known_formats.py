"""The payload formats that are known, in the order in which a record is compared with them."""

from typing import Final

from sluice.schemas.errors import did_you_mean
from sluice.schemas.payloads.bluesky import BLUESKY
from sluice.schemas.payloads.format import PayloadFormat
from sluice.schemas.payloads.hacker_news import HACKER_NEWS
from sluice.schemas.payloads.mastodon import MASTODON
from sluice.schemas.payloads.reddit import REDDIT, REDDIT_DUMP
from sluice.schemas.payloads.telegram import TELEGRAM
from sluice.schemas.payloads.x_archive import X_ARCHIVE
from sluice.schemas.payloads.x_v1 import X_V1
from sluice.schemas.payloads.x_v2 import X_V2

FORMATS: Final[dict[str, PayloadFormat]] = {
    each.name: each
    for each in (
        X_V1,
        X_V2,
        X_ARCHIVE,
        REDDIT,
        REDDIT_DUMP,
        MASTODON,
        BLUESKY,
        HACKER_NEWS,
        TELEGRAM,
    )
}
"""Name -> format."""

ROWS: Final = "rows"
"""The format of a file that is of none of them: posts by the column mapping."""
AUTO: Final = "auto"
"""The value of `input.format` with which each file says by its first records what it is."""

PAYLOAD_VERSION: Final = 3
"""Raised where a payload gives other posts, or files are recognised otherwise."""


def check_format(name: str) -> None:
    """Raises ValueError for what is neither a format nor "rows" nor "auto".

    >>> check_format("x_v1")
    """
    names = (AUTO, ROWS, *FORMATS)
    if name not in names:
        hint = did_you_mean(name, names)
        raise ValueError(f"format: must be one of {', '.join(names)}; got {name!r}{hint}")
