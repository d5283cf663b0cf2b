"""Where the encoder's files are: the package `sluice-encoder`, or a folder of the recipe."""

import importlib.util
from functools import lru_cache
from pathlib import Path
from typing import Final

import msgspec

from sluice.filters.transformers import files
from sluice.filters.transformers.files import IdentifiedFile
from sluice.filters.transformers.spec import ENCODER
from sluice.schemas.errors import InputError

PACKAGE, DISTRIBUTION = "sluice_encoder", "sluice-encoder"
WEIGHTS, GRAPH, TOKENIZER = "encoder.safetensors", "encoder.onnx", "tokenizer.json"
PINS: Final = Path(__file__).parents[2] / "models" / "encoder.json"
"""What the package's files must be, in this version of Sluice."""
REMEDY: Final = f"pip install 'sluice[encoder]' {DISTRIBUTION}"


class Pins(msgspec.Struct, frozen=True):
    """The encoder that this version of Sluice runs.

    Attributes:
        version: of the package.
        sha256: of its files, by their names.
    """

    version: str
    sha256: dict[str, str]


class EncoderFiles(msgspec.Struct, frozen=True):
    """The files of an encoder."""

    weights: IdentifiedFile
    graph: IdentifiedFile
    tokenizer: IdentifiedFile


def find(folder: str | None, *, sha256: str | None) -> EncoderFiles:
    """Returns the files of an encoder; nothing of the package is imported.

    Args:
        folder: has the three files; None for the installed package, whose files are pinned.
        sha256: that the weights must have.

    Raises:
        InputError: the package is not installed or of another version, a file is missing, or not the one
            that is pinned.
    """
    place = installed() if folder is None else Path(folder).absolute()
    found = EncoderFiles(*(files.identify(place / name) for name in (WEIGHTS, GRAPH, TOKENIZER)))
    files.check_pin(found.weights, sha256)
    if folder is None:
        _check_pins(found)
    return found


def installed() -> Path:
    """Returns the folder of the installed package; raises InputError where it is not installed."""
    spec = importlib.util.find_spec(PACKAGE)
    places = None if spec is None else spec.submodule_search_locations
    if not places:
        raise InputError(f"{ENCODER}: the package {DISTRIBUTION} is not installed: {REMEDY}")
    return Path(next(iter(places)))


@lru_cache(maxsize=1)
def pins() -> Pins:
    """Returns what the installed package must be."""
    return msgspec.json.decode(PINS.read_bytes(), type=Pins)


def _check_pins(found: EncoderFiles) -> None:
    for file in (found.weights, found.graph, found.tokenizer):
        must = pins().sha256[file.name]
        if file.sha256 != must:
            raise InputError(
                f"{file.path}: sha256 must be {must}, is {file.sha256}: this version of Sluice runs "
                f"{DISTRIBUTION} {pins().version}: {REMEDY}=={pins().version}"
            )
