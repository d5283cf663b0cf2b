"""Completion of the command line in bash, zsh and fish: `sluice completion SHELL`.

A shell's script asks `sluice completion --words` for what may follow the words that are typed, so that all
shells are given the same, by the parser that reads the arguments. Only the standard library is imported.
"""

import argparse
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from sluice.pipeline.arguments import RECIPES

FILES: Final = ":files"
"""In place of a word: the shell completes names of files."""
FOLDERS: Final = ":folders"
PATHS: Final = {
    "recipe": FILES,
    "input": FILES,
    "output": FOLDERS,
    "folder": FOLDERS,
    "ids": FILES,
    "authors": FILES,
    "key_file": FILES,
    "history": FOLDERS,
}
"""What arguments take, by name."""
_SHIPPED = Path(__file__).with_name("recipes")


class Candidate(NamedTuple):
    """A word that may be typed, or FILES or FOLDERS, and what it means."""

    word: str
    text: str = ""


def candidates(parser: argparse.ArgumentParser, words: Sequence[str]) -> list[Candidate]:
    """Returns what the last word may become.

    Args:
        parser: of the command line.
        words: those behind `sluice`; the last is the one that is being typed, and may be empty.
    """
    *before, current = _joined(words)
    if "--" in before:  # what follows is Beam's
        return []
    commands = next(a for a in parser._actions if isinstance(a, argparse._SubParsersAction))
    name = next((word for word in before if not word.startswith("-")), None)
    if name is None:
        found = [*_commands(commands), *_options(parser, before, current)]
    elif name in commands.choices:
        found = _of_command(commands.choices[name], before[before.index(name) + 1 :], current)
    else:
        found = []
    return [c for c in found if c.word.startswith((current, FILES, FOLDERS))]


def _joined(words: Sequence[str]) -> list[str]:
    """Returns the words as the program will have them, but for options: bash makes `=` a word of its own."""
    joined: list[str] = []
    for word in words:
        if word == "=" and joined and joined[-1].startswith("--"):
            joined.append("")
        elif joined and (word == "=" or joined[-1].endswith("=")):
            joined[-1] += word
        elif joined[-2:-1] and joined[-1] == "" and joined[-2].startswith("--"):
            joined[-1] = word
        else:
            joined.append(word)
    return joined or [""]


def _commands(action: "argparse._SubParsersAction[Any]") -> Iterator[Candidate]:
    for choice in action._choices_actions:
        yield Candidate(choice.dest, choice.help or "")


def _options(
    parser: argparse.ArgumentParser, before: Sequence[str], current: str
) -> Iterator[Candidate]:
    """Yields the options of a parser that are not given yet, where one is being typed."""
    for action in parser._actions if current.startswith("-") else ():
        many = isinstance(action, argparse._AppendAction | argparse._ExtendAction)
        if many or not set(action.option_strings) & set(before):
            for option in action.option_strings:
                yield Candidate(option, action.help or "")


def _of_command(
    command: argparse.ArgumentParser, before: Sequence[str], current: str
) -> list[Candidate]:
    """Returns what may be typed behind the name of a command."""
    option = current.partition("=")[0]
    if current.startswith("--") and "=" in current:
        action = command._option_string_actions.get(option)
        found = [] if action is None else _values(action, before)
        return [c if c.word in (FILES, FOLDERS) else Candidate(f"{option}={c.word}") for c in found]
    waiting, given = _read(command, before)
    if current.startswith("-"):
        return list(_options(command, before, current))
    places = [action for action in command._actions if not action.option_strings]
    action = waiting or next(iter(places[given:]), None)
    return [] if action is None else list(_values(action, before))


def _read(
    command: argparse.ArgumentParser, before: Sequence[str]
) -> tuple[argparse.Action | None, int]:
    """Returns the option that waits for a value, and how many positional arguments are given."""
    waiting, given = None, 0
    for word in before:
        action = command._option_string_actions.get(word)
        if word.startswith("-"):
            waiting = action if action is not None and action.nargs != 0 else None
        elif waiting is None:
            given += 1
        elif waiting.nargs is None:
            waiting = None
    return waiting, given


def _values(action: argparse.Action, before: Sequence[str]) -> Iterator[Candidate]:
    """Yields what an argument may be."""
    if action.choices is not None:
        yield from map(Candidate, action.choices)
    if action.dest == "recipe":
        yield from (Candidate(name, "a shipped recipe") for name in RECIPES)
    if action.dest == "set":
        yield from (Candidate(f"{key}=", f"now {value!r}") for key, value in _keys(before))
    if action.dest in PATHS:
        yield Candidate(PATHS[action.dest])


def _keys(before: Sequence[str]) -> Iterator[tuple[str, Any]]:
    """Yields the keys that the recipe on the command line sets, with their values."""
    for name in before:
        path = _SHIPPED / f"{name}.toml" if name in RECIPES else Path(name)
        if path.suffix == ".toml":
            try:
                tree = tomllib.loads(path.read_text("utf-8"))
            except (OSError, ValueError):
                return
            yield from _leaves(tree, "")
            return


def _leaves(tree: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{prefix}{key}.")
        elif key == "filters":
            for spec in value:
                own = {k: v for k, v in spec.items() if k != "filter"}
                yield from _leaves(own, f"filters.{spec.get('filter')}.")
        elif key not in ("name", "transformers"):
            yield f"{prefix}{key}", value


BASH = r"""
_sluice() {
    local line word current=${COMP_WORDS[COMP_CWORD]}
    local -a found
    COMPREPLY=()
    [[ $current == = ]] && current=
    while IFS= read -r line; do
        word=${line%%$'\t'*}
        case $word in
            :files) compopt -o filenames; mapfile -t found < <(compgen -f -- "$current") ;;
            :folders) compopt -o filenames; mapfile -t found < <(compgen -d -- "$current") ;;
            *=) compopt -o nospace; found=("$word") ;;
            *) found=("$word") ;;
        esac
        COMPREPLY+=("${found[@]}")
    done < <("${COMP_WORDS[0]}" completion --words "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
}
complete -F _sluice sluice
"""

ZSH = r"""#compdef sluice
_sluice() {
    local line
    local -a described plain keys
    for line in "${(@f)$($words[1] completion --words "${(@)words[2,CURRENT]}" 2>/dev/null)}"; do
        case ${line%%$'\t'*} in
            (:files) _files ;;
            (:folders) _files -/ ;;
            ('') ;;
            (*=) keys+=("${line%%$'\t'*}") ;;
            ($line) plain+=("$line") ;;
            (*) described+=("${${line%%$'\t'*}//:/\\:}:${line#*$'\t'}") ;;
        esac
    done
    (( $#keys )) && compadd -S '' -- $keys
    (( $#plain )) && compadd -- $plain
    (( $#described )) && _describe sluice described
}
if [[ $funcstack[1] == _sluice ]]; then _sluice "$@"; else compdef _sluice sluice; fi
"""

FISH = r"""
function __sluice_candidates
    set -l before (commandline -opc)
    set -l current (commandline -ct)
    set -q current[1]; or set current ''
    for line in ($before[1] completion --words $before[2..-1] $current 2>/dev/null)
        switch $line
            case ':files*'
                __fish_complete_path $current
            case ':folders*'
                __fish_complete_directories $current
            case '*'
                echo $line
        end
    end
end
complete -c sluice -f -a '(__sluice_candidates)'
"""

SCRIPTS: Final = {"bash": BASH, "zsh": ZSH, "fish": FISH}


def script(shell: str) -> str:
    """Returns the script that a shell reads."""
    return SCRIPTS[shell].strip()
