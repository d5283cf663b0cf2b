"""The main job with its output in an object store: the bytes of the local run, and nobody sees half."""

import json
import random
import signal
import subprocess
import sys
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow.parquet as pq
import pytest

from sluice.pipeline import cli
from sluice.pipeline.storage import files as storage
from sluice.pipeline.storage import lease, output_folder
from sluice.pipeline.storage.conditional import read_or_none
from sluice.schemas.errors import OutputError
from sluice.tokenizer.loader.files import ShardSet
from tests.pipeline.runs import Job, contract_bytes, run
from tests.pipeline.storage.stores import Store

CONTRACT = ("tokens", "provenance", "leftover", "rejects", "tokenizer")
HALF = "posts-0[01].jsonl.gz"


@pytest.fixture
def prefix() -> str:
    return uuid.uuid4().hex


@pytest.fixture(scope="module")
def remote(job: Job, s3: Store) -> str:
    """The job with inputs and output in the store, all writes watched; those of the session are local."""
    out = "s3://bucket/finished"
    for path in job.sample.glob("posts-*.jsonl.gz"):
        storage.write_bytes(f"s3://bucket/posts/{path.name}", path.read_bytes())
    s3.watching = True
    assert run(job, out, inputs="s3://bucket/posts/*.jsonl.gz") == 0
    s3.watching = False
    return out


@pytest.fixture(scope="module")
def local(frozen: Job) -> Path:
    """A local output with the tokenizer of the session's run."""
    return frozen.output


@pytest.fixture(scope="module")
def half(job: Job, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A local output of two of the four input files, with that tokenizer: a store is asked less for them."""
    out = tmp_path_factory.mktemp("half") / "out"
    frozen = ("--set", f"vocabulary.tokenizer={job.tokenizer}")
    assert run(job, out, *frozen, inputs=str(job.sample / HALF)) == 0
    return out


@pytest.fixture
def fast_beats(monkeypatch: pytest.MonkeyPatch) -> None:
    """A lease is watched for parts of a second."""
    monkeypatch.setattr(lease, "BEAT_SECONDS", 0.1)


def same_objects(s3: Store, prefix: str, job: Job) -> bool:
    found = s3.objects(prefix)
    expected = contract_bytes(job.output, *CONTRACT)
    expected["manifest.json"] = (job.output / "manifest.json").read_bytes()
    work = {name for name in found if name.startswith(("work/", "report/"))}
    return {n: b for n, b in found.items() if n not in work | {"COMPLETED"}} == expected


def test_the_bytes_are_those_of_a_local_run(job: Job, s3: Store, remote: str) -> None:
    """Every file of the contract and the manifest; the lease is gone, and no upload is left open."""
    assert same_objects(s3, "finished", job)
    assert not storage.exists(f"{remote}/{output_folder.LEASE}")
    assert not s3.client().list_multipart_uploads(Bucket="bucket").get("Uploads")


def test_a_second_run_reuses_all(
    job: Job, s3: Store, remote: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """No unit is done again."""
    assert run(job, remote) == 0
    assert capsys.readouterr().err.count("done before, reused") == 4
    assert same_objects(s3, "finished", job)


def test_commands_read_a_remote_output(
    job: Job, remote: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """verify, report, inspect and export say of the remote output what they say of the local one."""
    provenance = next(iter(sorted((job.output / "provenance").glob("*.parquet"))))
    post_id = pq.read_table(provenance)["post_id"][0].as_py()
    for command in (["verify"], ["inspect", post_id], ["report"]):
        told = []
        for out in (remote, str(job.output)):
            capsys.readouterr()
            assert cli.main([command[0], out, *command[1:]]) == 0
            told.append(capsys.readouterr().out.replace(out, "OUT"))
        assert told[0] == told[1]
    exports = []
    for out, folder in ((remote, "a"), (str(job.output), "b")):
        assert cli.main(["export", out, "megatron", str(tmp_path / folder)]) == 0
        exports.append({p.name: p.read_bytes() for p in (tmp_path / folder).iterdir()})
    assert exports[0] == exports[1]


def test_an_export_into_a_store(
    job: Job, s3: Store, remote: str, tmp_path: Path, prefix: str
) -> None:
    """The same files as in a local folder; a second export there is refused."""
    assert cli.main(["export", remote, "mds", f"s3://bucket/{prefix}"]) == 0
    assert cli.main(["export", str(job.output), "mds", str(tmp_path / "e")]) == 0
    assert s3.objects(prefix) == {p.name: p.read_bytes() for p in (tmp_path / "e").iterdir()}
    assert cli.main(["export", remote, "mds", f"s3://bucket/{prefix}"]) == 2


def test_the_loader_reads_a_remote_output(job: Job, remote: str) -> None:
    """The loader gives the sequences of the local output."""
    there, here = ShardSet(remote), ShardSet(job.output)
    assert there.fingerprint == here.fingerprint
    numbers_B = np.array([3, 0, len(here) - 1])
    for rows in zip(there.rows(numbers_B), here.rows(numbers_B), strict=True):
        assert np.array_equal(*rows)


def test_nobody_sees_half(job: Job, s3: Store, remote: str) -> None:
    """From the moment when it can be seen, an object of the contract is what it is in the end; a manifest
    names files that are there; COMPLETED comes last."""
    final = {f"finished/{name}": data for name, data in s3.objects("finished").items()}
    contract = [w for w in s3.written if w.key.split("/")[1] in CONTRACT]
    assert {w.key for w in contract} == {n for n in final if n.split("/")[1] in CONTRACT}
    assert all(w.data == final[w.key] for w in contract)
    named = 0
    for w in s3.written:
        folder = w.key.rpartition("/")[0]
        if folder.count("/") == 3 and w.key.endswith(".json") and "/times" not in folder:
            for entry in json.loads(w.data).get("files", {}).values():
                at = (
                    f"finished/{entry['name']}"
                    if "sha256" in entry
                    else f"{folder}/{entry['name']}"
                )
                assert at in w.there
                named += 1
    assert named > 50
    of_output = [w.key for w in s3.written if "work" not in w.key.split("/")]
    assert of_output[-1] == "finished/COMPLETED"


def command(job: Job, out: str, *more: str, inputs: str = "posts-*.jsonl.gz") -> list[str]:
    return [
        *(sys.executable, "-m", "sluice.pipeline.cli", "run", str(job.recipe)),
        *("--input", str(job.sample / inputs), "--output", out, *more),
    ]


@pytest.mark.slow
@pytest.mark.parametrize("phase", ["dedup", "tokens"])
def test_a_killed_run_goes_on(
    job: Job, s3: Store, half: Path, prefix: str, fast_beats: None, phase: str
) -> None:
    """Killed in a phase: what is visible is whole, the lease is taken over, the bytes are the same."""
    out = f"s3://bucket/{prefix}"
    frozen = ("--set", f"vocabulary.tokenizer={job.tokenizer}")
    process = subprocess.Popen(command(job, out, *frozen, inputs=HALF), stderr=subprocess.DEVNULL)
    while process.poll() is None:
        works = [r.path for r in s3.requests if "/".join([prefix, "work", f"{phase}-"]) in r.path]
        if any(path.count("/") > 5 for path in works):
            break
        time.sleep(0.01)
    time.sleep(random.Random(phase).uniform(0, 0.5))
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    expected = contract_bytes(half, *CONTRACT)
    left = s3.objects(prefix)
    assert "COMPLETED" not in left
    assert "work/lease.json" in left
    of_contract = {n: b for n, b in left.items() if n.split("/")[0] in CONTRACT}
    assert {n: expected[n] for n in of_contract} == of_contract
    assert run(job, out, *frozen, inputs=str(job.sample / HALF)) == 0
    found = s3.objects(prefix)
    assert {n: b for n, b in found.items() if n.split("/")[0] in CONTRACT} == expected
    assert found["manifest.json"] == (half / "manifest.json").read_bytes()
    strangers = [n for n in found if n.startswith("work/") and n not in named_in(found)]
    assert strangers == []


def named_in(found: dict[str, bytes]) -> set[str]:
    """Returns the objects of work/ that belong there: manifests, what they name, and records of phases."""
    records = {n for n in found if n.startswith("work/") and n.endswith(".json")}
    names = records - {"work/lease.json"}
    for name in records:
        for entry in json.loads(found[name]).get("files", {}).values():
            names.add(f"{name.rpartition('/')[0]}/{entry['name']}")
    return names


def test_one_run_at_a_time(
    job: Job, remote: str, fast_beats: None, capsys: pytest.CaptureFixture[str]
) -> None:
    """While a run keeps its lease alive a second one is refused; when it has ended, it is not."""
    with output_folder.locked(remote):
        assert run(job, remote) == 2
        assert "another run holds it" in capsys.readouterr().err
    assert run(job, remote) == 0


@pytest.mark.parametrize("clock", [0.0, 4e9, -4e9])
def test_a_dead_lease_is_taken_over(
    s3: Store, prefix: str, fast_beats: None, monkeypatch: pytest.MonkeyPatch, clock: float
) -> None:
    """A lease that nobody raises is taken, whatever the clocks of the day say; so is one that is damaged."""
    wrong = SimpleNamespace(time=lambda: clock, monotonic=time.monotonic, sleep=time.sleep)
    monkeypatch.setattr(lease, "time", wrong)  # of the lease alone: the server's clock is right
    path = f"s3://bucket/{prefix}/lease.json"
    for left in (b'{"holder": "dead", "beat": 7}', b'{"holder'):
        storage.write_bytes(path, left)
        with lease.held(path, of="out"):
            assert storage.read_bytes(path) != left
        assert read_or_none(path) is None


def test_one_of_several_newcomers_gets_a_dead_lease(
    s3: Store, prefix: str, fast_beats: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where all have seen the same holder die, the store lets one of them in; the others are refused."""
    path, got = f"s3://bucket/{prefix}/lease.json", threading.Barrier(3)
    storage.write_bytes(path, b"dead")
    monkeypatch.setattr(lease, "_watch", lambda *_: b"dead")

    def come(_: int) -> bool:
        got.wait()
        try:
            with lease.held(path, of="out"):
                time.sleep(1)
        except OutputError:
            return False
        return True

    with ThreadPoolExecutor(3) as pool:
        assert sorted(pool.map(come, range(3))) == [False, False, True]


OTHERS = b'{"holder": "other", "beat": 1}'


def test_who_loses_the_lease_stops(s3: Store, prefix: str, fast_beats: None) -> None:
    """Its main thread is interrupted at once, its threads write nothing more, and the lease is left alone."""
    out, stopped = f"s3://bucket/{prefix}", []

    def lose() -> None:
        with lease.held(f"{out}/lease.json", of=out):
            s3.client().put_object(Bucket="bucket", Key=f"{prefix}/lease.json", Body=OTHERS)
            time.sleep(60)
            stopped.append(False)

    with pytest.raises(OutputError, match=f"{out}: another run has taken it over"):
        lose()
    assert not stopped, "the block ran to its end"
    assert storage.read_bytes(f"{out}/lease.json") == OTHERS
    for write in (storage.delete, lambda path: storage.write_bytes(path, b"")):
        with pytest.raises(OutputError, match="another run has taken it over"):
            write(f"{out}/unit.json")
    with lease.held(f"{out}/lease.json", of=out):  # the other has died
        storage.write_bytes(f"{out}/unit.json", b"")


def test_a_lease_is_lost_in_any_thread(s3: Store, prefix: str, fast_beats: None) -> None:
    """A thread that no signal reaches fails when it writes, and ends with the same error."""
    out = f"s3://bucket/{prefix}"

    def lose() -> None:
        with lease.held(f"{out}/lease.json", of=out):
            s3.client().put_object(Bucket="bucket", Key=f"{prefix}/lease.json", Body=OTHERS)
            for number in range(200):
                time.sleep(0.05)
                storage.write_bytes(f"{out}/{number}", b"")

    with ThreadPoolExecutor(1) as pool:
        error = pool.submit(lose).exception(timeout=60)
    assert isinstance(error, OutputError)
    assert f"{out}: another run has taken it over" in str(error)


BACKGROUND = """
import signal, sys
from sluice.pipeline import cli
from sluice.pipeline.storage import lease

signal.signal(signal.SIGINT, signal.SIG_IGN)
lease.BEAT_SECONDS = 0.1
sys.exit(cli.program())
"""


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["multi_threading", "multi_processing"])
def test_a_run_that_loses_its_lease_says_so(job: Job, s3: Store, prefix: str, mode: str) -> None:
    """Exit code 2 and one line that names the output, also where a shell ignores SIGINT in the background."""
    out, frozen = f"s3://bucket/{prefix}", f"vocabulary.tokenizer={job.tokenizer}"
    run_it = [*command(job, out, "--set", frozen)[3:], "--", f"--direct_running_mode={mode}"]
    process = subprocess.Popen(
        [sys.executable, "-c", BACKGROUND, *run_it], stderr=subprocess.PIPE, text=True
    )
    while not any(f"{prefix}/work/clean-" in request.path for request in s3.requests):
        assert process.poll() is None
        time.sleep(0.01)
    s3.client().put_object(Bucket="bucket", Key=f"{prefix}/work/lease.json", Body=OTHERS)
    _, told = process.communicate(timeout=120)
    assert process.returncode == 2, told
    assert told.splitlines()[-1].startswith(f"sluice: {out}: another run has taken it over"), told
    assert "Traceback" not in told
    assert "COMPLETED" not in s3.objects(prefix)


def test_scores_go_to_a_store(job: Job, s3: Store, prefix: str, tmp_path: Path) -> None:
    """`sluice score` writes the bytes there that it writes here."""
    files = str(job.sample / "posts-*.jsonl.gz")
    for out in (f"s3://bucket/{prefix}", str(tmp_path / "scored")):
        assert cli.main(["score", str(job.recipe), "--input", files, "--output", out]) == 0
    found = {n: b for n, b in s3.objects(prefix).items() if n.startswith(("scores/", "rejects/"))}
    assert found == contract_bytes(tmp_path / "scored", "scores", "rejects")


@pytest.mark.slow
def test_any_file_system_of_fsspec(job: Job, local: Path, tmp_path: Path) -> None:
    """A scheme that pyarrow does not know, without whole puts: the same bytes."""
    out, frozen = f"local://{tmp_path}/out", f"vocabulary.tokenizer={job.tokenizer}"
    assert run(job, out, "--set", frozen) == 0
    for name, data in contract_bytes(local, *CONTRACT).items():
        assert (tmp_path / "out" / name).read_bytes() == data
    assert cli.main(["verify", out]) == 0
    assert not list(tmp_path.glob("out/**/.tmp-*"))


def test_a_bucket_that_is_not_there(
    job: Job, s3: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    """Said before any post is read."""
    assert run(job, "s3://no-such-bucket/out") == 2
    err = capsys.readouterr().err
    assert "s3://no-such-bucket/out" in err
    assert "there is no such bucket" in err


def test_a_history_in_a_store_is_refused(job: Job, s3: Store, capsys) -> None:
    """A history is renamed and locked; the recipe's error says where it can lie."""
    assert run(job, "s3://bucket/x", "--set", "dedup.history=s3://bucket/history") == 2
    assert "dedup.history = 's3://bucket/history': must be a folder" in capsys.readouterr().err
