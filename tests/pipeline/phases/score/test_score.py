"""The stage of `sluice score`, without an engine."""

import json
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from sluice.filters.text.normalize import normalize
from sluice.pipeline.phases.clean import batches
from sluice.pipeline.phases.job import make_job
from sluice.pipeline.phases.score import phase, stage
from sluice.pipeline.recipes.loader import load
from sluice.pipeline.units.attempt import Attempt
from sluice.schemas.counts import ReadTally, ScoreCounts

TEXTS = ["the boats leave the harbour at six", "poison", "bread rises in a cold kitchen"]


def normalize_or_fail(text: pa.StringArray) -> pa.StringArray:
    """As `normalize`, which one post breaks."""
    if pc.any(pc.match_substring(text, "poison")).as_py():
        raise ValueError("broken")
    return normalize(text)


def score(folder: Path) -> ScoreCounts:
    """Scores the texts as one unit."""
    posts = folder / "posts.jsonl"
    rows = [{"id": str(i), "text": text} for i, text in enumerate(TEXTS)]
    posts.write_text("".join(json.dumps(row) + "\n" for row in rows))
    recipe = load("sample", sets=())
    inputs = msgspec.structs.replace(recipe.input, files=(str(posts),))
    job = make_job(msgspec.structs.replace(recipe, input=inputs), out=str(folder / "out"))
    plan = phase.plan(job)
    (scoring,), (unit,) = plan.stages, plan.elements
    attempt = Attempt(scoring.folder, unit.name)
    counts: Any = scoring.do(unit, attempt)
    attempt.commit(counts)
    return counts


def test_a_post_that_breaks_normalisation_is_a_dead_letter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in `sluice run`: it takes no other post of its unit with it."""
    monkeypatch.setattr(batches, "normalize", normalize_or_fail)
    read = ReadTally(records=3, records_with_posts=3, posts=3)
    assert score(tmp_path) == ScoreCounts(read=3, input=read, scored=2)
    scores = pq.read_table(next((tmp_path / "out" / "scores").iterdir()))
    assert scores["post_id"].to_pylist() == ["0", "2"]
    (reject,) = pq.read_table(next((tmp_path / "out" / "rejects").iterdir())).to_pylist()
    assert (reject["post_id"], reject["kind"], reject["reason"]) == ("1", "error", "ValueError")


def test_language_thresholds_are_those_of_fineweb2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The median less the deviation of each language's confidences, in [0.3, 0.9]; few posts give none."""
    rng = np.random.default_rng(0)
    shares = {"en": rng.uniform(0.9, 1, 50), "de": rng.uniform(0.2, 1, 50), "fr": np.full(9, 0.5)}
    shares["und"] = np.zeros(60)
    rows = [(code, value) for code, values in shares.items() for value in values]
    rows = [rows[i] for i in rng.permutation(len(rows))]
    (tmp_path / "scores").mkdir()
    table = pa.table(
        {
            "language": pa.array([str(code) for code, _ in rows]),
            "language_confidence": pa.array([float(value) for _, value in rows], pa.float32()),
        }
    )
    pq.write_table(table, tmp_path / "scores" / "scores-00000.parquet")
    monkeypatch.setattr(stage, "LEAST_POSTS", 50)
    wide = np.array(shares["de"], np.float32)
    expected = round(float(np.median(wide) - wide.std()), 2)
    assert stage.language_thresholds(str(tmp_path)) == {"de": max(expected, 0.3), "en": 0.9}
