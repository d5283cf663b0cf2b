"""Which files and values of the input each note on a source is about."""

import fnmatch
from collections.abc import Iterator, Sequence

from sluice.pipeline.inputs.inventory import InputFile
from sluice.pipeline.recipes.schema import SourceSection
from sluice.schemas.errors import RecipeError, did_you_mean
from sluice.schemas.payloads.known_formats import FORMATS, ROWS

_LISTED = 1000
"""Of more paths no closest one is looked for: it takes minutes."""


def platform_of(payload: str) -> str:
    """Returns the platform of a payload format, or "rows"."""
    return FORMATS[payload].platform if payload in FORMATS else ROWS


def check_sources(notes: Sequence[SourceSection], files: Sequence[InputFile]) -> None:
    """Checks that each note by files or platforms is about a file.

    Raises:
        RecipeError: a pattern or platform is about none; the message names the closest that there is.
    """
    paths = [file.path for file in files]
    platforms = {platform_of(file.payload) for file in files}
    for note in notes:
        for pattern in note.files:
            if not fnmatch.filter(paths, pattern):
                hint = did_you_mean(pattern, paths) if len(paths) < _LISTED else ""
                raise RecipeError(
                    f"sources.{note.name}.files: {pattern!r} is about none of {len(paths)} input files, by "
                    f"their paths below the longest common folder{hint}"
                )
        for name in note.platforms:
            if name not in platforms:
                hint = did_you_mean(name, platforms)
                raise RecipeError(
                    f"sources.{note.name}.platforms: no input file is of {name!r}{hint}"
                )


def notes_of_files(
    notes: Sequence[SourceSection], files: Sequence[InputFile]
) -> Iterator[SourceSection | None]:
    """Yields the first note that is about each file, or None."""
    for file in files:
        yield next((note for note in notes if _is_about(note, file)), None)


def _is_about(note: SourceSection, file: InputFile) -> bool:
    return platform_of(file.payload) in note.platforms or any(
        fnmatch.fnmatchcase(file.path, pattern) for pattern in note.files
    )
