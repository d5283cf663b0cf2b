"""One run at a time in a store that has no locks: a lease object that its holder keeps alive.

The holder writes `{"holder": random, "beat": n}` and raises the beat every `BEAT_SECONDS`. Who finds a
lease watches it for `WATCHED_BEATS` of them: if anything in it changes its holder lives and the newcomer is
refused, if nothing does it is taken over. No times are written or compared: a wait is measured by one
machine's own monotonic clock, so that a clock that is wrong or jumps does not matter. A holder that finds
another's name in its lease stops.

What this does not do: a put cannot be made to depend on what is there in every store, so two runs that begin
within a moment of each other, or a holder whose machine slept through `WATCHED_BEATS`, may overlap until the
next beat. The outputs of the same command are the same bytes whichever of the two writes them; what the one
may do to the other is to sweep files of units that have not committed, which is an error and no loss.
"""

import contextlib
import logging
import signal
import threading
import time
import uuid
from collections.abc import Iterator

import msgspec

from sluice.pipeline.storage import files as storage
from sluice.schemas.errors import OutputError, StorageError

_log = logging.getLogger(__name__)

BEAT_SECONDS = 10.0
WATCHED_BEATS = 3


class Lease(msgspec.Struct, frozen=True):
    """What the lease object says."""

    holder: str
    beat: int


@contextlib.contextmanager
def held(path: str, *, of: str) -> Iterator["Keeper"]:
    """Holds a lease while the block runs, and removes it at its end.

    Args:
        path: of the lease object.
        of: the output that it stands for, as messages name it.

    Raises:
        OutputError: another run holds it, or has taken it over meanwhile.
    """
    _watch(path, of)
    keeper = Keeper(path, of)
    try:
        try:
            yield keeper
        finally:
            keeper.stop()
    except BaseException:
        keeper.check()  # the interrupt, or an error that came of the other run's work
        raise
    keeper.check()


def _watch(path: str, of: str) -> None:
    """Returns when there is no lease, or its holder shows no life."""
    first = read(path)
    if first is None:
        return
    seconds = WATCHED_BEATS * BEAT_SECONDS
    _log.warning("%s: another run held it, or holds it: %g seconds will show", of, seconds)
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        time.sleep(BEAT_SECONDS / 2)
        found = read(path)
        if found is None:
            return
        if found != first:
            raise OutputError(f"{of}: another run holds it; wait for it or choose another --output")


def read(path: str) -> Lease | None:
    """Returns what a lease says, or None where there is none; one that is no lease has no holder."""
    try:
        return msgspec.json.decode(storage.read_bytes(path), type=Lease)
    except FileNotFoundError:
        return None
    except msgspec.DecodeError:
        return Lease("", -1)


class Keeper:
    """Keeps a lease alive from a thread of its own; interrupts the run when it has lost it."""

    def __init__(self, path: str, of: str):
        self._path, self._of = path, of
        self._holder, self._beat = uuid.uuid4().hex, 0
        self._lost = ""
        self._stop = threading.Event()
        self._write()
        self._thread = threading.Thread(target=self._keep, name="lease", daemon=True)
        self._thread.start()

    def check(self) -> None:
        """Raises OutputError if another run has taken the lease."""
        if self._lost:
            raise OutputError(f"{self._of}: {self._lost}; finished units are kept")

    def stop(self) -> None:
        """Stops, and removes the lease if it is still this holder's."""
        self._stop.set()
        self._thread.join()
        with contextlib.suppress(StorageError):
            if not self._lost and self._is_mine():
                storage.delete(self._path)

    def _is_mine(self) -> bool:
        found = read(self._path)
        return found is not None and found.holder == self._holder

    def _write(self) -> None:
        self._beat += 1
        storage.write_bytes(self._path, msgspec.json.encode(Lease(self._holder, self._beat)))

    def _keep(self) -> None:
        while not self._stop.wait(BEAT_SECONDS):
            # A store that cannot be reached for a while is no reason to stop: the next beat may reach it.
            with contextlib.suppress(StorageError, OSError):
                if not self._is_mine():
                    self._lost = "another run has taken it over"
                    _log.error("%s: %s; this run stops", self._of, self._lost)
                    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
                    return
                self._write()
