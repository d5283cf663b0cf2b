"""The commands as functions: what `sluice.run`, `sluice.score`, `sluice.verify` and `sluice.inspect` are.

The command line is a thin layer over them. They read and write the same folders, and raise the errors of
`sluice.errors`.
"""

import logging
from collections.abc import Callable, Sequence

from sluice.pipeline import commands
from sluice.pipeline.outputs import inspect as inspection
from sluice.pipeline.outputs import verify as verification
from sluice.pipeline.storage import local_copies
from sluice.schemas.report import Report

Say = Callable[[str], None]
"""Takes a line about the progress of a command."""

_log = logging.getLogger("sluice")


def run(
    recipe: str,
    *,
    inputs: Sequence[str] = (),
    output: str = "sluice-out",
    overrides: Sequence[str] = (),
    beam_flags: Sequence[str] = (),
    say: Say = _log.info,
) -> Report:
    """Runs a recipe to its end, as `sluice run` does, and returns its report.

    Args:
        recipe: path of a TOML file, or the name of a shipped recipe.
        inputs: paths, URIs or globs of files to read, in place of the recipe's `input.files`.
        output: folder or URI; it is made if it is not there.
        overrides: settings of the form KEY=VALUE, as `--set` takes them.
        beam_flags: for Beam, as they follow `--` on the command line.
        say: is given each line about the progress.

    Raises:
        SluiceError: what went wrong and how to fix it. Finished units are kept, and the same call resumes.
    """
    with local_copies.scope():
        job = commands.load_job(recipe, inputs, output, overrides, flags=beam_flags)
        return commands.run(job, flags=beam_flags, say=say)


def score(
    recipe: str,
    *,
    inputs: Sequence[str] = (),
    output: str = "sluice-out",
    overrides: Sequence[str] = (),
    beam_flags: Sequence[str] = (),
) -> list[str]:
    """Scores every post and decides nothing, as `sluice score` does; returns the lines of its table.

    The scores are in `output/scores/`. The arguments are those of `run`.

    Raises:
        SluiceError: what went wrong and how to fix it.
    """
    with local_copies.scope():
        job = commands.load_job(recipe, inputs, output, overrides, flags=beam_flags)
        return list(commands.score_posts(job, flags=beam_flags))


def verify(output: str, *, say: Say = _log.info) -> list[str]:
    """Reads all of an output again, as `sluice verify` does; returns what is wrong with it.

    Raises:
        OutputError: the folder holds no finished run.
    """
    with local_copies.scope():
        return verification.verify(output, say=say)


def inspect(output: str, post_id: str) -> list[str]:
    """Returns what happened to a post, as `sluice inspect` prints it; nothing where no post has the id.

    Raises:
        OutputError: the folder holds no finished run.
    """
    with local_copies.scope():
        return list(inspection.inspect(output, post_id))
