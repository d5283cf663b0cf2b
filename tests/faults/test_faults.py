"""A small part of the nightly run: some kills and a try of every other fault, others with each commit."""

import contextlib
import datetime
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sluice.schemas.reject import REJECT
from tests.faults import lab as labs
from tests.faults import lost
from tests.faults.__main__ import KINDS, table, tried
from tests.faults.lab import Ended, Lab, LostError, Outcome, Run, Trial
from tests.repository import ROOT

KILLS = 6


def seed_of_today() -> str:
    """Returns the seed of $SLUICE_FAULTS_SEED, else the commit, else the day."""
    if "SLUICE_FAULTS_SEED" in os.environ:
        return os.environ["SLUICE_FAULTS_SEED"]
    commit = subprocess.run(
        ["git", "rev-parse", "--short=12", "HEAD"], cwd=ROOT, capture_output=True, text=True
    )
    return commit.stdout.strip() or datetime.date.today().isoformat()


@pytest.mark.slow
def test_nothing_is_lost(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """After every fault the same command gives the bytes of the undisturbed run."""
    written, seed = tmp_path / "table.md", seed_of_today()
    with capsys.disabled():
        print(f"\ntests.faults: SLUICE_FAULTS_SEED={seed} repeats what is drawn")
    # A process that was fresh when it began: what is forked must not inherit the threads of other tests.
    command = [sys.executable, "-m", "tests.faults", "--quick", "--posts", "500", "--seed", seed]
    command += ["--kills", str(KILLS), "--tries", "1", "--keep", str(ROOT / ".faults-lost")]
    done = subprocess.run([*command, "--table", str(written)], capture_output=True, text=True)
    assert done.returncode == 0, f"seed {seed}: {done.stdout}{done.stderr[-4000:]}"
    rows = [row.split("|")[1:-1] for row in written.read_text().splitlines()[2:] if row]
    assert [row[0].strip() for row in rows] == list(KINDS)
    faults = {row[0].strip(): int(row[2]) for row in rows}
    assert faults["kill"] + faults["kill-workers"] >= KILLS
    assert all(int(row[-1]) == 0 for row in rows)


def test_what_is_lost_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A try that fails, or that finds other bytes, is a row of lost ones, with the seed to repeat it."""

    class NoLab:
        folder = tmp_path
        latest = None

    def lose(lab: object, draw: object, seed: str) -> Outcome:
        raise LostError("other bytes")

    monkeypatch.setitem(KINDS, "kill", lose)
    outcome = tried("kill", NoLab(), "5.2")
    assert outcome.how == "lost"
    told = table([outcome, Outcome("clock", "5", "survived", "3 jumps", 3)])
    assert "| kill | 1 | 1 | 0 | 0 | 1 |" in told
    assert "| clock | 1 | 3 | 1 | 0 | 0 |" in told
    assert "--only kill --seed 5.2 --tries 1\nother bytes" in told


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (0, "sluice: done"),
        (1, "Traceback (most recent call last):\nsluice: out of memory"),
        (1, "OSError: [Errno 28] No space left on device"),
        (-11, "sluice: anything"),
    ],
)
def test_what_is_no_clear_error(code: int, said: str) -> None:
    """A traceback, a line of a library and a crash are no errors that tell the user what to do."""
    with pytest.raises(LostError):
        Ended(code, said).check_clear()


def test_what_is_a_clear_error() -> None:
    """One line of ours at the end, and an exit code that says so."""
    Ended(1, "4 input files\nsluice: tokens: the disk is full\n").check_clear()


def make_output(folder: Path, *, of_b: dict[str, Any] | None, kept: list[str], keys: int) -> None:
    """Makes an output of four posts or so: rejects, provenance, and the manifests of two units."""
    same = {"kind": "duplicate", "phase": "dedup", "stage": "minhash", "source_file": "f"}
    rows = [
        same | {"post_id": "a", "reason": "exact", "duplicate_of": "c", "source_row": 1},
        {
            "kind": "malformed",
            "phase": "read",
            "stage": "parse",
            "reason": "not_json",
            "source_file": "f",
            "source_row": 2,
        },
    ]
    if of_b is not None:
        rows.append(same | {"post_id": "b", "source_row": 3} | of_b)
    (folder / "rejects").mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(rows, REJECT), folder / "rejects" / "dedup-00000.parquet")
    (folder / "provenance").mkdir()
    pq.write_table(pa.table({"post_id": kept}), folder / "provenance" / "tokens-00000.parquet")
    for stage, unit, rows_of in (("clean-1/clean", "unit-00000", 7), ("dedup-1/join", "all", keys)):
        (folder / "work" / stage).mkdir(parents=True)
        file = {"name": f"{unit}.{keys:08x}.keys.arrow", "bytes": 8 * rows_of}
        manifest = {"unit": unit, "files": {"keys": file}, "counts": {"rows": rows_of}}
        (folder / "work" / stage / f"{unit}.json").write_text(json.dumps(manifest))


def two_outputs(folder: Path) -> tuple[Path, Path]:
    """Makes what was expected and what was found: they differ in post b, and in one unit."""
    expected, actual = folder / "expected" / "out", folder / "trial-1" / "out"
    near = {"reason": "near", "duplicate_of": "c", "score": 0.875}
    make_output(expected, of_b=near, kept=["c", "d"], keys=9)
    make_output(actual, of_b=None, kept=["b", "b", "c", "d"], keys=8)
    return expected, actual


def test_posts_that_were_decided_otherwise_are_named(tmp_path: Path) -> None:
    """Each with what became of it on both sides; equal ones are not named."""
    told = lost.decided_otherwise(*two_outputs(tmp_path)).splitlines()
    before = "kind=duplicate phase=dedup stage=minhash reason=near score=0.875 duplicate_of=c"
    assert told == [
        "1 posts were decided otherwise (expected -> found)",
        f"  b: {before} -> kept",
    ]
    assert len(lost.decided_otherwise(*[tmp_path / "expected" / "out"] * 2).splitlines()) == 1


def test_of_many_posts_some_are_named(tmp_path: Path) -> None:
    """Twenty are named, and the rest is counted by reason."""
    make_output(tmp_path / "a", of_b=None, kept=[f"p{i:03}" for i in range(50)], keys=1)
    make_output(tmp_path / "b", of_b=None, kept=[], keys=1)
    told = lost.decided_otherwise(tmp_path / "a", tmp_path / "b").splitlines()
    assert told[0].startswith("50 posts")
    assert told[1] == "  p000: kept -> nothing"
    assert told[21:] == ["  30 more: kept -> nothing"]


def test_units_that_wrote_something_else_are_named(tmp_path: Path) -> None:
    """Names of attempts do not count; sizes, checksums and counts do."""
    told = lost.wrote_otherwise(*two_outputs(tmp_path)).splitlines()
    assert told == ["1 units wrote something else", "  dedup-1/join/all: counts, keys"]


def test_a_lost_try_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both outputs, the log, what differs, the kernels, and with which of the two another run agrees."""
    lab = Lab.__new__(Lab)
    lab.folder, lab._keep, lab._number = tmp_path / "lab", tmp_path / "kept", 0
    two_outputs(lab.folder)
    trial = Trial.__new__(Trial)
    trial.lab, trial.folder, trial.recipe = lab, lab.folder / "trial-1", "expected"
    (lab.folder / "trial-1-1.log").write_text("what the run said")

    def again(trial: Trial) -> Ended:
        shutil.copytree(lab.folder / "expected" / "out", trial.folder / "out")
        return Ended(0, "")

    def in_place(folder: Path, log: Path, do: Callable[[], int], *, mark: str) -> Run:
        with open(log, "w") as file, contextlib.redirect_stdout(file):
            do()
        run = Run(0, log, mark)
        run.code = 0
        return run

    monkeypatch.setattr(Trial, "run", again)
    monkeypatch.setattr(labs, "fork", in_place)
    told = lab.keep(trial, "other bytes")
    assert "another run (exit code 0) agrees with the undisturbed run\n" in told
    assert "1 posts were decided otherwise" in told
    (kept,) = (tmp_path / "kept").iterdir()
    assert {p.name for p in kept.iterdir()} == {
        "expected",
        "found",
        "again",
        "trial-1-1.log",
        "trial-1-lost.log",
        "problem.txt",
        "surroundings.json",
    }
    assert (kept / "found" / "out" / "work" / "dedup-1" / "join" / "all.json").is_file()
    assert "other bytes" in (kept / "problem.txt").read_text()
    surroundings = json.loads((kept / "surroundings.json").read_text())
    assert surroundings["versions"]["numba"]
    assert isinstance(surroundings["kernels"], dict)
