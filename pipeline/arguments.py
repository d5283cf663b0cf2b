"""The arguments of all commands: what `--help` prints, and what completion and tests read.

Only the standard library is imported here, so that help and a wrong word are answered at once.
"""

import argparse
import sys
from typing import Any, NoReturn

DESCRIPTION = "Turns social posts into packed token shards for pre-training."
EPILOG = """\
examples:
  sluice doctor                                whether a run would work here, and what to do if not
  sluice sample --posts 20000 posts            write synthetic posts
  sluice run sample --input 'posts/*.jsonl.gz' --output out
  sluice run default --input 'DAY/*.parquet' --output out --set dedup.threshold=0.7
  sluice verify out                            re-read everything that was written
  sluice inspect out 1234567890                what happened to one post
  sluice export out megatron tokens-megatron   the tokens for another trainer
  sluice forget out --ids IDS --key-file KEY   take posts out of a finished output

`sluice COMMAND --help` has examples of each command. Completion in bash:
source <(sluice completion bash)

After a kill or an interrupt, rerun the same command to resume: finished units are kept.
Exit codes: 0 done; 1 a limit was exceeded, counts do not balance, or verification failed;
2 wrong command, recipe, input or output folder; 130 interrupted, 143 terminated.
"""
BEAM_FLAGS = "What follows -- goes to Beam, as in: -- --runner=FlinkRunner"
RECIPES = ("default", "encoder", "sample", "gopher")
"""The shipped recipes, by the names that `recipe` takes."""
SHELLS = ("bash", "zsh", "fish")


class UsageExit(SystemExit):
    """The end of a command with wrong arguments, with code 2.

    Attributes:
        message: says what is wrong.
        usage: how the command is used, and the message, as people read them.
    """

    code: int

    def __init__(self, message: str, usage: str):
        super().__init__(2)
        self.message, self.usage = message, usage


class HelpText(argparse.RawDescriptionHelpFormatter):
    """Help with room for the longest name of a command beside what it does."""

    def add_argument(self, action: argparse.Action) -> None:
        """Takes an argument; argparse forgets that commands are indented further."""
        super().add_argument(action)
        if isinstance(action, argparse._SubParsersAction):
            self._action_max_length += self._indent_increment


class CommandParser(argparse.ArgumentParser):
    """A parser that prints nothing of what is wrong: who catches its exit does."""

    def error(self, message: str) -> NoReturn:
        """Raises UsageExit."""
        raise UsageExit(message, f"{self.format_usage()}{self.prog}: error: {message}")


class ShowVersion(argparse.Action):
    """Prints the version, which costs more to find than all else of a parser."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        """Prints it, and ends with 0."""
        from importlib.metadata import version

        print(f"sluice {version('sluice')}", file=sys.stdout)
        parser.exit()


def split_flags(argv: list[str]) -> tuple[list[str], list[str]]:
    """Returns (our arguments, Beam's flags): what follows `--` is Beam's."""
    if "--" not in argv:
        return argv, []
    at = argv.index("--")
    return argv[:at], argv[at + 1 :]


def parser() -> argparse.ArgumentParser:
    """Returns the parser of all commands; what is parsed has the command's name as `command`."""
    top = CommandParser(
        prog="sluice",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=HelpText,
        allow_abbrev=False,
    )
    top.add_argument("--version", action=ShowVersion, nargs=0, help="print the version and exit")
    commands = top.add_subparsers(
        title="commands", metavar="COMMAND", dest="command", required=True
    )
    for add in (
        _run,
        _verify,
        _report,
        _inspect,
        _export,
        _forget,
        _score,
        _sample,
        _filters,
        _doctor,
    ):
        _add_output_options(add(commands))
    _completion(commands)
    return top


def _command(
    commands: Any, name: str, text: str, *examples: str, note: str = ""
) -> argparse.ArgumentParser:
    lines = "\n".join(["examples:", *(f"  {example}" for example in examples)])
    command: argparse.ArgumentParser = commands.add_parser(
        name,
        help=text,
        description=f"{text[0].upper()}{text[1:]}.",
        epilog=f"{note}\n\n{lines}" if note else lines,
        formatter_class=HelpText,
        allow_abbrev=False,
    )
    return command


def _add_output_options(command: argparse.ArgumentParser) -> None:
    """Adds what every command takes that answers with a result."""
    group = command.add_argument_group("result and messages")
    group.add_argument("--json", action="store_true", help="print the result as one line of JSON")
    group.add_argument(
        "-q", "--quiet", action="store_true", help="print the result and errors, and nothing else"
    )
    group.add_argument(
        "--log-json",
        action="store_true",
        help="write messages, progress and errors to stderr as one JSON object per line",
    )


def _run(commands: Any) -> argparse.ArgumentParser:
    command = _command(
        commands,
        "run",
        "posts in, packed token shards out",
        "sluice run sample --input 'posts/*.jsonl.gz' --output out",
        "sluice run default --input 'DAY/*.parquet' --output out --plan    # what it would do",
        "sluice run default --input 'DAY/*.parquet' --output out --set filters.spam.max_spam=0.9",
        "sluice run default --input 'DAY/*.jsonl.gz' --output out --workers 2 --quiet --json",
        "sluice run default --input 'DAY/*.jsonl.gz' --output out -- --direct_num_workers=2",
        note=BEAM_FLAGS,
    )
    _add_job_arguments(command)
    command.add_argument(
        "--plan",
        action="store_true",
        help="print phases and units to run or reuse, time, disk and memory; do nothing",
    )
    return command


def _score(commands: Any) -> argparse.ArgumentParser:
    command = _command(
        commands,
        "score",
        "every score of every post, no decision",
        "sluice score default --input 'DAY/*.parquet' --output scores",
        "sluice score default --input 'DAY/*.jsonl.gz' --output scores --workers 2",
        note=BEAM_FLAGS,
    )
    _add_job_arguments(command)
    return command


def _add_job_arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "recipe", help=f"a recipe file (*.toml) or a shipped name: {', '.join(RECIPES)}"
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


def _positive(text: str) -> int:
    """Returns a number of at least 1."""
    if not (text.isdecimal() and int(text)):
        raise argparse.ArgumentTypeError(f"must be a whole number of at least 1, got {text!r}")
    return int(text)


def _verify(commands: Any) -> argparse.ArgumentParser:
    command = _command(
        commands,
        "verify",
        "read all of an output again and compare it with its manifest",
        "sluice verify out",
        "sluice verify out --quiet && echo valid",
    )
    _add_output(command)
    command.add_argument(
        "--workers", type=_positive, metavar="N", help="threads that read files (one for each core)"
    )
    return command


def _report(commands: Any) -> argparse.ArgumentParser:
    command = _command(
        commands,
        "report",
        "write the report again and print the funnel",
        "sluice report out",
        "sluice report out --json | jq .posts.rejected",
    )
    _add_output(command)
    return command


def _inspect(commands: Any) -> argparse.ArgumentParser:
    command = _command(
        commands,
        "inspect",
        "what happened to one post, or which posts hold items of evaluation sets",
        "sluice inspect out 1234567890",
        "sluice inspect out 1234567890 --json | jq -r .outcome",
        "sluice inspect out --review",
    )
    _add_output(command)
    command.add_argument("post_id", nargs="?", help="the post's id, as in the input")
    command.add_argument(
        "--key-file",
        metavar="FILE",
        help="the key of `sluice forget`, to find out whether the post was forgotten",
    )
    command.add_argument(
        "--review",
        action="store_true",
        help="show posts that hold an item of an evaluation set, with the item; with a post id, that post",
    )
    return command


def _add_output(command: argparse.ArgumentParser) -> None:
    command.add_argument("output", help="an output folder of `sluice run`")


def _export(commands: Any) -> argparse.ArgumentParser:
    command = _command(
        commands,
        "export",
        "write the tokens for other trainers",
        "sluice export out megatron for-megatron",
        "sluice export out mds for-streaming --items documents --leftover",
    )
    _add_output(command)
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
    return command


def _forget(commands: Any) -> argparse.ArgumentParser:
    command = _command(
        commands,
        "forget",
        "take posts out of a finished output, in place",
        "sluice forget out --ids taken-down.txt --key-file key",
        "sluice forget out --ids 'next-day/deletions/*.parquet' --key-file key",
        "sluice forget out --authors left.csv --key-file key",
        "sluice forget out --resume      # finishes a forget that was killed",
        "sluice forget out --scan --key-file key",
        note=FORGET_NOTE,
    )
    _add_output(command)
    what = command.add_mutually_exclusive_group(required=True)
    what.add_argument(
        "--ids", metavar="FILE", help="ids of posts: a file, a folder, or a glob in quotes"
    )
    what.add_argument(
        "--authors", metavar="FILE", help="the same for authors: all of their posts are taken out"
    )
    what.add_argument(
        "--resume", action="store_true", help="finish a forget that did not end; needs no key"
    )
    what.add_argument(
        "--scan",
        action="store_true",
        help="look for what is left of forgotten posts; exits with 1 if anything is found",
    )
    command.add_argument(
        "--key-file",
        metavar="FILE",
        help="the key that ids are hashed with: that of privacy.key_file, if the recipe has one",
    )
    command.add_argument(
        "--history",
        metavar="DIR",
        help="folder of the run's dedup.history, to take the posts out of it, too; `none` if it is gone",
    )
    command.add_argument(
        "--workers", type=_positive, metavar="N", help="threads (one for each core)"
    )
    return command


FORGET_NOTE = """\
FILE is a text file with one id on each line, or a CSV, JSON Lines or Parquet file with a column post_id
or id; for --authors, with a column author_id (and platform, if there is one) or author_key. The tokens of
the posts become padding in their places and nothing moves, so that a training run can go on.
docs/forgetting.md explains the rest."""


def _sample(commands: Any) -> argparse.ArgumentParser:
    command = _command(
        commands,
        "sample",
        "write synthetic posts with labels",
        "sluice sample --posts 20000 posts",
        "sluice sample --posts 5000 --seed 7 other-posts",
    )
    command.add_argument("output", help="a new or empty folder")
    command.add_argument("--posts", type=int, required=True, metavar="N", help="number of posts")
    command.add_argument(
        "--seed", type=int, default=1, metavar="S", help="same seed, same bytes (1)"
    )
    return command


def _filters(commands: Any) -> argparse.ArgumentParser:
    return _command(
        commands,
        "filters",
        "every filter that a recipe can name",
        "sluice filters",
        "sluice filters --json | jq -r '.[].name'",
    )


def _doctor(commands: Any) -> argparse.ArgumentParser:
    command = _command(
        commands,
        "doctor",
        "whether a run would work on this machine",
        "sluice doctor",
        "sluice doctor --output /data/out",
        "sluice doctor --json | jq -r '.checks[] | select(.status != \"ok\") | .remedy'",
    )
    command.add_argument(
        "--output", default=".", metavar="DIR", help="the folder that a run would write to (.)"
    )
    return command


def _completion(commands: Any) -> None:
    command = _command(
        commands,
        "completion",
        "print a script that completes words in a shell",
        "source <(sluice completion bash)                          # in ~/.bashrc",
        "source <(sluice completion zsh)                           # in ~/.zshrc, after compinit",
        "sluice completion fish > ~/.config/fish/completions/sluice.fish",
    )
    command.add_argument("shell", choices=SHELLS, help="the shell that reads it")
