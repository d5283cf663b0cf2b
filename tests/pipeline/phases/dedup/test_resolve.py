"""Resolving in slices against a plain-Python reading of the rules."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sluice.filters.dedup.clusters import (
    EXACT_CODE,
    ID_CONFLICT_CODE,
    KEPT_CODE,
    NEAR_CODE,
    REDELIVERED_CODE,
)
from sluice.filters.dedup.minhash import MinHashSpec, text_band_keys
from sluice.pipeline.phases.dedup.resolve import Rules, resolve, size_bins
from sluice.pipeline.phases.dedup.slicing import CANDIDATE, NEVER, THIS_RUN
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
    edited: int = NEVER


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
    table = [
        {
            "component": r.component,
            "post": number,
            "segment": r.segment,
            "rank": r.rank if r.segment == THIS_RUN else NEVER,
            "time": r.time if r.segment == THIS_RUN else NEVER,
            "edited": r.edited if r.segment == THIS_RUN else NEVER,
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


def version(rows: list[Row], i: int) -> str:
    """The text that a row's post goes by: its own; if an edit is known, that of the last, or history's."""
    r = rows[i]
    of_id = [j for j, other in enumerate(rows) if other[:2] == r[:2]]
    earlier = [j for j in of_id if rows[j].segment != THIS_RUN]
    if r.segment != THIS_RUN:
        return r.text
    edits = [(rows[j].edited, j) for j in of_id if j not in earlier and rows[j].time == r.time]
    edits = [edit for edit in edits if edit[0] != NEVER]
    if not edits:
        return r.text
    return rows[earlier[-1] if earlier else max(edits)[1]].text


class Expected(NamedTuple):
    """What the rules make of rows."""

    fates: dict[int, tuple]
    unverified: int
    conflicts: list[int]


def reference(rows: list[Row], rule: Rules) -> Expected:
    """The rules of `resolve.py` and of `sluice.filters.dedup.clusters`, one post at a time."""
    keys = text_band_keys(pa.array([r.text for r in rows], pa.string()), SPEC).tolist()
    dropping = rule.dedup.id_conflicts == "drop"
    versions = [version(rows, i) for i in range(len(rows))]
    deliveries: dict[tuple, list[int]] = {}
    for i, r in enumerate(rows):
        deliveries.setdefault((r.component, r.post_id, dropping or versions[i]), []).append(i)
    speaker = {}
    for group in deliveries.values():
        newest = max(
            group,
            key=lambda i: (
                (True, i)
                if rows[i].segment != THIS_RUN
                else (False, rows[i].edited, rows[i].time, i)
            ),
        )
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
            same = versions[i] == versions[speaker[i]]
            reason = REDELIVERED_CODE if same else ID_CONFLICT_CODE
            out[i] = (reason, likeness_, rows[who].post_id, rows[who].segment, None)
        elif i in stays and sizes[fate[i][1]] > 1:
            out[i] = (KEPT_CODE, None, None, THIS_RUN, sizes[fate[i][1]])
    conflicts = [i for i in out if out[i][0] == ID_CONFLICT_CODE]
    if not dropping:
        stay = [i for i in range(len(rows)) if i in stays or rows[i].segment != THIS_RUN]
        first: dict[tuple, int] = {}
        for i in sorted(stay, key=place):
            if first.setdefault(rows[i][:2], i) != i and i in stays:
                conflicts.append(i)
    return Expected(out, unverified, sorted(conflicts))


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
        edited=st.sampled_from([NEVER, NEVER, NEVER, NEVER, 1, 2]),
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
    id_conflicts=st.sampled_from(["keep", "drop"]),
)
def test_slices_follow_the_rules(
    scratch: Path, rows: list[Row], memory: int, **changed: Any
) -> None:
    """However little is held at a time, fates, partners, similarities and counts are the reference's."""
    found, resolved = run(rows, scratch, memory_bytes=memory, **changed)
    expected = reference(rows, rules(**changed))
    counts = resolved.counts
    assert (found, counts.unverified) == (expected.fates, expected.unverified)
    assert counts.id_conflicts == len(expected.conflicts)
    assert resolved.conflict.column("post").to_pylist() == expected.conflicts[:1]
    kept = [
        i
        for i, r in enumerate(rows)
        if r.segment == THIS_RUN and found.get(i, (0,))[0] == KEPT_CODE
    ]
    assert counts.shared_ids == len(kept) - len({rows[i][:2] for i in kept})


@given(rows=ROWS)
def test_no_text_is_lost_for_its_id(rows: list[Row]) -> None:
    """Where no row says that it was edited, a dropped text is one that stays, or like one that does."""
    rows = [r._replace(edited=NEVER) for r in rows]
    with tempfile.TemporaryDirectory() as folder:
        found, _ = run(rows, Path(folder))
    stay = {r.text for i, r in enumerate(rows) if found.get(i, (KEPT_CODE,))[0] == KEPT_CODE}
    for i, (reason, similarity, *_) in found.items():
        if reason != KEPT_CODE:
            assert rows[i].text in stay or similarity >= float(np.float32(0.6))


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
    """Of one id and text the row with the latest time stays; of equal times the last in input order."""
    rows = [Row(0, "a", "a text", time=time) for time in (1, 5, 2)]
    found, _ = run(rows, scratch)
    assert {post: (f[0], f[2]) for post, f in found.items()} == {
        0: (REDELIVERED_CODE, "a"),
        2: (REDELIVERED_CODE, "a"),
    }
    same = [Row(0, "a", "a text"), Row(0, "a", "a text")]
    assert set(run(same, scratch)[0]) == {0}


def test_the_last_edit_speaks(scratch: Path) -> None:
    """Of an id and a time the row that was edited last stays, and the others are redelivered."""
    rows = [
        Row(0, "a", "first words", time=3),
        Row(0, "a", "other letters", time=3, edited=9),
        Row(0, "a", "ferry", time=3, edited=7),
    ]
    found, resolved = run(rows, scratch)
    assert {post: f[0] for post, f in found.items()} == dict.fromkeys((0, 2), REDELIVERED_CODE)
    assert resolved.counts.id_conflicts == 0


def test_unlike_texts_of_one_id_stay(scratch: Path) -> None:
    """Rows of one id with unlike texts and no edit are posts of their own, and counted; a copy goes."""
    texts = ["ferry at dawn", "bread rises", "ferry at dawn", "snow in june"]
    rows = [Row(0, "a", text, rank=i) for i, text in enumerate(texts)]
    found, resolved = run(rows, scratch)
    assert {post: f[0] for post, f in found.items()} == {0: REDELIVERED_CODE}
    assert (resolved.counts.id_conflicts, resolved.counts.shared_ids) == (2, 2)
    assert resolved.conflict.to_pylist() == [{"post": 2, "of": 1, "segment": THIS_RUN}]


def test_an_edit_of_another_time_explains_nothing(scratch: Path) -> None:
    """An edited row of the same id but another time is another post: ids that repeat may be edited, too."""
    rows = [Row(0, "a", "ferry at dawn", time=1), Row(0, "a", "bread rises", time=2, edited=3)]
    found, resolved = run(rows, scratch)
    assert (found, resolved.counts.id_conflicts) == ({}, 1)


def test_conflicts_are_dropped_where_a_recipe_says_so(scratch: Path) -> None:
    """Where one of an id stays it is the newest; others are conflicts or, with its text, redelivered."""
    texts = ["ferry at dawn", "bread rises", "bread rises"]
    rows = [Row(0, "a", text, time=i) for i, text in enumerate(texts)]
    found, resolved = run(rows, scratch, id_conflicts="drop")
    assert {post: f[0] for post, f in found.items()} == {0: ID_CONFLICT_CODE, 1: REDELIVERED_CODE}
    assert (resolved.counts.id_conflicts, resolved.counts.shared_ids) == (1, 0)


def test_history_speaks_before_newer_deliveries(scratch: Path) -> None:
    """An edit of what an earlier run kept is redelivered, and like posts of this run go for its sake."""
    rows = [
        Row(0, "a", "bread rises slowly", time=9, edited=11),
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
