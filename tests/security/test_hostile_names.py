"""Names that come from files stay inside their folders, and are printed so that they move nothing."""

import io
import json
import logging
import os
import shutil
from contextlib import redirect_stderr
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.filters.transformers.files import read_folder
from sluice.filters.transformers.spec import Transformer
from sluice.pipeline import cli
from sluice.pipeline.history import versions as history
from sluice.pipeline.history.segments import KeysFile, PostsFile
from sluice.pipeline.report.data_card import data_card
from sluice.pipeline.report.render import render
from sluice.pipeline.storage.output_folder import CONTRACT_FOLDERS
from sluice.pipeline.terminal import Messages
from sluice.pipeline.units.manifest import FileEntry
from sluice.schemas.errors import InputError, OutputError
from sluice.schemas.names import inside, visible
from sluice.schemas.report import Report
from tests.pipeline.runs import Job, run

OUTSIDE = ["../x", "a/../../x", "/etc/passwd", "..", ".", "", "a//b", "a\\..\\b", "C:/x"]
OUTSIDE += ["s3://b/x", "a\0"]
ESCAPE = "\x1b]0;owned\x07\x1b[2J\x9b31m\u202egnp.\r"


@pytest.mark.parametrize("name", OUTSIDE)
def test_names_that_lead_out(name: str) -> None:
    """What could leave a folder is refused: by the check, and where manifests are decoded."""
    with pytest.raises(ValueError, match="inside its folder"):
        inside(name)
    segment_file = {
        "name": name,
        "bytes": 1,
        "rows": 1,
        "sha256": "",
        "first": 0,
        "low": 0,
        "high": 1,
    }
    segment = {"name": name, "day": "2026-01-01", "inputs": "", "rows": 1, "bytes": 1}
    for kind, fields in (
        (FileEntry, segment_file),
        (PostsFile, segment_file),
        (KeysFile, segment_file),
        (history.Segment, segment),
    ):
        known = {f: fields[f] for f in kind.__struct_fields__ if f in fields}
        with pytest.raises(msgspec.ValidationError, match="inside its folder"):
            msgspec.convert(known, kind)


@given(st.text(st.sampled_from("./\\a:\0"), max_size=8))
def test_what_is_inside_stays_inside(name: str) -> None:
    """Whatever passes the check stays below the folder that it is joined to."""
    try:
        inside(name)
    except ValueError:
        return
    assert os.path.normpath(os.path.join("/f/g", name)).startswith("/f/g/")


@pytest.mark.parametrize("command", ["verify", "inspect", "export"])
@pytest.mark.parametrize("key", ["files", "shards"])
def test_a_manifest_that_points_outside(
    job: Job, tmp_path: Path, command: str, key: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """verify, inspect and export do not follow an output's manifest out of the output."""
    shutil.copytree(job.output, tmp_path / "out", ignore=shutil.ignore_patterns("work"))
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    manifest[key][0]["path"] = "tokens/../../secret"
    (tmp_path / "out" / "manifest.json").write_text(json.dumps(manifest))
    more = {"verify": [], "inspect": ["1"], "export": ["mds", str(tmp_path / "to")]}[command]
    assert cli.main([command, str(tmp_path / "out"), *more]) == 2
    assert "must be a name inside its folder" in capsys.readouterr().err


@pytest.mark.parametrize("name", [*CONTRACT_FOLDERS, "work", "report", "COMPLETED"])
def test_an_output_with_links_is_refused(
    job: Job, tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A run writes and clears nothing behind a symbolic link in its output folder."""
    precious = tmp_path / "precious"
    (precious / "old-work").mkdir(parents=True)
    (precious / "old-work" / "x").write_text("x")
    (precious / "x.parquet").write_text("x")
    before = sorted(precious.rglob("*"))
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / name).symlink_to(precious)
    assert run(job, tmp_path / "out") == 2
    assert "is a symbolic link" in capsys.readouterr().err
    assert sorted(precious.rglob("*")) == before


def test_a_history_with_links_is_refused(tmp_path: Path) -> None:
    """Segments behind a symbolic link are not swept away."""
    (tmp_path / "history").mkdir()
    (tmp_path / "precious").mkdir()
    (tmp_path / "history" / "segments").symlink_to(tmp_path / "precious")
    with (
        pytest.raises(OutputError, match="symbolic link"),
        history.locked(str(tmp_path / "history")),
    ):
        pass


def test_an_index_of_weights_that_points_outside(tmp_path: Path) -> None:
    """A folder of a model names weights in itself alone."""
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "tokenizer.json").write_text("{}")
    index = {"weight_map": {"a": "../../secret.safetensors"}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(InputError, match="must be a name inside its folder"):
        read_folder(tmp_path, weights=True)


@pytest.mark.parametrize("name", ["../x", "a/b", ".hidden", "a b", "\x1b[2J", "-"])
def test_a_transformer_is_not_named_like_a_path(name: str) -> None:
    """Files and columns are named by it."""
    with pytest.raises(ValueError, match="name must be"):
        Transformer(model="somebody/some-model", name=name)


# --- what a person sees ----------------------------------------------------------------------


@given(st.text())
def test_what_is_printed_moves_nothing(text: str) -> None:
    """No control character but tab and line feed is left, and text without any is unchanged."""
    shown = visible(text)
    assert not any((ord(c) < 32 and c not in "\t\n") or 127 <= ord(c) < 160 for c in shown)
    assert not set(shown) & set(
        "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f"
    )
    assert visible(shown) == shown
    assert shown == text or len(shown) > len(text)


def test_a_file_name_cannot_write_to_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Errors show escape sequences of a file's name as text."""
    (tmp_path / f"{ESCAPE}.parquet").write_bytes(b"not parquet")
    pattern = str(tmp_path / "*.parquet")
    assert cli.main(["run", "sample", "--input", pattern, "--output", str(tmp_path / "o")]) == 2
    shown = capsys.readouterr().err
    assert "\\x1b]0;owned\\x07" in shown
    assert visible(shown) == shown


def test_logs_show_escapes_as_text() -> None:
    """A log line of a library, too."""
    record = logging.LogRecord("x", logging.WARNING, "x", 1, "%s", (ESCAPE,), None)
    with redirect_stderr(io.StringIO()) as out:
        Messages().handle(record)
    assert out.getvalue() == "x: " + ascii(ESCAPE)[1:-1] + "\n"


def test_the_page_holds_no_html_of_others(job: Job) -> None:
    """Names of recipes, sources, languages and filters are text in report.html and in DATACARD.md."""
    report = job.report()
    evil = "<script>alert(1)</script><img src=x onerror=y>\"'"
    report["recipe"]["name"] = evil
    report["tokens"]["by_source"] = {evil: report["tokens"]["encoded"]}
    report["tokens"]["by_lang"] = {evil: report["tokens"]["encoded"]}
    report["posts"]["rejected"] = {evil: 1}
    report["posts"]["by_source"] = {evil + "|": 1}
    report["warnings"] = [evil]
    known = msgspec.convert(report, Report)
    for page in (render(known), data_card(known)):
        assert "&lt;script&gt;" in page
        assert "<script" not in page
        assert "<img" not in page
    assert "\\| | 1 |" in data_card(known)
