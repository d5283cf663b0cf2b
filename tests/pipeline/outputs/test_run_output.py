"""`sluice.open_output`: what is in it is what the run wrote, here and in an object store."""

import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

import sluice
from sluice.errors import OutputError, UnknownPostError
from sluice.pipeline.outputs.run_output import RunOutput
from sluice.pipeline.storage import files as storage
from tests.pipeline.runs import Job


@pytest.fixture(scope="module")
def output(job: Job) -> RunOutput:
    return sluice.open_output(job.output)


def texts_of_clean(job: Job) -> dict[str, str]:
    """Returns the texts that phase clean kept, as it normalised them, where an id is there once."""
    files = [str(path) for path in (job.output / "work").glob("clean-*/clean/*.kept.arrow")]
    rows = ds.dataset(files, format="ipc").to_table(columns=["post_id", "text"]).to_pylist()
    times = Counter(row["post_id"] for row in rows)
    return {row["post_id"]: row["text"] for row in rows if times[row["post_id"]] == 1}


def test_tables(job: Job, output: RunOutput) -> None:
    """Shards, provenance and rejects are whole, typed, and add up to the counts of the report."""
    report = output.report
    assert output.counts == report.posts
    assert output.counts.read == 5000
    assert output.deletions.count_rows() == 0
    assert output.shards.count_rows() == report.sequences.in_shards
    first = output.shards.head(1).to_pylist()[0]
    assert len(first["tokens"]) == output.manifest.format.sequence_length
    assert output.provenance.schema.names[:2] == ["shard", "sequence"]
    kept = pq.read_table(job.output / "provenance")
    assert output.provenance.to_table().equals(kept)
    by_kind = Counter(output.rejects.to_table(columns=["kind"])["kind"].to_pylist())
    assert by_kind["policy"] == sum(output.counts.rejected.values())
    assert by_kind["duplicate"] == sum(output.counts.duplicates.values())
    assert f"{output.counts.kept:,} of 5,000 posts kept" in repr(output)


def test_texts_of_posts(job: Job, output: RunOutput) -> None:
    """A kept post's tokens decode to its text; its document ends with the end-of-document token."""
    texts, eod = texts_of_clean(job), output.manifest.format.eod_id
    rows = output.provenance.to_table(columns=["post_id"]).to_pylist()
    chosen = {row["post_id"] for row in rows[::400]} & texts.keys()
    assert len(chosen) > 3
    for post_id in chosen:
        tokens_T = output.tokens(post_id)
        assert tokens_T.dtype == np.int32
        assert tokens_T[-1] == eod
        assert output.text(post_id) == texts[post_id]


def test_posts_that_were_cut(job: Job, rerun: Callable[..., Path]) -> None:
    """The pieces of a post are put together, also across shards and the leftover."""
    sets = ("tokens.packing=concatenate", "training.tokens=40000")
    output = sluice.open_output(rerun(*(word for s in sets for word in ("--set", s))))
    texts = texts_of_clean(job)
    left = pq.read_table(Path(output.path, "leftover", "provenance.parquet")).to_pylist()
    rows = [*output.provenance.to_table().to_pylist(), *left]
    cut = [row["post_id"] for row in rows if row["piece"] > 0 and row["post_id"] in texts]
    in_leftover = [row["post_id"] for row in left if row["post_id"] in texts]
    assert cut
    for post_id in {*cut[:4], *cut[-2:], *in_leftover[:2]}:
        assert output.text(post_id) == texts[post_id]
    assert output.post(in_leftover[-1]).placements[0].shard is None


def test_outcomes(output: RunOutput) -> None:
    """A post says what became of it: the row of the rejects, or where its pieces are."""
    rows = {row["kind"]: row for row in output.rejects.to_table().to_pylist() if row["post_id"]}
    for kind, outcome in (("policy", "rejected"), ("duplicate", "duplicate")):
        row = rows[kind]
        post = output.post(row["post_id"])
        if post.outcome == "kept":  # an id that two posts bear
            continue
        assert (post.outcome, post.reason, post.score) == (outcome, row["reason"], row["score"])
        assert post.rejections[0].source_row == row["source_row"]
        with pytest.raises(OutputError, match=f"has no tokens: {outcome}, {row['reason']}"):
            output.tokens(row["post_id"])
    kept = output.provenance.head(1).to_pylist()[0]
    post = output.post(kept["post_id"])
    assert (post.outcome, post.reason, post.copies) == ("kept", None, 1)
    assert post.placements[0].length == kept["length"]
    assert post.cleaned[0].scores.keys() >= {"min_words", "spam"}
    with pytest.raises(UnknownPostError, match="no post has the id 'nobody'"):
        output.post("nobody")


def test_what_is_no_output(job: Job, tmp_path: Path) -> None:
    """A folder without a finished run is refused with what to do."""
    with pytest.raises(OutputError, match="did not finish"):
        sluice.open_output(tmp_path)
    copy = shutil.copytree(job.output, tmp_path / "copy", ignore=shutil.ignore_patterns("work"))
    (copy / "COMPLETED").unlink()
    with pytest.raises(OutputError, match="no COMPLETED"):
        sluice.open_output(copy)


def test_an_object_store(job: Job, output: RunOutput, bucket: str, tmp_path: Path) -> None:
    """A URI gives the same tables, tokens and texts as the folder."""
    for path in (p for p in job.output.rglob("*") if p.is_file()):
        name = path.relative_to(job.output)
        if name.parts[0] not in ("work", "lock"):
            storage.write_bytes(storage.join(bucket, "out", *name.parts), path.read_bytes())
    remote = sluice.open_output(f"{bucket}/out")
    assert remote.counts == output.counts
    assert remote.provenance.to_table().equals(output.provenance.to_table())
    assert remote.shards.count_rows() == output.shards.count_rows()
    post_id = output.provenance.head(1)["post_id"][0].as_py()
    assert remote.tokens(post_id).tolist() == output.tokens(post_id).tolist()
    assert remote.text(post_id) == output.text(post_id)
