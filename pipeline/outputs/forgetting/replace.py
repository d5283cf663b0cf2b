"""Files of an output that are replaced: a reader sees the file before or the one after, never a part."""

import contextlib
import os
import uuid
from collections.abc import Iterable, Iterator

from sluice.pipeline.history import versions as history
from sluice.pipeline.storage import files as storage
from sluice.pipeline.storage import local_copies


@contextlib.contextmanager
def replacing(path: str) -> Iterator[str]:
    """Gives a local path to write to; unless the block raises, the file takes the place of the one before.

    On a local disk it is written beside it and renamed, in a store it is one put.
    """
    name = storage.name_of(path)
    if storage.is_remote(path):
        written = local_copies.new_path(name)
    else:
        written = os.path.join(os.path.dirname(path), f".tmp-{uuid.uuid4().hex[:8]}-{name}")
    try:
        yield written
        flush([written])
        storage.put(written, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(written)
        raise


def sweep(output: str) -> None:
    """Removes what replacements that did not end have left; the caller holds the output."""
    for file in storage.listing(output, recursive=True):
        # A ShardWriter puts a dot before the name that it is given, until it is closed.
        if storage.name_of(file.path).startswith((".tmp-", "..tmp-")):
            storage.delete(file.path)


def flush(paths: Iterable[str]) -> None:
    """Waits until local files, and their names in folders, are on the disk."""
    here = [path for path in paths if not storage.is_remote(path)]
    history.flush([*here, *sorted({os.path.dirname(path) for path in here})])
