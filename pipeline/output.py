"""An output folder: whose it is, who may write, and what counts in it."""

import contextlib
import fcntl
import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from pipeline.units import write_json
from schemas.errors import OutputError

CONTRACT_FOLDERS = ("tokens", "provenance", "leftover", "rejects", "scores", "tokenizer")
COMPLETED = "COMPLETED"
OWNER = "work/run.json"
LOCK = "work/lock"


class Owner(msgspec.Struct, frozen=True):
    """What an output folder was made for."""

    command: str
    recipe: str
    inputs: str


@contextlib.contextmanager
def locked(output: Path) -> Iterator[None]:
    """Holds the output for one run; the lock dies with its process.

    Raises:
        OutputError: the folder cannot be made or written, or another run holds it.
    """
    try:
        (output / "work").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{output}: cannot be written: {error.strerror}") from None
    with flocked(output / LOCK, of=str(output), held="it", other="another --output"):
        yield


@contextlib.contextmanager
def flocked(path: Path, *, of: str, held: str, other: str) -> Iterator[None]:
    """Holds a lock file, made where there is none; the lock dies with its process.

    Args:
        path: of the lock file.
        of: the folder that it stands for, as the message names it.
        held: what another run holds, as the message calls it.
        other: what to choose instead.

    Raises:
        OutputError: it cannot be written, or another run holds it.
    """
    try:
        file = open(path, "w")  # noqa: SIM115 - closed below
    except OSError as error:
        raise OutputError(f"{of}: cannot be written: {error.strerror}") from None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise OutputError(
                f"{of}: another run holds {held}; wait for it or choose {other}"
            ) from None
        yield


def check_owner(output: Path, owner: Owner) -> None:
    """Raises OutputError unless the folder is new, or holds a run of the same recipe and inputs.

    A changed setting of the same recipe reruns what depends on it. Another recipe, or other inputs
    over a finished run, would overwrite what somebody may still want.
    """
    if not output.exists():
        return
    if not output.is_dir():
        raise OutputError(f"{output}: is a file; --output names a folder")
    held = _owner(output)
    if held is None:
        strangers = [p.name for p in output.iterdir() if p.name != "work"]
        if strangers:
            raise OutputError(
                f"{output}: is not empty and not an output of Sluice (it holds {sorted(strangers)[0]!r}); "
                f"choose another --output"
            )
        return
    for what in ("command", "recipe"):
        if getattr(held, what) != getattr(owner, what):
            raise OutputError(
                f"{output}: holds a run of {what} {getattr(held, what)!r}, not {getattr(owner, what)!r}; "
                f"choose another --output, or delete the folder"
            )
    if held.inputs != owner.inputs and (output / COMPLETED).exists():
        raise OutputError(
            f"{output}: holds a finished run over other input files; "
            f"choose another --output, or delete the folder"
        )


def _owner(output: Path) -> Owner | None:
    try:
        return msgspec.json.decode((output / OWNER).read_bytes(), type=Owner)
    except (OSError, msgspec.DecodeError):
        return None


def claim(output: Path, owner: Owner) -> None:
    """Writes whose the folder is; the caller holds the lock and has checked the owner."""
    write_json(output / OWNER, owner)


def reopen(output: Path) -> None:
    """Takes back COMPLETED: from here the contract's files may change."""
    (output / COMPLETED).unlink(missing_ok=True)


def keep_only(output: Path, names: Iterable[str]) -> None:
    """Removes from the contract's folders what no manifest names: older runs, attempts that died."""
    named = set(names)
    for folder in CONTRACT_FOLDERS:
        for path in (output / folder).glob("*"):
            if path.is_file() and f"{folder}/{path.name}" not in named:
                path.unlink()
        with contextlib.suppress(OSError):
            (output / folder).rmdir()
    for path in output.rglob(".tmp-*"):
        path.unlink(missing_ok=True)


def drop_stale_work(output: Path, folders: Iterable[str]) -> None:
    """Removes the work of phases whose recipe has changed."""
    current = {os.path.basename(f) for f in folders}
    for path in (output / "work").iterdir():
        if path.is_dir() and path.name not in current:
            shutil.rmtree(path, ignore_errors=True)
