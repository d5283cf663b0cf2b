"""An output folder: whose it is, who may write, and what counts in it."""

import contextlib
import fcntl
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from sluice.pipeline.storage import files as storage
from sluice.pipeline.storage import lease
from sluice.pipeline.storage.sealed import read_sealed, write_sealed
from sluice.schemas.errors import OutputError

CONTRACT_FOLDERS = (
    *("tokens", "provenance", "leftover", "rejects", "scores", "tokenizer"),
    *("deletions", "contaminated"),
)
COMPLETED = "COMPLETED"
OWNER = "work/run.json"
LOCK = "work/lock"
LEASE = "work/lease.json"


class Owner(msgspec.Struct, frozen=True):
    """What an output folder was made for."""

    command: str
    recipe: str
    inputs: str


@contextlib.contextmanager
def locked(output: str, *, wakes: bool = True, other: str = "another --output") -> Iterator[None]:
    """Holds the output for one run: by a lock that dies with its process, or by a lease in a store.

    Args:
        output: folder or URI.
        wakes: whether a lost lease interrupts the main thread, by a signal; only where the process is ours.
        other: what may be chosen in its place, as the message says.

    Raises:
        OutputError: the folder cannot be made or written, or another run or forget holds it.
    """
    if storage.is_remote(output):
        lock = lease.held(storage.join(output, LEASE), of=output, wakes=wakes)
    else:
        lock = flocked(Path(output, LOCK), of=output, held="it", other=other)
    with lock:
        yield


@contextlib.contextmanager
def flocked(path: Path, *, of: str, held: str, other: str) -> Iterator[None]:
    """Holds a lock file, made where there is none, with its folder; the lock dies with its process.

    Args:
        path: of the lock file.
        of: the folder that it protects, as the message names it.
        held: what another run holds, as the message calls it.
        other: what to choose instead.

    Raises:
        OutputError: it cannot be written, or another run holds it.
    """
    with contextlib.ExitStack() as stack:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            file = stack.enter_context(open(path, "w"))
        except OSError as error:
            raise OutputError(f"{of}: cannot be written: {error.strerror}") from None
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise OutputError(
                f"{of}: another run holds {held}; wait for it or choose {other}"
            ) from None
        yield


def check_owner(output: str, owner: Owner) -> None:
    """Raises OutputError unless the folder is new, or holds a run of the same recipe and inputs.

    A changed setting of the same recipe reruns what depends on it. Another recipe, or other inputs
    over a finished run, would overwrite what somebody may still want.
    """
    refuse_links(output, (*CONTRACT_FOLDERS, "report", "work", OWNER, LOCK, COMPLETED))
    if storage.is_file(output):
        raise OutputError(f"{output}: is a file; --output names a folder")
    held = _owner(output, owner)
    if held is None:
        names = [*storage.names(output), *map(storage.name_of, storage.folders(output))]
        strangers = sorted(name for name in names if name != "work")
        if strangers:
            raise OutputError(
                f"{output}: is not empty and not an output of Sluice (it holds {strangers[0]!r}); "
                f"choose another --output"
            )
        return
    for what in ("command", "recipe"):
        if getattr(held, what) != getattr(owner, what):
            raise OutputError(
                f"{output}: holds a run of {what} {getattr(held, what)!r}, not {getattr(owner, what)!r}; "
                f"choose another --output, or delete the folder"
            )
    if held.inputs != owner.inputs and storage.is_file(storage.join(output, COMPLETED)):
        raise OutputError(
            f"{output}: holds a finished run over other input files; "
            f"choose another --output, or delete the folder"
        )


def check_is_output(output: str) -> None:
    """Raises OutputError where a path that a command reads an output from is no folder."""
    if storage.is_file(output):
        raise OutputError(f"{output}: is a file; give the output folder of a `sluice run`")
    if not storage.exists(output):
        raise OutputError(f"{output}: there is no such folder; give the --output of a `sluice run`")


def refuse_links(folder: str, names: Iterable[str]) -> None:
    """Raises OutputError where a name in a folder is a link: a run would write to, or clear, another."""
    for name in names:
        path = os.path.join(folder, name)
        if os.path.islink(path):
            raise OutputError(
                f"{path}: is a symbolic link to {os.readlink(path)}: what is there would be written to or "
                f"deleted; choose another folder, or delete the link"
            )


def _owner(output: str, asks: Owner) -> Owner | None:
    """Returns whose a folder is; where that was damaged and no run is finished, whoever asks may have it."""
    path = storage.join(output, OWNER)
    try:
        return read_sealed(path, Owner)
    except FileNotFoundError:
        return None
    except ValueError as error:
        completed = storage.join(output, COMPLETED)
        if not storage.is_file(completed):
            return asks
        raise OutputError(
            f"{path}: {error}; which command made the finished run in the folder is unknown: choose "
            f"another --output, or delete {completed} if this command made it, and run again"
        ) from None


def claim(output: str, owner: Owner) -> None:
    """Writes whose the folder is; the caller holds the lock and has checked the owner."""
    write_sealed(storage.join(output, OWNER), owner)


def reopen(output: str) -> None:
    """Removes COMPLETED: from here the contract's files may change."""
    storage.delete(storage.join(output, COMPLETED))


def keep_only(output: str, names: Iterable[str]) -> None:
    """Removes from the contract's folders what no manifest names: older runs, attempts that died."""
    named = set(names)
    for folder in CONTRACT_FOLDERS:
        for name in storage.names(storage.join(output, folder)):
            if f"{folder}/{name}" not in named:
                storage.delete(storage.join(output, folder, name))
        if not storage.is_remote(output):
            with contextlib.suppress(OSError):
                os.rmdir(os.path.join(output, folder))
    for file in storage.listing(output, recursive=True):
        if storage.name_of(file.path).startswith(".tmp-"):
            storage.delete(file.path)


def drop_stale_work(output: str, folders: Iterable[str]) -> None:
    """Removes the work of phases whose recipe has changed."""
    current = {os.path.basename(f) for f in folders}
    for folder in storage.folders(storage.join(output, "work")):
        if storage.name_of(folder) not in current:
            storage.delete_tree(folder)
