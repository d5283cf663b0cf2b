"""What goes wrong: kills, full disks, failing filters, outputs of others. Nothing is lost."""

import json
import os
import random
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from sluice.filters.rules.min_words import MinWords
from sluice.pipeline import cli
from sluice.pipeline.phases.clean import batches as clean
from sluice.pipeline.storage import output_folder
from tests.pipeline.runs import (
    PHASES,
    Job,
    before_phase,
    contract_bytes,
    linked_output,
    reject_rows,
    run,
)

CONTRACT = ("tokens", "provenance", "leftover", "rejects", "tokenizer")


def command(job: Job, out: Path, *more: str) -> list[str]:
    files = str(job.sample / "posts-*.jsonl.gz")
    return [
        *(sys.executable, "-m", "sluice.pipeline.cli", "run", str(job.recipe)),
        *("--input", files, "--output", str(out), *more),
    ]


def manifests(out: Path) -> dict[str, int]:
    return {str(p): p.stat().st_mtime_ns for p in out.glob("work/*/*/*-[0-9]*.json")}


def kill_in(process: subprocess.Popen, out: Path, phase: str, wait: float) -> bool:
    """Kills the process group a while after the phase began; returns whether it was still running."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        if list(out.glob(f"work/{phase}-*/*")):
            break
        time.sleep(0.002)
    time.sleep(wait)
    running = process.poll() is None
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    return running


@pytest.mark.slow
@pytest.mark.parametrize("phase", PHASES)
def test_a_killed_run_goes_on(job: Job, tmp_path: Path, phase: str) -> None:
    """Killed in any phase and started again, the bytes are the same and finished units are not redone."""
    out = before_phase(job, tmp_path / "out", phase)
    draw = random.Random(phase)
    killed = 0
    for _ in range(2):
        process = subprocess.Popen(
            command(job, out),
            start_new_session=True,
            stderr=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        killed += kill_in(process, out, phase, draw.uniform(0, 0.5))
        before = manifests(out)
    assert killed
    assert not (out / output_folder.COMPLETED).exists() or killed < 2
    assert run(job, out) == 0
    after = manifests(out)
    assert {k: after[k] for k in before} == before
    assert contract_bytes(out, *CONTRACT) == contract_bytes(job.output, *CONTRACT)
    assert (out / "manifest.json").read_bytes() == (job.output / "manifest.json").read_bytes()
    left = [p for p in out.rglob("*") if ".tmp" in p.name]
    assert not left
    assert cli.main(["verify", str(out)]) == 0


@pytest.mark.slow
def test_a_full_disk_is_an_error_and_no_loss(job: Job, tmp_path: Path) -> None:
    """Where files cannot grow the run stops with the file's name; with room it ends with the same bytes."""
    out = tmp_path / "out"

    def small_files() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))

    done = subprocess.run(command(job, out), preexec_fn=small_files, capture_output=True, text=True)
    assert done.returncode == 1
    assert "File too large" in done.stderr
    assert "finished units are kept" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (out / output_folder.COMPLETED).exists()
    assert run(job, out) == 0
    assert contract_bytes(out, *CONTRACT) == contract_bytes(job.output, *CONTRACT)


def test_too_little_disk_is_said_before_anything_is_written(
    job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The preflight compares need and room, and makes no folder."""
    monkeypatch.setattr("sluice.pipeline.storage.files.free_bytes", lambda folder: 1000)
    assert run(job, tmp_path / "out") == 2
    assert "1.0 kB are free" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def failing(share: float):
    """A filter whose scorer raises for batches that hold certain posts."""

    def build(self: MinWords):
        score = original(self)

        def scorer(batch):
            bad = [p for p in batch.posts.column("post_id").to_pylist() if hash_of(p) < share]
            if bad:
                raise ValueError(f"the text of {bad[0]}")
            return score(batch)

        return scorer

    original = MinWords.build
    return build


def hash_of(post_id: str) -> float:
    return random.Random(post_id).random()


def test_a_failing_filter_makes_dead_letters(
    job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Posts that make a filter raise are dead letters of kind error, and no neighbour goes with them."""
    monkeypatch.setattr(MinWords, "build", failing(0.01))
    clean.load_machines.cache_clear()
    frozen = f"vocabulary.tokenizer={job.tokenizer}"
    out = tmp_path / "out"
    assert run(job, out, "--set", frozen, "--set", "limits.max_error_ratio=0.5") == 0
    clean.load_machines.cache_clear()
    errors = [r for r in reject_rows(out) if r["kind"] == "error"]
    assert errors
    for row in errors:
        assert hash_of(row["post_id"]) < 0.01
        assert (row["stage"], row["reason"], row["detail"]) == ("min_words", "ValueError", None)
    failed = {(r["source_file"], r["source_row"]) for r in errors}
    policy = [r for r in reject_rows(job.output) if r["kind"] == "policy"]
    expected = [r for r in policy if (r["source_file"], r["source_row"]) not in failed]
    assert [r for r in reject_rows(out) if r["kind"] == "policy"] == expected
    assert cli.main(["verify", str(out)]) == 0


def test_too_many_errors_stop_the_run(
    job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Above the recipe's limit the run ends non-zero and says what failed and where."""
    monkeypatch.setattr(MinWords, "build", failing(0.01))
    clean.load_machines.cache_clear()
    assert run(job, tmp_path / "out") == 1
    clean.load_machines.cache_clear()
    err = capsys.readouterr().err
    assert "posts made a stage fail (min_words:" in err
    assert "limits.max_error_ratio = 0.001" in err
    assert "the text of" not in err


def test_too_many_malformed_rows_stop_the_run(
    job: Job, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file with more bad rows than the limit ends the run with its name and the reasons."""
    assert (
        run(
            job,
            tmp_path / "out",
            "--set",
            "limits.max_malformed_ratio=0.001",
            *("--set", "limits.min_malformed=1"),
        )
        == 1
    )
    err = capsys.readouterr().err
    assert "posts-00.jsonl.gz" in err
    assert "limits.max_malformed_ratio = 0.001" in err


def test_another_recipe_is_refused(
    job: Job, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An output belongs to one recipe and its inputs; nothing in it is overwritten."""
    job = job._replace(output=linked_output(job.output, tmp_path / "out"))
    before = contract_bytes(job.output, *CONTRACT)
    assert run(job, job.output, "--set", "name=other") == 2
    assert "holds a run of recipe 'trial', not 'other'" in capsys.readouterr().err
    one = str(job.sample / "posts-00.jsonl.gz")
    assert run(job, job.output, inputs=one) == 2
    assert "finished run over other input files" in capsys.readouterr().err
    assert cli.main(["score", str(job.recipe), "--input", one, "--output", str(job.output)]) == 2
    assert "holds a run of command 'run'" in capsys.readouterr().err
    assert contract_bytes(job.output, *CONTRACT) == before


def test_a_folder_of_somebody_else_is_refused(
    job: Job, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A folder with other files in it is not written to."""
    (tmp_path / "precious.txt").write_text("mine")
    assert run(job, tmp_path) == 2
    assert "'precious.txt'" in capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir()] == ["precious.txt"]


def test_linked_outputs_are_apart(job: Job, tmp_path: Path) -> None:
    """While one linked copy of an output is held the other is not: tests share no lock."""
    first, second = (linked_output(job.output, tmp_path / name) for name in ("a", "b"))
    with output_folder.locked(str(first)), output_folder.locked(str(second)):
        pass


def test_one_run_at_a_time(job: Job, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """While one run holds an output a second one is refused, and says so."""
    job = job._replace(output=linked_output(job.output, tmp_path / "out"))
    with output_folder.locked(str(job.output)):
        assert run(job, job.output) == 2
    assert "another run holds it" in capsys.readouterr().err
    assert run(job, job.output) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--input", "nowhere/*.jsonl"], "nowhere"),
        (["--set", "dedup.treshold=1"], "did you mean 'threshold'"),
        (["--", "--direct_num_worker=2"], "did you mean '--direct_num_workers'"),
        (["--set", "vocabulary.tokenizer=/none.json"], "vocabulary.tokenizer"),
        (["--set", "language.model=/none.ftz"], "/none.ftz"),
        (["--set", "filters.spam.model=/none.ftz"], "/none.ftz"),
        (["--set", "input.columns={post_id='x', txt='y'}"], "txt"),
    ],
)
def test_a_wrong_command_reads_nothing(
    job: Job, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    """Inputs, keys, models and tokenizers that are not there fail before any post is read."""
    assert run(job, tmp_path / "out", *arguments) == 2
    err = capsys.readouterr().err
    assert message in err
    assert "Traceback" not in err
    assert not list((tmp_path / "out").glob("rejects/*"))


def damaged(job: Job, folder: Path) -> Path:
    import shutil

    shutil.copytree(job.output, folder, ignore=shutil.ignore_patterns("work"))
    return folder


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def test_verify_sees_damage(job: Job, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A flipped bit, a missing, a strange and a shortened file, and a lost reject row each fail."""
    out = damaged(job, tmp_path / "out")
    assert cli.main(["verify", str(out)]) == 0
    shard = min((out / "tokens").glob("*.arrow"))
    intact = shard.read_bytes()
    flip(shard)
    assert cli.main(["verify", str(out)]) == 1
    assert f"tokens/{shard.name}: SHA-256 differs" in capsys.readouterr().err
    shard.write_bytes(intact[:-100])
    assert cli.main(["verify", str(out)]) == 1
    shard.unlink()
    assert cli.main(["verify", str(out)]) == 1
    assert "is missing" in capsys.readouterr().err
    shard.write_bytes(intact)
    (out / "tokens" / "stray.arrow").write_bytes(b"")
    assert cli.main(["verify", str(out)]) == 1
    assert "tokens/stray.arrow: is not in the manifest" in capsys.readouterr().err
    (out / "tokens" / "stray.arrow").unlink()
    rejects = out / "rejects" / "clean-00000.parquet"
    pq.write_table(pq.read_table(rejects).slice(1), rejects)
    assert cli.main(["verify", str(out)]) == 1
    assert "the ledger says" in capsys.readouterr().err
    (out / "COMPLETED").unlink()
    assert cli.main(["verify", str(out)]) == 1
    assert "the run did not finish" in capsys.readouterr().err


def test_verify_sees_a_wrong_ledger(
    job: Job, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A manifest whose books do not balance fails, whatever its files say."""
    out = damaged(job, tmp_path / "out")
    manifest = json.loads((out / "manifest.json").read_text())
    manifest["posts"]["kept"] += 1
    (out / "manifest.json").write_text(json.dumps(manifest))
    assert cli.main(["verify", str(out)]) == 1
    assert "the ledger does not balance" in capsys.readouterr().err


def test_a_cut_intermediate_file_is_found(
    job: Job, frozen: Job, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file of a finished unit that lost bytes stops the next phase; the next run makes it again."""
    out = linked_output(frozen.output, tmp_path / "out")
    sets = ("--set", f"vocabulary.tokenizer={job.tokenizer}", "--set", "dedup.threshold=0.5")
    kept = next(iter((out / "work").glob("clean-*/clean/unit-00000.*.kept.arrow")))
    whole = kept.read_bytes()
    kept.unlink()
    kept.write_bytes(whole[:-8])
    assert run(job, out, *sets) == 2
    assert "is done again" in capsys.readouterr().err
    assert run(job, out, *sets) == 0


def test_scores_are_numbers(job: Job) -> None:
    """Scores of rejects are finite: a NaN would compare with nothing."""
    scores = [r["score"] for r in reject_rows(job.output) if r["score"] is not None]
    assert scores
    assert np.isfinite(scores).all()


def test_phases_own_the_cpu_time(job: Job, tmp_path: Path) -> None:
    """The phases' CPU seconds are at least 90% of what the kernel counts for the process and its children."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    frozen = f"vocabulary.tokenizer={job.tokenizer}"
    subprocess.run(command(job, tmp_path / "out", "--set", frozen), check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    counted = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    report = json.loads((tmp_path / "out" / "report" / "report.json").read_text())
    owned = sum(phase["cpu_seconds"] for phase in report["phases"])
    assert 0.9 * counted <= owned <= counted
    assert all(phase["peak_rss_bytes"] > 0 for phase in report["phases"])
