"""What can go wrong: every error with a message for people is a `SluiceError`."""

from sluice.schemas.errors import (
    DamagedError,
    FilterError,
    InputError,
    LedgerError,
    LimitError,
    OutputError,
    RecipeError,
    SluiceError,
    StorageError,
    UnknownPostError,
    VerifyError,
    WorkerError,
)

__all__ = [
    "DamagedError",
    "FilterError",
    "InputError",
    "LedgerError",
    "LimitError",
    "OutputError",
    "RecipeError",
    "SluiceError",
    "StorageError",
    "UnknownPostError",
    "VerifyError",
    "WorkerError",
]
