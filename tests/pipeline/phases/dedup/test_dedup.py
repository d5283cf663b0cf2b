"""Which of several copies stays, and that a partner always does, through the whole phase."""

import json
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

import sluice
from sluice.pipeline import cli
from sluice.pipeline.phases.dedup import phase as dedup_phase
from sluice.pipeline.phases.dedup.send import partition_of
from tests.pipeline.runs import Job, reject_rows

BASE = "the lighthouse keeper counts forty seven boats before breakfast on a calm day"
LONGER = BASE + " again"
BREAD = "bread rises slowly in a cold kitchen and nobody minds waiting for it"
RAIN = "rain falls on the tin roof of the market while the children sleep"
RECIPE = 'name = "copies"\n[dedup]\nthreshold = 0.7\n[training]\nsequence_length = 256\n'


def resolve(job: Job, folder: Path, posts: list[dict[str, Any]], *more: str) -> dict[int, dict]:
    """Runs posts, a line each, and returns the duplicates' reject rows by line."""
    folder.mkdir(exist_ok=True)
    lines = "".join(json.dumps(post) + "\n" for post in posts)
    (folder / "posts.jsonl").write_text(lines)
    (folder / "copies.toml").write_text(RECIPE)
    arguments = ["run", str(folder / "copies.toml"), "--input", str(folder / "posts.jsonl")]
    arguments += ["--output", str(folder / "out"), "--set", f"vocabulary.tokenizer={job.tokenizer}"]
    assert cli.main([*arguments, *more]) == 0
    assert cli.main(["verify", str(folder / "out")]) == 0
    return {row["source_row"]: row for row in reject_rows(folder / "out")}


def post(post_id: str, text: str, day: int | None = None) -> dict[str, Any]:
    created_at = None if day is None else f"2026-01-{day:02}T00:00:00Z"
    return {"id": post_id, "text": text, "created_at": created_at}


def shingles(text: str) -> set[str]:
    return {text[i : i + 5] for i in range(len(text) - 4)}


def jaccard(a: set[str], b: set[str]) -> float:
    return len(a & b) / len(a | b)


def test_the_earliest_stays(job: Job, tmp_path: Path) -> None:
    """The copy with the earliest time stays, wherever it stands; one without a time comes last."""
    posts = [post("a", BASE), post("b", LONGER, 3), post("c", BASE.upper(), 2), post("d", BASE, 4)]
    rows = resolve(job, tmp_path, posts)
    assert {r: (row["reason"], row["duplicate_of"]) for r, row in rows.items()} == {
        0: ("exact", "c"),
        1: ("near", "c"),
        3: ("exact", "c"),
    }
    assert 0.7 <= rows[1]["score"] < 1.0


def test_the_longest_stays(job: Job, tmp_path: Path) -> None:
    """With keep = "longest" the longest text stays and the others name it."""
    posts = [post("a", BASE, 1), post("b", LONGER, 3), post("c", BASE.upper(), 2)]
    rows = resolve(job, tmp_path, posts, "--set", "dedup.keep=longest")
    assert {r: (row["reason"], row["duplicate_of"]) for r, row in rows.items()} == {
        0: ("near", "b"),
        2: ("near", "b"),
    }


def test_the_most_informative_stays(job: Job, tmp_path: Path) -> None:
    """With keep = "informative" the text with the most distinct n-grams stays, not the longest."""
    padded = BASE + "!" * 30
    posts = [post("a", BASE, 1), post("b", padded, 2), post("c", LONGER, 3)]
    assert len(shingles(LONGER)) > len(shingles(padded))
    rows = resolve(job, tmp_path, posts, "--set", "dedup.keep=informative")
    assert {r: row["duplicate_of"] for r, row in rows.items()} == {0: "c", 1: "c"}


def test_a_redelivered_id_is_one_post(job: Job, tmp_path: Path) -> None:
    """The same id and text twice is one post, and the newest stays; an unlike text of the id stays too."""
    rows = resolve(job, tmp_path, [post("a", BASE, 1), post("a", BASE, 3), post("a", BREAD, 2)])
    assert {r: (row["reason"], row["duplicate_of"]) for r, row in rows.items()} == {
        0: ("redelivered", "a")
    }
    assert rows[0]["score"] == 1.0


def test_a_conflict_of_ids_is_told(
    job: Job, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Unlike texts of one id are counted, with one example of where they are and without their texts."""
    posts = [post("a", BASE, 1), post("b", BREAD, 3), post("a", RAIN, 2), post("b", RAIN + "!", 4)]
    assert resolve(job, tmp_path, posts, "--set", "dedup.threshold=0.99") == {}
    out = tmp_path / "out"
    report = json.loads((out / "report" / "report.json").read_text())
    assert (report["posts"]["kept"], report["posts"]["id_conflicts"]) == (4, 2)
    told = [
        w for w in report["warnings"] if w.startswith("ids: 2 posts have the id of another post")
    ]
    assert "as 'a' at posts.jsonl row 0 and at posts.jsonl row 2" in told[0]
    assert 'input.ids = "per_file"' in told[0]
    assert not any(word in told[0] for word in ("rain", "lighthouse"))
    found = sluice.open_output(out)
    assert len(found.post("a").placements) == len(found.post("a").cleaned) == 2
    assert found.text("b") in (BREAD, RAIN + "!")


def test_an_edit_is_a_redelivery(job: Job, tmp_path: Path) -> None:
    """Rows of an id and a time of which one says that it was edited are one post, with the last text."""
    edits = [{**post("a", RAIN, 1), "edited_at": f"2026-01-0{day}"} for day in (3, 2)]
    rows = resolve(job, tmp_path, [post("a", BASE, 1), *edits, post("a", BREAD, 2)])
    assert {r: (row["reason"], row["duplicate_of"]) for r, row in rows.items()} == {
        0: ("redelivered", "a"),
        2: ("redelivered", "a"),
    }


@pytest.mark.parametrize("keep", ["earliest", "longest", "informative"])
def test_the_last_edit_stays_in_any_order(job: Job, tmp_path: Path, keep: str) -> None:
    """Of rows of one id and time the one with the latest edited_at stays, wherever they stand."""
    rows, edited = [], ["2026-01-02", "2026-01-03"]
    for number, order in enumerate(permutations(range(3))):
        for version in order:
            time = {"edited_at": edited[version - 1]} if version else {}
            text = " ".join(f"{word}{number}{version}" for word in BASE.split())
            rows.append({**post(str(number), text, 1), **time, "version": version})
    dropped = resolve(job, tmp_path, rows, "--set", f"dedup.keep={keep}")
    left = [row["version"] for place, row in enumerate(rows) if place not in dropped]
    assert left == [2] * 6


def test_conflicts_of_ids_are_dropped(job: Job, tmp_path: Path) -> None:
    """With dedup.id_conflicts = "drop" the newest of an id stays, and the reason of the others says why."""
    posts = [post("a", BASE, 1), post("a", RAIN, 2), post("a", RAIN, 1)]
    rows = resolve(job, tmp_path, posts, "--set", "dedup.id_conflicts=drop")
    assert {r: row["reason"] for r, row in rows.items()} == {0: "id_conflict", 2: "redelivered"}
    report = json.loads((tmp_path / "out" / "report" / "report.json").read_text())
    assert report["posts"]["duplicates"] == {
        "redelivered": 1,
        "exact": 0,
        "near": 0,
        "id_conflict": 1,
    }
    assert report["posts"]["id_conflicts"] == 1


def test_copies_stay_and_are_counted(job: Job, tmp_path: Path) -> None:
    """max_copies keeps the first copies, and provenance counts the posts of each one's cluster."""
    texts = [BASE, BASE, BASE.upper(), LONGER, "a text that is like no other in this file of posts"]
    posts = [post(f"p{i}", text, i + 1) for i, text in enumerate(texts)] + [post("p1", BASE, 2)]
    rows = resolve(
        job, tmp_path, posts, "--set", "dedup.max_copies=2", "--set", "dedup.count_copies=true"
    )
    assert {r: (row["reason"], row["duplicate_of"]) for r, row in rows.items()} == {
        1: ("redelivered", "p1"),
        2: ("exact", "p0"),
        3: ("near", "p0"),
    }
    placed = pq.read_table(tmp_path / "out" / "provenance").to_pylist()
    assert {p["post_id"]: p["copies"] for p in placed} == {"p0": 4, "p1": 4, "p4": 1}


def test_a_chain_is_not_a_cluster(job: Job, tmp_path: Path) -> None:
    """Where A is like B and B like C, but A not like C, C stays: each partner is compared itself."""
    words = BASE.split()
    texts = [BASE, " ".join([*words[:-1], "night"]), " ".join(["one", *words[1:-1], "night"])]
    a, b, c = (shingles(text) for text in texts)
    threshold = min(jaccard(a, b), jaccard(b, c)) - 0.01
    assert jaccard(a, c) < threshold
    posts = [post(f"p{i}", text, i + 1) for i, text in enumerate(texts)]
    rows = resolve(job, tmp_path, posts, "--set", f"dedup.threshold={threshold}")
    assert {r: (row["reason"], row["duplicate_of"]) for r, row in rows.items()} == {
        1: ("near", "p0")
    }
    assert rows[1]["score"] == pytest.approx(jaccard(a, b), abs=1e-6)


def test_links_alone_are_not_copies_of_each_other(job: Job, tmp_path: Path) -> None:
    """A text of nothing but links and handles is like no other; only its id can repeat."""
    posts = [post("a", "https://example.org/1"), post("b", "@anna https://example.org/2")]
    assert resolve(job, tmp_path, posts) == {}


def test_partitions_do_not_show(job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many partitions resolve components, the same posts are kept."""
    texts = [f"{BASE} number {i % 7} of the {'old ' * (i % 3)}harbour" for i in range(60)]
    posts = [post(f"p{i}", text, 1 + i % 20) for i, text in enumerate(texts)]
    many = resolve(job, tmp_path / "many", posts)
    monkeypatch.setattr(dedup_phase, "POSTS_IN_PARTITION", 1)
    assert resolve(job, tmp_path / "one", posts) == many
    kept = {p["id"] for i, p in enumerate(posts) if i not in many}
    assert 0 < len(kept) < 60
    assert {row["duplicate_of"] for row in many.values()} <= kept


def test_components_spread_over_partitions() -> None:
    """Partitions of components are in range, and all are used."""
    found = partition_of(np.arange(10_000, dtype=np.uint32), 7)
    assert set(found.tolist()) == set(range(7))
