"""Figures of any score on posts with labels: each against a plain account of what it is."""

import json
from collections import defaultdict
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sluice.filters.models.training import judgement, judgement_card, judgement_posts
from sluice.filters.models.training.judgement import Judged, Row
from sluice.filters.models.training.judgement_card import VERDICTS, DisagreementsRead, section

SOURCES, LANGS = ("a", "b", "c"), ("de", "en", "mul")
ROWS = st.lists(
    st.tuples(
        st.sampled_from(SOURCES),
        st.sampled_from(LANGS),
        st.integers(0, 1),
        st.integers(0, 20).map(lambda n: n / 20),
    ),
    min_size=1,
    max_size=40,
)


def judged(rows: list[tuple[str, str, int, float]]) -> Judged:
    source, lang, label, scores = zip(*rows, strict=True)
    texts = [f"post {i}" for i in range(len(rows))]
    columns = {"text": texts, "lang": lang, "source": source, "label": np.array(label, np.float64)}
    return Judged(pa.table({k: pa.array(v) for k, v in columns.items()}), np.array(scores))


def drawn(*, langs: dict[str, float], posts: int = 1200, seed: int = 1) -> Judged:
    """Posts of languages whose scores are shifted by so much; half of the posts are bad, and score higher."""
    rng = np.random.default_rng(seed)
    rows = []
    for lang, shift in langs.items():
        label_N = rng.integers(0, 2, posts)
        score_N = np.clip(rng.normal(0.35 + shift + 0.25 * label_N, 0.1), 0, 1)
        rows += [
            (lang, lang, int(label), float(score))
            for label, score in zip(label_N, score_N, strict=True)
        ]
    return judged(rows)


@given(rows=ROWS, most=st.sampled_from((0.0, 0.25, 0.5, 1.0)))
def test_rows_by_source_are_what_a_loop_counts(
    rows: list[tuple[str, str, int, float]], most: float
) -> None:
    """Size, share of bad posts, mean score and both errors of each source, counted post by post."""
    own: dict[str, list[tuple[int, float]]] = defaultdict(list)
    for source, _, label, score in rows:
        own[source].append((label, score))
    found = judgement.by_source(judged(rows), max_score=most)
    assert [row["source"] for row in found] == sorted(own)
    for row in found:
        posts = own[row["source"]]
        good = [score for label, score in posts if not label]
        bad = [score for label, score in posts if label]
        assert row["posts"] == len(posts)
        assert row["bad"] == pytest.approx(len(bad) / len(posts), abs=1e-4)
        assert row["mean_score"] == pytest.approx(sum(s for _, s in posts) / len(posts), abs=1e-4)
        alarms = sum(s > most for s in good) / len(good) if good else None
        kept = sum(s <= most for s in bad) / len(bad) if bad else None
        assert row["rejected_good"] == (None if alarms is None else pytest.approx(alarms, abs=1e-4))
        assert row["kept_bad"] == (None if kept is None else pytest.approx(kept, abs=1e-4))
        assert (row["auc"] is None) == (not good or not bad)


@given(rows=ROWS)
def test_reliability_gives_every_source_the_same_weight(
    rows: list[tuple[str, str, int, float]],
) -> None:
    """Each tenth's share of bad posts, with posts weighed by one over the size of their source."""
    sizes = {source: sum(row[0] == source for row in rows) for source in SOURCES}
    bins: dict[int, list[tuple[float, int]]] = defaultdict(list)
    for source, _, label, score in rows:
        bins[min(int(score * 10), 9)].append((1 / sizes[source], label))
    found = judgement.reliability(judged(rows))
    assert [row["posts"] for row in found] == [len(bins[b]) for b in sorted(bins)]
    for row, b in zip(found, sorted(bins), strict=True):
        want = sum(w * label for w, label in bins[b]) / sum(w for w, _ in bins[b])
        assert row["bad"] == pytest.approx(want, abs=1e-4)


def test_even_thresholds_are_even_and_their_price_is_told() -> None:
    """Of two languages whose scores lie apart, one threshold rejects one alone; their own reject alike."""
    found = drawn(langs={"de": 0.0, "en": 0.3})
    rows = {row["lang"]: row for row in judgement.even_thresholds(found, max_score=0.8)}
    assert rows["en"]["false_alarms"] > 0.05 > rows["de"]["false_alarms"]
    for row in rows.values():
        assert row["even_false_alarms"] == pytest.approx(judgement.EVEN_RATE, abs=0.015)
    assert rows["en"]["even"] - rows["de"]["even"] == pytest.approx(0.3, abs=0.08)
    price = judgement.price_of_even(found)
    assert price is not None
    assert (price["most_lang"], price["least_lang"], price["languages"]) == ("en", "de", 2)
    assert price["even_recall"] > price["recall"] + 0.1
    assert price["most"] > price["least"]


def test_a_language_with_few_posts_has_no_threshold_of_its_own() -> None:
    """Nor has what is of several languages; with fewer than two left there is no price."""
    found = drawn(langs={"de": 0.0, "mul": 0.0})
    small = drawn(langs={"nl": 0.0}, posts=150)
    both = Judged(
        pa.concat_tables([found.posts, small.posts]),
        np.concatenate([found.scores_N, small.scores_N]),
    )
    assert [row["lang"] for row in judgement.even_thresholds(both, max_score=0.5)] == ["de"]
    assert judgement.price_of_even(both) is None


@settings(max_examples=50)
@given(rows=ROWS, number=st.integers(2, 20))
def test_disagreements_are_of_both_kinds_and_of_all_sources(
    rows: list[tuple[str, str, int, float]], number: int
) -> None:
    """Good posts above the threshold, bad ones with low scores; no source has two more than another."""
    if not any(label == 0 for _, _, label, _ in rows):
        return
    found = judged(rows)
    low = float(np.median([score for _, _, label, score in rows if not label]))
    taken = judgement.disagreements(found, max_score=0.5, number=number).to_pylist()
    for label, wrong in ((0, lambda s: s > 0.5), (1, lambda s: s <= low)):
        there = [row for row in rows if row[2] == label and wrong(row[3])]
        own = [row for row in taken if row["label"] == label]
        assert len(own) == min(len(there), number // 2)
        assert all(wrong(row["score"]) for row in own)
        counts = {s: sum(row["source"] == s for row in own) for s in SOURCES}
        for source in SOURCES:
            left = sum(row[0] == source for row in there) - counts[source]
            assert not left or counts[source] + 1 >= max(counts.values())
    assert len({row["text"] for row in taken}) == len(taken)


def test_a_text_that_was_posted_often_is_read_once() -> None:
    """Of three equal posts and another one, two are taken."""
    found = judged([("a", "en", 0, 0.9)] * 4 + [("a", "en", 0, 0.1)])
    at = found.posts.schema.get_field_index("text")
    posts = found.posts.set_column(at, "text", pa.array(["x", "x", "x", "y", "z"]))
    taken = judgement.disagreements(found._replace(posts=posts), max_score=0.5, number=8)
    assert sorted(taken["text"].to_pylist()) == ["x", "y"]


def test_the_section_has_every_figure() -> None:
    """A row of a table for each row of the figures, the price, and what was read."""
    found = drawn(langs={"de": 0.0, "en": 0.3})
    figures: Row = judgement.figures(found, found, max_score=0.8)
    assert json.loads(json.dumps(figures)) == figures
    reading = DisagreementsRead(
        model="the encoder",
        rejected_good=dict.fromkeys(VERDICTS, 7),
        kept_bad=dict.fromkeys(VERDICTS, 9),
        kinds={"quoted insults": 11},
        seen="Labels differ.",
    )
    text = section("toxicity", figures, reading)
    for row in figures["sources"]:
        assert f"| {row['source']} | {row['lang']} | {row['posts']:,} |" in text
    for row in figures["even"]:
        assert f"| {row['lang']} | {row['posts']:,} | {row['false_alarms']:.3f} |" in text
    for row in figures["reliability"]:
        assert f"| {row['scores']} | {row['posts']:,} | {row['sources']} |" in text
    assert f"finds {100 * figures['price']['recall']:.1f}% of the bad posts" in text
    assert "| good ones rejected | 7 | 7 | 7 |" in text
    assert "- quoted insults: 11" in text
    assert "read by eye" not in section("toxicity", figures)


def test_readings_count_the_same_posts_in_both_ways() -> None:
    """Every reading of the file has all three verdicts, and no more posts than were there to read."""
    for reading in judgement_card.readings().values():
        assert set(reading.rejected_good) == set(reading.kept_bad) == set(VERDICTS)
        read = sum(reading.rejected_good.values()) + sum(reading.kept_bad.values())
        assert 0 < read <= judgement.TO_READ
        assert sum(reading.kinds.values()) == read


def test_tenths_that_were_read_have_as_many_posts_each() -> None:
    """Ten of them, and the card's table has a row for each."""
    for name, read in judgement_card.tenths().items():
        columns = (read.nothing, read.some, read.facts)
        assert {len(column) for column in columns} == {10}
        assert len({sum(row) for row in zip(*columns, strict=True)}) == 1
        text = judgement_card.tenths_section(name)
        for tenth, row in enumerate(zip(*columns, strict=True), 1):
            assert f"| {tenth} | {row[0]} | {row[1]} | {row[2]} |" in text
        assert f"{sum(map(sum, columns))} posts" in text
        assert "&#" not in text
    assert judgement_card.tenths_section("nobody.read") == ""


@pytest.mark.real
@pytest.mark.parametrize("head", judgement_posts.FILES)
def test_posts_that_were_seen_are_left_out(head: str, data: Path) -> None:
    """No post of a source that was named, nor of functional tests; the rest are at most so many a source."""
    everything = judgement_posts.unseen(data, head, seen=(), most=40)
    names = sorted(set(everything["source"].to_pylist()))
    posts = judgement_posts.unseen(data, head, seen=names[:2], most=40)
    left = posts["source"].to_pylist()
    assert set(left) == set(names[2:])
    assert "hatemoji-check" not in left
    assert max(map(left.count, set(left))) == 40
