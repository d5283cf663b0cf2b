"""Posts that are taken out of a history, and what later days find in it."""

import contextlib
import shutil
import tempfile
from pathlib import Path

import pyarrow as pa
import pyarrow.ipc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sluice.filters.privacy.keyed_ids import IdKey
from sluice.pipeline import cli
from sluice.pipeline.history import segments, versions
from sluice.pipeline.outputs.forgetting import history as forget_history
from sluice.pipeline.outputs.forgetting.history import ForgottenHere, forget_in_history
from sluice.pipeline.storage.tombstones import Tombstones
from sluice.schemas.errors import OutputError, RecipeError
from tests.pipeline.phases.history.test_days import BASE, Days, fates, kept, three_days
from tests.pipeline.phases.history.test_remember import (
    Posts,
    check_segment,
    clean_units,
    files,
    left_posts_of,
    make_plan,
)
from tests.pipeline.phases.history.test_remember import run as remember
from tests.pipeline.runs import Job
from tests.pipeline.tombstones import key_file, tombstones_of, write_tombstones

ids = st.sampled_from([f"id-{n}" for n in range(9)])
texts = st.sampled_from(["@x", *(f"{BASE} {word}" for word in ("one", "two", "three"))])
units = st.lists(st.lists(st.tuples(ids, texts), max_size=6), min_size=1, max_size=3)


def forget(folder: Path, gone: list[str], tombstones: Tombstones | None = None) -> ForgottenHere:
    """Takes posts out of `folder / "history"`."""
    tombstones = tombstones or tombstones_of(gone)
    return forget_in_history(
        str(folder / "history"), pa.array(gone, pa.string()), tombstones=tombstones
    )


def made_history(folder: Path, of_units: list[Posts], names: tuple[str, ...] = ("one",)) -> None:
    """Remembers the same posts as some segments."""
    for number, name in enumerate(names):
        remember(
            make_plan(folder, clean_units(folder / f"work-{name}", of_units, {}), name, number)
        )


@settings(max_examples=15, deadline=None)
@given(of_units=units, gone=st.lists(st.one_of(ids, st.just("never")), max_size=4))
def test_what_remains_is_found_under_its_number(of_units: list[Posts], gone: list[str]) -> None:
    """Rows of posts that were forgotten are empty and have no key; all others are as before."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        made_history(folder, of_units)
        before = left_posts_of([post for unit in of_units for post in unit])
        after = [("", "") if post[0] in gone else post for post in before]
        found = forget(folder, gone)
        check_segment(folder / "history", "one", after)
        assert found.posts == sum(post[0] in gone for post in before)
        assert (found.segments, found.keys > 0) == (int(found.posts > 0), found.posts > 0)
        state = files(folder / "history")
        assert forget(folder, gone) == ForgottenHere()
        assert files(folder / "history") == state


def test_files_without_posts_that_were_forgotten_stay(tmp_path: Path) -> None:
    """Of three files of posts one is written again; nothing of the old one is left on the disk."""
    of_units = [
        [(f"{u}-{i}", f"{BASE} {u} {i} {'and so on ' * i}") for i in range(3)] for u in range(3)
    ]
    made_history(tmp_path, of_units)
    before = files(tmp_path / "history")
    assert forget(tmp_path, ["1-1"]).posts == 1
    now = files(tmp_path / "history")
    assert {name for name in before if "posts-" in name and name not in now} == {
        "segments/one/posts-00001.arrow"
    }
    assert {name for name in now if "posts-" in name and name not in before} == {
        "segments/one/posts-00001.1.arrow"
    }
    assert forget(tmp_path, ["1-0"]).posts == 1
    assert any(name.endswith("posts-00001.2.arrow") for name in files(tmp_path / "history"))


class Killed(BaseException):
    """What no code of ours catches: stands for the end of the process."""


POINTS = (
    "sweep",
    "read_contents",
    "take",
    "write_keys",
    "file_digest",
    "flush",
    "write_durably",
    "_tidy",
)


@pytest.mark.parametrize("times", [0, 1, 2, 3])
@pytest.mark.parametrize("point", POINTS)
def test_killed_and_run_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, point: str, times: int
) -> None:
    """Killed at any step, each segment is as before or after; run again, all is as if not killed."""
    of_units = [
        [("a", f"{BASE} one"), ("b", f"{BASE} two and more of it")],
        [("c", "rain falls here")],
    ]
    for folder in ("killed", "not"):
        made_history(tmp_path / folder, of_units, ("one", "two"))
    gone, tombstones = ["a", "c"], tombstones_of(["a", "c"])
    forget(tmp_path / "not", gone, tombstones)
    owner = next(m for m in (forget_history, segments, versions) if hasattr(m, point))
    original, left = getattr(owner, point), [times]

    def dying(*arguments: object, **named: object) -> object:
        if not left[0]:
            raise Killed
        left[0] -= 1
        return original(*arguments, **named)

    with monkeypatch.context() as patch, contextlib.suppress(Killed):
        patch.setattr(owner, point, dying)
        forget(tmp_path / "killed", gone, tombstones)
    before = left_posts_of([post for unit in of_units for post in unit])
    for name in ("one", "two"):
        contents = segments.read_contents(str(tmp_path / "killed/history/segments" / name))
        is_changed = any(".1." in file.name for file in contents.files)
        posts = [("", ""), before[1], ("", "")] if is_changed else before
        check_segment(tmp_path / "killed" / "history", name, posts)
    forget(tmp_path / "killed", gone, tombstones)
    assert files(tmp_path / "killed/history") == files(tmp_path / "not/history")


def held_texts(history: Path) -> set[str]:
    """Returns all that the files of posts of a history hold, whether a segment names them or not."""
    found: set[str] = set()
    for path in history.rglob("posts-*.arrow"):
        with pa.memory_map(str(path)) as file:
            table = pa.ipc.open_file(file).read_all()
            found |= {*table["post_id"].to_pylist(), *table["text"].to_pylist()}
    return found


@pytest.fixture
def days(tmp_path: Path, job: Job) -> Days:
    """Three days of which the first has been run."""
    made = three_days(tmp_path / "days", job)
    made.run(1)
    return made


def test_a_later_day_meets_what_remains(days: Days, tmp_path: Path) -> None:
    """A copy of a forgotten post is a post of its own; what the day before kept is met as ever."""
    assert forget(days.folder, ["a"]).posts == 1
    assert not {"a", BASE} & held_texts(days.history)
    key = ("--set", f"privacy.key_file={key_file(tmp_path)}")
    output = days.run(2, *key)
    assert {"c", "e"} <= kept(output)
    assert {i: fate[1] for i, fate in fates(output).items()} == {"b": "b", "d": "c"}


def test_a_later_day_does_not_bring_a_post_back(days: Days, tmp_path: Path) -> None:
    """Delivered again under its id it is rejected by the history's tombstones, whatever its text now is."""
    forget(days.folder, ["a"])
    days.write(
        4, {"a": "another text about boats and the sea, of the same id", "z": BASE + " at night"}
    )
    output = days.run(4, "--set", f"privacy.key_file={key_file(tmp_path)}")
    assert kept(output) == {"z"}
    assert not {"a"} & held_texts(days.history)


def test_the_version_before_is_cleared_too(days: Days) -> None:
    """To delete the newest version brings an older one back, and nothing of a forgotten post."""
    days.run(2)
    forget(days.folder, ["b", "a"])
    max(days.history.glob("version-*.json")).unlink()
    version = versions.current(str(days.history))
    assert version is not None
    assert all(
        segments.is_whole(versions.segment_folder(str(days.history), s.name))
        for s in version.segments
    )
    assert not {"a", "b", BASE} & held_texts(days.history)


def test_a_history_that_is_held_or_missing_or_of_another_key(tmp_path: Path) -> None:
    """One that is not there, one that a run holds, and one of another key are refused."""
    with pytest.raises(OutputError, match="there is no such folder"):
        forget(tmp_path, ["a"])
    made_history(tmp_path, [[("a", f"{BASE} one")]])
    with (
        versions.locked(str(tmp_path / "history")),
        pytest.raises(OutputError, match="holds this history"),
    ):
        forget(tmp_path, ["a"])
    write_tombstones(tmp_path / "history" / "forgotten", ["b"], key=IdKey(bytes(32)))
    with pytest.raises(RecipeError, match="is not the key of the posts"):
        forget(tmp_path, ["a"])
    shutil.rmtree(tmp_path / "history" / "forgotten")
    assert forget(tmp_path, ["a"]).posts == 1


def test_the_command_takes_posts_out_of_the_history(
    days: Days, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The history's folder has to be given where the run had one; posts that went before go there, too."""
    (tmp_path / "ids.txt").write_text("a\n")
    words = ["forget", str(days.folder / "out-01"), "--ids", str(tmp_path / "ids.txt")]
    words += ["--key-file", str(key_file(tmp_path))]
    assert cli.main(words) == 2
    assert "--history: is missing: the run remembered its posts in a history named 'history'" in (
        capsys.readouterr().err
    )
    assert cli.main([*words, "--history", "none"]) == 0
    assert {"a", BASE} <= held_texts(days.history)
    assert cli.main([*words, "--history", str(days.history)]) == 0
    assert "history              1   posts taken out of it" in capsys.readouterr().out
    assert not {"a", BASE} & held_texts(days.history)
    assert cli.main(days.arguments(1)) == 0
    assert "nothing but forgotten posts has changed" in capsys.readouterr().err
