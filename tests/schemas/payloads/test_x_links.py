"""Short links of X become the addresses that they stand for."""

import re
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.schemas.payloads.x_links import LINK_FIELDS, with_addresses, without_links

LINKS = pa.list_(pa.struct([(name, pa.string()) for name in LINK_FIELDS]))
URLS = ("https://t.co/a", "https://t.co/ab", "http://t.co/é", "https://t.co/b")
ADDRESSES = ("https://a.example/long/address", "http://b", "é", None, "https://t.co/ab")
PIECES = st.sampled_from((*URLS, "a", " ", "h", "http", "é", "\n", "https://t.co/abc", "(", ")"))


def link(url: str | None, address: str | None, shown: str = "a.example") -> dict[str, Any]:
    """Returns an entity."""
    return {"url": url, "address": address, "shown": shown, "media_key": None}


def resolved(text: str | None, *links: dict[str, Any], has_place: bool = False) -> str | None:
    """Returns the text of post 7, which quotes post 12, with its addresses."""
    columns = {"post_id": pa.array(["7"]), "links": pa.array([links], LINKS)}
    texts = pa.array([text], pa.string())
    (found,) = with_addresses(columns, texts, pa.array(["12"]), pa.array([has_place])).to_pylist()
    return found


def _expected(text: str, links: list[dict[str, Any]]) -> str:
    """Returns the text with each address in the first place of its link that is free, from the left."""
    left, done = list(links), ""
    while text:
        for each in left:
            if re.match(re.escape(each["url"]) + r"(?![0-9A-Za-z])", text):
                left.remove(each)
                done += each["address"] or each["url"]
                text = text[len(each["url"]) :]
                break
        else:
            done, text = done + text[0], text[1:]
    return done


@given(
    st.lists(
        st.tuples(
            st.lists(PIECES, max_size=8).map("".join),
            st.lists(
                st.builds(link, st.sampled_from(URLS), st.sampled_from(ADDRESSES)), max_size=4
            ),
        ),
        max_size=5,
    )
)
def test_as_one_by_one(posts: list[tuple[str, list[dict[str, Any]]]]) -> None:
    """Links become addresses as a loop over each text puts them, whatever stands beside them."""
    texts = pa.array([text for text, _ in posts], pa.string())
    columns = {
        "post_id": pa.array(["1"] * len(posts), pa.string()),
        "links": pa.array([links for _, links in posts], LINKS),
    }
    none, no = pa.nulls(len(posts), pa.string()), pa.array([False] * len(posts), pa.bool_())
    found = with_addresses(columns, texts, none, no)
    found.validate(full=True)
    assert found.to_pylist() == [_expected(text, links) for text, links in posts]


@pytest.mark.parametrize(
    ("address", "text"),
    [
        ("https://twitter.com/someone/status/12", "one two"),
        ("https://mobile.twitter.com/someone/status/12?s=20", "one two"),
        ("https://x.com/i/web/status/9", "one two"),
        ("https://twitter.com/me/status/7/photo/1", "one two"),
        ("https://twitter.com/someone/status/13", "one https://twitter.com/someone/status/13 two"),
        ("https://nottwitter.com/a/status/12", "one https://nottwitter.com/a/status/12 two"),
        (None, "one https://t.co/a two"),
    ],
)
def test_links_that_are_not_shown(address: str | None, text: str) -> None:
    """Links to the post that is quoted, and to the post itself, are left out, with a blank before them."""
    assert resolved("one https://t.co/a two", link("https://t.co/a", address)) == text


def test_links_of_media() -> None:
    """The link of a medium stays where a placeholder takes its place, and else leads where it says."""
    picture = link("https://t.co/a", "https://twitter.com/b/status/3/photo/1", "pic.twitter.com/a")
    assert resolved("see https://t.co/a", picture, has_place=True) == "see https://t.co/a"
    assert resolved("see https://t.co/a", picture) == f"see {picture['address']}"


def test_texts_that_are_null() -> None:
    """A post without a text has none, and one without links is as it was."""
    assert resolved(None, link("https://t.co/a", "b")) is None
    assert resolved("https://t.co/a") == "https://t.co/a"
    assert resolved("https://t.co/a", link(None, "b")) == "https://t.co/a"


def test_without_links() -> None:
    """Links that are left out go once each; others stay."""
    links = pa.array([[link("https://t.co/a", None)], None], LINKS)
    texts = pa.array(["see https://t.co/a https://t.co/ab https://t.co/a", "https://t.co/a"])
    assert without_links(texts, links).to_pylist() == [
        "see https://t.co/ab https://t.co/a",
        "https://t.co/a",
    ]
