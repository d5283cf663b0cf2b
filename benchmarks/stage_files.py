"""The stages of a finished run: their units, manifests and files in `work/`."""

from pathlib import Path
from typing import NamedTuple

from sluice.pipeline.units.manifest import Done, UnitManifest, done_units


class StageFiles(NamedTuple):
    """A stage that has finished units.

    Attributes:
        phase: whose folder in `work/` has a fingerprint behind the name.
        folder: of the stage; its name is the stage's.
        units: by name.
    """

    phase: str
    folder: Path
    units: list[Done]

    @property
    def name(self) -> str:
        """The stage, as manifest.json names it."""
        return self.folder.name

    def manifests(self) -> list[UnitManifest]:
        """Returns the manifests of all units."""
        return [done.manifest() for done in self.units]

    def manifest_paths(self) -> list[Path]:
        """Returns the files of the manifests."""
        return [Path(done.manifest_path) for done in self.units]


def stages_of(output: Path) -> list[StageFiles]:
    """Returns the stages of a run, by phase and name."""
    folders = sorted(path for path in (output / "work").glob("*-*/*") if path.is_dir())
    found = [(f.parent.name.rpartition("-")[0], f, done_units(str(f))) for f in folders]
    return [StageFiles(*stage) for stage in found if stage[2]]
