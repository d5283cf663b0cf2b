"""What went wrong with a unit, left where the driver finds it: engines turn exceptions into long texts."""

import contextlib
from collections.abc import Iterable

import msgspec

from sluice.pipeline.storage import files as storage
from sluice.pipeline.storage.sealed import write_json
from sluice.pipeline.units.manifest import Unit
from sluice.schemas.errors import DamagedError, SluiceError


class Failure(msgspec.Struct, frozen=True, omit_defaults=True):
    """An exception of a unit.

    Attributes:
        where: its stage and unit, or the engine's step.
        kind: the name of the error; of what the system refuses, its family's name.
        message: for the user; none for an unexpected exception, which may name the text of a post.
        damaged: folder and name of a unit whose file is damaged.
    """

    where: str
    kind: str
    message: str = ""
    damaged: tuple[str, str] | None = None


class UnitError(Exception):
    """A unit failed, here or in another process; `failure` says how."""

    def __init__(self, failure: Failure):
        super().__init__(f"{failure.where}: {failure.message or failure.kind}")
        self.failure = failure


def failure_of(stage: str, unit: Unit, error: Exception) -> Failure:
    """Returns what is told of an exception of a unit of a stage."""
    kind = next((c.__name__ for c in (OSError, MemoryError) if isinstance(error, c)), None)
    return Failure(
        where=f"{stage}, {unit.name}",
        kind=kind or type(error).__name__,
        message=str(error) if isinstance(error, SluiceError | OSError) else "",
        damaged=(error.folder, error.unit) if isinstance(error, DamagedError) else None,
    )


def report_failure(folder: str, stage: str, unit: Unit, error: Exception) -> None:
    """Leaves the failure of a unit of a stage in the stage's folder, where that can be written."""
    with contextlib.suppress(OSError, SluiceError):
        write_json(
            storage.join(folder, "failures", f"{unit.name}.json"), failure_of(stage, unit, error)
        )


def failures(folders: Iterable[str]) -> list[Failure]:
    """Returns what `report_failure` left in the folders of stages."""
    reports = []
    for folder in folders:
        for file in storage.listing(storage.join(folder, "failures")):
            with contextlib.suppress(OSError, msgspec.DecodeError):
                reports.append(msgspec.json.decode(storage.read_bytes(file.path), type=Failure))
    return reports
