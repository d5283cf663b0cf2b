"""One attempt at a unit: its files, under names of its own until it commits."""

import glob
import os
import uuid
from collections.abc import Iterable

from sluice.pipeline.storage import files as storage
from sluice.pipeline.storage import local_copies
from sluice.pipeline.storage.checksums import file_crc32
from sluice.pipeline.storage.sealed import file_digest, write_sealed
from sluice.pipeline.units.manifest import FileEntry, Range, UnitManifest
from sluice.schemas.counts import Counts


class Attempt:
    """One try at a unit: names its files, and commits them.

    Files of a local output are written into their folder; those of a remote one to the worker's disk (see
    `local_copies`), and put in their places by the commit.

    Attributes:
        files: what was written so far, by edge.
        times: microseconds by step, for the report; kept apart from the manifest, which has no times.
        arrived: how many ranges, or finished units, the engine brought to the unit.
    """

    def __init__(self, folder: str, unit: str, *, index: int = 0, arrived: int = 0):
        self.folder, self.unit, self.index, self.arrived = folder, unit, index, arrived
        self.files: dict[str, FileEntry] = {}
        self.times: dict[str, int] = {}
        self._id = uuid.uuid4().hex[:8]
        self._contract: dict[str, tuple[str, str]] = {}
        self._puts: list[tuple[str, str]] = []

    def path(self, edge: str, *, suffix: str = ".arrow") -> str:
        """Returns where to write an intermediate file, or a folder of them: a local path."""
        name = f"{self.unit}.{self._id}.{edge}{suffix}"
        if storage.is_remote(self.folder):
            return local_copies.new_path(name)
        os.makedirs(self.folder, exist_ok=True)
        return os.path.join(self.folder, name)

    def add(
        self, edge: str, path: str, *, ranges: Iterable[Range] = (), checked: bool = True
    ) -> None:
        """Records an intermediate file that is complete.

        Args:
            edge: what the unit's manifest calls it.
            path: as `path` returned it.
            ranges: of an exchange file.
            checked: whether a reader compares the whole file; not where it checks the parts that it reads.
        """
        ranges = tuple(ranges)
        name = os.path.basename(path)
        if storage.is_remote(self.folder):
            name = name.partition("-")[2]  # local copies are numbered
            self._puts.append((path, storage.join(self.folder, name)))
        checksum = None if ranges or not checked else file_crc32(path)
        self.files[edge] = FileEntry(name, os.path.getsize(path), ranges, checksum)

    def contract_path(self, output: str, name: str) -> str:
        """Returns where to write a file of the output contract; `commit` gives it its plain name."""
        final = storage.join(output, name)
        if storage.is_remote(output):
            temporary = local_copies.new_path(os.path.basename(name))
        else:
            os.makedirs(os.path.dirname(final), exist_ok=True)
            temporary = os.path.join(
                os.path.dirname(final), f".tmp-{self._id}-{os.path.basename(name)}"
            )
        self._contract[name] = temporary, final
        return temporary

    def add_contract(self, edge: str, name: str, *, sha256: str | None = None) -> None:
        """Records a contract file that is complete; it is read for its SHA-256 where that is not given."""
        path, _ = self._contract[name]
        sha256 = sha256 or file_digest(path)[1]
        self.files[edge] = FileEntry(name, os.path.getsize(path), sha256=sha256)

    def commit(self, counts: Counts) -> UnitManifest:
        """Puts all files in their places, then writes the manifest: the unit is done."""
        for local, final in (*self._puts, *self._contract.values()):
            storage.put(local, final)
        if self.times:
            write_sealed(storage.join(self.folder, "times", f"{self.unit}.json"), self.times)
        manifest = UnitManifest.of(
            self.unit, self.files, counts, index=self.index, arrived=self.arrived
        )
        write_sealed(storage.join(self.folder, f"{self.unit}.json"), manifest)
        return manifest

    def abandon(self) -> None:
        """Removes what this attempt wrote; local copies are removed with their scope."""
        if not storage.is_remote(self.folder):
            written = f"{glob.escape(self.folder)}/{self.unit}.{self._id}.*"
            for path in glob.glob(written):
                storage.delete(path)
        for temporary, _ in self._contract.values():
            storage.delete(temporary)
