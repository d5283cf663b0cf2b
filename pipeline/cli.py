"""The command line: run, verify, report, inspect, export, score, sample, filters.

Exit codes: 0 done; 1 a limit was exceeded, counts do not balance, or verification failed; 2 the command,
recipe, input or output folder is wrong; 130 interrupted, 143 terminated (finished units are kept).
"""

import argparse
import contextlib
import gc
import logging
import os
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from sluice.pipeline import api
from sluice.pipeline.processes.signals import stopped_by_signals
from sluice.schemas.errors import OutputError, SluiceError
from sluice.schemas.names import visible

if TYPE_CHECKING:
    from sluice.pipeline.recipes.schema import Recipe

DESCRIPTION = "Turns social posts into packed token shards for pre-training."
EPILOG = """\
examples:
  sluice sample --posts 20000 posts            write synthetic posts
  sluice run sample --input 'posts/*.jsonl.gz' --output out
  sluice run default --input 'DAY/*.parquet' --output out --set dedup.threshold=0.7
  sluice verify out                            re-read everything that was written
  sluice inspect out 1234567890                what happened to one post
  sluice export out megatron tokens-megatron   the tokens for another trainer
  sluice filters                               every filter, with its score, threshold and reason

After a kill or an interrupt, rerun the same command to resume: finished units are kept.
Exit codes: 0 done; 1 a limit was exceeded, counts do not balance, or verification failed;
2 wrong command, recipe, input or output folder; 130 interrupted, 143 terminated.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; returns the exit code."""
    _set_up_logging()
    arguments, flags = split_flags(list(sys.argv[1:] if argv is None else argv))
    parsed = parser().parse_args(arguments)
    from sluice.pipeline.storage import (
        local_copies,
    )  # here, as in all commands: help needs no Arrow

    try:
        with local_copies.scope():
            code: int = parsed.do(parsed, flags)
    except SluiceError as error:
        _say(f"sluice: {error}")
        _debug()
        return error.exit_code
    except KeyboardInterrupt:
        _say("sluice: interrupted; rerun the same command to resume")
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except MemoryError:
        _say("sluice: out of memory; finished units are kept")
        _debug()
        return 1
    except ImportError as error:
        if isinstance(error, ModuleNotFoundError):
            raise
        _say(
            f"sluice: a library cannot be loaded; memory may be short: {error}; finished units are kept"
        )
        _debug()
        return 1
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        _say(f"sluice: {where}{error.strerror or error}; finished units are kept")
        _debug()
        return 1
    return code


def _set_up_logging() -> None:
    """Sends warnings, ours and those of libraries, to stderr, without Beam's remarks on the root logger."""
    handler = logging.StreamHandler()
    handler.setLevel(logging.WARNING)
    handler.setFormatter(_Visible("%(name)s: %(message)s"))
    handler.addFilter(lambda record: record.name != "root" or record.levelno >= logging.ERROR)
    logging.basicConfig(level=logging.WARNING, handlers=[handler])


class _Visible(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return visible(super().format(record))


def _debug() -> None:
    if os.environ.get("SLUICE_DEBUG"):
        traceback.print_exc()


def split_flags(argv: list[str]) -> tuple[list[str], list[str]]:
    """Returns (our arguments, Beam's flags): what follows `--` is Beam's."""
    if "--" not in argv:
        return argv, []
    at = argv.index("--")
    return argv[:at], argv[at + 1 :]


def parser() -> argparse.ArgumentParser:
    """Returns the parser of all commands."""
    top = argparse.ArgumentParser(
        prog="sluice",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    top.add_argument("--version", action="version", version=f"sluice {version('sluice')}")
    commands = top.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _run_arguments(_command(commands, "run", "posts in, packed token shards out", _run))
    verify = _command(
        commands, "verify", "read all of an output again and compare it with its manifest", _verify
    )
    verify.add_argument("output", help="an output folder of `sluice run`")
    verify.add_argument(
        "--workers", type=_positive, metavar="N", help="threads that read files (one for each core)"
    )
    report = _command(commands, "report", "write the report again and print the funnel", _report)
    report.add_argument("output", help="an output folder of `sluice run`")
    report.add_argument("--json", action="store_true", help="print report.json")
    inspect = _command(commands, "inspect", "what happened to one post", _inspect)
    inspect.add_argument("output", help="an output folder of `sluice run`")
    inspect.add_argument("post_id", help="the post's id, as in the input")
    _export_arguments(_command(commands, "export", "write the tokens for other trainers", _export))
    _job_arguments(_command(commands, "score", "every score of every post, no decision", _score))
    sample = _command(commands, "sample", "write synthetic posts with labels", _sample)
    sample.add_argument("output", help="a new or empty folder")
    sample.add_argument("--posts", type=int, required=True, metavar="N", help="number of posts")
    sample.add_argument(
        "--seed", type=int, default=1, metavar="S", help="same seed, same bytes (1)"
    )
    filters = _command(commands, "filters", "every filter that a recipe can name", _filters)
    filters.add_argument("--json", action="store_true", help="print all that is known of each")
    return top


def _command(commands: Any, name: str, text: str, do: object) -> argparse.ArgumentParser:
    command: argparse.ArgumentParser = commands.add_parser(
        name, help=text, description=f"{text[0].upper()}{text[1:]}.", allow_abbrev=False
    )
    command.set_defaults(do=do)
    return command


def _job_arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "recipe", help="a recipe file (*.toml) or a shipped name: default, sample, gopher"
    )
    command.add_argument(
        "--input",
        action="extend",
        nargs="+",
        default=[],
        metavar="GLOB",
        help="files to read, in place of the recipe's input.files; quote a pattern",
    )
    command.add_argument(
        "--output", default="sluice-out", metavar="DIR", help="where the result goes (sluice-out)"
    )
    command.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="change one key of the recipe, as in --set filters.spam.max_spam=0.9; may be repeated",
    )
    command.add_argument(
        "--workers",
        type=_positive,
        metavar="N",
        help="processes that share the work (the cores that there are, as far as memory goes)",
    )
    command.add_argument(
        "--engine",
        choices=("inline", "beam"),
        help="what does the work: processes of this machine, or Beam (inline; with flags after --, beam)",
    )
    command.epilog = "What follows -- goes to Beam, as in: -- --runner=FlinkRunner"


def _positive(text: str) -> int:
    """Returns a number of at least 1."""
    if not (text.isdecimal() and int(text)):
        raise argparse.ArgumentTypeError(f"must be a whole number of at least 1, got {text!r}")
    return int(text)


def _run_arguments(command: argparse.ArgumentParser) -> None:
    _job_arguments(command)
    command.add_argument(
        "--plan",
        action="store_true",
        help="print phases and units to run or reuse, time, disk and memory; do nothing",
    )


def _export_arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument("output", help="an output folder of `sluice run`")
    command.add_argument("format", choices=("megatron", "mds"), help="what the trainer reads")
    command.add_argument("folder", metavar="dir", help="a new or empty folder")
    command.add_argument(
        "--items",
        choices=("documents", "sequences"),
        help="whole documents (default of megatron), or packed sequences (default of mds)",
    )
    command.add_argument(
        "--leftover", action="store_true", help="also the sequences that filled no round of shards"
    )


def _say(line: str) -> None:
    print(visible(line), file=sys.stderr, flush=True)


def _show(lines: Iterable[str]) -> None:
    for line in lines:
        print(visible(line))


class _Lines(logging.Handler):
    """Prints what the commands tell at level INFO; warnings go where all do."""

    def __init__(self, say: Callable[[str], None]):
        super().__init__(logging.INFO)
        self._print = say
        self.addFilter(lambda record: record.levelno == logging.INFO)

    def emit(self, record: logging.LogRecord) -> None:
        self._print(record.getMessage())


@contextlib.contextmanager
def _telling(say: Callable[[str], None]) -> Iterator[None]:
    """Inside, what the logger `sluice` is told is printed by a function."""
    logger, handler = logging.getLogger("sluice"), _Lines(say)
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


def _recipe(parsed: argparse.Namespace) -> "Recipe":
    from sluice.pipeline.recipes import loader

    sets = list(parsed.set)
    if parsed.workers is not None:
        sets.append(f"workers.processes={parsed.workers}")
    return loader.load(parsed.recipe, sets=tuple(sets))


def _run(parsed: argparse.Namespace, flags: list[str]) -> int:
    with stopped_by_signals():
        if parsed.plan:
            return _plan(parsed, flags)
        from sluice.pipeline.report import text
        from sluice.pipeline.terminal import ProgressLine

        with _telling(_say), ProgressLine() as progress:
            report = api.run(
                _recipe(parsed),
                inputs=parsed.input,
                output=parsed.output,
                progress=progress,
                engine=parsed.engine,
                beam_flags=flags,
            )
    from sluice.pipeline.storage import files as storage

    _show(text.funnel(report))
    page = storage.join(storage.absolute(parsed.output), "report", "report.html")
    _show(["", f"report: {page}"])
    return 0


def _plan(parsed: argparse.Namespace, flags: list[str]) -> int:
    from sluice.pipeline.load_job import load_job

    job = load_job(_recipe(parsed), parsed.input, parsed.output, flags=None)
    from sluice.pipeline import preflight

    _show(list(preflight.plan_lines(job, flags)))
    return 0


def _verify(parsed: argparse.Namespace, flags: list[str]) -> int:
    with _telling(print):
        problems = api.verify(parsed.output, workers=parsed.workers)
    for problem in problems:
        _say(f"sluice: {problem}")
    outcome = f"{len(problems)} problem(s)" if problems else "as its manifest says"
    _show([f"{parsed.output}: {outcome}"])
    return 1 if problems else 0


def _report(parsed: argparse.Namespace, flags: list[str]) -> int:
    import msgspec

    from sluice.pipeline.report import text
    from sluice.pipeline.report_again import write_report_again
    from sluice.pipeline.storage import files as storage

    report = write_report_again(parsed.output)
    if parsed.json:
        encoded = msgspec.json.encode(report, order="sorted")
        print(msgspec.json.format(encoded, indent=1).decode())
        return 0
    _show(text.funnel(report))
    _show(["", f"report: {storage.join(parsed.output, 'report', 'report.html')}"])
    return 0


def _inspect(parsed: argparse.Namespace, flags: list[str]) -> int:
    from sluice.pipeline.outputs.inspect import lines

    _show(lines(api.inspect(parsed.output, parsed.post_id)))
    return 0


def _export(parsed: argparse.Namespace, flags: list[str]) -> int:
    from sluice.pipeline.outputs.export import summary

    exported = api.export(
        parsed.output,
        parsed.format,
        parsed.folder,
        items=parsed.items,
        leftover=parsed.leftover,
    )
    _show(summary(exported, folder=parsed.folder))
    return 0


def _score(parsed: argparse.Namespace, flags: list[str]) -> int:
    with stopped_by_signals():
        from sluice.pipeline.terminal import ProgressLine

        with _telling(_say), ProgressLine() as progress:
            report = api.score(
                _recipe(parsed),
                inputs=parsed.input,
                output=parsed.output,
                progress=progress,
                engine=parsed.engine,
                beam_flags=flags,
            )
    from sluice.pipeline.commands import score_lines

    _show(score_lines(report))
    return 0


def _sample(parsed: argparse.Namespace, flags: list[str]) -> int:
    if parsed.posts < 1:
        raise OutputError(f"--posts {parsed.posts}: must be at least 1")
    summary = api.sample(parsed.output, posts=parsed.posts, seed=parsed.seed)
    print(f"wrote {parsed.posts:,} synthetic posts to {parsed.output}")
    for label, n in sorted(summary.by_label.items()):
        print(f"  {label:<20} {n:>10,}")
    return 0


def _filters(parsed: argparse.Namespace, flags: list[str]) -> int:
    import msgspec
    from rich.console import Console

    from sluice.filters.listing import list_filters
    from sluice.pipeline.filter_list import show

    if parsed.json:
        print(msgspec.json.format(msgspec.json.encode(list_filters()), indent=1).decode())
    else:
        show(list_filters(), Console(highlight=False, markup=False))
    return 0


def program() -> int:
    """Runs the command as a process of its own; returns the exit code.

    Objects that live to the end are not searched for cycles once more at the exit: 0.8 CPU seconds.
    """
    code = main()
    gc.freeze()
    return code


if __name__ == "__main__":
    sys.exit(program())
