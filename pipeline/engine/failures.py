"""What an engine's exception becomes for the person who runs the job: the error of the unit that failed."""

import contextlib
import io
import logging
import os
import re
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from sluice.pipeline.units.manifest import take_back
from sluice.pipeline.units.stage import failures
from sluice.schemas import errors
from sluice.schemas.errors import SluiceError

OUT_OF_MEMORY = (
    "finished units are kept: run the same command again, with more memory or fewer workers "
    "(-- --direct_num_workers=N)"
)


@contextlib.contextmanager
def translated_failures(folders: Sequence[str]) -> Iterator[None]:
    """Turns an engine's exception into the error of the unit that failed, or of the engine where none did."""
    noise = logging.getLogger("apache_beam")
    level = noise.level
    noise.setLevel(logging.CRITICAL)
    # Beam's workers print tracebacks to stderr, and hang if that breaks: they print to a buffer.
    quiet = io.StringIO() if not os.environ.get("SLUICE_DEBUG") else sys.stderr
    try:
        with contextlib.redirect_stderr(quiet):
            yield
    except SluiceError:
        raise
    except Exception as failure:
        found = failures(folders) or _failures_in(str(failure))
        if not found and isinstance(failure, MemoryError):
            raise
        if not found:
            raise SluiceError(
                f"the engine gave up: {type(failure).__name__}: {failure}; finished units are kept: run the "
                f"same command again, with SLUICE_DEBUG=1 for the traceback"
            ) from failure
        for about in found:
            if "damaged" in about:
                take_back(*about["damaged"])
        raise _error_of(found[0], failure) from failure
    finally:
        noise.setLevel(level)


_REFUSED = re.compile(r"Error: (\[Errno \d+\] .*?)(?: \[while running '([^']*)'\])?$", re.MULTILINE)
"""The last line of an engine's text about an OSError: what was refused, and the step."""


def _failures_in(text: str) -> list[dict[str, Any]]:
    """Returns what an engine's text says of an OSError: a full disk keeps no unit's own word about it."""
    found = _REFUSED.findall(text)
    return [{"kind": "OSError", "message": what, "where": step} for what, step in found[-1:]]


def _error_of(about: dict[str, Any], failure: Exception) -> SluiceError:
    kind = getattr(errors, about["kind"], SluiceError)
    message = about["message"] or f"{about['kind']}: run with SLUICE_DEBUG=1 for the traceback"
    where = about.get("where") or f"{about['stage']}, {about['unit']}"
    if not (isinstance(kind, type) and issubclass(kind, SluiceError)):
        kind = SluiceError
    if about["kind"] == "OSError":
        message += "; finished units are kept: mend it and run the same command again"
    if about["kind"] == "MemoryError":
        message = f"out of memory; {OUT_OF_MEMORY}"
    return kind(f"{where}: {message}")
