"""What a run says of its input files: once when it begins, and in report.json; and an input without posts."""

import json
import logging
from pathlib import Path

import pytest

from sluice.pipeline.inputs.formats import FileFormat
from sluice.pipeline.inputs.inventory import InputFile, Inventory
from sluice.pipeline.phases.job import Job as PhaseJob
from sluice.pipeline.processes.cores import WORKER_BYTES
from sluice.pipeline.recipes import loader
from tests.pipeline.inputs.containers import archive, json_lines
from tests.pipeline.runs import Job, run

NOTES = [
    "1 file without a record: b.jsonl.gz",
    "1 file left out, as no data: README.md",
]
LEFT_OUT = "1 member of archives left out: not the name of a data file"


def test_notes_are_said_once_and_kept(
    job: Job, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Oddities of files are logged when a run begins and stand in report.json, and cost no post."""
    folder = tmp_path / "posts"
    folder.mkdir()
    (folder / "README.md").write_text("# Posts")
    (folder / "b.jsonl.gz").touch()
    (folder / "a.tar").write_bytes(archive([("x/README", b"#"), ("a.json", json_lines(0, 40))]))
    out, frozen = tmp_path / "out", f"vocabulary.tokenizer={job.tokenizer}"
    with caplog.at_level(logging.INFO, "sluice"):
        assert run(job, out, "--set", frozen, inputs=str(folder)) == 0
    said = [record.getMessage() for record in caplog.records]
    assert [m for m in said if m.startswith("note: ")] == [f"note: {note}" for note in NOTES]
    report = json.loads((out / "report" / "report.json").read_text())
    assert report["input"]["notes"] == [*NOTES, LEFT_OUT]
    assert (report["input"]["files"], report["input"]["posts"]) == (2, 40)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "no posts in the input: 1 file without a record: a.jsonl"),
        (b" \n\n", "no posts in the input: 1 file without a record: a.jsonl"),
        (
            b'{"delete": {"status": {"id": 1}}}\n' * 3,
            "no posts in the input: 3 records, all of them notices (3 delete)",
        ),
    ],
)
def test_an_input_without_posts(
    job: Job, tmp_path: Path, capsys: pytest.CaptureFixture[str], data: bytes, message: str
) -> None:
    """An input that holds no post ends the run with these words, at every try."""
    (tmp_path / "a.jsonl").write_bytes(data)
    for _ in range(2):
        assert run(job, tmp_path / "out", inputs=str(tmp_path / "a.jsonl")) == 2
        assert message in capsys.readouterr().err


def test_a_long_window_is_planned_for(job: Job, tmp_path: Path) -> None:
    """What a worker is reckoned to take, and the plan, have the longest window of an input file."""
    files = [
        InputFile(path=f"{n}", bytes=9, format=FileFormat(content="json"), window_bytes=n << 30)
        for n in (0, 2, 1)
    ]
    inventory = Inventory(root="/posts", files=tuple(files), notes=("a is odd",))
    planned = PhaseJob(loader.load(str(job.recipe)), inventory, str(tmp_path / "out"))
    assert planned.worker_bytes == WORKER_BYTES + (2 << 30)
