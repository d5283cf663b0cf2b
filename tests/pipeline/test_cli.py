"""The command line as a person meets it: help, wrong words, progress."""

import argparse
import re
import shlex
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import msgspec
import pytest

from sluice.pipeline import cli
from sluice.pipeline.arguments import RECIPES
from sluice.pipeline.engine.progress import PhaseWatch, Progress, clock
from sluice.pipeline.recipes import loader
from sluice.pipeline.storage.sealed import write_sealed
from sluice.pipeline.units.attempt import Attempt
from sluice.pipeline.units.manifest import Unit, UnitManifest
from sluice.schemas.counts import CleanCounts, NoCounts

COMMANDS = (*cli.COMMANDS, "completion")


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_every_command(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Each command says what it does, and ends with examples that the parser and the recipes take."""
    with pytest.raises(SystemExit) as end:
        cli.main([command, "--help"])
    assert end.value.code == 0
    usage, _, examples = capsys.readouterr().out.partition("\nexamples:\n")
    assert f"usage: sluice {command}" in usage
    assert examples.splitlines()
    for line in examples.splitlines():
        assert line.startswith("  ")
        parsed = parsed_example(line)
        assert parsed.command == command
        if hasattr(parsed, "recipe"):
            loader.load(parsed.recipe, sets=tuple(parsed.set))


def parsed_example(line: str) -> argparse.Namespace:
    """Returns the arguments of the command of a line, without what a shell does beside it."""
    command = re.search(r"sluice [^|&>#)]+", line)
    assert command is not None, line
    return cli.parser().parse_args(cli.split_flags(shlex.split(command[0])[1:])[0])


def test_examples_of_the_program(capsys: pytest.CaptureFixture[str]) -> None:
    """So are the examples of `sluice --help`."""
    with pytest.raises(SystemExit):
        cli.main(["--help"])
    _, _, rest = capsys.readouterr().out.partition("\nexamples:\n")
    examples = rest.split("\n\n")[0].splitlines()
    assert len(examples) >= 6
    for line in examples:
        assert parsed_example(re.sub(r"(\S)   +\w.*$", r"\1", line)).command in COMMANDS


def test_the_shipped_recipes_are_named() -> None:
    """Help and completion name the recipes that are in the package, without looking for them."""
    assert sorted(RECIPES) == loader.shipped_recipes()


def test_every_command_has_a_function() -> None:
    """A command that can be parsed can be run."""
    parser = cli.parser()
    (commands,) = (a for a in parser._actions if isinstance(a, argparse._SubParsersAction))
    assert set(commands.choices) == {*cli.COMMANDS, "completion"}


def test_the_package_is_the_program() -> None:
    """`python -m sluice` is `sluice`."""
    done = subprocess.run(
        [sys.executable, "-m", "sluice", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout == f"sluice {version('sluice')}\n"


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


@pytest.mark.parametrize(
    "words",
    [
        ["--help"],
        ["run", "--help"],
        ["run", "--json"],
        ["doctor"],
        ["completion", "bash"],
        ["completion", "--words", "run", "default", "--set", ""],
    ],
)
def test_what_is_quick_to_import(words: list[str]) -> None:
    """Help, a wrong word, completion and doctor import neither Beam nor numba, Arrow, NumPy or torch."""
    code = (
        "import sys; from sluice.pipeline import cli\n"
        f"try: cli.main({words})\n"
        "except SystemExit: pass\n"
        "heavy = ('apache_beam', 'numba', 'pyarrow', 'numpy', 'torch', 'rich')\n"
        "print([m for m in heavy if m in sys.modules])"
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
    """The line has the phase, units and rate, and of the run the share and the time left where known."""
    progress = Progress("clean", "clean", 3, 12, 30_000, 10.0)
    assert "left" not in str(progress)
    line = str(msgspec.structs.replace(progress, run_share=0.128, run_seconds_left=90.4))
    assert "3/12 units" in line
    assert "30,000 posts" in line
    assert "3,000/s" in line
    assert "13% of the run, about 1:30 left" in line
    assert clock(3725) == "1:02:05"


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
