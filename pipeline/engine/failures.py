"""What an engine's exception becomes for the user: the error of the unit that failed."""

import contextlib
import re
from collections.abc import Iterator, Sequence

from sluice.pipeline.units.failure import Failure, UnitError, failures
from sluice.pipeline.units.manifest import invalidate
from sluice.schemas import errors
from sluice.schemas.errors import SluiceError

OUT_OF_MEMORY = (
    "finished units are kept: run the same command again, with more memory or fewer processes "
    "(--workers N)"
)


@contextlib.contextmanager
def translated_failures(folders: Sequence[str]) -> Iterator[None]:
    """Turns an engine's exception into the error of the unit that failed, or of the engine where none did."""
    try:
        yield
    except SluiceError:
        raise
    except UnitError as failed:
        raise _error_of(failed.failure) from failed
    except Exception as failure:
        told = failures(folders) or _failures_in(str(failure))
        if not told and isinstance(failure, MemoryError):
            raise
        if not told:
            raise SluiceError(
                f"the engine gave up: {type(failure).__name__}: {failure}; finished units are kept: run the "
                f"same command again, with SLUICE_DEBUG=1 for the traceback"
            ) from failure
        first, *_ = map(_error_of, told)
        raise first from failure


_REFUSED = re.compile(r"Error: (\[Errno \d+\] .*?)(?: \[while running '([^']*)'\])?$", re.MULTILINE)
"""The last line of an engine's text about an OSError: what was refused, and the step."""


def _failures_in(text: str) -> list[Failure]:
    """Returns what an engine's text says of an OSError: where a disk is full no unit can report it."""
    refused = _REFUSED.findall(text)
    return [Failure(where=step, kind="OSError", message=what) for what, step in refused[-1:]]


def _error_of(failure: Failure) -> SluiceError:
    """Returns the error of a unit that failed; a damaged unit that it names is invalidated."""
    if failure.damaged is not None:
        invalidate(*failure.damaged)
    kind = getattr(errors, failure.kind, SluiceError)
    if not (isinstance(kind, type) and issubclass(kind, SluiceError)):
        kind = SluiceError
    message = failure.message or f"{failure.kind}: run with SLUICE_DEBUG=1 for the traceback"
    if failure.kind == "OSError":
        message += "; finished units are kept: fix it and run the same command again"
    if failure.kind == "MemoryError":
        message = f"out of memory; {OUT_OF_MEMORY}"
    return kind(f"{failure.where}: {message}")
