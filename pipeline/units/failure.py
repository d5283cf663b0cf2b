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


def report_failure(folder: str, stage: str, unit: Unit, error: Exception) -> None:
    """Leaves the failure of a unit of a stage in the stage's folder, where that can be written."""
    kind = next((c.__name__ for c in (OSError, MemoryError) if isinstance(error, c)), None)
    failure = Failure(
        where=f"{stage}, {unit.name}",
        kind=kind or type(error).__name__,
        message=str(error) if isinstance(error, SluiceError | OSError) else "",
        damaged=(error.folder, error.unit) if isinstance(error, DamagedError) else None,
    )
    with contextlib.suppress(OSError, SluiceError):
        write_json(storage.join(folder, "failures", f"{unit.name}.json"), failure)


def failures(folders: Iterable[str]) -> list[Failure]:
    """Returns what `report_failure` left in the folders of stages."""
    reports = []
    for folder in folders:
        for file in storage.listing(storage.join(folder, "failures")):
            with contextlib.suppress(OSError, msgspec.DecodeError):
                reports.append(msgspec.json.decode(storage.read_bytes(file.path), type=Failure))
    return reports
