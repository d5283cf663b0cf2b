"""From clean units to a version of the history; that a kill, a rerun or a lost file changes nothing."""

import datetime
import json
import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from sluice.filters.dedup.exact_hash import content_hash, id_hash
from sluice.filters.dedup.minhash import MinHashSpec, text_band_keys
from sluice.filters.text.views import dedup_text
from sluice.pipeline.engine.inline import InlineEngine
from sluice.pipeline.engine.workers import Workers
from sluice.pipeline.history import segments
from sluice.pipeline.history import versions as history
from sluice.pipeline.history.segments import Contents, View, shared, take
from sluice.pipeline.history.versions import Segment, current
from sluice.pipeline.phases.edges import DROPS, Survivors
from sluice.pipeline.phases.history import remember
from sluice.pipeline.phases.history.phase import PHASE, steps_of
from sluice.pipeline.phases.planned import PhasePlan
from sluice.pipeline.units.attempt import Attempt
from sluice.pipeline.units.manifest import Unit
from sluice.pipeline.units.recovery import sweep
from sluice.schemas.counts import CleanCounts, NoCounts, ScreenedTally
from sluice.schemas.errors import OutputError
from tests.pipeline.runs import Job

FIRST_DAY = datetime.date(2026, 2, 26)
MINHASH = MinHashSpec()
Posts = list[tuple[str, str]]

UNITS: list[Posts] = [
    [("a", "The boats of the harbour leave at six in the morning"), ("b", "@x http://y.org")],
    [],
    [("c", "bread rises slowly in a cold kitchen and nobody minds"), ("d", "RT @x: short one")],
    [(f"e{i}", f"a post of its own, number {i}, about {'rain ' * (i % 4)}") for i in range(40)],
]


def clean_units(folder: Path, units: list[Posts], dropped: dict[int, list[int]]) -> Survivors:
    """Writes the files of clean units and of what a later phase dropped."""
    for u, posts in enumerate(units):
        attempt = Attempt(str(folder / "clean"), f"unit-{u:05d}")
        path = attempt.path("kept")
        rows = pa.table(
            {"text": [t for _, t in posts], "post_id": [i for i, _ in posts]},
            schema=pa.schema([("text", pa.string()), ("post_id", pa.string())]),
        )
        with pa.ipc.new_file(path, rows.schema) as file:
            file.write_table(rows, max_chunksize=9)
        attempt.add("kept", path)
        attempt.commit(CleanCounts(kept=ScreenedTally(posts=len(posts))))
    for u, at in dropped.items():
        attempt = Attempt(str(folder / "drop"), f"unit-{u:05d}")
        path = attempt.path("drops")
        with pa.ipc.new_file(path, DROPS) as file:
            file.write_table(pa.table({"row": at}, schema=DROPS))
        attempt.add("drops", path)
        attempt.commit(NoCounts())
    return Survivors(str(folder / "clean"), (str(folder / "drop"),))


def make_plan(
    folder: Path, survivors: Survivors, name: str = "one", number: int = 1, *, num_posts: int = 0
) -> remember.RememberStages:
    """Plans to remember posts in `folder / "history"`, in a window of three days."""
    return remember.remember_stages(
        survivors,
        folder=str(folder / "history"),
        name=name,
        day=FIRST_DAY + datetime.timedelta(days=number),
        inputs=f"inputs of {name}",
        days=3,
        minhash=MINHASH,
        num_posts=num_posts,
    )


def run(plan: remember.RememberStages) -> int:
    """Runs the phase as the driver does; returns how many units it was given."""
    with history.locked(plan.publish.history):
        units = sorted(p.stem for p in Path(plan.record.survivors.clean).glob("*.json"))
        left = remember.units_left(plan, [Unit(name, index=i) for i, name in enumerate(units)])
        for stage in plan:
            sweep(stage.folder)
        with Workers(1) as workers:
            InlineEngine(workers).run(PhasePlan(PHASE, "", "", list(left), steps_of(plan)))
    return len(left)


def files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture
def survivors(tmp_path: Path) -> Survivors:
    """Four clean units, one empty; of the last some posts were dropped."""
    return clean_units(tmp_path / "work", UNITS, {3: [0, 7, 39]})


def left_posts(survivors: Survivors) -> Posts:
    """Returns (id, dedup text) of all posts that are left, in order."""
    found: Posts = []
    for path in sorted(Path(survivors.clean).glob("*.json")):
        for batch in survivors.read(path.stem, columns=("post_id", "text")):
            texts = dedup_text(batch.column("text")).to_pylist()
            found += zip(batch.column("post_id").to_pylist(), texts, strict=True)
    return found


def keys_of(posts: Posts) -> list[set[int]]:
    """Returns the 64-bit keys of each post, as phase clean defines them; an empty row has none."""
    ids = pa.array([i for i, _ in posts], pa.string())
    texts = pa.array([t for _, t in posts], pa.string())
    id_N, content_N = id_hash(ids), content_hash(texts)
    bands_NK = text_band_keys(texts, MINHASH)
    return [
        {int(id_N[i]), *([int(content_N[i]), *map(int, bands_NK[i])] * bool(text))}
        if post_id
        else set()
        for i, (post_id, text) in enumerate(posts)
    ]


def check_segment(folder: Path, name: str, posts: Posts) -> Contents:
    """Asserts that a segment has exactly these posts and their keys; returns its contents."""
    view = View(str(folder), (name,))
    (about,) = segments.contents(view)
    assert about.rows == len(posts)
    at = 0
    for file in about.posts:
        assert file.first == at
        found = take(str(folder), name, file, np.arange(at, at + file.rows))
        assert [(r["post_id"], r["text"]) for r in found.to_pylist()] == posts[at : at + file.rows]
        at += file.rows
    assert at == len(posts)
    expected: dict[int, list[int]] = {}
    for row, of_post in enumerate(keys_of(posts)):
        for key in of_post:
            expected.setdefault(key >> 16, []).append(row)
    key_M = np.array([k << 16 for k in expected], np.uint64)
    at_E, entry_E = shared(key_M, view, low=0, high=1 << 64, limit=10**6)
    found_rows: dict[int, list[int]] = {}
    for place, entry in zip(at_E.tolist(), entry_E.tolist(), strict=True):
        found_rows.setdefault(int(key_M[place]) >> 16, []).append(entry)
    assert found_rows == expected
    assert sum(f.rows for f in about.keys) == sum(map(len, expected.values()))
    return about


def test_a_run_is_remembered(tmp_path: Path, survivors: Survivors) -> None:
    """The segment has the posts that are left, dropped ones not, with all their keys, and is published."""
    plan = make_plan(tmp_path, survivors)
    assert run(plan) == 4
    posts = left_posts(survivors)
    assert len(posts) == 41
    assert posts[1] == ("b", "")
    about = check_segment(tmp_path / "history", "one", posts)
    assert [f.name for f in about.posts] == [f"posts-{u:05d}.arrow" for u in (0, 2, 3)]
    version = current(plan.publish.history)
    size = sum(f.bytes for f in (*about.posts, *about.keys))
    assert version.segments == (Segment("one", "2026-02-27", "inputs of one", 41, size),)
    assert version.sketch == history.sketch(MINHASH)
    counts = json.loads(Path(plan.publish.folder, "history.json").read_text())["counts"]
    assert counts == {"posts": 41, "keys": 41 + 40 * 21, "bytes": size}
    names = {str(p.relative_to(tmp_path / "history")) for p in (tmp_path / "history").rglob("*.*")}
    assert names == {
        "version-00000001.json",
        "segments/one/segment.json",
        os.path.relpath(f"{plan.publish.folder}/history.json", plan.publish.history),
        *(f"segments/one/{f.name}" for f in (*about.posts, *about.keys)),
    }


def test_partitions_do_not_show(tmp_path: Path, survivors: Survivors) -> None:
    """However many partitions sort the keys, the same keys are found."""
    plan = make_plan(tmp_path, survivors, num_posts=5 * remember.POSTS_IN_KEY_PARTITION)
    run(plan)
    about = check_segment(tmp_path / "history", "one", left_posts(survivors))
    assert len(about.keys) == 5
    bounds = [bound for f in about.keys for bound in (f.low, f.high)]
    assert bounds == sorted(bounds)


def test_a_run_twice_leaves_every_byte(tmp_path: Path, survivors: Survivors) -> None:
    """A second run of the same name has nothing to do and changes no byte of the history."""
    run(make_plan(tmp_path, survivors))
    before = files(tmp_path / "history")
    assert run(make_plan(tmp_path, survivors)) == 0
    assert files(tmp_path / "history") == before


def test_a_second_attempt_at_publishing_changes_nothing(
    tmp_path: Path, survivors: Survivors
) -> None:
    """An engine may publish twice: the later attempt needs none of the work that the first removed."""
    plan = make_plan(tmp_path, survivors)
    run(plan)
    before = files(tmp_path / "history")
    gone = [[plan.record.folder, "unit-00000"], [plan.index_keys.folder, "keys-00000"]]
    attempt = Attempt(plan.publish.folder, "history")
    counts = plan.publish.do(Unit("history", {"done": gone}), attempt)
    assert counts.posts == 41
    assert files(tmp_path / "history") == before


class Killed(BaseException):
    """What no code of ours catches: stands for the end of the process."""


KILLS = ("key_span", "flush", "write_durably", "replace", "sweep", "_tidy", "published_counts")


@pytest.mark.parametrize("point", KILLS)
def test_a_killed_run_leaves_the_old_version_and_goes_on(
    tmp_path: Path, survivors: Survivors, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    """Killed anywhere in publishing, the old version is whole; run again, the bytes are as if not killed."""
    for folder in ("killed", "not"):
        run(
            make_plan(
                tmp_path / folder, clean_units(tmp_path / f"work-{folder}", UNITS[:1], {}), "old"
            )
        )
    run(make_plan(tmp_path / "not", survivors, "new", 2))
    plan, old = make_plan(tmp_path / "killed", survivors, "new", 2), files(tmp_path / "killed")

    def die(*_: object, **__: object) -> None:
        raise Killed

    owner = {"key_span": segments, "_tidy": remember, "published_counts": remember}
    with monkeypatch.context() as patch:
        if point == "replace":
            patch.setattr(history.os, "replace", dying_replace(plan))
        else:
            patch.setattr(owner.get(point, history), point, die)
        with pytest.raises(Killed):
            run(plan)
    version = current(plan.publish.history)
    published = point in ("sweep", "_tidy", "published_counts")
    assert [s.name for s in version.segments] == (["old", "new"] if published else ["old"])
    check_segment(tmp_path / "killed" / "history", "old", left_posts_of(UNITS[0]))
    now = files(tmp_path / "killed")
    assert {k: v for k, v in now.items() if k in old} == old
    recorded = {p: p.stat().st_mtime_ns for p in Path(plan.publish.segment_folder).glob("posts-*")}
    assert len(recorded) >= 3
    run(plan)
    assert {p: p.stat().st_mtime_ns for p in recorded if p.exists()}.items() <= recorded.items()
    assert files(tmp_path / "killed") == files(tmp_path / "not")


def dying_replace(plan: remember.RememberStages):
    """Dies at the rename of a version file, with the file written."""
    original = history.os.replace

    def replace(source: object, target: object) -> None:
        if Path(str(target)).name.startswith("version-"):
            raise Killed
        original(source, target)

    return replace


def left_posts_of(posts: Posts) -> Posts:
    texts = dedup_text(pa.array([t for _, t in posts], pa.string())).to_pylist()
    return [(i, t) for (i, _), t in zip(posts, texts, strict=True)]


def test_deleted_files_are_made_again(tmp_path: Path, survivors: Survivors) -> None:
    """Whatever file of a segment was deleted or cut by hand, the run makes the same bytes again."""
    run(make_plan(tmp_path, survivors))
    folder = tmp_path / "history"
    before = files(folder)
    for path in sorted((folder / "segments" / "one").glob("*.*")):
        if path.name == "segment.json":
            continue
        path.unlink()
        with pytest.raises(OutputError):
            check_segment(folder, "one", left_posts(survivors))
        assert run(make_plan(tmp_path, survivors)) == 4
        assert files(folder) == before
        path.write_bytes(before[str(path.relative_to(folder))][:-1])
        assert run(make_plan(tmp_path, survivors)) == 4
        assert files(folder) == before


def test_work_without_its_files_is_done_again(
    tmp_path: Path, survivors: Survivors, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A manifest of a killed run whose file is gone does not count, of posts or of exchanged keys."""
    run(make_plan(tmp_path / "not", survivors))
    for lost in ("posts-00002.arrow", "work/record/unit-00003.*.keys.arrow", "keys-00000.parquet"):
        plan = make_plan(tmp_path / lost.partition(".")[0], survivors)
        with monkeypatch.context() as patch:
            patch.setattr(history, "write_durably", lambda *_: 1 / 0)
            with pytest.raises(Exception, match="ZeroDivisionError"):
                run(plan)
        (path,) = Path(plan.publish.segment_folder).glob(lost)
        path.unlink()
        run(plan)
        assert files(Path(plan.publish.history)) == files(tmp_path / "not" / "history")


def test_an_undone_version_is_published_again(tmp_path: Path, survivors: Survivors) -> None:
    """With the newest version deleted the run is not done: it is remembered again, under the same bytes."""
    run(make_plan(tmp_path, clean_units(tmp_path / "other", UNITS[2:3], {}), "old"))
    run(make_plan(tmp_path, survivors, "new", 2))
    before = files(tmp_path / "history")
    (tmp_path / "history" / "version-00000002.json").unlink()
    assert [s.name for s in current(str(tmp_path / "history")).segments] == ["old"]
    assert run(make_plan(tmp_path, survivors, "new", 2)) == 4
    assert files(tmp_path / "history") == before


def test_a_day_outside_the_window_is_not_remembered(tmp_path: Path, survivors: Survivors) -> None:
    """A day older than the window does nothing, and leaves no file."""
    run(make_plan(tmp_path, survivors, "new", 9))
    before = files(tmp_path / "history")
    assert run(make_plan(tmp_path, survivors, "late", 6)) == 0
    assert files(tmp_path / "history") == before


def test_a_run_that_kept_nothing_is_remembered(tmp_path: Path) -> None:
    """Without a post there is a segment without files, so that the inputs keep their place."""
    nothing = clean_units(tmp_path / "work", [[], []], {})
    run(make_plan(tmp_path, nothing))
    assert current(str(tmp_path / "history")).segments[0].rows == 0
    check_segment(tmp_path / "history", "one", [])


def test_old_days_are_retired_from_the_disk(tmp_path: Path, survivors: Survivors) -> None:
    """A segment outside the window leaves the version at once, and the disk one version later."""
    for n in range(1, 7):
        run(make_plan(tmp_path, survivors, f"s{n}", n))
        held = [s.name for s in current(str(tmp_path / "history")).segments]
        assert held == [f"s{i}" for i in range(max(1, n - 2), n + 1)]
        on_disk = sorted(p.name for p in (tmp_path / "history" / "segments").iterdir())
        assert on_disk == [f"s{i}" for i in range(max(1, n - 3), n + 1)]


def test_another_run_of_the_same_inputs_replaces_the_first(
    tmp_path: Path, survivors: Survivors
) -> None:
    """With a changed recipe the segment has another name: it takes the place of the one of its inputs."""
    first = make_plan(tmp_path, survivors, "first")
    run(first)
    run(make_plan(tmp_path, survivors, "second", 2))
    changed = make_plan(tmp_path, survivors, "third")
    object.__setattr__(changed.publish, "inputs", first.publish.inputs)
    run(changed)
    held = current(str(tmp_path / "history")).segments
    assert [s.name for s in held] == ["third", "second"]


def test_other_settings_are_not_published(tmp_path: Path, survivors: Survivors) -> None:
    """A segment of other bands is refused before a version names it."""
    run(make_plan(tmp_path, survivors))
    plan = make_plan(tmp_path, survivors, "two", 2)
    object.__setattr__(plan.publish, "sketch", history.sketch(MinHashSpec(bands=18)))
    with pytest.raises(Exception, match=r"dedup\.bands = 18 here, 20 in the history"):
        run(plan)
    assert [s.name for s in current(plan.publish.history).segments] == ["one"]


def test_a_real_run_is_remembered(tmp_path: Path, job: Job) -> None:
    """The posts that a whole run left make a segment that finds each of them by its keys."""
    (clean,) = job.output.glob("work/clean-*/clean")
    (drop,) = job.output.glob("work/dedup-*/drop")
    left = Survivors(str(clean), (str(drop),))
    run(make_plan(tmp_path, left))
    posts = left_posts(left)
    assert len(posts) == job.report()["posts"]["kept"]
    check_segment(tmp_path / "history", "one", posts)
