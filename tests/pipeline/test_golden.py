"""Invented posts with what becomes of each under default.toml, line by line in golden/posts.jsonl."""

import json
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq

from sluice.pipeline import cli
from tests.pipeline.runs import Job

POSTS = Path(__file__).parent.parent / "golden" / "posts.jsonl"


def test_every_post_goes_where_its_line_says(job: Job, tmp_path: Path) -> None:
    """Each line names its fate: kept, or the reason, and what of it is masked, which the report counts."""
    arguments = ["run", "default", "--input", str(POSTS), "--output", str(tmp_path / "out")]
    frozen = ["--set", f"vocabulary.tokenizer={job.tokenizer}"]
    assert cli.main([*arguments, *frozen, "--set", "limits.max_malformed_ratio=0.5"]) == 0
    rejects = pq.ParquetDataset(tmp_path / "out" / "rejects").read().to_pylist()
    reasons = {row["source_row"]: row["reason"] for row in rejects}
    lines = [json.loads(line) for line in POSTS.read_text("utf-8").splitlines()]
    found = {line["id"] + f"/{row}": reasons.get(row, "kept") for row, line in enumerate(lines)}
    assert found == {line["id"] + f"/{row}": line["expect"] for row, line in enumerate(lines)}
    report = json.loads((tmp_path / "out" / "report" / "report.json").read_text("utf-8"))
    masked = sum((Counter(line.get("masked", {})) for line in lines), Counter[str]())
    assert {kind: n for kind, n in report["privacy"]["by_kind"].items() if n} == masked
