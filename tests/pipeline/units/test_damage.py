"""A file between phases that was cut or changed: an error that names it, then the undisturbed bytes."""

import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from sluice.pipeline.engine.beam.quiet import OfMainThread
from tests.built_once import built_once
from tests.pipeline.runs import RECIPE, Job, contract_bytes, finished, linked_output, run

CONTRACT = ("tokens", "provenance", "leftover", "rejects", "tokenizer")
MORE = """
[dedup]
count_copies = true
[vocabulary]
max_words = 20000
"""


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Job:
    """The main job on 1,500 synthetic posts, with every kind of intermediate file."""
    about: dict[str, Any] = {"num_posts": 1500, "seed": 4, "recipe": RECIPE + MORE}
    return finished(built_once(tmp_path_factory, "small", lambda f: finished(f, **about)), **about)


class Kind(NamedTuple):
    """A kind of intermediate file.

    Attributes:
        files: glob below work/.
        readers: globs of folders; without them, their units read the file again.
    """

    files: str
    readers: tuple[str, ...]


KINDS = {
    "kept": Kind("clean-*/clean/*.kept.arrow", ("dedup-*",)),
    "keys": Kind("clean-*/clean/*.keys.arrow", ("dedup-*",)),
    "edges": Kind("dedup-*/buckets/*.edges.arrow", ("dedup-*/join",)),
    "components": Kind("dedup-*/join/*.components.arrow", ("dedup-*/ship",)),
    "candidates": Kind("dedup-*/ship/*.candidates.arrow", ("dedup-*/settle",)),
    "found": Kind("dedup-*/settle/*.found.arrow", ("dedup-*/drop",)),
    "drops": Kind("dedup-*/drop/*.drops.arrow", ("tokens-*",)),
    "copies": Kind("dedup-*/drop/*.copies.arrow", ("tokens-*",)),
    "counted words": Kind("vocabulary-*/sample/*.words.arrow", ("vocabulary-*/words",)),
    "merged words": Kind("vocabulary-*/words/*.words.arrow", ("vocabulary-*/train",)),
    "documents": Kind("tokens-*/encode/*.documents.arrow", ("tokens-*/pack",)),
    "sequences": Kind("tokens-*/pack/*.sequences.i32", ("tokens-*/shard",)),
    "checksums of sequences": Kind("tokens-*/pack/*.sums.u32", ("tokens-*/shard",)),
    "use of ids": Kind("tokens-*/pack/*.use.i64", ("tokens-*/deal",)),
    "pieces": Kind("tokens-*/pack/*.pieces.arrow", ("tokens-*/shard",)),
    "dealt": Kind("tokens-*/deal/*.dealt.arrow", ("tokens-*/shard",)),
    "manifests of clean": Kind("clean-*/clean/unit-*.json", ("dedup-*",)),
    "manifests of packed": Kind("tokens-*/pack/partition-*.json", ("tokens-*/shard",)),
    "manifests of shards": Kind("tokens-*/shard/shard-*.json", ()),
}


def flip(data: bytes) -> bytes:
    """Changes a bit in the middle."""
    at = len(data) // 2
    return data[:at] + bytes([data[at] ^ 4]) + data[at + 1 :]


def cut(data: bytes) -> bytes:
    """Takes the last tenth away."""
    return data[: len(data) * 9 // 10]


def lose(data: bytes) -> None:
    """Takes all of it away."""


CASES = [
    *(pytest.param(kind, flip, id=f"{name}, flip") for name, kind in KINDS.items()),
    *(pytest.param(KINDS[n], cut, id=f"{n}, cut") for n in ("kept", "keys", "sequences", "dealt")),
    *(pytest.param(KINDS[n], lose, id=f"{n}, lose") for n in ("edges", "found", "sequences")),
]


def again(small: Job, tmp_path: Path, readers: tuple[str, ...]) -> Path:
    """Returns the output, linked, in which the readers' work is not done."""
    out = linked_output(small.output, tmp_path / "out")
    for pattern in readers:
        for folder in (out / "work").glob(pattern):
            shutil.rmtree(folder)
            (folder.parent / "phase.json").unlink(missing_ok=True)
    return out


def change(path: Path, damage: Callable[[bytes], bytes | None]) -> None:
    """Puts a damaged file in the place of one that other folders have, too."""
    damaged = damage(path.read_bytes())
    path.unlink()
    if damaged is not None:
        path.write_bytes(damaged)


def same(out: Path, small: Job) -> bool:
    of_contract = contract_bytes(out, *CONTRACT) == contract_bytes(small.output, *CONTRACT)
    manifest = (out / "manifest.json").read_bytes()
    return of_contract and manifest == (small.output / "manifest.json").read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "damage"), CASES)
def test_damage_is_named_and_repaired(
    small: Job,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    kind: Kind,
    damage,
) -> None:
    """A run says which file of which unit, makes it again or stops; after the next all bytes are the same."""
    # Runs of earlier tests in this process failed, too, and threads of theirs may still be about to say so.
    monkeypatch.setattr(sys, "stderr", OfMainThread(sys.stderr))
    out = again(small, tmp_path, kind.readers)
    path = max((out / "work").glob(kind.files), key=lambda p: p.stat().st_size)
    change(path, damage)
    # What the driver sees when a phase begins is a warning, what a unit reads is an error.
    assert run(small, out) in (0, 2)
    unit = path.name.partition(".")[0]
    err = capsys.readouterr().err + caplog.text
    assert f"{path}: " in err
    assert f"unit {unit} of stage {path.parent.name} is done again" in err
    assert "Traceback" not in err
    assert run(small, out) == 0
    assert same(out, small)


@pytest.mark.slow
@pytest.mark.parametrize("damage", [flip, cut])
def test_damaged_records_of_phases_are_made_again(small: Job, tmp_path: Path, damage) -> None:
    """What says that phases are done, what they cost, and whose the folder is: no run fails for it."""
    out = again(small, tmp_path, ("tokens-*/shard",))
    (out / "COMPLETED").unlink()
    for pattern in ("*/phase.json", "*/cost.json", "units.json", "*/*/times/*.json", "run.json"):
        for path in (out / "work").glob(pattern):
            change(path, damage)
    assert run(small, out) == 0
    assert same(out, small)


def test_a_finished_run_of_unknown_owner_is_kept(
    small: Job, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where it cannot be told who made a finished output, nothing in it is overwritten."""
    out = again(small, tmp_path, ())
    owner = out / "work" / "run.json"
    change(owner, flip)
    assert run(small, out) == 2
    assert "run.json: its checksum is not that of its text" in capsys.readouterr().err
    assert same(out, small)
