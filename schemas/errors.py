"""Errors with a message for the user: what is wrong, where it is, and how to fix it.

Every error that reaches the command line is a SluiceError; its message names the key, file or row and
the fix, never the text of a post. `exit_code` is what the process ends with.
"""

import difflib
from collections.abc import Iterable


class SluiceError(Exception):
    """Base of all errors with a message for the user."""

    exit_code = 1


class RecipeError(SluiceError):
    """A recipe, or `--set`, that cannot be run: the message starts with the key's path."""

    exit_code = 2


class FilterError(SluiceError):
    """A filter of another distribution that is missing, cannot be loaded, or breaks the contract."""

    exit_code = 2


class InputError(SluiceError):
    """An input file that cannot be found, opened or understood as a whole."""

    exit_code = 2


class OutputError(SluiceError):
    """An output folder that cannot be written, belongs to another recipe, or is in use."""

    exit_code = 2


class UnknownPostError(OutputError):
    """No row of an output bears the id that was asked for."""


class StorageError(SluiceError):
    """A store of files that cannot be reached, refuses, or has no library here."""

    exit_code = 2


class DamagedError(SluiceError):
    """A file of a finished unit that is not what the unit wrote.

    Attributes:
        folder: of the unit's stage.
        unit: its name.
    """

    exit_code = 2

    def __init__(self, message: str, *, folder: str = "", unit: str = ""):
        super().__init__(message)
        self.folder, self.unit = folder, unit


class LimitError(SluiceError):
    """More errors or malformed rows than the recipe allows."""


class LedgerError(SluiceError):
    """The counts do not balance: a post was lost or invented."""


class WorkerError(SluiceError):
    """A worker process died: killed, out of memory, or of a fault that ended it."""


class VerifyError(SluiceError):
    """What is on disk is not what the manifest says."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Returns "; did you mean 'x'?" for the closest known word, or the list of what is known."""
    words = sorted(known)
    close = difflib.get_close_matches(word, words, n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else f"; known: {', '.join(words)}"
