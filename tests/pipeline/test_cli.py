"""The command line as a person meets it: help, wrong words, progress."""

import io
import subprocess
import sys
from pathlib import Path

import pytest

from sluice.pipeline import cli
from sluice.pipeline.engine.progress import PhaseWatch, Progress, clock
from sluice.pipeline.storage.sealed import write_sealed
from sluice.pipeline.terminal import ProgressLine
from sluice.pipeline.units.attempt import Attempt
from sluice.pipeline.units.manifest import Unit, UnitManifest
from sluice.schemas.counts import CleanCounts, NoCounts

COMMANDS = ("run", "verify", "report", "inspect", "score", "sample", "filters")


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_every_command(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Each command says what it does and has a line for every argument."""
    with pytest.raises(SystemExit) as end:
        cli.main([command, "--help"])
    assert end.value.code == 0
    out = capsys.readouterr().out
    assert f"usage: sluice {command}" in out
    assert "\n\n" in out


def test_help_names_commands_and_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    """`sluice --help` lists the commands, examples and exit codes."""
    with pytest.raises(SystemExit):
        cli.main(["--help"])
    out = capsys.readouterr().out
    assert all(f"  {command} " in out for command in COMMANDS)
    assert "Exit codes" in out
    assert "examples:" in out


@pytest.mark.parametrize(
    "arguments", [[], ["rum"], ["run"], ["sample", "x"], ["run", "default", "--inptu"]]
)
def test_wrong_words_end_with_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """A wrong command or argument ends with 2 and the usage."""
    with pytest.raises(SystemExit) as end:
        cli.main(arguments)
    assert end.value.code == 2
    assert "usage: sluice" in capsys.readouterr().err


def test_what_follows_two_dashes_is_beams() -> None:
    """Arguments after `--` are Beam's, those before are ours."""
    assert cli.split_flags(["run", "x", "--", "--runner=A", "--", "b"]) == (
        ["run", "x"],
        ["--runner=A", "--", "b"],
    )


def test_no_output_to_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """verify, report and inspect of a folder without a run end with 2 and say what to do."""
    for arguments in (["verify"], ["report"], ["inspect"]):
        more = ["x"] if arguments == ["inspect"] else []
        assert cli.main([*arguments, str(tmp_path), *more]) == 2
        assert "did not finish" in capsys.readouterr().err


def test_help_is_quick_to_import() -> None:
    """`--help` imports neither Beam nor numba, so that help does not wait for kernels."""
    code = (
        "import sys; from sluice.pipeline import cli\n"
        "try: cli.main(['--help'])\n"
        "except SystemExit: pass\n"
        "print([m for m in ('apache_beam', 'numba', 'pyarrow') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


class Stage:
    """A stage with a folder."""

    def __init__(self, name: str, folder: Path):
        self.name, self.folder = name, str(folder)

    def do(self, unit: Unit, attempt: Attempt) -> NoCounts:
        raise AssertionError("the progress display does no unit")


def manifest(unit: str, *, read: int) -> UnitManifest:
    return UnitManifest.of(unit, {}, CleanCounts(read=read), index=0, arrived=0)


def test_progress_counts_manifests(tmp_path: Path) -> None:
    """Units done, posts read and the stage at work are those of the manifests on disk."""
    stages = (Stage("clean", tmp_path / "a"), Stage("clean_more", tmp_path / "b"))
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
    progress = PhaseWatch("clean", stages=stages, total=2, posts=0, report=lambda _: None)
    assert (progress.state().done, progress.state().posts) == (0, 0)
    write_sealed(str(tmp_path / "a" / "unit-0.json"), manifest("unit-0", read=7))
    state = progress.state()
    assert (state.stage, state.done, state.total, state.posts) == ("clean", 1, 2, 7)
    write_sealed(str(tmp_path / "a" / "unit-1.json"), manifest("unit-1", read=5))
    assert progress.state().stage == "more"


def test_a_progress_line() -> None:
    """The line has the phase, units, rate and time left, in columns."""
    line = str(Progress("clean", "clean", 3, 12, 30_000, 10.0))
    assert "3/12 units" in line
    assert "30,000 posts" in line
    assert "3,000/s" in line
    assert "0:30 left" in line
    assert clock(3725) == "1:02:05"


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_a_live_line_on_a_terminal() -> None:
    """The line is shown at once, and is taken away when the phase is over."""
    out = Terminal()
    with ProgressLine(out) as show:
        show(Progress("clean", "clean", 3, 12, 30_000, 10.0))
        assert "3/12 units" in out.getvalue()
        shown = len(out.getvalue())
        show(Progress("clean", "clean", 12, 12, 30_000, 10.0, ended=True))
    assert "12/12" not in out.getvalue()[shown:]
    assert "\x1b[2K" in out.getvalue()[shown:]  # the line is erased


def test_lines_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a log file a phase has a line every ten seconds, and a short one none."""
    now, out = 0.0, io.StringIO()
    monkeypatch.setattr("sluice.pipeline.terminal.time.monotonic", lambda: now)
    with ProgressLine(out) as show:
        for now in (0.0, 5.0, 9.9, 10.0, 15.0, 20.0):
            show(Progress("clean", "clean", int(now), 100, 0, now))
        show(Progress("dedup", "candidates", 1, 2, 0, 1.0))
    assert [line.split()[2] for line in out.getvalue().splitlines()] == ["10/100", "20/100"]


@pytest.mark.parametrize("command", [["verify"], ["report"], ["inspect"], ["export"]])
def test_what_is_no_output_is_said(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A folder that is not there, or a file, is not called an output whose run did not finish."""
    more = {"inspect": ["1"], "export": ["mds", str(tmp_path / "to")]}.get(command[0], [])
    (tmp_path / "file").write_text("")
    for name, said in (("none", "there is no such folder"), ("file", "is a file")):
        assert cli.main([*command, str(tmp_path / name), *more]) == 2
        assert f"{name}: {said}" in capsys.readouterr().err
