"""What a command that answers at once must not import: the compiler, Beam, what other commands use."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.repository import ROOT

HEAVY = (
    *("numba", "llvmlite", "apache_beam", "scipy", "awkward", "torch"),
    *("gigatoken", "fasttext", "wordfreq", "boto3", "rich"),
)
PROGRAM = """
import sys
from sluice.pipeline import cli
try: code = cli.main(sys.argv[2:])
except SystemExit as end: code = end.code
print("imported", *[name for name in sys.argv[1].split() if name in sys.modules])
sys.exit(code)
"""


def answered(*words: str | Path, code: int = 0, but: str = "") -> str:
    """Runs a command in a process of its own, and asserts its exit code and that nothing heavy was imported.

    Args:
        words: the command line.
        code: that it ends with.
        but: what it must not import beside HEAVY.

    Returns:
        What it printed.
    """
    names = " ".join([*HEAVY, *but.split()])
    command = [sys.executable, "-c", PROGRAM, names, *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True)
    *printed, imported = done.stdout.splitlines()
    assert (done.returncode, imported) == (code, "imported"), done.stdout + done.stderr
    return "\n".join([*printed, done.stderr])


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished output."""
    folder = tmp_path_factory.mktemp("startup")
    shutil.unpack_archive(ROOT / "tests/golden/release-0.1/out.tar.xz", folder, filter="data")
    return folder / "out"


def test_help() -> None:
    """It needs no arrays at all."""
    assert "commands" in answered("--help", but="pyarrow numpy msgspec jinja2")


def test_inspect(output: Path) -> None:
    """It reads files of the output alone."""
    assert "no post has the id 'nobody'" in answered(
        "inspect", output, "nobody", code=2, but="jinja2"
    )


def test_report(output: Path) -> None:
    """It renders a page from numbers."""
    assert "posts read" in answered("report", output, but="pyarrow.dataset")


def test_a_plan(tmp_path: Path) -> None:
    """It looks at the inputs, and compiles nothing."""
    posts = tmp_path / "posts.jsonl"
    posts.write_text('{"id": "1", "text": "one"}\n')
    printed = answered("run", "default", "--input", posts, "--output", tmp_path / "out", "--plan")
    assert "clean       run   1 units" in printed
    assert "compiling" not in printed


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["run", "defalt"], "defalt"),
        (["run", "default", "--set", "filters.spam.max_spma=1"], "max_spam"),
        (["run", "default", "--input", "no-such-file"], "no-such-file"),
        (["score", "default", "--input", "no-such-file"], "no-such-file"),
        (["verify", "no-such-folder"], "no-such-folder"),
        (["export", "no-such-folder", "mds", "out"], "no-such-folder"),
        (["rnu"], "invalid choice"),
    ],
    ids=lambda value: "-".join(value)[:40] if isinstance(value, list) else None,
)
def test_errors(words: list[str], said: str) -> None:
    """What is wrong with a command or a recipe is said before anything of the run is imported."""
    assert said in answered(*words, code=2, but="jinja2")
