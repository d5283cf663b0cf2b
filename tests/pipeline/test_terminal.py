"""What a command says beside its result: messages, progress, colours, on terminals and elsewhere."""

import io
import json
import logging
import re
import signal
import subprocess
import sys
import warnings
from contextlib import redirect_stderr

import msgspec
import pytest

from sluice.pipeline.display import Display
from sluice.pipeline.engine.progress import Progress
from sluice.pipeline.terminal import Messages, ProgressLines, coloured, is_terminal

ours = logging.getLogger("sluice")
HALF = Progress("clean", "clean", 3, 12, 30_000, 10.0, rejected=4_000)
HALF = msgspec.structs.replace(
    HALF, phases=("clean", "dedup"), run_share=0.25, run_seconds_left=90.0
)


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """A terminal, for `redirect_stderr`."""
    for name in ("NO_COLOR", "FORCE_COLOR", "COLORTERM", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "100")
    return Terminal()


def test_the_display_shows_the_whole_run(terminal: Terminal) -> None:
    """A row for each phase, done, at work or to come, and one for the run with share and time left."""
    with redirect_stderr(terminal), Messages().attached() as messages, messages.progress() as show:
        assert show is not None
        show(HALF)
        first = terminal.getvalue()
        show(msgspec.structs.replace(HALF, done=12, seconds=40.0, ended=True))
        show(msgspec.structs.replace(HALF, phase="dedup", stage="buckets", posts=0, rejected=None))
        second = terminal.getvalue()[len(first) :]
    assert "3/12 units" in first
    assert "30,000 posts" in first
    assert "3,000/s" in first
    assert "4,000 rejected" in first
    assert "dedup" in first
    assert "█████░░░" in first
    assert "25%  about 1:30 left" in first
    assert "done in 0:40  30,000 posts  4,000 rejected" in second
    assert "buckets" in second
    assert terminal.getvalue().count("\x1b[2K") > 5  # the rows are erased at the end


def test_messages_are_above_the_display(terminal: Terminal) -> None:
    """A message in the middle of a run is a line of its own, and the display follows it."""
    with redirect_stderr(terminal), Messages().attached() as messages, messages.progress() as show:
        assert show is not None
        show(HALF)
        before = len(terminal.getvalue())
        ours.info("done before, reused")
        after = terminal.getvalue()[before:]
    assert after.index("done before, reused") < after.index("about 1:30 left")


def test_a_terminal_of_few_letters(monkeypatch: pytest.MonkeyPatch, terminal: Terminal) -> None:
    """Where the encoding has no blocks the bar is of plain letters; a narrow terminal cuts the rows."""
    monkeypatch.setattr(Terminal, "encoding", "latin-1")
    monkeypatch.setenv("COLUMNS", "50")
    with Display(terminal) as show:
        show(HALF)
    assert "#####-----" in terminal.getvalue()
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", terminal.getvalue())
    rows = re.split(r"[\r\n]", plain)
    assert max(map(len, rows)) == 50


def test_lines_elsewhere(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In a log file a phase has a line every ten seconds, and a short one none."""
    now = 0.0
    monkeypatch.setattr("sluice.pipeline.terminal.time.monotonic", lambda: now)
    with Messages().attached() as messages, messages.progress() as show:
        assert isinstance(show, ProgressLines)
        for now in (0.0, 5.0, 9.9, 10.0, 15.0, 20.0):
            show(Progress("clean", "clean", int(now), 100, 0, now))
        show(Progress("dedup", "candidates", 1, 2, 0, 1.0))
    lines = capsys.readouterr().err.splitlines()
    assert [line.split()[2] for line in lines] == ["10/100", "20/100"]


def test_json_lines(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """With `--log-json` messages, warnings, errors and progress are an object each, on one line."""
    now = 0.0
    monkeypatch.setattr("sluice.pipeline.terminal.time.monotonic", lambda: now)
    with Messages(as_json=True).attached() as messages, messages.progress() as show:
        ours.info("engine %s", "inline")
        logging.getLogger("sluice.units").warning("a manifest\nis damaged")
        assert show is not None
        show(HALF)
        now = 10.0
        show(HALF)
        show(msgspec.structs.replace(HALF, done=12, ended=True))
        ours.error("no such file")
    rows = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [(r["level"], r["logger"], r["message"]) for r in rows if "phase" not in r] == [
        ("info", "sluice", "engine inline"),
        ("warning", "sluice.units", "a manifest\nis damaged"),
        ("error", "sluice", "no such file"),
    ]
    progress, last = (row for row in rows if "phase" in row)
    assert (last["done"], last["ended"]) == (12, True)
    assert progress["time"].endswith("Z")
    del progress["time"], progress["message"]
    assert progress == {
        "level": "info",
        "logger": "sluice",
        "phase": "clean",
        "stage": "clean",
        "done": 3,
        "total": 12,
        "posts": 30_000,
        "rejected": 4_000,
        "phase_seconds": 10.0,
        "ended": False,
        "run_share": 0.25,
        "run_seconds_left": 90.0,
    }


def test_warnings_of_python_and_signals_are_json_too(capsys: pytest.CaptureFixture[str]) -> None:
    """With `--log-json` no line is plain: neither a warning of a library, nor that of a signal."""
    messages = Messages(as_json=True)
    with warnings.catch_warnings(), messages.attached():
        warnings.simplefilter("always")
        warnings.warn("an old name", DeprecationWarning, stacklevel=1)
    row = json.loads(capsys.readouterr().err)
    assert (row["level"], row["logger"]) == ("warning", "py.warnings")
    assert "an old name" in row["message"]
    last = json.loads(messages.last_line("interrupted"))
    assert (last["level"], last["message"]) == ("error", "interrupted")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_in_json(number: signal.Signals) -> None:
    """The last line of a process that a signal ends has the form that the command gives it."""
    code = (
        "import os, signal\n"
        "from sluice.pipeline.processes.signals import stopped_by_signals\n"
        "from sluice.pipeline.terminal import Messages\n"
        "with stopped_by_signals(Messages(as_json=True).last_line):\n"
        f"    os.kill(os.getpid(), {int(number)}); signal.pause()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 128 + number
    (line,) = done.stderr.splitlines()
    assert "finished units are kept" in json.loads(line)["message"]


def test_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    """With `--quiet` there are errors, and nothing else."""
    with Messages(quiet=True).attached() as messages, messages.progress() as show:
        assert show is None
        ours.info("engine inline")
        ours.warning("little memory")
        ours.error("no such file")
    assert capsys.readouterr().err == "sluice: no such file\n"


def test_nothing_stays_behind() -> None:
    """When a command is over, the loggers are as they were."""
    root, before = logging.getLogger(), (logging.getLogger().handlers[:], ours.level)
    with Messages().attached():
        assert root.handlers != before[0]
    assert (root.handlers, ours.level) == before


def test_remarks_of_libraries_are_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    """What Beam says on the root logger below an error is not for the user, nor is INFO of others."""
    with Messages().attached():
        logging.warning("a remark")
        logging.getLogger("sluice.engine").info("a detail")
        logging.getLogger("other").warning("a warning")
    assert capsys.readouterr().err == "other: a warning\n"


def test_what_others_wrote_moves_no_cursor(terminal: Terminal) -> None:
    """Control characters in a message are shown."""
    with redirect_stderr(terminal), Messages().attached():
        ours.info("a\x1b[31mb.jsonl")
    assert terminal.getvalue() == "a\\x1b[31mb.jsonl\n"


def test_colour_is_for_terminals(monkeypatch: pytest.MonkeyPatch, terminal: Terminal) -> None:
    """Text is coloured on a terminal, and not with NO_COLOR, on a dumb terminal or in a file."""
    assert coloured("x", "red", terminal) == "\x1b[31mx\x1b[0m"
    assert coloured("x", "red", io.StringIO()) == "x"
    monkeypatch.setenv("NO_COLOR", "")  # empty is not set: no-color.org
    assert coloured("x", "red", terminal) != "x"
    monkeypatch.setenv("NO_COLOR", "1")
    assert coloured("x", "red", terminal) == "x"
    assert is_terminal(terminal)
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setenv("TERM", "dumb")
    assert coloured("x", "red", terminal) == "x"
    assert not is_terminal(terminal)


def test_the_display_without_colour(monkeypatch: pytest.MonkeyPatch, terminal: Terminal) -> None:
    """With NO_COLOR the display has no colours; a dumb terminal has lines."""
    monkeypatch.setenv("NO_COLOR", "1")
    with redirect_stderr(terminal), Messages().progress() as show:
        assert show is not None
        show(HALF)
    assert "\x1b[3" not in terminal.getvalue()
    monkeypatch.setenv("TERM", "dumb")
    with redirect_stderr(terminal), Messages().progress() as show:
        assert isinstance(show, ProgressLines)


def test_errors_are_red_on_a_terminal(terminal: Terminal) -> None:
    """The name before an error is red, that before a warning yellow; the text is plain."""
    with redirect_stderr(terminal), Messages().attached():
        ours.error("no such file")
        ours.warning("little memory")
    assert terminal.getvalue() == (
        "\x1b[31msluice:\x1b[0m no such file\n\x1b[33msluice:\x1b[0m little memory\n"
    )
