"""A job from a recipe and its inputs: what is wrong with them is said before the rest is imported."""

from collections.abc import Sequence

import msgspec

from sluice.pipeline.phases.job import Job, make_job
from sluice.pipeline.recipes.schema import Recipe


def load_job(
    recipe: Recipe,
    inputs: Sequence[str],
    output: str,
    *,
    flags: Sequence[str] | None = (),
) -> Job:
    """Returns the job of a recipe, with its inputs found.

    Args:
        recipe: what is to be done.
        inputs: files to read, in place of the recipe's own.
        output: folder or URI.
        flags: Beam's, checked first: some name an engine that cannot do a job. None where nothing is run.
    """
    if flags:
        from sluice.pipeline.engine.beam.options import beam_options, check_engine

        check_engine(beam_options(flags))
    if inputs:
        files = msgspec.structs.replace(recipe.input, files=tuple(inputs))
        recipe = msgspec.structs.replace(recipe, input=files)
    return make_job(recipe, out=output)
