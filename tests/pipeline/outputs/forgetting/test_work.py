"""The intermediate files of an output after a forget, and what a run still knows without them."""

import shutil
from pathlib import Path

import pytest

import sluice
from sluice.pipeline import cli
from sluice.pipeline.outputs.forgetting import work
from sluice.pipeline.outputs.forgetting.work import forget_in_work
from sluice.pipeline.storage import files as storage
from tests.pipeline.phases.history.test_days import Days, three_days
from tests.pipeline.runs import Job, linked_output
from tests.pipeline.tombstones import key_file


def left(output: Path) -> set[str]:
    """Returns the files of `work/`, with `*` for fingerprints."""
    found = (path.relative_to(output) for path in (output / "work").rglob("*") if path.is_file())
    return {"/".join(part.split("-")[0] for part in path.parts) for path in found}


KEPT = {"work/run.json", "work/lock", "work/units.json", "work/clean/phase.json"}


def test_files_that_hold_posts_are_deleted(frozen: Job, tmp_path: Path) -> None:
    """What is left says whose the output is, where its units begin, and which days clean counted."""
    output = linked_output(frozen.output, tmp_path / "out")
    (output / "work" / "stray.arrow").touch()
    files = [path for path in (output / "work").rglob("*") if path.is_file()]
    assert forget_in_work(str(output)) == len(files) - len(KEPT)
    assert left(output) == KEPT
    assert forget_in_work(str(output)) == 0
    shutil.rmtree(output / "work")
    assert forget_in_work(str(output)) == 0


class Killed(BaseException):
    """What no code of ours catches: stands for the end of the process."""


@pytest.mark.parametrize("name", ["delete", "delete_tree"])
def test_killed_and_done_again(
    frozen: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Killed after each deletion it goes on with the rest."""
    output, times = linked_output(frozen.output, tmp_path / "out"), 0
    original = getattr(storage, name)

    def dying(path: str) -> None:
        original(path)
        raise Killed

    monkeypatch.setattr(work.storage, name, dying)
    while True:
        try:
            forget_in_work(str(output))
            break
        except Killed:
            times += 1
    assert left(output) == KEPT
    assert times >= 1


def test_a_day_whose_window_leaves_days_out_is_known_again(
    job: Job, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Which days a run read of its history is known without its units: the same command has nothing to do."""
    days: Days = three_days(tmp_path / "days", job)
    window = ("--set", "dedup.history_days=2")
    for day in (1, 2, 3):
        days.run(day, *window)
    (tmp_path / "ids.txt").write_text("g\n")
    done = sluice.forget(
        days.folder / "out-03",
        ids=tmp_path / "ids.txt",
        key_file=key_file(tmp_path),
        history=days.history,
    )
    assert done.kept + done.rejected == 1
    capsys.readouterr()
    assert cli.main(days.arguments(3, *window)) == 0
    assert "nothing but forgotten posts has changed" in capsys.readouterr().err
    assert cli.main([*days.arguments(3, *window), "--plan"]) == 0
    assert capsys.readouterr().out.count("reuse") == 5
