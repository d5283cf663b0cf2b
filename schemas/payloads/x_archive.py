"""The archive that X gives an account of its own posts: `tweets.js`, `tweets-part1.js`, `note-tweet.js`.

A file is JavaScript: an array that is assigned to a name, which `pipeline/inputs/json_records.py` passes
over. The export does not say whose the posts are, and cuts the texts of retweets. The whole text of a long
post is a note, in a file of its own and with an id of its own.

Source: the README.txt of such an archive.
"""

from typing import Final

from sluice.schemas.payloads.format import PayloadFormat
from sluice.schemas.payloads.x_v1 import MEDIA_FIELDS, finish, link_lists, listed_media


def _paths(*names: str) -> tuple[str, ...]:
    """Returns paths of a tweet, which older exports do not wrap."""
    return (*(f"tweet.{name}" for name in names), *names)


X_ARCHIVE: Final = PayloadFormat(
    name="x_archive",
    platform="x",
    about="the posts of the archive that X gives an account",
    told_by=(
        ("tweet.id_str", "tweet.full_text"),
        ("noteTweet.noteTweetId",),
        ("id_str", "full_text", "created_at"),
    ),
    told_against=("user",),
    columns={
        "post_id": (*_paths("id_str", "id"), "noteTweet.noteTweetId"),
        "text": (*_paths("full_text"), "noteTweet.core.text"),
        "created_at": (*_paths("created_at"), "noteTweet.createdAt"),
        "declared_lang": _paths("lang"),
        "in_reply_to_id": _paths("in_reply_to_status_id_str", "in_reply_to_status_id"),
        "source": _paths("source"),
        "like_count": _paths("favorite_count"),
        "repost_count": _paths("retweet_count"),
    },
    lists=link_lists(_paths("entities")),
    finish=finish,
    derived={
        "media": listed_media(_paths("extended_entities.media", "entities.media"), MEDIA_FIELDS)
    },
)
