"""The command line: what each command does with its arguments, what it prints, and how it ends.

Exit codes: 0 done; 1 a limit was exceeded, counts do not balance, or verification failed; 2 the command,
recipe, input or output folder is wrong; 130 interrupted, 143 terminated (finished units are kept).
"""

import argparse
import contextlib
import gc
import json
import logging
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, NamedTuple

from sluice.pipeline import api
from sluice.pipeline.arguments import UsageExit, parser, split_flags
from sluice.pipeline.processes.signals import stopped_by_signals
from sluice.pipeline.terminal import Messages
from sluice.schemas.errors import InputError, OutputError, SluiceError
from sluice.schemas.names import visible

if TYPE_CHECKING:
    from sluice.pipeline.recipes.schema import Recipe

__all__ = ["main", "parser", "program", "split_flags"]

GARBAGE_OBJECTS = 100_000
"""New objects after which the command's process looks for cycles; Python's own number is 700."""

_log = logging.getLogger("sluice")


class CommandResult(NamedTuple):
    """What a command found.

    Attributes:
        value: what `--json` prints as one line.
        lines: what is printed without it.
        code: that the process ends with.
    """

    value: Any
    lines: Iterable[str]
    code: int = 0


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; returns the exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    if words[:2] == ["completion", "--words"]:  # a shell asks: see sluice.pipeline.completion
        return _complete(words[2:])
    arguments, flags = split_flags(words)
    try:
        parsed = parser().parse_args(arguments)
    except UsageExit as wrong:
        if "--log-json" in arguments:
            print(Messages(as_json=True).last_line(wrong.message), file=sys.stderr)
        else:
            print(wrong.usage, file=sys.stderr)
        if "--json" in arguments:
            _print_error("UsageError", wrong.message, wrong.code)
        raise
    if parsed.command == "completion":
        from sluice.pipeline.completion import script

        print(script(parsed.shell))
        return 0
    messages = Messages(quiet=parsed.quiet, as_json=parsed.log_json)
    with messages.attached():
        return _answer(parsed, flags, messages)


def _answer(parsed: argparse.Namespace, flags: list[str], messages: Messages) -> int:
    """Runs a command and prints its result, or says what went wrong; returns the exit code."""
    try:
        result = COMMANDS[parsed.command](parsed, flags, messages)
        _print(result, as_json=parsed.json)
        return result.code
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except ModuleNotFoundError:
        raise
    except (SluiceError, KeyboardInterrupt, MemoryError, ImportError, OSError) as error:
        text, code = _described(error)
        _log.error("%s", text, exc_info=bool(os.environ.get("SLUICE_DEBUG")))
        if parsed.json:
            _print_error(type(error).__name__, text, code)
        return code


def _described(error: BaseException) -> tuple[str, int]:
    """Returns what is said of an error, and the exit code."""
    if isinstance(error, SluiceError):
        return str(error), error.exit_code
    if isinstance(error, KeyboardInterrupt):
        return "interrupted; rerun the same command to resume", 130
    text = "out of memory"
    if isinstance(error, ImportError):
        text = f"a library cannot be loaded; memory may be short: {error}"
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        text = f"{where}{error.strerror or error}"
    return f"{text}; finished units are kept", 1


def _print(result: CommandResult, *, as_json: bool) -> None:
    if as_json:
        print(_as_json(result.value), flush=True)
        return
    for line in result.lines:
        print(line)


def _as_json(value: Any) -> str:
    if isinstance(value, dict):  # of doctor, which needs no package
        return json.dumps(value)
    from sluice.pipeline.answers import json_line

    return json_line(value)


def _print_error(kind: str, message: str, code: int) -> None:
    from sluice.pipeline.answers import ErrorAnswer, ErrorTold, json_line

    told = ErrorTold(type=kind, message=visible(message), exit_code=code)
    print(json_line(ErrorAnswer(error=told)), flush=True)


def _recipe(parsed: argparse.Namespace) -> "Recipe":
    from sluice.pipeline.recipes import loader

    sets = list(parsed.set)
    if parsed.workers is not None:
        sets.append(f"workers.processes={parsed.workers}")
    return loader.load(parsed.recipe, sets=tuple(sets))


def _stopped_by_signals(messages: Messages) -> AbstractContextManager[None]:
    return stopped_by_signals(messages.last_line) if messages.as_json else stopped_by_signals()


def _run(parsed: argparse.Namespace, flags: list[str], messages: Messages) -> CommandResult:
    with _stopped_by_signals(messages):
        if parsed.plan:
            return _plan(parsed, flags)
        with messages.progress() as progress:
            report = api.run(
                _recipe(parsed),
                inputs=parsed.input,
                output=parsed.output,
                progress=progress,
                engine=parsed.engine,
                beam_flags=flags,
            )
    from sluice.pipeline import answers
    from sluice.pipeline.report import text
    from sluice.pipeline.storage import files as storage

    output = storage.absolute(parsed.output)
    page = storage.join(output, "report", "report.html")
    path = storage.join(output, "report", "report.json")
    lines = [*text.funnel(report), "", f"report: {page}"]
    return CommandResult(answers.of_run(report, output=output, path=path), map(visible, lines))


def _plan(parsed: argparse.Namespace, flags: list[str]) -> CommandResult:
    from sluice.pipeline.load_job import load_job
    from sluice.pipeline.storage import local_copies

    with local_copies.scope():
        job = load_job(_recipe(parsed), parsed.input, parsed.output, flags=None)
        from sluice.pipeline import preflight

        plan = preflight.plan(job, flags)
    return CommandResult(plan, map(visible, preflight.plan_lines(plan)))


def _verify(parsed: argparse.Namespace, flags: list[str], messages: Messages) -> CommandResult:
    as_result = not (parsed.json or parsed.quiet)
    with messages.told_to(print) if as_result else contextlib.nullcontext():
        problems = api.verify(parsed.output, workers=parsed.workers)
    for problem in problems:
        _log.error("%s", problem)
    from sluice.pipeline.answers import VerifyAnswer

    outcome = f"{len(problems)} problem(s)" if problems else "as its manifest says"
    return CommandResult(
        VerifyAnswer(output=parsed.output, valid=not problems, problems=problems),
        [visible(f"{parsed.output}: {outcome}")],
        1 if problems else 0,
    )


def _report(parsed: argparse.Namespace, flags: list[str], messages: Messages) -> CommandResult:
    from sluice.pipeline.report import text
    from sluice.pipeline.report_again import write_report_again
    from sluice.pipeline.storage import files as storage
    from sluice.pipeline.storage import local_copies

    with local_copies.scope():
        report = write_report_again(parsed.output)
    page = storage.join(parsed.output, "report", "report.html")
    lines = [*text.funnel(report), "", f"report: {page}"]
    return CommandResult(report, map(visible, lines))


def _inspect(parsed: argparse.Namespace, flags: list[str], messages: Messages) -> CommandResult:
    from sluice.pipeline import answers
    from sluice.pipeline.outputs.inspect import lines
    from sluice.pipeline.storage.tombstones import is_pending, pending_told

    if parsed.review:
        return _review(parsed)
    if parsed.post_id is None:
        raise InputError("inspect: give the id of a post, or --review")
    found = api.inspect(parsed.output, parsed.post_id, key_file=parsed.key_file)
    if is_pending(parsed.output):
        _log.warning("%s: %s", parsed.output, pending_told(parsed.output))
    return CommandResult(
        answers.of_inspection(found, output=parsed.output), map(visible, lines(found))
    )


def _review(parsed: argparse.Namespace) -> CommandResult:
    from sluice.pipeline import answers
    from sluice.pipeline.outputs import review
    from sluice.pipeline.storage import local_copies

    with local_copies.scope():
        hits = review.review(parsed.output, post_id=parsed.post_id)
    answer = answers.ReviewAnswer(output=parsed.output, hits=[hit._asdict() for hit in hits])
    return CommandResult(answer, map(visible, review.lines(hits)))


def _export(parsed: argparse.Namespace, flags: list[str], messages: Messages) -> CommandResult:
    from sluice.pipeline import answers
    from sluice.pipeline.outputs.export import summary

    exported = api.export(
        parsed.output,
        parsed.format,
        parsed.folder,
        items=parsed.items,
        leftover=parsed.leftover,
    )
    lines = map(visible, summary(exported, folder=parsed.folder))
    return CommandResult(answers.of_export(exported, folder=parsed.folder), lines)


def _forget(parsed: argparse.Namespace, flags: list[str], messages: Messages) -> CommandResult:
    from sluice.pipeline import answers
    from sluice.pipeline.outputs.forgetting.command import lines

    if parsed.scan:
        return _scan(parsed)
    with _stopped_by_signals(messages):
        done = api.forget(
            parsed.output,
            ids=parsed.ids,
            authors=parsed.authors,
            key_file=parsed.key_file,
            history=parsed.history,
            workers=parsed.workers,
        )
    return CommandResult(answers.of_forget(done), map(visible, lines(done)))


def _scan(parsed: argparse.Namespace) -> CommandResult:
    from sluice.pipeline import answers
    from sluice.pipeline.outputs.forgetting.scan import lines

    done = api.scan_forgotten(
        parsed.output, key_file=parsed.key_file, history=parsed.history, workers=parsed.workers
    )
    return CommandResult(
        answers.of_scan(done), map(visible, lines(done)), code=int(bool(done.findings))
    )


def _score(parsed: argparse.Namespace, flags: list[str], messages: Messages) -> CommandResult:
    with _stopped_by_signals(messages), messages.progress() as progress:
        report = api.score(
            _recipe(parsed),
            inputs=parsed.input,
            output=parsed.output,
            progress=progress,
            engine=parsed.engine,
            beam_flags=flags,
        )
    from sluice.pipeline import answers
    from sluice.pipeline.commands import score_lines

    return CommandResult(answers.of_scores(report), map(visible, score_lines(report)))


def _sample(parsed: argparse.Namespace, flags: list[str], messages: Messages) -> CommandResult:
    if parsed.posts < 1:
        raise OutputError(f"--posts {parsed.posts}: must be at least 1")
    from sluice.pipeline import answers

    summary = api.sample(parsed.output, posts=parsed.posts, seed=parsed.seed)
    lines = [f"wrote {parsed.posts:,} synthetic posts to {parsed.output}"]
    lines += [f"  {label:<20} {n:>10,}" for label, n in sorted(summary.by_label.items())]
    return CommandResult(answers.of_sample(summary, output=parsed.output), map(visible, lines))


def _filters(parsed: argparse.Namespace, flags: list[str], messages: Messages) -> CommandResult:
    from rich.console import Console

    from sluice.filters.listing import list_filters
    from sluice.pipeline.filter_list import show

    found = list_filters()
    console = Console(highlight=False, markup=False)
    with console.capture() as shown:
        show(found, console)
    return CommandResult(found, shown.get().rstrip("\n").split("\n"))


def _doctor(parsed: argparse.Namespace, flags: list[str], messages: Messages) -> CommandResult:
    from dataclasses import asdict

    from sluice.pipeline import doctor

    checks = list(doctor.checks(parsed.output))
    ready = all(check.status != "error" for check in checks)
    answer = doctor.DoctorAnswer(ready=ready, checks=checks)
    lines = (doctor.line(check, sys.stdout) for check in checks)
    return CommandResult(asdict(answer), lines, 0 if ready else 1)


def _complete(words: list[str]) -> int:
    from sluice.pipeline.completion import candidates

    for word, text in candidates(parser(), words):
        print(f"{word}\t{text}" if text else word)
    return 0


COMMANDS: dict[str, Callable[[argparse.Namespace, list[str], Messages], CommandResult]] = {
    "run": _run,
    "verify": _verify,
    "report": _report,
    "inspect": _inspect,
    "export": _export,
    "forget": _forget,
    "score": _score,
    "sample": _sample,
    "filters": _filters,
    "doctor": _doctor,
}
"""What does each command that answers with a result."""


def program() -> int:
    """Runs the command as a process of its own; returns the exit code.

    What imports leave lives to the end. It is searched for cycles seldom, which saves 0.3 CPU seconds of a
    start, and not once more at the exit, which saves 0.8.
    """
    gc.set_threshold(GARBAGE_OBJECTS)
    code = main()
    gc.freeze()
    return code


if __name__ == "__main__":
    sys.exit(program())
