"""The posts that a finished run without transformers kept, read from its `work/`."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa

from sluice.pipeline.phases.edges import Survivors
from sluice.pipeline.units.manifest import Done, done_units


def clean_units(output: Path) -> list[Done]:
    """Returns the finished units of phase clean."""
    (stage,) = output.glob("work/clean-*/clean")
    return done_units(str(stage.resolve()))


def kept_posts(output: Path, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """Yields columns of the posts that are left after deduplication, in the order of the input."""
    (drop,) = output.glob("work/dedup-*/drop")
    for done in clean_units(output):
        yield from Survivors(done.folder, (str(drop),)).read(done.unit, columns=tuple(columns))
