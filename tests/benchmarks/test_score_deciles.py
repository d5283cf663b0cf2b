"""What posts of each tenth of a score are like, counted by hand."""

import numpy as np
import pyarrow as pa

from benchmarks import score_deciles
from benchmarks.score_deciles import Ranked


def found(*, per_tenth: int = 30) -> Ranked:
    """Posts in a random order whose score is their number: low ones German with a link, high ones English."""
    number = per_tenth * score_deciles.TENTHS
    half = number // 2
    texts = [
        f"siehe https://a.de/{i}" if i < half else f"see #{'x' * 40} {i}?" for i in range(number)
    ]
    order_N = np.random.default_rng(1).permutation(number)
    posts = pa.table(
        {
            "text": texts,
            "lang": ["de"] * half + ["en"] * half,
            "source": ["a"] * number,
        }
    )
    return score_deciles.ranked(posts.take(pa.array(order_N)), order_N.astype(np.float32))


def test_ranks_are_the_shares_below() -> None:
    """The score of each post is its number here, so that its rank is its number over all."""
    posts = found()
    numbers = [int("".join(filter(str.isdigit, text))) for text in posts.posts["text"].to_pylist()]
    np.testing.assert_allclose(posts.rank_N, np.array(numbers) / len(numbers))


def test_tenths_have_lengths_and_signs() -> None:
    """All links are in the lower five, all hashtags and questions in the upper five."""
    rows = score_deciles.by_tenth(found())
    assert [row[:2] for row in rows] == [(tenth, 30) for tenth in range(1, 11)]
    signs = [row[3:] for row in rows]
    assert signs == [("1.00", "0.00", "0.00", "0.00")] * 5 + [("0.00", "1.00", "0.00", "1.00")] * 5
    assert [row[2] > 40 for row in rows] == [False] * 5 + [True] * 5


def test_a_language_s_rank_and_what_it_would_lose() -> None:
    """The lower half has a mean rank of a quarter and a fifth of its posts in the lowest tenth."""
    rows = score_deciles.by_column(found(), "lang")
    assert rows == [("de", 150, "0.25", "0.200"), ("en", 150, "0.75", "0.000")]
    assert score_deciles.by_column(found(per_tenth=4), "source") == []


def test_some_of_each_tenth_are_read() -> None:
    """Four of each, and their tenth is that of their score."""
    rows = score_deciles.of_each_tenth(found(), 4).to_pylist()
    assert [row["tenth"] for row in rows] == [t for t in range(1, 11) for _ in range(4)]
    assert all((row["lang"] == "de") == (row["tenth"] <= 5) for row in rows)
    text = "\n".join(score_deciles.markdown(found()))
    assert "| de | 150 | 0.25 | 0.200 |" in text


def test_posts_are_drawn_by_their_texts() -> None:
    """Each text once, the same ones whatever their order, and more of them hold the fewer."""
    texts = [f"post {i % 50}" for i in range(100)]
    posts, turned = (pa.table({"text": rows}) for rows in (texts, texts[::-1]))
    some = score_deciles.drawn(posts, 20)["text"].to_pylist()
    assert some == score_deciles.drawn(turned, 20)["text"].to_pylist()
    assert len(set(some)) == 20
    assert score_deciles.drawn(posts, 30)["text"].to_pylist()[:20] == some
    assert len(score_deciles.drawn(posts, 100)) == 50
