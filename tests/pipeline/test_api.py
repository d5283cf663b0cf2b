"""The commands as functions: what they return and leave alone, and how a run is stopped and resumed."""

import logging
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
import warnings
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

import sluice
from sluice.errors import InputError, OutputError, RecipeError, UnknownPostError
from tests.pipeline.runs import Job, contract_bytes

CONTRACT = ("tokens", "leftover", "provenance", "rejects", "tokenizer")
KEPT = "The boats of the harbour leave at six in the morning"


@pytest.fixture
def posts(tmp_path: Path) -> Path:
    """A file of two posts, the second of which is too short."""
    path = tmp_path / "posts.jsonl"
    path.write_text(f'{{"id": "1", "text": "{KEPT}"}}\n{{"id": "2", "text": "no"}}\n')
    return path


def test_the_commands_as_functions(
    posts: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A run of few posts is reported, verified, inspected, opened and exported; a log says what it reads."""
    out = tmp_path / "out"
    with caplog.at_level(logging.INFO, logger="sluice"):
        report = sluice.run("default", inputs=posts, output=out)
    assert report.posts.read == 2
    told = next(r.getMessage() for r in caplog.records if r.name == "sluice")
    assert told.startswith("1 input file,")
    assert sluice.verify(out) == []
    assert sluice.inspect(out, "2").reason == "too_few_words"
    assert sluice.open_output(out).text("1") == KEPT
    assert sluice.export(out, "megatron", tmp_path / "m", leftover=True).counts.items == 1
    with pytest.raises(UnknownPostError, match="no post has the id '3'"):
        sluice.inspect(out, "3")
    with pytest.raises(InputError, match="no file"):
        sluice.run("default", inputs=[tmp_path / "none.jsonl"], output=out)


def test_score(posts: Path, tmp_path: Path) -> None:
    """Scores are in the folder; what is returned says how they are distributed and what would be rejected."""
    scored = sluice.score("default", inputs=[posts], output=tmp_path / "out")
    assert (scored.read, scored.scored) == (2, 2)
    by_name = {row.name: row for row in scored.filters}
    assert by_name["min_words"].rejected == 0.5
    assert list(Path(scored.folder).glob("*.parquet"))


def test_sample(tmp_path: Path) -> None:
    """The same seed gives the same posts; a number that is none is refused."""
    first = sluice.sample(tmp_path / "a", posts=50, seed=4)
    assert sluice.sample(tmp_path / "b", posts=50, seed=4) == first
    assert sum(first.by_label.values()) == 50
    with pytest.raises(OutputError, match="posts = 0: must be at least 1"):
        sluice.sample(tmp_path / "c", posts=0)


def test_an_export_format_is_checked(tmp_path: Path) -> None:
    """A format that there is not is refused before anything is read."""
    with pytest.raises(OutputError, match=r"format 'megatrom': unknown; did you mean 'megatron'\?"):
        sluice.export(tmp_path, "megatrom", tmp_path / "x")


# --- recipes and overrides -------------------------------------------------------------------


def test_overrides_have_python_values() -> None:
    """Numbers, texts, lists and None reach the keys of sections and of filters, found by their names."""
    recipe = sluice.Recipe.load(
        "default",
        overrides={
            "filters.spam.max_spam": 0.5,
            "dedup.keep": "longest",
            "input.files": ("a", "b"),
            "training.epochs": 2,
        },
    )
    assert [f.threshold for f in recipe.filters if f.name == "spam"] == [0.5]
    assert (recipe.dedup.keep, recipe.input.files, recipe.training.epochs) == (
        "longest",
        ("a", "b"),
        2,
    )
    again = sluice.Recipe.load(recipe, overrides={"training.epochs": None})
    assert again.training.epochs is None
    assert again.dedup.keep == "longest"


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"dedup.treshold": 0.9}, r"\$\.dedup\.treshold: unknown key; did you mean 'threshold'\?"),
        (
            {"filters.spamm.max_spam": 1},
            r"overrides\['filters.spamm.max_spam'\]: .*did you mean 'spam'",
        ),
        ({"seed.x": 1}, r"overrides\['seed\.x'\]: seed holds no keys"),
        (["dedup.threshold=0.9"], r'must map keys to values, as \{"filters.* got list'),
    ],
)
def test_wrong_overrides(overrides: Any, message: str, tmp_path: Path) -> None:
    """The error names the key and the closest one, or the form that overrides have."""
    with pytest.raises(RecipeError, match=message):
        sluice.run("default", inputs=["x"], output=tmp_path / "out", overrides=overrides)


@pytest.mark.parametrize("name", ["default", "encoder", "sample", "gopher"])
def test_a_recipe_is_its_toml(name: str, tmp_path: Path) -> None:
    """What a recipe prints is a file that loads as the same recipe."""
    path = tmp_path / "again.toml"
    path.write_text(str(sluice.Recipe.load(name)))
    assert sluice.Recipe.load(path) == sluice.Recipe.load(name)


def test_toml_of_every_kind(tmp_path: Path) -> None:
    """Dates, quotes, backslashes, control characters, empty tables and keys with dots survive."""
    text = "\\ \" ' \n \t é 😀 \x7f"
    changed = {
        "dedup.history_day": "2026-11-30",
        "dedup.history": text,
        "mixture.source.weights": {"a.b c": 0.5},
        "workers.min_ram": {"dedup": "4GB"},
    }
    recipe = sluice.Recipe.load("default", overrides=changed)
    path = tmp_path / "again.toml"
    path.write_text(recipe.to_toml())
    assert sluice.Recipe.load(path) == recipe
    assert recipe.dedup.history == text


# --- nothing global --------------------------------------------------------------------------


def process_state() -> dict[str, Any]:
    """Returns what a library could change for all of its process."""
    root, beam, ours = (logging.getLogger(n) for n in (None, "apache_beam", "sluice"))
    signals = {s: signal.getsignal(s) for s in signal.Signals if s not in UNCATCHABLE}
    return {
        "signals": signals,
        "streams": (sys.stdin, sys.stdout, sys.stderr),
        "hooks": (sys.excepthook, threading.excepthook, sys.unraisablehook),
        "logging": [(x.level, [*x.handlers], [*x.filters], x.propagate) for x in (root, ours)],
        "environment": dict(os.environ),
        "folder": Path.cwd(),
        "path": [*sys.path],
        "start method": multiprocessing.get_start_method(allow_none=True),
        "warnings": [*warnings.filters],
        "limits": (sys.getrecursionlimit(), sys.getswitchinterval()),
        "beam": beam.level,
    }


UNCATCHABLE = (signal.SIGKILL, signal.SIGSTOP)


@pytest.mark.parametrize("engine", ["inline", "beam"])
def test_nothing_global_is_touched(posts: Path, tmp_path: Path, engine: Any) -> None:
    """Signals, streams, logging, environment, folder and warnings are the same during a run and after it."""
    for name in ("sluice.pipeline.commands", "sluice.pipeline.engine.beam.run", "awkward"):
        import_module(name)  # imports of libraries add filters of warnings, whoever imports them

    before, during = process_state(), []
    sluice.run(
        "default",
        inputs=posts,
        output=tmp_path / "out",
        engine=engine,
        progress=lambda _: during.append(process_state()),
    )
    assert len(during) >= 8
    for state in during:
        state["beam"] = before["beam"]  # its logger is silent while a phase runs
        assert state == before
    assert process_state() == before
    assert [t.name for t in threading.enumerate() if t.name in ("progress", "memory-meter")] == []


FRESH = """
import logging, sys
import sluice
sluice.run("default", inputs=[sys.argv[1]], output=sys.argv[2], engine=sys.argv[3])
assert ("apache_beam" in sys.modules) == (sys.argv[3] == "beam")
assert logging.getLogger().handlers == [], logging.getLogger().handlers
assert logging.lastResort is not None
"""


@pytest.mark.parametrize("engine", ["inline", "beam"])
def test_a_fresh_process_prints_nothing(posts: Path, tmp_path: Path, engine: str) -> None:
    """A run is done without a handler on the root logger and without a line, and imports Beam if asked to."""
    ran = subprocess.run(
        [sys.executable, "-c", FRESH, posts, tmp_path / "out", engine],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")


# --- progress --------------------------------------------------------------------------------


def test_progress_of_a_run(posts: Path, tmp_path: Path) -> None:
    """Each phase is reported when it begins and once when it has ended, with all units done; then no more."""
    seen: list[sluice.Progress] = []
    sluice.run("default", inputs=posts, output=tmp_path / "out", progress=seen.append)
    ended = [progress for progress in seen if progress.ended]
    assert [p.phase for p in ended] == ["clean", "dedup", "vocabulary", "tokens"]
    assert all(p.done >= p.total for p in ended)
    assert seen[0].phase == "clean"
    assert (seen[0].done, seen[0].ended) == (0, False)
    seen.clear()
    sluice.run("default", inputs=posts, output=tmp_path / "out", progress=seen.append)
    assert seen == []


class StopError(Exception):
    """Raised by a callback."""


def test_what_a_callback_raises_ends_the_run(posts: Path, tmp_path: Path) -> None:
    """The exception comes out as it is, the output is not locked, and the same call resumes."""

    def stop(progress: sluice.Progress) -> None:
        if progress.phase == "dedup":
            raise StopError

    out = tmp_path / "out"
    with pytest.raises(StopError):
        sluice.run("default", inputs=posts, output=out, progress=stop)
    seen: list[sluice.Progress] = []
    sluice.run("default", inputs=posts, output=out, progress=seen.append)
    assert {progress.phase for progress in seen} == {"dedup", "vocabulary", "tokens"}


# --- stopped and resumed ---------------------------------------------------------------------

CHILD = """
import sys
import sluice
recipe, posts, out, tokenizer = sys.argv[1:]

def told(progress):
    if progress.phase == "dedup":
        print("dedup", flush=True)

sluice.run(recipe, inputs=[posts], output=out, progress=told,
           overrides={"vocabulary.tokenizer": tokenizer})
"""


def test_killed_and_resumed(job: Job, frozen: Job, tmp_path: Path) -> None:
    """A process that runs `sluice.run` is killed by SIGKILL; the same call resumes to the same bytes."""
    out, files = tmp_path / "out", str(job.sample / "posts-*.jsonl.gz")
    arguments = [job.recipe, files, out, job.tokenizer]
    with subprocess.Popen(
        [sys.executable, "-c", CHILD, *arguments], stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"dedup\n"
        child.kill()
    assert child.returncode == -signal.SIGKILL
    assert not (out / "COMPLETED").exists()
    seen: list[sluice.Progress] = []
    changed = {"vocabulary.tokenizer": str(job.tokenizer)}
    report = sluice.run(
        job.recipe, inputs=files, output=out, overrides=changed, progress=seen.append
    )
    assert "clean" not in {progress.phase for progress in seen}
    assert report.posts.read == 5000
    assert contract_bytes(out, *CONTRACT) == contract_bytes(frozen.output, *CONTRACT)


def test_interrupted_and_resumed(job: Job, frozen: Job, tmp_path: Path) -> None:
    """Ctrl-C in a notebook is a KeyboardInterrupt; the same call, in the same process, resumes."""
    out, files = tmp_path / "out", str(job.sample / "posts-*.jsonl.gz")
    changed = {"vocabulary.tokenizer": str(job.tokenizer)}
    asking, ended = threading.Event(), threading.Event()

    def ask() -> None:
        # Python drops what a signal raises in a destructor: who presses Ctrl-C does it again.
        asking.wait()
        pause = 0.2
        while not ended.wait(pause):
            os.kill(os.getpid(), signal.SIGINT)
            pause = 2.0

    # A shell starts what it runs in the background with SIGINT ignored, and Python leaves it so.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)

    def interrupt(progress: sluice.Progress) -> None:
        if progress.phase == "clean":
            asking.set()

    threading.Thread(target=ask, daemon=True).start()
    begun = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        sluice.run(job.recipe, inputs=files, output=out, overrides=changed, progress=interrupt)
    ended.set()
    signal.signal(signal.SIGINT, before)
    assert time.monotonic() - begun < 60
    assert not (out / "COMPLETED").exists()
    sluice.run(job.recipe, inputs=files, output=out, overrides=changed)
    assert contract_bytes(out, *CONTRACT) == contract_bytes(frozen.output, *CONTRACT)
    assert sluice.verify(out) == []
