"""Runs that remember: what an earlier day kept is not kept again."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow.parquet as pq
import pytest

from sluice.pipeline import cli
from tests.pipeline.runs import Job, contract_bytes, link_tree, reject_rows

CONTRACT = ("tokens", "provenance", "leftover", "rejects", "tokenizer")
RECIPE = """
name = "daily"
[[filters]]
filter = "min_words"
[training]
sequence_length = 256
"""
BASE = "the lighthouse keeper counts forty seven boats before breakfast on a calm day"


class Days:
    """Days of posts, and the runs over them."""

    def __init__(self, folder: Path, job: Job):
        self.folder, self._job = folder, job
        self.history = folder / "history"
        (folder / "daily.toml").write_text(RECIPE)

    def write(self, day: int, texts: dict[str, str]) -> None:
        lines = [
            json.dumps({"id": i, "text": t, "created_at": f"2026-03-{day:02}T12:00:00Z"})
            for i, t in texts.items()
        ]
        (self.folder / f"day-{day:02}.jsonl").write_text("".join(f"{line}\n" for line in lines))

    def arguments(self, day: int, *more: str, out: str = "") -> list[str]:
        frozen = f"vocabulary.tokenizer={self._job.tokenizer}"
        return [
            *("run", str(self.folder / "daily.toml")),
            *("--input", str(self.folder / f"day-{day:02}.jsonl")),
            *("--output", str(self.folder / (out or f"out-{day:02}"))),
            *("--set", f"dedup.history={self.history}", "--set", frozen, *more),
        ]

    def run(self, day: int, *more: str, out: str = "") -> Path:
        arguments = self.arguments(day, *more, out=out)
        assert cli.main(arguments) == 0
        output = Path(arguments[arguments.index("--output") + 1])
        assert cli.main(["verify", str(output)]) == 0
        return output

    def begin(self, after: Path) -> None:
        """Takes over the history of the same days in another folder, as it was after one of them."""
        link_tree(after, self.history)

    def state(self) -> dict[str, bytes]:
        return {
            str(p.relative_to(self.history)): p.read_bytes()
            for p in sorted(self.history.rglob("*"))
            if p.is_file()
        }


def three_days(folder: Path, job: Job) -> Days:
    """Three days: the second repeats some posts of the first, the third of both."""
    folder.mkdir(exist_ok=True)
    made = Days(folder, job)
    bread = "bread rises slowly in a cold kitchen and nobody minds"
    rain = "a new text about rain that falls on the second day only"
    made.write(1, {"a": BASE, "b": bread, "n": "no"})
    made.write(2, {"c": BASE.upper(), "d": BASE + " again", "b": bread, "e": rain, "n2": "no"})
    made.write(3, {"f": BASE, "g": rain + "!"})
    return made


class Undisturbed(NamedTuple):
    """What the days write if nothing goes wrong, and copies of the history after each."""

    outputs: dict[int, dict[str, bytes]]
    after: dict[int, Path]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, job: Job) -> Undisturbed:
    """The three days, one after the other."""
    folder = tmp_path_factory.mktemp("undisturbed")
    days, made = three_days(folder / "days", job), Undisturbed({}, {})
    for day in (1, 2, 3):
        made.outputs[day] = contract_bytes(days.run(day), *CONTRACT)
        made.after[day] = link_tree(days.history, folder / f"after-{day}")
    return made


@pytest.fixture
def days(tmp_path: Path, job: Job) -> Days:
    """Three days that have not been run."""
    return three_days(tmp_path / "days", job)


def fates(output: Path) -> dict[str, tuple]:
    return {
        r["post_id"]: (r["reason"], r["duplicate_of"], r["detail"])
        for r in reject_rows(output)
        if r["kind"] == "duplicate"
    }


def kept(output: Path) -> set[str]:
    files = [*output.glob("provenance/*.parquet"), *output.glob("leftover/*.parquet")]
    return {p for f in files for p in pq.read_table(f)["post_id"].to_pylist()}


def report(output: Path) -> dict[str, Any]:
    return json.loads((output / "report" / "report.json").read_text())


def test_an_id_of_an_earlier_day_with_an_unlike_text(tmp_path: Path, job: Job) -> None:
    """It is a conflict of ids: the post is kept, and the warning names the day of the other one."""
    days = Days(tmp_path, job)
    days.write(1, {"a": BASE})
    days.write(2, {"a": "bread rises slowly in a cold kitchen and nobody minds", "b": BASE})
    days.run(1)
    second = days.run(2)
    assert fates(second) == {"b": ("exact", "a", "history 2026-03-01")}
    assert kept(second) == {"a"}
    (told,) = (w for w in report(second)["warnings"] if w.startswith("ids: 1 post has the id"))
    assert "as 'a', kept by an earlier run of 2026-03-01, and at " in told
    assert cli.main(["verify", str(second)]) == 0


def test_the_second_day_drops_what_the_first_kept(
    days: Days, undisturbed: Undisturbed, capsys: pytest.CaptureFixture[str]
) -> None:
    """Copies, near copies and redeliveries of the first day's posts go, and name their partner and day."""
    days.begin(undisturbed.after[1])
    second = days.run(2)
    assert fates(second) == {
        "c": ("exact", "a", "history 2026-03-01"),
        "d": ("near", "a", "history 2026-03-01"),
        "b": ("redelivered", "b", "history 2026-03-01"),
    }
    assert kept(second) == {"e"}
    capsys.readouterr()
    assert cli.main(["inspect", str(second), "c"]) == 0
    assert "exact of a  score 1  threshold 0.8  (history 2026-03-01)" in capsys.readouterr().out
    about = report(second)["dedup"]["history"]
    assert about["read"] == {"segments": 1, "posts": 2}
    assert about["duplicates"] == {"redelivered": 1, "exact": 1, "near": 1}
    assert (about["day"], about["added"]["posts"]) == ("2026-03-02", 1)
    assert fates(days.run(3)) == {
        "f": ("exact", "a", "history 2026-03-01"),
        "g": ("near", "e", "history 2026-03-02"),
    }


def test_what_a_rule_rejected_is_not_remembered(days: Days, undisturbed: Undisturbed) -> None:
    """A post that a filter rejected on the first day is no partner of a like post on the second."""
    days.begin(undisturbed.after[1])
    days.write(2, {"n": "no", "m": "no no no no no"})
    second = days.run(2)
    assert fates(second) == {}
    assert kept(second) == {"m"}


def test_a_day_twice_changes_nothing(days: Days) -> None:
    """A day run again, into its folder or a new one, reads what it read first and writes the same bytes."""
    first, second = days.run(1), days.run(2)
    before, outputs = days.state(), [contract_bytes(o, *CONTRACT) for o in (first, second)]
    again = [days.run(1, out="again-1"), days.run(2, out="again-2")]
    assert [contract_bytes(o, *CONTRACT) for o in again] == outputs
    assert contract_bytes(days.run(1), *CONTRACT) == outputs[0]
    assert days.state() == before


def test_the_newest_day_twice_changes_nothing(days: Days) -> None:
    """A run that retired a day does not miss it when it is run again."""
    window = ("--set", "dedup.history_days=2")
    outputs = [days.run(day, *window) for day in (1, 2, 3)]
    before, expected = days.state(), contract_bytes(outputs[2], *CONTRACT)
    assert contract_bytes(days.run(3, *window, out="again"), *CONTRACT) == expected
    assert contract_bytes(days.run(3, *window), *CONTRACT) == expected
    assert days.state() == before


def test_a_version_can_be_undone(days: Days, undisturbed: Undisturbed) -> None:
    """With its newest version file deleted the history is that of the run before."""
    days.begin(undisturbed.after[2])
    newest = sorted(days.history.glob("version-*.json"))[-1]
    newest.unlink()
    third = days.run(3)
    assert fates(third) == {"f": ("exact", "a", "history 2026-03-01")}
    assert kept(third) == {"g"}


def test_days_are_forgotten(days: Days, undisturbed: Undisturbed) -> None:
    """A segment older than the window is not read, and is gone from the next version."""
    days.begin(undisturbed.after[1])
    days.run(2, "--set", "dedup.history_days=1")
    third = days.run(3, "--set", "dedup.history_days=1")
    assert any("1 of 1 earlier runs are outside the 1 days" in w for w in report(third)["warnings"])
    assert report(third)["dedup"]["history"]["read"]["segments"] == 0
    assert kept(third) == {"f", "g"}
    named = json.loads(sorted(days.history.glob("version-*.json"))[-1].read_text())["segments"]
    assert [s["day"] for s in named] == ["2026-03-03"]


def test_a_day_can_be_named(days: Days) -> None:
    """Posts without times need dedup.history_day, and the error says so."""
    (days.folder / "day-04.jsonl").write_text(
        '{"id": "z", "text": "one two three four five six"}\n'
    )
    assert cli.main(days.arguments(4)) == 2
    named = days.run(4, "--set", "dedup.history_day=2026-03-04")
    assert report(named)["dedup"]["history"]["day"] == "2026-03-04"


def test_another_sketch_is_refused(
    days: Days, undisturbed: Undisturbed, capsys: pytest.CaptureFixture[str]
) -> None:
    """A history made with other bands is not read, and the message names the setting."""
    days.begin(undisturbed.after[1])
    capsys.readouterr()
    assert cli.main(days.arguments(2, "--set", "dedup.bands=18")) == 2
    message = capsys.readouterr().err
    assert "dedup.bands" in message
    assert "18" in message
    assert "20" in message


@pytest.mark.slow
@pytest.mark.parametrize("wait", [0.0, 0.02, 0.1, 0.3])
def test_killed_while_the_history_grows(days: Days, undisturbed: Undisturbed, wait: float) -> None:
    """Killed in the last phase, the old version stays whole; run again, all ends as undisturbed."""
    days.begin(undisturbed.after[1])
    before = days.state()
    command = [sys.executable, "-m", "sluice.pipeline.cli", *days.arguments(2)]
    process = subprocess.Popen(
        command, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        if len(list(days.history.glob("segments/*"))) > 1:
            break
        time.sleep(0.001)
    time.sleep(wait)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert {name: data for name, data in days.state().items() if name in before} == before
    for day in (2, 3):
        assert contract_bytes(days.run(day), *CONTRACT) == undisturbed.outputs[day]
