"""Resolving in slices against a plain-Python reading of the rules."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sluice.filters.dedup.clusters import EXACT_CODE, KEPT_CODE, NEAR_CODE, REDELIVERED_CODE
from sluice.filters.dedup.minhash import MinHashSpec, text_band_keys
from sluice.pipeline.phases.dedup.resolve import Rules, resolve, size_bins
from sluice.pipeline.phases.dedup.slicing import CANDIDATE, THIS_RUN
from sluice.pipeline.recipes.schema import DedupSection

SPEC = MinHashSpec(bands=6, rows=2, ngram=2)
EVERYTHING = 1 << 40


class Row(NamedTuple):
    """A candidate, as a test writes it."""

    component: int
    post_id: str
    text: str
    rank: int = 0
    time: int = 0
    segment: int = THIS_RUN


def rules(**changed: Any) -> Rules:
    minhash = changed.pop("minhash", SPEC)
    usual = {"threshold": 0.6, "count_copies": True, "memory_bytes": EVERYTHING}
    return Rules(minhash, DedupSection(**usual | changed))


def ordered(rows: list[Row]) -> list[Row]:
    """Posts of this run first, as their dense numbers go; components share neither ids nor letters."""
    rows = sorted(rows, key=lambda r: r.segment != THIS_RUN)
    return [
        r._replace(
            post_id=f"{r.component}-{r.post_id}",
            text="".join(chr(ord(c) + 0x2000 * r.component) for c in r.text),
        )
        for r in rows
    ]


def candidates(rows: list[Row], *, in_batch: int = 5) -> list[pa.RecordBatch]:
    names = sorted({r.post_id for r in rows})
    first = np.iinfo(np.int64).min
    table = [
        {
            "component": r.component,
            "post": number,
            "segment": r.segment,
            "rank": r.rank if r.segment == THIS_RUN else first,
            "time": r.time,
            "id_high": names.index(r.post_id) // 3,
            "id_low": names.index(r.post_id),
            "post_id": r.post_id,
            "text": r.text,
        }
        for number, r in enumerate(rows)
    ]
    parts = [table[i : i + in_batch] for i in range(0, len(table), in_batch)]
    return [pa.RecordBatch.from_pylist(part, schema=CANDIDATE) for part in parts]


def run(rows: list[Row], scratch: Path, **changed: Any) -> tuple[dict[int, tuple], Any]:
    """Resolves rows; returns the outcome by post, and all that `resolve` returned."""
    batches = candidates(rows)

    def read() -> Iterator[pa.RecordBatch]:
        return iter(batches)

    resolved = resolve(read, rules(**changed), scratch=str(scratch / "scratch"))
    assert list(scratch.iterdir()) == []
    found = [row for batch in resolved.found for row in batch.to_pylist()]
    by_post = {
        r["post"]: (r["reason"], r["similarity"], r["duplicate_of"], r["segment"], r["copies"])
        for r in found
    }
    assert len(by_post) == len(found)
    return by_post, resolved


def jaccard(a: str, b: str) -> float:
    """The definition, on sets of strings, as float32."""
    n = SPEC.ngram
    set_a, set_b = (
        {t[i : i + n] for i in range(max(1, len(t) - n + 1))} if t else set() for t in (a, b)
    )
    return float(np.float32(len(set_a & set_b) / len(set_a | set_b) if set_a | set_b else 1.0))


def reference(rows: list[Row], rule: Rules) -> tuple[dict[int, tuple], int]:
    """The rules of `resolve.py` and of `sluice.filters.dedup.clusters`, one post at a time."""
    keys = text_band_keys(pa.array([r.text for r in rows], pa.string()), SPEC).tolist()
    deliveries: dict[tuple[int, str], list[int]] = {}
    for i, r in enumerate(rows):
        deliveries.setdefault((r.component, r.post_id), []).append(i)
    speaker = {}
    for group in deliveries.values():
        newest = max(group, key=lambda i: (rows[i].segment != THIS_RUN, rows[i].time, i))
        speaker |= dict.fromkeys(group, newest)

    def place(i: int) -> tuple:
        r = rows[i]
        own = r.segment == THIS_RUN
        return (r.component, own, r.rank if own else 0, speaker[i], speaker[i] != i)

    leaders: list[int] = []
    seen: dict[tuple[int, str], tuple[int, int, float]] = {}
    fate: dict[int, tuple[int, int, float]] = {}
    unverified = 0
    for i in sorted(
        (i for i in range(len(rows)) if speaker[i] == i or rows[i].segment != THIS_RUN), key=place
    ):
        r = rows[i]
        content = (r.component, r.text)
        if r.segment != THIS_RUN:
            leaders.append(i)
            fate[i] = (KEPT_CODE, i, 1.0)
            if r.text:
                seen.setdefault(content, fate[i])
            continue
        if content in seen:
            reason, leader, similarity = seen[content]
            fate[i] = (EXACT_CODE if reason == KEPT_CODE else NEAR_CODE, leader, similarity)
            continue
        met = [
            j
            for j in leaders
            if rows[j].component == r.component
            and r.text
            and any(a == b for a, b in zip(keys[i], keys[j], strict=True))
        ]
        likeness = [(j, jaccard(r.text, rows[j].text)) for j in met[: rule.dedup.max_checks]]
        near = [(j, s) for j, s in likeness if s >= float(np.float32(rule.dedup.threshold))]
        if near:
            fate[i] = (NEAR_CODE, *near[0])
        else:
            unverified += len(met) > rule.dedup.max_checks
            leaders.append(i)
            fate[i] = (KEPT_CODE, i, 1.0)
        if r.text:
            seen[content] = fate[i]

    own = [i for i in fate if rows[i].segment == THIS_RUN]
    sizes = {j: sum(fate[i][1] == j for i in own) for j in leaders}
    extra = dict.fromkeys(leaders, 0)
    out: dict[int, tuple] = {}
    stays = set()
    for i in sorted(own, key=place):
        reason, leader, similarity = fate[i]
        if (
            reason != KEPT_CODE
            and rows[leader].segment == THIS_RUN
            and extra[leader] < rule.dedup.max_copies - 1
        ):
            extra[leader] += 1
            stays.add(i)
        elif reason == KEPT_CODE:
            stays.add(i)
        else:
            out[i] = (reason, similarity, rows[leader].post_id, rows[leader].segment, None)
    for i, r in enumerate(rows):
        if speaker[i] != i and r.segment == THIS_RUN:
            who = speaker[i] if speaker[i] in stays else fate[speaker[i]][1]
            likeness_ = jaccard(r.text, rows[who].text)
            out[i] = (REDELIVERED_CODE, likeness_, rows[who].post_id, rows[who].segment, None)
        elif i in stays and sizes[fate[i][1]] > 1:
            out[i] = (KEPT_CODE, None, None, THIS_RUN, sizes[fate[i][1]])
    return out, unverified


WORDS = ["", "rain ", "rain", "sun ", "sun", "in may ", "日本", "🙂", "x", "oh ", "-"]
ROWS = st.lists(
    st.builds(
        Row,
        component=st.integers(0, 2),
        post_id=st.integers(0, 9).map(str),
        text=st.lists(st.sampled_from(WORDS), max_size=6).map("".join),
        rank=st.integers(0, 4),
        time=st.integers(0, 3),
        segment=st.sampled_from([THIS_RUN, THIS_RUN, THIS_RUN, THIS_RUN, 0, 1]),
    ),
    min_size=1,
    max_size=30,
).map(ordered)


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    folder = tmp_path / "scratch"
    folder.mkdir()
    return folder


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=ROWS,
    memory=st.sampled_from([1, 2500, 8000, EVERYTHING]),
    max_checks=st.integers(1, 4),
    max_copies=st.integers(1, 3),
)
def test_slices_follow_the_rules(
    scratch: Path, rows: list[Row], memory: int, max_checks: int, max_copies: int
) -> None:
    """However little is held at a time, fates, partners, similarities and counts are the reference's."""
    changed = {"memory_bytes": memory, "max_checks": max_checks, "max_copies": max_copies}
    found, resolved = run(rows, scratch, **changed)
    expected, unverified = reference(rows, rules(**changed))
    assert (found, resolved.counts.unverified) == (expected, unverified)


def test_a_component_larger_than_memory_is_cut(scratch: Path) -> None:
    """A component of which a slice holds a part is resolved as a whole would be."""
    texts = [f"the ferry leaves from pier {i % 50} at dawn" for i in range(400)]
    rows = [Row(7, str(i), text, rank=i % 13) for i, text in enumerate(texts)]
    whole, one = run(rows, scratch)
    parts, many = run(rows, scratch, memory_bytes=60_000)
    assert (one.counts.slices, parts) == (1, whole)
    assert many.counts.slices > 5
    assert many.counts.component_sizes == {"257-512": 1}


def test_the_newest_delivery_speaks(scratch: Path) -> None:
    """Of one id the row with the latest time stays; of equal times the last in input order."""
    rows = [
        Row(0, "a", "old text", time=1),
        Row(0, "a", "new text", time=5),
        Row(0, "a", "mid", time=2),
    ]
    found, _ = run(rows, scratch)
    assert {post: (f[0], f[2]) for post, f in found.items()} == {
        0: (REDELIVERED_CODE, "a"),
        2: (REDELIVERED_CODE, "a"),
    }
    same = [Row(0, "a", "old text"), Row(0, "a", "new text")]
    assert set(run(same, scratch)[0]) == {0}


def test_history_speaks_before_newer_deliveries(scratch: Path) -> None:
    """An id that an earlier run kept is redelivered, and like posts of this run go for its sake."""
    rows = [
        Row(0, "a", "ferry to the island, edited", time=9),
        Row(0, "b", "ferry to the island!", time=9),
        Row(0, "a", "ferry to the island", segment=1),
    ]
    found, resolved = run(rows, scratch)
    assert {post: (f[0], f[2], f[3]) for post, f in found.items()} == {
        0: (REDELIVERED_CODE, "a", 1),
        1: (NEAR_CODE, "a", 1),
    }
    assert resolved.counts.cluster_sizes == {"2": 1}


def test_copies_stay_up_to_the_bound(scratch: Path) -> None:
    """With max_copies = 2 the first copy stays too, and both carry the size of their cluster."""
    rows = [Row(0, str(i), "the same words", rank=i) for i in range(4)]
    found, _ = run(rows, scratch, max_copies=2)
    assert {post: (f[0], f[2], f[4]) for post, f in found.items()} == {
        0: (KEPT_CODE, None, 4),
        1: (KEPT_CODE, None, 4),
        2: (EXACT_CODE, "0", None),
        3: (EXACT_CODE, "0", None),
    }


def test_size_bins() -> None:
    """Sizes to four have a bin each, larger ones share bins of powers of two."""
    assert size_bins(np.array([1, 2, 2, 4, 5, 8, 9, 16, 17])) == {
        "1": 1,
        "2": 2,
        "4": 1,
        "5-8": 2,
        "9-16": 2,
        "17-32": 1,
    }
