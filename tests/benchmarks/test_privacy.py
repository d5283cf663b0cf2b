from benchmarks.privacy import measure
from benchmarks.privacy_posts import MAKERS, posts
from sluice.filters.privacy.kinds import KINDS


def test_generated_posts() -> None:
    """Generated posts have the value that they say they have, of every kind, and the same ones by a seed."""
    generated = list(posts(20, seed=4))
    assert all(post.value in post.text for post in generated)
    assert {post.kind for post in generated} == {*KINDS, ""}
    assert generated == list(posts(20, seed=4))
    assert generated != list(posts(20, seed=5))


def test_what_is_measured() -> None:
    """Nearly all values are found, with next to no false alarms; a value that is cut does not count."""
    generated = list(posts(60))
    outcome = measure(generated)
    assert sum(outcome.values.values()) == 60 * len(MAKERS)
    assert sum(outcome.found.values()) >= 0.98 * sum(outcome.values.values())
    assert sum(outcome.alarms.values()) <= 0.01 * sum(outcome.spans.values())
    cut = [post._replace(value=post.value[1:]) for post in generated if post.kind == "email"]
    assert sum(measure(cut).found.values()) == 0
