"""`sluice.list_filters`: every filter with what a recipe needs to know, and those that are refused."""

from pathlib import Path

import msgspec

import sluice
from sluice.filters.listing import FilterInfo
from sluice.filters.plugins import SHIPPED
from tests.distributions import FILTER, on_the_path, write_distribution


def listed() -> dict[str, FilterInfo]:
    return {info.name: info for info in sluice.list_filters()}


def test_all_of_ours_are_there() -> None:
    """Each is of Sluice, says what it scores, and none is refused."""
    filters = listed()
    assert list(filters) == sorted(SHIPPED)
    for name, info in filters.items():
        kind = SHIPPED[name]
        assert (info.reason, info.version, info.bound) == (kind.reason, kind.version, kind.bound)
        assert (info.origin.distribution, info.refused) == ("sluice", "")
        assert info.score
        assert "\n" not in info.score


def test_thresholds_and_keys() -> None:
    """A threshold has its key, default and side; other keys have their defaults; a fixed one is no key."""
    filters = listed()
    ngrams, language, words = (
        filters[n] for n in ("top_ngram_ratio", "language_allowed", "min_words")
    )
    assert (ngrams.bound, ngrams.threshold, ngrams.keeps) == ("max_ratio", 0.5, "at_most")
    assert (ngrams.keys, ngrams.is_fixed, ngrams.required) == ({"n": 2}, False, ())
    assert (language.keys, language.threshold, language.is_fixed) == ({"languages": []}, 1.0, True)
    assert (words.keeps, words.columns, words.costly) == ("at_least", ("text",), False)
    assert filters["spam"].keys == {"model": None}


def test_filters_of_others(tmp_path: Path) -> None:
    """They come after ours, with their distribution; keys without a default are required."""
    code = FILTER.replace(
        "max_marks: int = 1", "max_marks: int\n    signs: list[str] = []\n    n: int"
    )
    write_distribution(tmp_path, version="2.5", code=code)
    with on_the_path(tmp_path):
        *_, info = sluice.list_filters()
    assert (info.name, str(info.origin), info.refused) == ("loud", "sluice-loud 2.5", "")
    assert info.origin.reference == "sluice_loud:Loud"
    assert (info.score, info.reason, info.version) == ("exclamation marks", "too_loud", 1)
    assert (info.threshold, info.required, info.keys) == (None, ("max_marks", "n"), {"signs": []})


def test_what_is_refused_is_listed(tmp_path: Path) -> None:
    """A conflict has a line for each distribution, a broken filter one, and the others are there."""
    write_distribution(tmp_path)
    write_distribution(tmp_path, "other-loud", filters={"loud": "Loud", "spam": "Loud"})
    write_distribution(tmp_path, "broken", filters={"quiet": "Quiet"}, code="import no_such_module")
    with on_the_path(tmp_path):
        filters = sluice.list_filters()
    refused = [(f.name, f.origin.distribution) for f in filters if f.refused]
    assert refused == [
        ("loud", "other-loud"),
        ("loud", "sluice-loud"),
        ("quiet", "broken"),
        ("spam", "other-loud"),
    ]
    said = {f.name: f.refused for f in filters if f.refused}
    assert "claimed by other-loud 1.0" in said["loud"]
    assert "No module named 'no_such_module'" in said["quiet"]
    assert [f.origin.distribution for f in filters if f.name == "spam"] == ["sluice", "other-loud"]


def test_the_list_goes_through_json() -> None:
    """What `sluice filters --json` prints can be read back."""
    encoded = msgspec.json.encode(sluice.list_filters())
    assert msgspec.json.decode(encoded, type=list[FilterInfo]) == sluice.list_filters()
