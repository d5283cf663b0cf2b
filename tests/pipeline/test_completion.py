"""Completion: what may follow the words that are typed, and the scripts that ask for it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from sluice.pipeline import cli
from sluice.pipeline.completion import FILES, FOLDERS, SCRIPTS, candidates


def words(line: str) -> list[str]:
    """Returns the words that may come at the end of a line; a blank at its end begins a new word."""
    return [c.word for c in candidates(cli.parser(), line.split(" ")[1:])]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("sluice ", [*cli.COMMANDS, "completion"]),
        ("sluice re", ["report"]),
        ("sluice --v", ["--version"]),
        ("sluice run ", ["default", "encoder", "sample", "gopher", FILES]),
        ("sluice run de", ["default", FILES]),
        ("sluice run default --in", ["--input"]),
        ("sluice run default --input ", [FILES]),
        ("sluice run default --input a b", [FILES]),
        ("sluice run default --output ", [FOLDERS]),
        ("sluice run default --engine ", ["inline", "beam"]),
        ("sluice run default --engine=b", ["--engine=beam"]),
        ("sluice run default --engine = b", ["beam"]),
        ("sluice run default --workers ", []),
        ("sluice run default --set dedup.th", ["dedup.threshold="]),
        ("sluice run default --set filters.spam.", ["filters.spam.max_spam="]),
        ("sluice run default --set dedup.keep = ear", []),
        ("sluice run default -- --ru", []),
        ("sluice verify ", [FOLDERS]),
        ("sluice export out ", ["megatron", "mds"]),
        ("sluice export --leftover out m", ["megatron", "mds"]),
        ("sluice export out mds ", [FOLDERS]),
        ("sluice inspect out ", []),
        ("sluice completion z", ["zsh"]),
        ("sluice nonsense ", []),
    ],
)
def test_what_may_follow(line: str, expected: list[str]) -> None:
    """Commands, options, choices, recipes, keys, files and folders, each in its place."""
    assert words(line) == expected


def test_an_option_is_offered_once_unless_it_repeats() -> None:
    """`--plan` is not offered again, `--set` is."""
    offered = words("sluice run default --plan --set seed=2 --")
    assert "--plan" not in offered
    assert {"--set", "--input", "--json"} <= set(offered)


def test_keys_of_a_recipe_of_ones_own(tmp_path: Path) -> None:
    """They are read from its file; one that cannot be read offers none."""
    path = tmp_path / "own.toml"
    path.write_text('seed = 3\n[[filters]]\nfilter = "min_words"\nmin_words = 4\n')
    assert words(f"sluice run {path} --set ") == ["seed=", "filters.min_words.min_words="]
    path.write_text("seed = = 3")
    assert words(f"sluice run {path} --set ") == []


@pytest.mark.parametrize("shell", SCRIPTS)
def test_the_script_is_printed(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    """`sluice completion SHELL` prints the script, alone."""
    assert cli.main(["completion", shell]) == 0
    assert capsys.readouterr().out.strip() == SCRIPTS[shell].strip()


@pytest.fixture
def shell_folder(tmp_path: Path) -> Path:
    """A folder with a file, a folder, and the program in `bin`."""
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "sluice"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m sluice "$@"\n')
    program.chmod(0o755)
    (tmp_path / "dump.jsonl").touch()
    (tmp_path / "deep").mkdir()
    return tmp_path


def answered(shell: list[str], text: str, folder: Path) -> list[str]:
    program = shutil.which(shell[0])
    if program is None:
        pytest.skip(f"{shell[0]} is not installed")
    environment = {**os.environ, "PATH": f"{folder / 'bin'}:{os.environ['PATH']}"}
    done = subprocess.run(
        [program, *shell[1:], text],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    return done.stdout.splitlines()


def source(shell: str) -> str:
    return f"source <(sluice completion {shell})"


CASES = [
    ("sluice ver", ["verify"]),
    ("sluice run d", ["deep", "default", "dump.jsonl"]),
    ("sluice run default --output d", ["deep"]),
    ("sluice run default --set dedup.th", ["dedup.threshold="]),
    ("sluice export out m", ["mds", "megatron"]),
    ("sluice run default -- --ru", []),
]
every_case = pytest.mark.parametrize(("line", "expected"), CASES)


@pytest.mark.parametrize(
    ("line", "expected"), [*CASES, ("sluice run default --engine = i", ["inline"])]
)
def test_bash(line: str, expected: list[str], shell_folder: Path) -> None:
    """Bash reads the script, and its function answers with words, files and folders."""
    typed = line.split(" ")
    text = (
        f"{source('bash')}; compopt() {{ :; }}; "
        "[[ $(complete -p sluice) == *_sluice* ]] || exit 1; "
        f"COMP_WORDS=({' '.join(typed)}) COMP_CWORD={len(typed) - 1}; "
        "_sluice; printf '%s\\n' \"${COMPREPLY[@]}\""
    )
    found = answered(["bash", "--norc", "-c"], text, shell_folder)
    assert sorted(filter(None, found)) == expected


@every_case
def test_zsh(line: str, expected: list[str], shell_folder: Path) -> None:
    """Zsh reads the script; its function gives words, and leaves files to zsh (here to functions)."""
    typed = line.split(" ")
    text = (
        'compdef() { registered=$2 }; compadd() { print -l -- "${@:#-*}" }; '
        "_files() { [[ $1 == -/ ]] && print -l -- d*(N/) || print -l -- d*(N) }; "
        "_describe() { print -l -- ${described%%:*} }; "
        f"{source('zsh')}; [[ $registered == sluice ]] || exit 1; "
        f"words=({' '.join(typed)}) CURRENT={len(typed)}; _sluice || true"
    )
    found = answered(["zsh", "-f", "-c"], text, shell_folder)
    assert sorted(filter(None, found)) == expected


@every_case
def test_fish(line: str, expected: list[str], shell_folder: Path) -> None:
    """Fish reads the script, and completes the line by it."""
    text = f"sluice completion fish | source; complete -C '{line}'"
    found = answered(["fish", "--no-config", "-c"], text, shell_folder)
    assert sorted(row.split("\t")[0].rstrip("/") for row in found) == expected
