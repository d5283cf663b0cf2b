"""What is odd about the files of an input and costs no post, in lines for people: each kind once."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from sluice.pipeline.inputs.first_bytes import Found
from sluice.pipeline.inputs.formats import format_of_name
from sluice.pipeline.storage import files as storage

_NAMED = 3


class NoData(NamedTuple):
    """A file that a folder holds and that is no data; the reason where its name does not say so."""

    path: str
    reason: str = ""


def file_notes(
    files: Sequence[tuple[str, Found]], *, left_out: Sequence[NoData], hidden: Sequence[str]
) -> Iterator[str]:
    """Yields a line for each kind of oddity, with the first names.

    Args:
        files: relative path and what was found of it; the files that are read.
        left_out: other files of the folders.
        hidden: files that are left out by their names alone.
    """
    empty = [path for path, found in files if found.is_empty]
    if empty:
        yield f"{_count(empty, 'file')} without a record: {some(empty)}"
    yield from _misnamed([(path, found) for path, found in files if not found.is_empty])
    for path, found in files:
        if found.window_bytes:
            size = f"{found.window_bytes / 2**30:.3g} GiB"
            yield f"{path}: decompressing it takes up to {size} of memory more"
    if left_out or hidden:
        yield no_data(left_out, hidden)


def no_data(left_out: Sequence[NoData], hidden: Sequence[str]) -> str:
    """Returns a line on the files of folders that are not read."""
    by_name = [storage.name_of(file.path) for file in left_out if not file.reason]
    named = sorted({*by_name, *map(storage.name_of, hidden)})
    kinds = [some(named)] if named else []
    for reason in sorted({file.reason for file in left_out if file.reason}):
        paths = sorted(storage.name_of(file.path) for file in left_out if file.reason == reason)
        kinds.append(f"{some(paths)}: {reason}")
    total = len(left_out) + len(hidden)
    return f"{total:,} {'file' if total == 1 else 'files'} left out, as no data: {'; '.join(kinds)}"


def _misnamed(files: Sequence[tuple[str, Found]]) -> Iterator[str]:
    kinds: dict[tuple[str, str], list[str]] = {}
    for path, found in files:
        named, format = format_of_name(path), found.format
        assert format is not None
        if named.content is None or (named.layers, named.content) != (
            format.layers,
            format.content,
        ):
            content = () if named.content in (None, "members") else (named.content,)
            said = ".".join((*content, *reversed(named.layers)))
            if said == "arrow" and str(format) == "arrow_stream":
                continue
            kinds.setdefault((said, str(format)), []).append(path)
    for (said, read), paths in kinds.items():
        is_wrong = said and not read.endswith(f".{said}")
        told = f"named as {said}" if is_wrong else "whose name does not say what is in it"
        yield f"{_count(paths, 'file')} {told}, read as {read} by the first bytes: {some(paths)}"


def _count(paths: Sequence[str], noun: str) -> str:
    return f"{len(paths):,} {noun}" if len(paths) == 1 else f"{len(paths):,} {noun}s"


def some(names: Sequence[str]) -> str:
    """Returns the first names, and how many more there are."""
    more = f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
