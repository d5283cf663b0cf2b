"""What is cleared away when a run begins, and units whose files turn out to be damaged."""

import contextlib
import logging
from collections.abc import Iterator, Mapping

from sluice.pipeline.storage import files as storage
from sluice.pipeline.units.manifest import Done, UnitManifest, found_manifests, invalidate, units_of
from sluice.schemas.errors import DamagedError

_log = logging.getLogger(__name__)


def sweep(folder: str) -> int:
    """Removes files and folders of attempts that did not commit, and old failures; returns how many.

    A unit whose manifest is damaged, or whose files are not there with their sizes, is no longer done. Only
    the driver calls it, before its first unit, while it holds the output's lock.
    """
    folders = [f for f in storage.folders(folder) if "." in storage.name_of(f)]
    for path in (storage.join(folder, "failures"), *folders):
        storage.delete_tree(path)
    there = {storage.name_of(file.path): file.bytes for file in storage.listing(folder)}
    units = [Done(folder, unit) for unit in units_of(there)]
    keep: set[str] = set()
    for done, manifest in zip(units, found_manifests(units), strict=True):
        if manifest is not None and _is_whole(done, manifest, there):
            keep |= {f"{done.unit}.json", *(e.name for e in manifest.files.values())}
    left = there.keys() - keep
    for name in left:
        storage.delete(storage.join(folder, name))
    return len(left) + len(folders)


def _is_whole(done: Done, manifest: UnitManifest, there: Mapping[str, int]) -> bool:
    """Returns whether a unit's intermediate files are there, with their sizes; warns of one that is not."""
    for entry in manifest.files.values():
        if not entry.sha256 and there.get(entry.name) != entry.bytes:
            path = storage.join(done.folder, entry.name)
            _log.warning("%s", done.damaged(path, "is missing or was cut"))
            return False
    return True


@contextlib.contextmanager
def invalidating_damaged() -> Iterator[None]:
    """Invalidates the unit that an error of the block names; only for the driver, while it holds the lock."""
    try:
        yield
    except DamagedError as error:
        if error.unit:
            invalidate(error.folder, error.unit)
        raise
