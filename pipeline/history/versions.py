"""The history of deduplication: which segments count, in versions; who may write.

A history folder remembers the posts that runs kept:

    lock                      held while a run reads and extends the history
    version-00000001.json     a Version; the one with the highest number counts
    segments/<name>/          the posts of one run, made by `sluice.pipeline.phases.history.remember`, and
    segments/<name>/segment.json    what is in it, written when its files are complete

A segment is never changed once a version names it. A version is written last, under another name that
is flushed to the disk and then renamed, after the files of its segments were flushed: a run that is
killed, or a machine that loses power, leaves the version before as it was. The newest version and the
one before are kept with their segments, so that deleting the newest version file undoes a run.
"""

import contextlib
import datetime
import os
import re
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from sluice.filters.dedup.minhash import MinHashSpec
from sluice.filters.text.views import TEXT_VIEWS_VERSION
from sluice.pipeline.storage.output_folder import flocked, refuse_links
from sluice.pipeline.storage.sealed import write_json
from sluice.schemas.errors import OutputError, RecipeError
from sluice.schemas.names import inside

FORMAT = 1
"""Of version files; raised when they change shape."""
SEGMENT_FORMAT = 1
"""Of the files of segments; a history of another one cannot be read with this one."""
LOCK = "lock"
SEGMENTS = "segments"
CONTENTS = "segment.json"
VERSIONS_KEPT = 2

_NORMALIZE = 1
"""The version of normalisation as histories count it: a later one that removes noncharacters, which people do
not write, leaves their texts comparable."""
_VERSION_NAME = re.compile(r"version-(\d{8,})\.json")
_SETTINGS = {
    "format": "format of segments",
    "bands": "dedup.bands",
    "rows": "dedup.rows",
    "ngram": "dedup.ngram",
    "seed": "seed",
    "text_views": "version of the text that duplicates are compared by",
    "normalize": "version of normalisation",
}


class Sketch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the keys and texts of a history depend on: those of others cannot be compared with them."""

    format: int
    bands: int
    rows: int
    ngram: int
    seed: int
    text_views: int
    normalize: int


class Segment(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The posts that one run kept.

    Attributes:
        name: its folder, a name for all that its posts depend on.
        day: the day that it counts for in a window of days, YYYY-MM-DD.
        inputs: fingerprint of the input files; a history has one segment of the same inputs.
        rows: posts.
        bytes: of its posts and keys.
    """

    name: str
    day: str
    inputs: str
    rows: int
    bytes: int

    def __post_init__(self) -> None:
        inside(self.name)
        if datetime.date.fromisoformat(self.day).isoformat() != self.day:
            raise ValueError(f"a day is written YYYY-MM-DD, not {self.day!r}")

    @property
    def day_number(self) -> int:
        """The day, counted from the first of year 1."""
        return datetime.date.fromisoformat(self.day).toordinal()


class Version(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which segments count, in the order in which they came."""

    format: int
    number: int
    sketch: Sketch
    segments: tuple[Segment, ...]


class _FormatNumber(msgspec.Struct):
    format: int


def sketch(minhash: MinHashSpec) -> Sketch:
    """Returns the sketch of a run that looks for duplicates this way."""
    how = (minhash.bands, minhash.rows, minhash.ngram, minhash.seed)
    return Sketch(SEGMENT_FORMAT, *how, TEXT_VIEWS_VERSION, _NORMALIZE)


def segment_folder(folder: str, name: str) -> str:
    """Returns the folder of a segment."""
    return os.path.join(folder, SEGMENTS, name)


@contextlib.contextmanager
def locked(folder: str) -> Iterator[None]:
    """Makes the folder where there is none, and holds it for one run; the lock dies with its process.

    Raises:
        OutputError: it cannot be made or written, holds something else, or another run holds it.
    """
    refuse_links(folder, (LOCK, SEGMENTS))
    names = sorted(path.name for path in Path(folder).glob("*"))
    if names and LOCK not in names:
        raise OutputError(
            f"{folder}: is not empty and not a history of Sluice (it holds {names[0]!r}); "
            f"choose another dedup.history"
        )
    lock = Path(folder, LOCK)
    with flocked(lock, of=folder, held="this history", other="another dedup.history"):
        yield


def current(folder: str) -> Version | None:
    """Returns the version that counts, or None where no run was remembered yet.

    Raises:
        OutputError: the newest version file is not one, or names a segment that is missing.
    """
    numbers = _numbers(folder)
    if not numbers:
        return None
    path = _path(folder, numbers[-1])
    version = _decode(path)
    for segment in version.segments:
        contents = os.path.join(segment_folder(folder, segment.name), CONTENTS)
        if not os.path.isfile(contents):
            raise OutputError(f"{path}: names a segment without {contents}; {_way_back(path)}")
    return version


def _decode(path: Path) -> Version:
    try:
        text = path.read_bytes()
        format = msgspec.json.decode(text, type=_FormatNumber).format
        if format != FORMAT:
            raise OutputError(
                f"{path}: is of format {format}, this release of Sluice reads {FORMAT}; use the release "
                f"that wrote it, or choose another dedup.history"
            )
        version = msgspec.json.decode(text, type=Version)
    except (msgspec.DecodeError, OSError) as error:
        raise OutputError(
            f"{path}: not a version of a history ({error}); {_way_back(path)}"
        ) from None
    if path != _path(str(path.parent), version.number):
        raise OutputError(f"{path}: says that it is number {version.number}; {_way_back(path)}")
    return version


def _way_back(path: Path) -> str:
    return f"restore it, or delete {path}: the version before it counts again"


def _path(folder: str, number: int) -> Path:
    return Path(folder) / f"version-{number:08d}.json"


def _numbers(folder: str) -> list[int]:
    """Returns the numbers of the version files, ascending."""
    names = [_VERSION_NAME.fullmatch(p.name) for p in Path(folder).glob("version-*.json")]
    return sorted(int(name[1]) for name in names if name)


def check_sketch(version: Version, sketch: Sketch, *, folder: str) -> None:
    """Raises RecipeError, naming what differs, unless the history was made with these settings."""
    differs = [
        f"{label} = {getattr(sketch, name)} here, {getattr(version.sketch, name)} in the history"
        for name, label in _SETTINGS.items()
        if getattr(sketch, name) != getattr(version.sketch, name)
    ]
    if differs:
        raise RecipeError(
            f"dedup.history = {folder!r}: its keys cannot be compared with those of this run: "
            f"{'; '.join(differs)}; set what it was made with, or choose another folder"
        )


def before(version: Version | None, *, inputs: str) -> tuple[Segment, ...]:
    """Returns the segments that a run of these inputs may read, in their order.

    All; but where the inputs are in the history already, only the segments before theirs, so that to
    run a day again is to read what it read the first time.
    """
    segments = version.segments if version else ()
    of_inputs = (i for i, s in enumerate(segments) if s.inputs == inputs)
    return segments[: next(of_inputs, len(segments))]


def in_window(segments: Iterable[Segment], *, day: datetime.date, days: int) -> tuple[Segment, ...]:
    """Returns the segments of the `days` that end with a day, and of later days: what stayed, stayed.

    A window of 1 is the day alone.
    """
    return tuple(s for s in segments if s.day_number > day.toordinal() - days)


def extended(version: Version | None, segment: Segment, *, sketch: Sketch, days: int) -> Version:
    """Returns the version that remembers a segment too, or `version` itself if there is nothing to do.

    A segment of the same inputs is replaced in place: its posts are those of an older run of
    the same files. Then the segments are retired that are too old for a window of `days` that ends
    with the newest day of all.

    Nothing is to be done if a segment of this name is there already. Nor if this one is too old
    itself, as when an old day is run late: it is not added, nothing is replaced and nothing retired.
    """
    if version is None:
        return Version(FORMAT, 1, sketch, (segment,))
    others = [s for s in version.segments if s.inputs != segment.inputs]
    newest = max(datetime.date.fromisoformat(s.day) for s in (*others, segment))
    known = segment.name in {s.name for s in version.segments}
    if known or not in_window([segment], day=newest, days=days):
        return version
    segments = [segment if s.inputs == segment.inputs else s for s in version.segments]
    if segment not in segments:
        segments.append(segment)
    left = in_window(segments, day=newest, days=days)
    return Version(FORMAT, version.number + 1, sketch, left)


def publish(folder: str, version: Version) -> None:
    """Makes a version the one that counts, and removes what nothing names any more.

    Afterwards two versions are left at most, with the segments that they name. To publish the version
    that counts already only removes what a killed run left.
    """
    if current(folder) != version:
        write_durably(_path(folder, version.number), version)
    sweep(folder)


def sweep(folder: str) -> None:
    """Removes all versions but the newest ones, segments that they do not name, and half-written files."""
    numbers = _numbers(folder)
    kept = [_decode(_path(folder, n)) for n in numbers[-VERSIONS_KEPT:]]
    for number in numbers[:-VERSIONS_KEPT]:
        _path(folder, number).unlink()
    named = {s.name for version in kept for s in version.segments}
    for path in Path(folder, SEGMENTS).glob("*"):
        if path.name not in named:
            shutil.rmtree(path)
    for path in Path(folder).glob(".*-version-*.json"):
        path.unlink()


def write_durably(path: Path, value: Any) -> None:
    """Writes JSON so that its bytes are on the disk before its name is, and both when this returns."""
    ready = path.with_name(f".ready-{path.name}")
    write_json(str(ready), value)
    flush([ready])
    os.replace(ready, path)
    flush([path.parent])


def flush(paths: Iterable[str | Path]) -> None:
    """Waits until files, or the names in folders, are on the disk."""
    for path in paths:
        number = os.open(path, os.O_RDONLY)
        try:
            os.fsync(number)
        finally:
            os.close(number)
