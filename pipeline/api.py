"""The commands as functions: `sluice.run`, `score`, `verify`, `inspect` and so on, and `open_output`.

The command line is a thin layer over them. They read and write the same folders, raise the errors of
`sluice.errors`, tell the logger `sluice` what they do, and touch nothing else of the process: no signals, no
streams. What they need is imported when they are called.
"""

import contextlib
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sluice.schemas.errors import OutputError, RecipeError

if TYPE_CHECKING:
    from sluice.pipeline.commands import ScoreReport
    from sluice.pipeline.engine.choice import EngineName
    from sluice.pipeline.engine.progress import OnProgress
    from sluice.pipeline.outputs.export import Export, Format, Items
    from sluice.pipeline.outputs.forgetting.command import Forgotten
    from sluice.pipeline.outputs.forgetting.scan import Scan
    from sluice.pipeline.outputs.inspect import Inspection
    from sluice.pipeline.outputs.run_output import RunOutput
    from sluice.pipeline.recipes.schema import Recipe
    from sluice.pipeline.sample.write import SampleSummary
    from sluice.schemas.report import Report

PathLike = str | os.PathLike[str]
"""A path or a URI."""

_log = logging.getLogger("sluice")


def run(
    recipe: "PathLike | Recipe",
    *,
    inputs: PathLike | Sequence[PathLike] = (),
    output: PathLike = "sluice-out",
    overrides: Mapping[str, Any] | None = None,
    workers: int | None = None,
    progress: "OnProgress | None" = None,
    engine: "EngineName | None" = None,
    beam_flags: Sequence[str] = (),
) -> "Report":
    """Runs a recipe to its end, as `sluice run` does, and returns its report.

    Finished units are kept whatever ends a run: an error, Ctrl-C, SIGKILL. The same call resumes it.

    Args:
        recipe: path of a TOML file, the name of a shipped recipe, or a `sluice.Recipe`.
        inputs: paths, URIs or globs of files to read, in place of the recipe's `input.files`.
        output: folder or URI; it is made if it is not there.
        overrides: settings that are changed: `{"filters.spam.max_spam": 0.9, "seed": 7}`. None stands for a
            key's default.
        workers: processes that share the work; by default as many as cores, memory and input allow.
        progress: is given a `sluice.Progress` where a phase begins and ends, and about twice a second
            between, then from another thread. What it raises ends the run.
        engine: "inline" does the units in this process and in workers of its own, "beam" in Beam. By default
            inline, or Beam where `beam_flags` are given.
        beam_flags: for Beam, as they follow `--` on the command line.

    Raises:
        SluiceError: what went wrong and how to fix it.
    """
    from sluice.pipeline.load_job import load_job
    from sluice.pipeline.storage import local_copies

    settings, with_beam = _recipe(recipe, overrides, workers), engine == "beam" or bool(beam_flags)
    with local_copies.scope(), _root_logger_kept(with_beam=with_beam):
        job = load_job(settings, _paths(inputs), os.fspath(output), flags=beam_flags)
        from sluice.pipeline import commands

        return commands.run(job, flags=beam_flags, progress=progress, engine=engine)


def score(
    recipe: "PathLike | Recipe",
    *,
    inputs: PathLike | Sequence[PathLike] = (),
    output: PathLike = "sluice-out",
    overrides: Mapping[str, Any] | None = None,
    workers: int | None = None,
    progress: "OnProgress | None" = None,
    engine: "EngineName | None" = None,
    beam_flags: Sequence[str] = (),
) -> "ScoreReport":
    """Scores every post and decides nothing, as `sluice score` does; returns how scores are distributed.

    The scores are in `output/scores/`. The arguments are those of `run`.

    Raises:
        SluiceError: what went wrong and how to fix it.
    """
    from sluice.pipeline.load_job import load_job
    from sluice.pipeline.storage import local_copies

    settings, with_beam = _recipe(recipe, overrides, workers), engine == "beam" or bool(beam_flags)
    with local_copies.scope(), _root_logger_kept(with_beam=with_beam):
        job = load_job(settings, _paths(inputs), os.fspath(output), flags=beam_flags)
        from sluice.pipeline import commands

        return commands.score_posts(job, flags=beam_flags, progress=progress, engine=engine)


def verify(output: PathLike, *, workers: int | None = None) -> list[str]:
    """Reads all of an output again, as `sluice verify` does; returns what is wrong with it: [] is valid.

    Args:
        output: folder or URI of a finished run.
        workers: threads that read files; None for one a core.

    Raises:
        OutputError: the folder holds no finished run.
    """
    from sluice.pipeline.outputs import verify as verification
    from sluice.pipeline.storage import local_copies

    with local_copies.scope():
        return verification.verify(os.fspath(output), say=_log.info, workers=workers)


def inspect(output: PathLike, post_id: str, *, key_file: PathLike | None = None) -> "Inspection":
    """Returns what happened to a post: reason and score, where its tokens are, or when it was forgotten.

    Args:
        output: folder or URI of a finished run.
        post_id: as in the input.
        key_file: path of the key that ids are hashed with: only with it is a post found that was forgotten.

    Raises:
        OutputError: the folder holds no finished run.
        UnknownPostError: no row of it has the id.
    """
    from sluice.pipeline.outputs import inspect as inspection
    from sluice.pipeline.storage import local_copies

    with local_copies.scope():
        key = None if key_file is None else os.fspath(key_file)
        return inspection.inspect(os.fspath(output), post_id, key_file=key)


def open_output(path: PathLike) -> "RunOutput":
    """Opens a finished output: its tables, its report, and the tokens and the text of a post.

    Args:
        path: of the folder, or a URI.

    Raises:
        OutputError: the folder holds no finished run.
    """
    from sluice.pipeline.outputs.run_output import RunOutput

    return RunOutput(os.fspath(path))


def export(
    output: PathLike,
    format: "Format",
    folder: PathLike,
    *,
    items: "Items | None" = None,
    leftover: bool = False,
) -> "Export":
    """Writes the tokens of an output for another trainer, as `sluice export` does.

    Args:
        output: the folder of a finished run.
        format: "megatron" gives ITEMS.bin and ITEMS.idx, "mds" index.json and shard.*.mds.
        folder: new or empty; it appears when all is written, together with export.json.
        items: "documents" (of megatron the default) or "sequences" (of mds).
        leftover: whether the sequences that fill no round of shards are exported as well.

    Raises:
        OutputError: there is no finished run, the format is none, or the folder is not empty.
        LedgerError: other tokens were written than the manifest says.
    """
    from sluice.pipeline.outputs import export as exporting
    from sluice.pipeline.storage import local_copies
    from sluice.schemas.errors import did_you_mean

    if format not in exporting.WRITERS:
        raise OutputError(f"format {format!r}: unknown{did_you_mean(format, exporting.WRITERS)}")
    with local_copies.scope():
        return exporting.export(
            os.fspath(output), format, os.fspath(folder), items=items, leftover=leftover
        )


def forget(
    output: PathLike,
    *,
    ids: PathLike | None = None,
    authors: PathLike | None = None,
    key_file: PathLike | None = None,
    history: PathLike | None = None,
    workers: int | None = None,
) -> "Forgotten":
    """Takes posts out of a finished output for good, as `sluice forget` does; returns what it did.

    Their tokens become padding in the places where they are, so that a training under way goes on.
    A forget that did not end is finished first; without ids and authors nothing else is done.

    Args:
        output: folder or URI of a finished run.
        ids: a file, a folder or a glob of posts' ids: text files with one id on each line, or CSV, JSON Lines
            or Parquet files with a column `post_id` or `id`.
        authors: the same for authors; the columns are `author_id` (and `platform`) or `author_key`.
        key_file: path of the key that ids are hashed with: that of the recipe, if it names one.
        history: folder of the run's `dedup.history`, from which the posts are taken out, too; "none" where it
            is gone. It is needed where the recipe has one: the manifest has only its name.
        workers: threads that read and write files; None for one a core.

    Raises:
        OutputError: there is no finished output of this version, or another run or forget holds it.
        InputError: the ids cannot be read.
        RecipeError: the key is missing, or another than the output's.
        UnknownPostError: the output knows none of the ids.
    """
    from sluice.pipeline.outputs.forgetting import command
    from sluice.pipeline.storage import local_copies

    if ids is not None and authors is not None:
        raise OutputError("ids and authors: give one of them; a second forget takes the other")
    with local_copies.scope():
        return command.forget(
            os.fspath(output),
            ids=None if ids is None else os.fspath(ids),
            authors=None if authors is None else os.fspath(authors),
            key_file=None if key_file is None else os.fspath(key_file),
            history=None if history is None else os.fspath(history),
            workers=workers,
        )


def scan_forgotten(
    output: PathLike,
    *,
    key_file: PathLike | None = None,
    history: PathLike | None = None,
    workers: int | None = None,
) -> "Scan":
    """Looks for what is left of posts that were forgotten, as `sluice forget --scan` does.

    Sequences, tables, intermediate files and the history are decoded and compared with the tombstones by
    keyed hashes; `findings` of what it returns is empty where nothing is left.

    Args:
        output: folder or URI of a finished run.
        key_file: path of the key that the posts were forgotten with.
        history: as `forget` takes it.
        workers: threads that read files; None for one a core.

    Raises:
        OutputError: there is no finished output, or a forget of it did not end.
        RecipeError: the key is missing, or another than that of the tombstones.
    """
    from sluice.pipeline.outputs.forgetting.scan import scan
    from sluice.pipeline.storage import local_copies

    with local_copies.scope():
        return scan(
            os.fspath(output),
            key_file=None if key_file is None else os.fspath(key_file),
            history=None if history is None else os.fspath(history),
            workers=workers,
        )


def sample(output: PathLike, *, posts: int, seed: int = 1) -> "SampleSummary":
    """Writes synthetic posts with labels, as `sluice sample` does; the same seed gives the same posts.

    Args:
        output: a new or empty folder.
        posts: how many.
        seed: 0 or more.

    Raises:
        OutputError: the folder holds something else, or a number is out of range.
        SluiceError: wordfreq is not installed (`pip install 'sluice[sample]'`).
    """
    from sluice.pipeline.sample.write import write_sample

    if posts < 1:
        raise OutputError(f"posts = {posts}: must be at least 1")
    return write_sample(Path(output), num_posts=posts, seed=seed)


def _recipe(
    recipe: "PathLike | Recipe", overrides: Mapping[str, Any] | None, workers: int | None
) -> "Recipe":
    from sluice.pipeline.recipes import loader

    loaded = loader.load(recipe, overrides=overrides)
    if workers is None:
        return loaded
    return loader.load(loaded, overrides={"workers.processes": workers})


def _paths(inputs: PathLike | Sequence[PathLike]) -> list[str]:
    """Returns the inputs; one path is one input, not its letters."""
    if isinstance(inputs, str | os.PathLike):
        return [os.fspath(inputs)]
    if not isinstance(inputs, Sequence):
        raise RecipeError(f"inputs must be paths, got {type(inputs).__name__}")
    return [os.fspath(path) for path in inputs]


@contextlib.contextmanager
def _root_logger_kept(*, with_beam: bool) -> Iterator[None]:
    """Inside, Beam leaves no handler on a root logger that has none.

    Beam calls `logging.warning` while it is imported, and `logging.basicConfig` for its options: they give a
    root logger without handlers one that prints to stderr, and stays. It gets one that does what is done
    without handlers.
    """
    if not with_beam or logging.getLogger().handlers:
        yield
        return
    with _root_handler(logging.NullHandler()):
        from sluice.pipeline.engine.beam import run as engine
    _log.debug("%s is imported", engine.__name__)
    with _root_handler(logging.lastResort or logging.NullHandler()):
        yield


@contextlib.contextmanager
def _root_handler(handler: logging.Handler) -> Iterator[None]:
    logging.getLogger().addHandler(handler)
    try:
        yield
    finally:
        logging.getLogger().removeHandler(handler)
