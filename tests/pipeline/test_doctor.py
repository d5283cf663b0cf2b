"""`sluice doctor`: what it finds on this machine, and what it says of one where a run would fail."""

import json
import re
import resource
import subprocess
import sys
import time
import tomllib
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from sluice.pipeline import cli, doctor
from tests.repository import ROOT


def found(name: str, output: str = ".") -> doctor.Check:
    (check,) = (check for check in doctor.checks(output) if check.name == name)
    return check


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An environment of which nothing is wrong."""
    monkeypatch.setenv("SLUICE_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.delenv("NUMBA_DISABLE_JIT", raising=False)
    monkeypatch.chdir(tmp_path)


def test_this_machine_is_ready(capsys: pytest.CaptureFixture[str]) -> None:
    """Where the tests run, a run would too; a look takes less than a second of CPU."""
    begun = time.process_time()
    assert cli.main(["doctor"]) == 0
    assert time.process_time() - begun < 1.0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("ok       python")
    for package in doctor.PACKAGES:
        assert any(line.split()[1:3] == [package, version(package)] for line in lines)
    names = [line.split()[1] for line in lines if not line.startswith(" ")]
    for name in ("cores", "memory", "output", "temporary", "gpu", "kernels", "encoding", "open"):
        assert name in names


def test_json_and_exit_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`ready` is false and the exit code 1 where a check is an error; its remedy is there."""
    assert cli.main(["doctor", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["ready"] is True
    monkeypatch.setattr(doctor, "free_memory", lambda: 100_000_000)
    assert cli.main(["doctor", "--json"]) == 1
    answer = json.loads(capsys.readouterr().out)
    assert answer["ready"] is False
    (wrong,) = (check for check in answer["checks"] if check["status"] == "error")
    assert (wrong["name"], wrong["found"][:8]) == ("memory", "100.0 MB")
    assert wrong["remedy"]


def test_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Too little free memory for a worker is an error; too little to train a vocabulary is a warning."""
    for free, status in ((500_000_000, "error"), (2_000_000_000, "warning"), (9 << 30, "ok")):
        monkeypatch.setattr(doctor, "free_memory", lambda free=free: free)
        assert found("memory").status == status
    monkeypatch.setattr(doctor, "free_memory", lambda: None)
    assert found("memory").found.startswith("not known")


def test_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    """A package that is missing is an error with the command that installs it; another version a warning."""
    versions: dict[str, str | None] = {"isal": None, "numba": "0.1"}
    real = doctor._version
    monkeypatch.setattr(doctor, "_version", lambda n: versions[n] if n in versions else real(n))
    missing, old = found("isal"), found("numba")
    assert (missing.status, missing.found) == ("error", "is not installed")
    assert missing.remedy.startswith("pip install 'isal")
    assert old.status == "warning"
    assert old.found.startswith("0.1; tested with")


def test_a_python_without_packages(tmp_path: Path) -> None:
    """Where nothing is installed, doctor still answers, and says that Sluice is not."""
    (tmp_path / "sluice").symlink_to(ROOT / "sluice")  # without the metadata that may be beside it
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r}); from sluice.pipeline.cli import main; "
        "main(['doctor', '--json']); sys.exit(main(['doctor']))"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=False
    )
    assert "error    sluice        there is no metadata of the package" in done.stdout
    assert (done.returncode, done.stderr) == (1, "")


def test_extras(monkeypatch: pytest.MonkeyPatch) -> None:
    """An extra that is not installed is no fault; what needs it and how to get it are said."""
    monkeypatch.setattr(doctor, "_version", lambda name: None if name == "torch" else "1")
    check = found("[train]")
    assert check.status == "ok"
    assert "sluice.TokenDataset" in check.found
    assert "pip install 'sluice[train]'" in check.found


def test_extras_are_those_of_the_project() -> None:
    """What is listed is what a user may install, and its packages are those that the extra brings."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    assert set(doctor.EXTRAS) == set(extras) - {"dev", "models"}
    for extra, (_, packages) in doctor.EXTRAS.items():
        named = {re.split(r"[<>=\[]", r)[0] for r in extras[extra]} - {"sluice", "apache-beam"}
        assert named <= set(packages)


def test_the_output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The nearest folder that is there is asked for room, and whether it can be written and locked."""
    check = found("output", str(tmp_path / "a" / "b"))
    assert check.status == "ok"
    assert check.found.startswith(f"{tmp_path}: ")
    assert list(tmp_path.iterdir()) == []
    assert "not asked" in found("output", "s3://bucket/out").found
    usage: Any = type("Usage", (), {"free": 1_000_000})
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda _: usage)
    assert found("output").status == found("temporary").status == "error"
    usage.free = 1_000_000_000
    assert found("output").status == "warning"


def test_an_output_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that refuses, or has no locks, is an error."""

    def refused(*_: object) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr(doctor.fcntl, "flock", refused)
    check = found("output", str(tmp_path))
    assert check.status == "error"
    assert "No locks available" in check.found
    assert check.remedy


def test_kernels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is compiled is counted; a cache that others can write to is a warning, and what helps is said."""
    assert "none compiled yet" in found("kernels").found
    folder = tmp_path / "cache" / "kernels" / f"{version('sluice')}-0"
    folder.mkdir(parents=True)
    (folder / "a.kernel").write_bytes(b"0123")
    assert found("kernels").found.endswith("1 compiled, 4 bytes")
    folder.parent.chmod(0o777)
    check = found("kernels")
    assert check.status == "warning"
    assert check.remedy.endswith(f"chmod go-w {folder.parent}")
    monkeypatch.setenv("SLUICE_CACHE_DIR", "/proc/none")
    assert found("kernels").status == "warning"


def test_a_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The driver's files name it; a torch without CUDA is a warning."""
    assert found("gpu").status == "ok"
    for number in ("0000:01:00.0", "0000:02:00.0"):
        (tmp_path / "gpus" / number).mkdir(parents=True)
        (tmp_path / "gpus" / number / "information").write_text(
            "Model: \t\t NVIDIA H200\nIRQ:   1\n"
        )
    monkeypatch.setattr(doctor, "DEVICES", tmp_path)
    for name in ("nvidia0", "nvidia1", "nvidiactl"):
        (tmp_path / name).touch()
    assert found("gpu").found == "2 x GPU of NVIDIA"
    monkeypatch.setattr(doctor, "DRIVER", tmp_path)
    monkeypatch.setattr(doctor, "_version", lambda name: "2.13.0")
    assert found("gpu").found == "2 x NVIDIA H200"
    monkeypatch.setattr(doctor, "_version", lambda name: "2.13.0+cpu")
    assert found("gpu").status == "warning"


def test_settings_that_hurt(monkeypatch: pytest.MonkeyPatch) -> None:
    """Kernels without a compiler, few open files and an old encoding are warnings."""
    monkeypatch.setenv("NUMBA_DISABLE_JIT", "1")
    assert found("cores").status == "warning"
    monkeypatch.setattr(resource, "getrlimit", lambda _: (256, 4096))
    assert found("open files").remedy == "ulimit -n 4096"
    monkeypatch.setattr(doctor.sys, "getfilesystemencoding", lambda: "ascii")
    assert found("encoding").status == "warning"
