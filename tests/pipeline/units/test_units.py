"""Units commit whole or not at all."""

from pathlib import Path

import pytest

from sluice.pipeline.units import exchange
from sluice.pipeline.units.attempt import Attempt
from sluice.pipeline.units.failure import failures
from sluice.pipeline.units.manifest import Done, Unit, done_units
from sluice.pipeline.units.recovery import invalidating_damaged, sweep
from sluice.pipeline.units.stage import do_unit
from sluice.schemas.counts import CandidateCounts
from sluice.schemas.errors import DamagedError, InputError


class Stage:
    """A stage that writes its payload, or fails."""

    name = "stage"
    counts = CandidateCounts

    def __init__(self, folder: Path, *, fail: Exception | None = None):
        self.folder, self.fail = str(folder), fail

    def do(self, unit: Unit, attempt: Attempt) -> CandidateCounts:
        path = attempt.path("out", suffix=".txt")
        Path(path).write_text(str(unit.payload))
        attempt.add("out", path)
        Path(attempt.contract_path(self.folder + "-contract", "a/b.txt")).write_text("b")
        if self.fail:
            raise self.fail
        return CandidateCounts(1)


def test_a_unit_is_done_once(tmp_path: Path) -> None:
    """A second try finds the manifest, does nothing and leaves the file as it was."""
    stage = Stage(tmp_path / "s")
    unit = Unit("unit-00000", "text")
    first, _ = do_unit(stage, unit)
    written = Path(first.path("out")).stat().st_mtime_ns
    second, _ = do_unit(stage, Unit("unit-00000", "other"))
    assert first == second
    assert Path(second.path("out")).read_text() == "text"
    assert Path(second.path("out")).stat().st_mtime_ns == written
    assert (tmp_path / "s-contract" / "a" / "b.txt").read_text() == "b"
    assert first.manifest().counted(CandidateCounts) == CandidateCounts(1)


def test_a_failed_unit_leaves_nothing_but_its_reason(tmp_path: Path) -> None:
    """No manifest, no file, no contract file; the driver finds stage, unit and message."""
    stage = Stage(tmp_path / "s", fail=InputError("a.jsonl: broken"))
    with pytest.raises(InputError):
        do_unit(stage, Unit("unit-00000", "text"))
    assert not done_units(stage.folder)
    assert not list((tmp_path / "s").glob("*.txt"))
    assert not list((tmp_path / "s-contract" / "a").iterdir())
    (failure,) = failures([stage.folder])
    assert (failure.where, failure.message) == ("stage, unit-00000", "a.jsonl: broken")


def test_failures_do_not_carry_the_text_of_posts(tmp_path: Path) -> None:
    """An exception that is not ours is named by its type alone."""
    with pytest.raises(ValueError, match="secret"):
        do_unit(Stage(tmp_path / "s", fail=ValueError("secret post")), Unit("u", 1))
    assert "secret" not in str(failures([str(tmp_path / "s")]))


def test_sweep_takes_what_no_manifest_names(tmp_path: Path) -> None:
    """Files and folders of attempts that died go, those of finished units stay."""
    done, _ = do_unit(Stage(tmp_path / "s"), Unit("unit-00000", "text"))
    stray = tmp_path / "s" / "unit-00001.dead.out.txt"
    stray.write_text("half")
    folder = tmp_path / "s" / "unit-00001.dead.trained"
    folder.mkdir()
    (folder / "tokenizer.json").write_text("half")
    (tmp_path / "s" / "times").mkdir(exist_ok=True)
    assert sweep(str(tmp_path / "s")) == 2
    assert not stray.exists()
    assert not folder.exists()
    assert (tmp_path / "s" / "times").is_dir()
    assert Path(done.path("out")).read_text() == "text"


def test_a_cut_file_is_refused(tmp_path: Path) -> None:
    """A file that lost bytes since its unit committed is an error that says what to do."""
    done, _ = do_unit(Stage(tmp_path / "s"), Unit("unit-00000", "text"))
    Path(done.path("out")).write_text("te")
    with pytest.raises(DamagedError, match="has 2 bytes, its unit wrote 4; run the same") as error:
        done.path("out")
    assert (error.value.folder, error.value.unit) == (str(tmp_path / "s"), "unit-00000")


def test_a_changed_file_is_refused(tmp_path: Path) -> None:
    """A file of the right size with one other bit is an error; the unit is done again after it."""
    stage = Stage(tmp_path / "s")
    done, _ = do_unit(stage, Unit("unit-00000", "text"))
    Path(done.path("out")).write_text("texu")
    with pytest.raises(DamagedError, match="its checksum differs"), invalidating_damaged():
        done.path("out")
    assert not done_units(stage.folder)
    done, _ = do_unit(stage, Unit("unit-00000", "text"))
    assert Path(done.path("out")).read_text() == "text"


def test_every_change_of_a_manifest_is_seen(tmp_path: Path) -> None:
    """Also where the JSON stays JSON with another number: cut anywhere, or with any byte changed."""
    done, _ = do_unit(Stage(tmp_path / "s"), Unit("unit-00000", "text"))
    path = Path(done.manifest_path)
    intact = path.read_bytes()
    for at in range(len(intact)):
        flipped = bytearray(intact)
        flipped[at] ^= 1
        for damaged in (bytes(flipped), intact[:at]):
            path.write_bytes(damaged)
            with pytest.raises(DamagedError, match="not a unit manifest"):
                done.manifest()
    path.write_bytes(intact)
    assert done.manifest().counted(CandidateCounts) == CandidateCounts(1)


def test_a_bad_manifest_is_refused(tmp_path: Path) -> None:
    """A manifest that is no manifest is an error that names the file."""
    (tmp_path / "u.json").write_text("{}")
    with pytest.raises(DamagedError, match=r"u\.json: not a unit manifest"):
        Done(str(tmp_path), "u").manifest()


def test_reduce_units_are_named_by_partition() -> None:
    """The order in which ranges arrive does not change the unit."""
    ranges = [
        ["f", "unit-1", 0, 5, 1, "b.arrow", 7],
        ["f", "unit-0", 9, 5, 1, "a.arrow", 14],
        ["f", "unit-0", 0, 9, 1, "a.arrow", 14],
    ]
    unit = exchange.reduce_unit(3, ranges, name="bucket")
    assert unit == exchange.reduce_unit(3, ranges[::-1], name="bucket")
    assert unit.name == "bucket-00003"
    assert [(s.unit, s.offset) for s in exchange.unit_sources(unit)] == [
        ("unit-0", 0),
        ("unit-0", 9),
        ("unit-1", 0),
    ]
