"""The versions of a history: which segments count, and who may write."""

import datetime
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.filters.dedup.minhash import MinHashSpec
from sluice.pipeline.history import versions as history
from sluice.pipeline.history.segments import Contents
from sluice.pipeline.history.versions import Segment, Sketch, Version, current, extended, publish
from sluice.schemas.errors import OutputError, RecipeError

FIRST_DAY = datetime.date(2026, 2, 26)
MINHASH = MinHashSpec()
SKETCH = history.sketch(MINHASH)
Posts = list[tuple[str, str]]


def readable(
    version: Version | None, *, inputs: str, day: datetime.date, days: int
) -> tuple[Segment, ...]:
    """Returns the segments that a run reads, as dedup asks for them."""
    return history.in_window(history.before(version, inputs=inputs), day=day, days=days)


def day(number: int) -> datetime.date:
    return FIRST_DAY + datetime.timedelta(days=number)


def segment(name: str, number: int, *, inputs: str = "", rows: int = 3) -> Segment:
    return Segment(name, day(number).isoformat(), inputs or f"inputs of {name}", rows, 100 * rows)


def hold(folder: Path, segments: Sequence[Segment]) -> None:
    """Makes the folders that versions name, with nothing in them."""
    for s in segments:
        made = folder / "segments" / s.name
        made.mkdir(parents=True, exist_ok=True)
        (made / "segment.json").write_bytes(msgspec.json.encode(Contents(s.rows, (), ())))


def files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


# Versions: the rules, against a model that is a list.

steps = st.lists(
    st.tuples(st.integers(0, 5), st.integers(0, 9), st.integers(0, 2)), min_size=1, max_size=12
)
"""Runs: which inputs, on which day, and which state of the recipe."""


class Model:
    """The history as a plain list of (inputs, state of the recipe, day)."""

    def __init__(self, days: int):
        self.days, self.held = days, []

    def add(self, inputs: int, number: int, state: int) -> None:
        if any(h[:2] == (inputs, state) for h in self.held):
            return
        newest = max([number] + [d for i, _, d in self.held if i != inputs])
        if number <= newest - self.days:
            return
        at = [i for i, h in enumerate(self.held) if h[0] == inputs]
        at = at[0] if at else len(self.held)
        self.held[at : at + 1] = [(inputs, state, number)]
        self.held = [h for h in self.held if h[2] > newest - self.days]

    def readable(self, inputs: int, number: int) -> list[tuple[int, int, int]]:
        found = []
        for h in self.held:
            if h[0] == inputs:
                break
            if h[2] > number - self.days:
                found.append(h)
        return found


def rows(segments: Sequence[Segment]) -> list[tuple[int, int, int]]:
    """Returns the segments as the model has them."""
    return [
        (*map(int, s.name.split("-")), (datetime.date.fromisoformat(s.day) - FIRST_DAY).days)
        for s in segments
    ]


@given(steps=steps, days=st.integers(1, 8))
def test_versions_are_those_of_a_list(steps: list[tuple[int, int, int]], days: int) -> None:
    """Added, replaced in place, too old, retired, read: as a plain list does it, run by run."""
    version, model = None, Model(days)
    for inputs, number, state in steps:
        found = readable(version, inputs=str(inputs), day=day(number), days=days)
        assert rows(found) == model.readable(inputs, number)
        added = segment(f"{inputs}-{state}", number, inputs=str(inputs))
        later = extended(version, added, sketch=SKETCH, days=days)
        before = list(model.held)
        model.add(inputs, number, state)
        assert rows(later.segments) == model.held
        if model.held == before:
            assert later is version
        else:
            assert later.number == (version.number + 1 if version else 1)
        version = later


@given(steps=steps, days=st.integers(1, 8))
def test_a_run_twice_changes_nothing(steps: list[tuple[int, int, int]], days: int) -> None:
    """Run again at once, a day gives the same version and reads what it read the first time."""
    version = None
    for inputs, number, state in steps:
        added = segment(f"{inputs}-{state}", number, inputs=str(inputs))
        read = readable(version, inputs=str(inputs), day=day(number), days=days)
        version = extended(version, added, sketch=SKETCH, days=days)
        assert extended(version, added, sketch=SKETCH, days=days) is version
        if added in version.segments:
            assert readable(version, inputs=str(inputs), day=day(number), days=days) == read


def test_a_window_counts_its_days() -> None:
    """A window of three days on day 5 reads days 3, 4 and 5, and whatever is later."""
    held = tuple(segment(f"s{n}", n) for n in range(9))
    version = Version(history.FORMAT, 1, SKETCH, held)
    found = readable(version, inputs="new", day=day(5), days=3)
    assert [s.name for s in found] == ["s3", "s4", "s5", "s6", "s7", "s8"]
    assert readable(None, inputs="new", day=day(5), days=3) == ()
    assert readable(version, inputs="new", day=day(5), days=10**9) == held


def test_retired_days_follow_the_newest() -> None:
    """A new day retires the days that left the window; one that is too old itself changes nothing."""
    version = None
    for n in range(4):
        version = extended(version, segment(f"s{n}", n), sketch=SKETCH, days=3)
    assert [s.name for s in version.segments] == ["s1", "s2", "s3"]
    assert extended(version, segment("late", 0), sketch=SKETCH, days=3) is version
    assert [
        s.name for s in extended(version, segment("late", 1), sketch=SKETCH, days=3).segments
    ] == [
        "s1",
        "s2",
        "s3",
        "late",
    ]


# Versions: the files.


def test_no_history_is_none(tmp_path: Path) -> None:
    """A folder that is not there, or has no version yet, is an empty history."""
    assert current(str(tmp_path / "none")) is None
    with history.locked(str(tmp_path / "new")):
        assert current(str(tmp_path / "new")) is None


def test_two_versions_are_kept_whole(tmp_path: Path) -> None:
    """The newest version and the one before stay with their segments; older ones go, and half files."""
    version = None
    for n in range(5):
        added = segment(f"s{n}", n)
        hold(tmp_path, [added])
        (tmp_path / "segments" / f"died-{n}").mkdir()
        (tmp_path / ".tmp-00000000-.ready-version-00000009.json").write_text("{")
        version = extended(version, added, sketch=SKETCH, days=2)
        publish(str(tmp_path), version)
        assert current(str(tmp_path)) == version
    assert sorted(p.name for p in tmp_path.glob("*")) == [
        "segments",
        "version-00000004.json",
        "version-00000005.json",
    ]
    assert not list(tmp_path.glob(".*"))
    assert sorted(p.name for p in tmp_path.glob("segments/*")) == ["s2", "s3", "s4"]
    (tmp_path / "version-00000005.json").unlink()
    assert [s.name for s in current(str(tmp_path)).segments] == ["s2", "s3"]


def test_publishing_again_changes_nothing(tmp_path: Path) -> None:
    """The version that counts is not written again."""
    version = extended(None, segment("s", 1), sketch=SKETCH, days=9)
    hold(tmp_path, version.segments)
    publish(str(tmp_path), version)
    path = tmp_path / "version-00000001.json"
    before = path.stat().st_mtime_ns, files(tmp_path)
    publish(str(tmp_path), version)
    assert (path.stat().st_mtime_ns, files(tmp_path)) == before


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not a version of a history"),
        ('{"format": 1, "number": 2, "sk', "not a version of a history"),
        ('{"format": 1, "number": 2, "segments": []}', "not a version of a history"),
        ('{"format": 2, "number": 2, "new": 1}', "is of format 2, this release of Sluice reads 1"),
    ],
)
def test_a_torn_version_is_refused(tmp_path: Path, text: str, message: str) -> None:
    """The error names the file and the way back; the version before is whole and counts without it."""
    version = extended(None, segment("s", 1), sketch=SKETCH, days=9)
    hold(tmp_path, version.segments)
    publish(str(tmp_path), version)
    torn = tmp_path / "version-00000002.json"
    torn.write_text(text)
    with pytest.raises(OutputError, match=message) as raised:
        current(str(tmp_path))
    assert str(torn) in str(raised.value)
    torn.unlink()
    assert current(str(tmp_path)) == version


def test_a_renamed_or_odd_version_is_refused(tmp_path: Path) -> None:
    """A version under another number, or with a day that is none, is not taken at its word."""
    version = extended(None, segment("s", 1), sketch=SKETCH, days=9)
    hold(tmp_path, version.segments)
    publish(str(tmp_path), version)
    path = tmp_path / "version-00000001.json"
    renamed = path.rename(tmp_path / "version-00000007.json")
    with pytest.raises(OutputError, match="says that it is number 1"):
        current(str(tmp_path))
    path.write_text(renamed.read_text().replace("2026-02-27", "20260227"))
    renamed.unlink()
    with pytest.raises(OutputError, match="YYYY-MM-DD"):
        current(str(tmp_path))


def test_a_missing_segment_is_refused(tmp_path: Path) -> None:
    """A version that names a segment that is not there says which, and how to go back."""
    version = extended(None, segment("gone", 1), sketch=SKETCH, days=9)
    hold(tmp_path, version.segments)
    publish(str(tmp_path), version)
    (tmp_path / "segments" / "gone" / "segment.json").unlink()
    with pytest.raises(OutputError, match=r"names a segment without .*gone.*delete .*version-0+1"):
        current(str(tmp_path))


def test_other_settings_are_refused_by_name(tmp_path: Path) -> None:
    """The error names the folder and each setting that differs, with both values."""
    version = extended(None, segment("s", 1), sketch=SKETCH, days=9)
    history.check_sketch(version, SKETCH, folder="/h")
    other = history.sketch(MinHashSpec(bands=18, rows=6))
    with pytest.raises(RecipeError) as raised:
        history.check_sketch(version, other, folder="/h")
    message = str(raised.value)
    assert message.startswith("dedup.history = '/h': ")
    assert "dedup.bands = 18 here, 20 in the history" in message
    assert "dedup.rows = 6 here, 5 in the history" in message
    assert "dedup.ngram" not in message
    assert message.endswith("choose another folder")


def test_every_setting_is_checked() -> None:
    """Whatever field of the sketch differs, the history is refused."""
    version = Version(history.FORMAT, 1, SKETCH, ())
    for field in Sketch.__struct_fields__:
        other = msgspec.structs.replace(SKETCH, **{field: getattr(SKETCH, field) + 1})
        with pytest.raises(RecipeError, match="in the history"):
            history.check_sketch(version, other, folder="/h")


def test_one_run_holds_a_history(tmp_path: Path) -> None:
    """A second run is refused while the first holds the folder, and let in after it died."""
    folder = tmp_path / "history"
    with (
        history.locked(str(folder)),
        pytest.raises(OutputError, match=f"{folder}: another run holds this history"),
        history.locked(str(folder)),
    ):
        pass
    code = (
        "import os, sys; from sluice.pipeline.history import versions\n"
        "with versions.locked(sys.argv[1]): os._exit(9)"
    )
    assert subprocess.run([sys.executable, "-c", code, str(folder)]).returncode == 9
    with history.locked(str(folder)):
        pass


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    """A folder that holds files and is no history is refused, and nothing is written to it."""
    (tmp_path / "thesis.txt").write_text("x")
    with pytest.raises(OutputError, match=r"not a history of Sluice \(it holds 'thesis.txt'\)"):
        history.locked(str(tmp_path)).__enter__()
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.txt"]
    with pytest.raises(OutputError, match="cannot be written"):
        history.locked(str(tmp_path / "thesis.txt")).__enter__()
