"""What crosses machines is small, whatever is skewed; and work that is done again has the same bytes."""

import json
import random
from pathlib import Path
from typing import Any

import pytest
from apache_beam.coders import FastPrimitivesCoder

from sluice.pipeline import cli
from sluice.pipeline.engine import workers
from sluice.pipeline.units import stage as units
from sluice.pipeline.units.manifest import Done, Unit
from tests.pipeline.runs import Job, contract_bytes, linked_output, run

COPIES = 20_000
LARGEST_ELEMENT = 1 << 20


def write_template(folder: Path, *, copies: int) -> Path:
    """Writes posts of one template: each is a near copy of every other, two in three are exact ones."""
    folder.mkdir()
    with (folder / "posts.jsonl").open("w") as file:
        for n in range(copies):
            text = f"Today only: the third umbrella is free of charge for you, offer {n // 3}"
            file.write(json.dumps({"id": str(n), "text": text, "author_id": str(n % 7)}) + "\n")
    return folder / "posts.jsonl"


def test_elements_stay_small_when_one_template_is_everything(
    job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A template in all posts, cut into many units: no element of any phase has more than a MB.

    Steps of a graph take units and give finished ones; what a GroupByKey or a Reshuffle carries is a
    part of the unit behind it.
    """
    largest: dict[str, int] = {}
    do = units.do_unit

    def measured(stage: units.Stage, unit: Unit) -> tuple[Done, units.Finished | None]:
        done, finished = do(stage, unit)
        for element in (unit, done):
            size = len(FastPrimitivesCoder().encode(element))
            largest[stage.name] = max(largest.get(stage.name, 0), size)
        return done, finished

    monkeypatch.setattr(workers, "do_unit", measured)
    posts = write_template(tmp_path / "posts", copies=COPIES)
    sets = ("--set", f"vocabulary.tokenizer={job.tokenizer}", "--set", "input.unit_bytes=65536")
    assert run(job, tmp_path / "out", *sets, inputs=str(posts)) == 0
    assert {"clean", "dedup_settle", "tokens_pack"} <= set(largest), sorted(largest)
    assert len(list((tmp_path / "out").glob("work/clean-*/clean/unit-*.json"))) > 20
    assert max(largest.values()) < LARGEST_ELEMENT, largest


def test_work_done_again_has_the_same_bytes(
    job: Job, frozen: Job, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Units whose manifests are lost are done again, in a later process or on another machine: same bytes."""
    output = linked_output(frozen.output, tmp_path / "out")
    sets = ("--set", f"vocabulary.tokenizer={job.tokenizer}")
    before = (intermediate(output), contract_bytes(output, "tokens", "provenance", "rejects"))
    draw = random.Random(5)
    for path in sorted(output.glob("work/*/*/*.json")):
        if draw.random() < 0.5:
            path.unlink()
    for path in output.glob("work/*/phase.json"):
        path.unlink()
    assert run(job, output, *sets) == 0
    after = (intermediate(output), contract_bytes(output, "tokens", "provenance", "rejects"))
    assert before == after
    assert cli.main(["verify", str(output)]) == 0


def intermediate(output: Path) -> dict[tuple[str, str, str], bytes]:
    """Returns the bytes of the files of all units, by stage, unit and edge; names have an attempt's id."""
    found = {}
    for path in output.glob("work/*/*/*.json"):
        manifest: dict[str, Any] = json.loads(path.read_text())
        for edge, entry in manifest.get("files", {}).items():
            if not entry.get("sha256"):
                found[path.parent.name, path.stem, edge] = (
                    path.parent / entry["name"]
                ).read_bytes()
    return found
