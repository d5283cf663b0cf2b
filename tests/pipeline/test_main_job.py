"""The main job, end to end on synthetic posts whose truth is known."""

import gzip
import json
import unicodedata
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tokenizers import Tokenizer

from sluice.filters.text.normalize import normalize
from sluice.pipeline import cli
from sluice.pipeline.phases.job import make_job
from sluice.pipeline.phases.run_order import fingerprints, finished
from sluice.pipeline.recipes.loader import load
from tests.pipeline.runs import Job, contract_bytes, copy_plain, linked_output, reject_rows, run

OUTPUT = ("tokens", "provenance", "leftover")


def lines(job: Job) -> dict[tuple[str, int], bytes]:
    """Every line that is not blank, by file and row."""
    found = {}
    for path in sorted(job.sample.glob("posts-*.jsonl.gz")):
        records = filter(bytes.strip, gzip.decompress(path.read_bytes()).split(b"\n"))
        found.update({(path.name, row): line for row, line in enumerate(records)})
    return found


def kept_ids(output: Path) -> set[str]:
    return {
        post_id
        for folder in ("provenance", "leftover")
        for path in (output / folder).glob("*.parquet")
        for post_id in pq.read_table(path)["post_id"].to_pylist()
    }


def test_the_output_verifies(job: Job, capsys: pytest.CaptureFixture[str]) -> None:
    """`sluice verify` re-reads the whole output and finds it as its manifest says."""
    assert cli.main(["verify", str(job.output)]) == 0
    assert "as its manifest says" in capsys.readouterr().out


def test_every_line_is_accounted_for(job: Job) -> None:
    """Posts read are the lines of the files; each is kept, or has exactly one reject row."""
    expected = lines(job)
    report = job.report()
    rejected = [(r["source_file"], r["source_row"]) for r in reject_rows(job.output)]
    assert report["posts"]["read"] == len(expected)
    assert len(rejected) == len(set(rejected))
    assert set(rejected) <= set(expected)
    assert len(expected) - len(rejected) == report["posts"]["kept"] == len(kept_ids(job.output))


def test_the_planted_truth_is_found(job: Job) -> None:
    """Broken rows are dead letters, redelivered and copied posts are gone, most clean posts stay."""
    labels = pq.read_table(job.sample / "labels.parquet").to_pylist()
    rejected = {(r["source_file"], r["source_row"]): r for r in reject_rows(job.output)}
    kept = kept_ids(job.output)
    clean = [row for row in labels if row["label"] == "clean"]
    assert sum(row["post_id"] in kept for row in clean) > 0.85 * len(clean)
    for row in labels:
        reject = rejected.get((row["source_file"], row["source_row"]))
        if row["label"] == "malformed":
            assert reject is not None
            assert reject["kind"] == "malformed"
        if row["label"] == "exact_duplicate" and reject is None:
            assert row["duplicate_of"] not in kept, "both copies were kept"


def test_duplicates_name_a_kept_post(job: Job) -> None:
    """Each duplicate's partner stays, and its similarity is at least the threshold."""
    kept = kept_ids(job.output)
    duplicates = [r for r in reject_rows(job.output) if r["kind"] == "duplicate"]
    assert {r["reason"] for r in duplicates} == {"redelivered", "exact", "near"}
    for row in duplicates:
        assert row["duplicate_of"] in kept
        if row["reason"] != "redelivered":
            assert row["score"] >= np.float32(row["threshold"])
            assert (row["score"] == 1.0) or row["reason"] == "near"


def test_tokens_decode_to_the_posts(job: Job) -> None:
    """The text of every kept post is found through provenance, with an end-of-document token behind it."""
    tokenizer = Tokenizer.from_file(str(job.tokenizer))
    eod = tokenizer.token_to_id("<|eod|>")
    texts = {}
    for line in lines(job).values():
        try:
            post = json.loads(line)
            texts.setdefault(str(post["id"]), set()).add(
                normalize(pa.array([post["text"]]))[0].as_py()
            )
        except (ValueError, KeyError, TypeError):
            continue
    places = sorted((job.output / "provenance").glob("*.parquet"))
    checked = 0
    for path in places:
        shard = pa.ipc.open_file(job.output / "tokens" / f"{path.stem}.arrow").read_all()
        documents: dict[str, list[int]] = {}
        for row in (
            pq.read_table(path)
            .sort_by([("post_id", "ascending"), ("piece", "ascending")])
            .to_pylist()
        ):
            if row["piece"] == 0:
                documents[row["post_id"]] = []
            if row["post_id"] in documents:
                sequence = shard["tokens"][row["sequence"]].as_py()
                end = row["offset"] + row["length"]
                documents[row["post_id"]] += sequence[row["offset"] : end]
        for post_id, ids in documents.items():
            if ids[-1] == eod:
                assert tokenizer.decode(ids[:-1], skip_special_tokens=False) in texts[post_id]
                checked += 1
    assert checked > 1000


def test_plain_pyarrow_reads_a_shard(job: Job) -> None:
    """A shard opens with pyarrow alone: equal lengths, ids in the vocabulary, ends inside the sequence."""
    paths = sorted((job.output / "tokens").glob("*.arrow"))
    lengths = set()
    for path in paths:
        with pa.memory_map(str(path)) as file:
            table = pa.ipc.open_file(file).read_all()
            tokens = np.asarray(table["tokens"].combine_chunks().flatten()).reshape(-1, 256)
            assert tokens.min() >= 0
            assert tokens.max() < 131_072
            assert max(e[-1] for e in table["doc_ends"].to_pylist()) <= 256
            lengths.add(len(tokens))
    assert len(lengths) == 1
    assert len(paths) % 2 == 0


@pytest.mark.parametrize(
    "workers",
    [
        ["--workers", "1"],
        ["--workers", "3"],
        ["--", "--direct_num_workers=3", "--direct_running_mode=multi_threading"],
    ],
)
def test_engines_and_workers_do_not_show(job: Job, rerun, workers: list[str]) -> None:
    """Either engine and any number of workers write the same bytes, rejects and manifest included."""
    folders = (*OUTPUT, "rejects", "tokenizer")
    output = rerun(*workers, fresh=True)
    assert contract_bytes(output, *folders) == contract_bytes(job.output, *folders)


def test_units_and_batches_do_not_show(job: Job, tmp_path: Path, rerun) -> None:
    """Plain files cut into many units give the shards of compressed files that are read whole."""
    plain = copy_plain(job, tmp_path / "plain")
    output = rerun("--set", "input.unit_bytes=65536", inputs=str(plain / "*.jsonl"))
    units = len(list((output / "rejects").glob("clean-*")))
    assert units > 8
    assert contract_bytes(output, *OUTPUT) == contract_bytes(job.output, *OUTPUT)

    def without_gz(rows: list[dict]) -> list[dict]:
        return [r | {"source_file": r["source_file"].removesuffix(".gz")} for r in rows]

    assert reject_rows(output) == without_gz(reject_rows(job.output))


def test_the_order_of_arrival_does_not_show(job: Job, tmp_path: Path, rerun) -> None:
    """Inputs named in another order give the same bytes."""
    paths = sorted(str(p) for p in job.sample.glob("posts-*.jsonl.gz"))
    output = tmp_path / "other"
    frozen = f"vocabulary.tokenizer={job.tokenizer}"
    arguments = ["run", str(job.recipe), "--input", *paths[::-1], "--output", str(output)]
    assert cli.main([*arguments, "--set", frozen]) == 0
    assert contract_bytes(output, *OUTPUT) == contract_bytes(job.output, *OUTPUT)


def phase_times(output: Path) -> dict[str, int]:
    return {
        p.parent.name.partition("-")[0]: p.stat().st_mtime_ns
        for p in (output / "work").glob("*/phase.json")
    }


def test_memory_is_outside_of_fingerprints(job: Job) -> None:
    """Less memory for dedup is the same job: every phase would be reused."""
    sets = (f"dedup.memory_bytes={16 << 20}",)
    files = str(job.sample / "posts-*.jsonl.gz")
    marks = []
    for recipe in (load(str(job.recipe)), load(str(job.recipe), sets=sets)):
        inputs = msgspec.structs.replace(recipe.input, files=(files,))
        made = make_job(msgspec.structs.replace(recipe, input=inputs), out=str(job.output))
        marks.append(fingerprints(made))
    assert marks[0] == marks[1]
    assert finished(made, "tokens", marks[0]["tokens"]) is not None


def test_a_threshold_reruns_what_depends_on_it(job: Job, rerun) -> None:
    """A new dedup threshold keeps clean and a frozen vocabulary, and redoes dedup and tokens."""
    output = rerun()
    before = phase_times(output)
    kept = json.loads((output / "report" / "report.json").read_text())["posts"]["kept"]
    assert rerun("--set", "dedup.threshold=0.6") == output
    after = phase_times(output)
    changed = {phase for phase in after if after[phase] != before[phase]}
    assert changed == {"dedup", "tokens"}
    assert json.loads((output / "report" / "report.json").read_text())["posts"]["kept"] < kept
    assert cli.main(["verify", str(output)]) == 0
    assert rerun("--set", "dedup.threshold=0.6") == output
    assert phase_times(output) == after


def test_inspect_tells_what_happened(job: Job, capsys: pytest.CaptureFixture[str]) -> None:
    """A kept post has its place and scores, a rejected one its reason, an unknown one an error."""
    kept = min(kept_ids(job.output))
    assert cli.main(["inspect", str(job.output), kept]) == 0
    out = capsys.readouterr().out
    assert "kept  " in out
    assert "sequence" in out
    assert "spam" in out
    duplicate = next(r for r in reject_rows(job.output) if r["reason"] == "near")
    assert cli.main(["inspect", str(job.output), duplicate["post_id"]]) == 0
    assert f"duplicate  near of {duplicate['duplicate_of']}" in capsys.readouterr().out
    assert cli.main(["inspect", str(job.output), "no-such-post"]) == 2
    assert "no post has the id" in capsys.readouterr().err


def test_report_json(job: Job, capsys: pytest.CaptureFixture[str]) -> None:
    """`sluice report --json` prints the report, whose tables sum to their totals."""
    assert cli.main(["report", str(job.output), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    for section, total in (("posts", "kept"), ("tokens", "encoded")):
        for by in ("by_lang", "by_day", "by_source"):
            assert sum(report[section][by].values()) == report[section][total]
    names = [row["name"] for row in report["filters"]]
    assert names == [
        "normalize",
        "own_text",
        "min_words",
        "hashtag_ratio",
        "language_confidence",
        "spam",
    ]
    for before, after in zip(report["filters"], report["filters"][1:], strict=False):
        assert before["posts_out"] == after["posts_in"]
    assert {"sample", "train", "save"} == set(report["vocabulary"]["steps"])
    assert (job.output / "report" / "report.html").read_text("utf-8").startswith("<!")


def test_plan_does_nothing(job: Job, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`--plan` names phases, units and costs; a new output is not made, a finished one is reused."""
    assert run(job, tmp_path / "new", "--plan") == 0
    out = capsys.readouterr().out
    assert "4 units" in out
    assert "disk" in out
    assert not (tmp_path / "new").exists()
    assert run(job, job.output, "--plan") == 0
    assert capsys.readouterr().out.count("reuse") == 4


def test_score_writes_one_row_per_readable_post(job: Job, tmp_path: Path) -> None:
    """`sluice score` has every post that can be read, and the scores by which `run` decided."""
    output = tmp_path / "scores"
    files = str(job.sample / "posts-*.jsonl.gz")
    assert cli.main(["score", str(job.recipe), "--input", files, "--output", str(output)]) == 0
    scores = pq.ParquetDataset(output / "scores").read()
    report = job.report()["posts"]
    assert scores.num_rows == report["read"] - report["malformed"]
    assert scores.column_names[:4] == [
        "post_id",
        "language",
        "language_group",
        "language_confidence",
    ]
    too_short = {
        r["post_id"]: r["score"] for r in reject_rows(job.output) if r["stage"] == "min_words"
    }
    assert too_short
    for post_id, score in zip(
        scores["post_id"].to_pylist(), scores["min_words"].to_pylist(), strict=True
    ):
        assert too_short.get(post_id, score) == score


def test_nothing_kept_is_a_report_not_a_crash(job: Job, tmp_path: Path) -> None:
    """A run that rejects everything ends, balances and verifies."""
    frozen = f"vocabulary.tokenizer={job.tokenizer}"
    output = tmp_path / "none"
    sets = ("--set", frozen, "--set", "filters.min_words.min_words=100000")
    assert run(job, output, *sets, inputs=str(job.sample / "posts-00.jsonl.gz")) == 0
    report = json.loads((output / "report" / "report.json").read_text())
    assert report["posts"]["kept"] == report["tokens"]["total"] == 0
    assert "no post was kept" in report["warnings"]
    assert cli.main(["verify", str(output)]) == 0


@pytest.mark.parametrize("content", [b"", b"\n \n"])
def test_an_empty_input_says_so(
    job: Job, tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """An input without any post is an error that says so, with a frozen tokenizer too."""
    (tmp_path / "quiet.jsonl").write_bytes(content)
    frozen = f"vocabulary.tokenizer={job.tokenizer}"
    assert run(job, tmp_path / "out", "--set", frozen, inputs=str(tmp_path / "quiet.jsonl")) == 2
    assert "no posts in the input: 1 file without a record: quiet.jsonl" in caplog.text


def test_normal_form_of_what_is_kept(job: Job) -> None:
    """Kept texts are NFC: the tokenizer never sees two spellings of one character."""
    tokenizer = Tokenizer.from_file(str(job.tokenizer))
    path = min((job.output / "tokens").glob("*.arrow"))
    shard = pa.ipc.open_file(path).read_all()
    for sequence, ends in zip(
        shard["tokens"][:50].to_pylist(), shard["doc_ends"][:50].to_pylist(), strict=True
    ):
        text = tokenizer.decode(sequence[: ends[0] - 1], skip_special_tokens=False)
        assert unicodedata.is_normalized("NFC", text)


def test_verify_says_the_same_with_any_number_of_threads(
    job: Job, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Problems of several files are told in the order of the manifest, whoever read them; 0 is refused."""
    output = linked_output(job.output, tmp_path / "out")
    for path in sorted((output / "tokens").glob("*.arrow"))[:2]:
        whole = path.read_bytes()
        path.unlink()
        path.write_bytes(whole[:-1] + b"?")
    told = []
    for workers in ("1", "4"):
        assert cli.main(["verify", str(output), "--workers", workers]) == 1
        told.append(capsys.readouterr())
    assert told[0] == told[1]
    assert told[0].err.count("SHA-256 differs") == 2
    with pytest.raises(SystemExit):
        cli.main(["verify", str(output), "--workers", "0"])
    assert "at least 1, got '0'" in capsys.readouterr().err
