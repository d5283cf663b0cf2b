"""One run at a time in a store that has no locks: a lease object that its holder keeps alive.

The holder writes `{"holder": random, "beat": n}` and raises the beat every `BEAT_SECONDS`. Who finds a
lease watches it for `WATCHED_BEATS` of them: if anything in it changes its holder lives and the newcomer is
refused, if nothing does it is taken over. No times are written or compared: a wait is measured by one
machine's own monotonic clock, so that a clock that is wrong or jumps does not matter. A lease is replaced
only if it still holds what its writer has seen (`conditional.replace`), so that where the store compares,
one of several newcomers gets it, and a holder that finds another lease there has lost its own.

A run that has lost its lease ends with an OutputError: its process writes nothing more to the output, and
where that is a command's own its main thread is interrupted, by a signal that shells do not switch off for
jobs in the background. A program that calls the library gets no signal: its run ends at the next file.

What this does not do: a holder whose machine slept through `WATCHED_BEATS` may put one more file before its
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
from types import FrameType

from sluice.pipeline.processes.signals import handled_by
from sluice.pipeline.storage import files as storage
from sluice.pipeline.storage.conditional import read_or_none, replace
from sluice.schemas.errors import OutputError, StorageError

_log = logging.getLogger(__name__)

BEAT_SECONDS = 10.0
WATCHED_BEATS = 3
_LOST = signal.SIGURG
"""Ignored by default, so that one that comes late does nothing."""


@contextlib.contextmanager
def held(path: str, *, of: str, wakes: bool = True) -> Iterator[None]:
    """Holds a lease while the block runs, and removes it at its end.

    Args:
        path: of the lease object.
        of: the output that it protects.
        wakes: whether the main thread is interrupted when the lease is lost. Else it notices when it, or a
            worker, writes the next file.

    Raises:
        OutputError: another run holds it, or has taken it over meanwhile.
    """
    keeper = Keeper(path, of, _watch(path, of), wakes=wakes)
    try:
        with handled_by(_interrupt, _LOST) if wakes else contextlib.nullcontext():
            yield
    except BaseException:
        keeper.check()  # the interrupt, or an error that came of the other run's work
        raise
    finally:
        keeper.stop()
    keeper.check()


def _refused(of: str) -> OutputError:
    return OutputError(f"{of}: another run holds it; wait for it or choose another --output")


def _watch(path: str, of: str) -> bytes | None:
    """Returns what is in a lease whose holder shows no life, or None where there is no lease."""
    first = found = read_or_none(path)
    if first is not None:
        seconds = WATCHED_BEATS * BEAT_SECONDS
        _log.warning(
            "%s: another run held it, or holds it; %g seconds tell which of them", of, seconds
        )
        until = time.monotonic() + seconds
        while found == first and time.monotonic() < until:
            time.sleep(BEAT_SECONDS / 2)
            found = read_or_none(path)
    if found not in (first, None):
        raise _refused(of)
    return found


def _interrupt(_: int, __: FrameType | None) -> None:
    """Makes of a lost lease a KeyboardInterrupt in the main thread, if that is the one that waits."""
    raise KeyboardInterrupt


class Keeper:
    """Keeps a lease alive from a thread of its own; interrupts the run when it has lost it.

    Args:
        path: of the lease.
        of: the output that it protects.
        found: what the lease holds that is taken over, None where there is none.
        wakes: whether to interrupt the run.

    Raises:
        OutputError: another run has taken it first.
    """

    def __init__(self, path: str, of: str, found: bytes | None, *, wakes: bool = True):
        self._path, self._of, self._holds, self._wakes = path, of, found, wakes
        self._holder, self._beat = uuid.uuid4().hex, 0
        self._lost = False
        self._stop = threading.Event()
        if not self._raise_beat():
            raise _refused(of)
        storage.guard(of, self._guard)
        self._thread = threading.Thread(target=self._keep, name="lease", daemon=True)
        self._thread.start()

    def check(self) -> None:
        """Raises OutputError if another run has taken the lease."""
        if self._lost:
            raise OutputError(
                f"{self._of}: another run has taken it over; finished units are kept: wait for that run, "
                f"or choose another --output"
            )

    def _guard(self, path: str) -> None:
        if path != self._path:
            self.check()

    def stop(self) -> None:
        """Stops, and removes the lease if it is still this holder's."""
        self._stop.set()
        self._thread.join()
        with contextlib.suppress(StorageError):
            if not self._lost and read_or_none(self._path) == self._holds:
                storage.delete(self._path)

    def _raise_beat(self) -> bool:
        """Returns whether the lease is this holder's, with the next beat.

        A beat counts once it is known to be written: one whose answer was lost is written again.
        """
        beat = self._beat + 1
        data = b'{"holder": "%s", "beat": %d}' % (self._holder.encode(), beat)
        if not replace(self._path, old=self._holds, new=data):
            return False
        self._beat, self._holds = beat, data
        return True

    def _keep(self) -> None:
        while not self._stop.wait(BEAT_SECONDS):
            # A store that cannot be reached for a while is no reason to stop: the next beat may reach it.
            with contextlib.suppress(StorageError, OSError):
                self._lost = not self._raise_beat()
            if self._lost:
                _log.error("%s: another run has taken it over; this run stops", self._of)
                if self._wakes:
                    signal.pthread_kill(threading.main_thread().ident or 0, _LOST)
                return
