"""Swearing among friends, rap, reclaimed words and dialects are neither toxic nor spam by default."""

import pytest

from benchmarks.ordinary_speech import kinds, table
from benchmarks.scorers import Scorer, by_filter

CASES = [(name, kind) for name in ("toxicity", "spam") for kind in kinds()]


@pytest.fixture(scope="module")
def scorers() -> dict[str, Scorer]:
    return {name: by_filter(name) for name in ("toxicity", "spam")}


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_the_default_keeps_ordinary_speech(
    name: str, kind: str, scorers: dict[str, Scorer]
) -> None:
    """No post of a kind of speech has a score above the default recipe's threshold."""
    score, most = scorers[name].score, scorers[name].max_score
    posts = table([kind])["text"].combine_chunks()
    rejected = (score(posts) > most).nonzero()[0].tolist()
    assert [posts[row].as_py() for row in rejected] == []


def test_every_kind_has_posts_of_its_own() -> None:
    """At least eight posts a kind, each of them once in the whole file."""
    posts = table(list(kinds()))
    assert len(set(posts["text"].to_pylist())) == len(posts)
    assert all(len(kind.posts) >= 8 for kind in kinds().values())
    assert "get drunk and talk shit" in posts["text"].to_pylist()
