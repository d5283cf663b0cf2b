"""Placeholders where media stand in a text."""

from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.filters.text.media import kind_numbers, with_media, without_words
from sluice.filters.text.normalize import normalize
from sluice.filters.text.views import classifier_text, dedup_text
from sluice.schemas.placeholders import AUDIO, IMAGE, VIDEO, character
from sluice.schemas.post import MEDIA

PHOTO, FILM, SOUND = map(character, (IMAGE, VIDEO, AUDIO))


def medium(kind: str | None, link: str | None = None, alt: str | None = None) -> dict[str, Any]:
    """Returns an invented medium."""
    return {"kind": kind, "key": f"{kind}-{link}", "alt_text": alt, "link": link}


def placed(text: str, *media: dict[str, Any], alt_text: bool = True) -> str:
    """Returns a text with its media."""
    found = with_media(pa.array([text]), pa.array([list(media)], MEDIA), alt_text=alt_text)
    return str(found.text[0].as_py())


@pytest.mark.parametrize(
    ("text", "media", "expected"),
    [
        ("see t.co/a", [medium("photo", "t.co/a")], f"see{PHOTO}"),
        ("t.co/a see", [medium("photo", "t.co/a")], f"{PHOTO} see"),
        ("see", [medium("photo"), medium("video")], f"see{PHOTO}{FILM}"),
        ("see", [medium("audio_file", "")], f"{SOUND}see"),
        ("a t.co/a b", [medium("photo", "t.co/a"), medium("photo", "t.co/a")], f"a{PHOTO}{PHOTO} b"),
        ("t.co/ab t.co/a", [medium("photo", "t.co/a")], f"t.co/ab{PHOTO}"),
        ("t.co/ab", [medium("photo", "t.co/a")], f"t.co/ab{PHOTO}"),
        ("a t.co/b c t.co/a", [medium("photo", "t.co/a"), medium("video", "t.co/b")],
         f"a{FILM} c{PHOTO}"),
        ("see t.co/a", [medium("hologram", "t.co/a")], "see t.co/a"),
        ("see t.co/a now", [medium("photo", "t.co/a", " A  cat ")], f"see{PHOTO}A cat\nnow"),
        ("see", [medium("photo", None, "A"), medium("photo", None, "B")], f"see{PHOTO}A\n{PHOTO}B"),
        ("", [medium("photo")], PHOTO),
        ("no", [], "no"),
    ],
)  # fmt: skip
def test_places(text: str, media: list[dict[str, Any]], expected: str) -> None:
    """A placeholder takes the place of its link, or comes before or behind the text."""
    assert placed(text, *media) == expected


def test_alternative_texts_are_left_out() -> None:
    """Without them the placeholder stands alone."""
    assert placed("see t.co/a now", medium("photo", "t.co/a", "A"), alt_text=False) == (
        f"see{PHOTO} now"
    )


def test_models_see_a_blank() -> None:
    """What models read and duplicates are compared by has a blank for a placeholder; no text imitates one."""
    texts = pa.array([f"Good{PHOTO}morning", f"{PHOTO}"])
    assert classifier_text(texts).to_pylist() == ["good morning", ""]
    assert dedup_text(texts).to_pylist() == ["good morning", ""]
    assert normalize(texts).to_pylist() == ["Goodmorning", ""]


_LINKS = st.sampled_from([None, "", "t.co/a", "t.co/b", "é/c"])
_MEDIA = st.lists(
    st.builds(medium, st.sampled_from(["photo", "gifv", "audio", "odd", None]), _LINKS,
              st.sampled_from([None, "", "a cat", "Ein Hund"])),
    max_size=4,
)  # fmt: skip
_TEXTS = st.lists(
    st.sampled_from(["a", "bé", "t.co/a", "t.co/b", "é/c", "\n", "x"]), max_size=6
).map(" ".join)


def reference(text: str, media: list[dict[str, Any]]) -> tuple[str, list[str]]:
    """Returns the text with its media one by one, and their keys in order; all alternative texts left out."""
    numbers = kind_numbers(pa.array([m["kind"] for m in media], pa.string())).tolist()
    marks: list[tuple[int, int, int, str]] = []
    for at, (m, number) in enumerate(zip(media, numbers, strict=True)):
        place, cut, link = len(text), 0, m["link"]
        if number >= 0 and link is not None:
            found = [
                i
                for i in range(len(text))
                if link and text.startswith(link, i) and not text[i + len(link) :][:1].isalnum()
            ]
            if not link:
                place = 0
            elif found:
                before = found[0] > 0 and text[found[0] - 1] == " "
                place, cut = found[0] - before, len(link) + before
        mark = chr(0xFDD0 + number) if number >= 0 else ""
        marks.append((place, at, cut, mark))
    whole, j = "", 0
    for place, _, cut, mark in sorted(marks):
        if mark:
            whole += text[j:place] + mark
            j = max(j, place + cut)
    return whole + text[j:], [media[at]["key"] for _, at, _, _ in sorted(marks)]


@given(posts=st.lists(st.tuples(_TEXTS, st.none() | _MEDIA), max_size=5))
def test_as_one_by_one(posts: list[tuple[str, list[dict[str, Any]] | None]]) -> None:
    """Whole columns are as a loop over posts makes them, and media come in the order of the text."""
    texts = pa.array([text for text, _ in posts], pa.string())
    column = pa.array([media for _, media in posts], MEDIA)
    found = with_media(texts, column, alt_text=False)
    expected = [reference(text, media or []) for text, media in posts]
    assert found.text.to_pylist() == [text for text, _ in expected]
    keys = [[m["key"] for m in media or []] for media in found.media.to_pylist()]
    assert keys == [keys for _, keys in expected]
    assert found.media.is_null().to_pylist() == column.is_null().to_pylist()


@given(posts=st.lists(st.tuples(_TEXTS, _MEDIA), max_size=4))
def test_alternative_texts_begin_and_end_lines(
    posts: list[tuple[str, list[dict[str, Any]]]],
) -> None:
    """Each alternative text follows its placeholder, and its line ends with it."""
    texts = pa.array([text for text, _ in posts], pa.string())
    column = pa.array([media for _, media in posts], MEDIA)
    found = with_media(texts, column, alt_text=True)
    for text, media in zip(found.text.to_pylist(), found.media.to_pylist(), strict=True):
        said = [
            m["alt_text"] for m in media if kind_numbers(pa.array([m["kind"]], pa.string()))[0] >= 0
        ]
        parts = text.replace(FILM, PHOTO).replace(SOUND, PHOTO).split(PHOTO)[1:]
        assert len(parts) == len(said)
        assert all(part.split("\n")[0] == alt for part, alt in zip(parts, said, strict=True) if alt)


def test_media_without_words() -> None:
    """Alternative texts and links are left out, in a slice too; all else stays, and null stays null."""
    one = [medium("photo", "https://t.co/a", "A cat"), medium("video")]
    column = pa.array([[], one, None, [medium("gif", "x", "y")]], MEDIA).slice(1)
    found = without_words(column)
    assert found.type == MEDIA
    expected = [
        each and [{**m, "alt_text": None, "link": None} for m in each]
        for each in column.to_pylist()
    ]
    assert found.to_pylist() == expected
