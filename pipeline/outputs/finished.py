"""The manifest, the report and the special tokens of a finished run, read and checked."""

from importlib.metadata import version

import msgspec

from sluice.pipeline.storage import files as storage
from sluice.pipeline.storage import local_copies
from sluice.pipeline.storage.output_folder import check_is_output
from sluice.schemas.errors import OutputError
from sluice.schemas.manifest import MANIFEST_VERSION, Manifest
from sluice.schemas.report import Report
from sluice.tokenizer.vocabulary.load import VocabularyIds, load_vocabulary


def read_manifest(output: str) -> Manifest:
    """Returns manifest.json.

    Raises:
        OutputError: there is none, it cannot be read, or this version cannot read what another wrote.
    """
    check_is_output(output)
    path = storage.join(output, "manifest.json")
    try:
        manifest = _decoded(storage.read_bytes(path), path)
    except FileNotFoundError:
        raise OutputError(
            f"{output}: no manifest.json: not an output of `sluice run`, or the run did not finish "
            f"(rerun the same command to resume)"
        ) from None
    except (OSError, ValueError) as error:
        raise OutputError(f"{path}: cannot be read: {error}") from None
    if manifest.manifest_version > MANIFEST_VERSION:
        raise OutputError(
            f"{path}: is of version {manifest.manifest_version}, written by sluice {manifest.sluice}; this "
            f"version reads up to {MANIFEST_VERSION}: install that sluice or a later one"
        )
    return manifest


def _decoded(text: bytes, path: str) -> Manifest:
    try:
        return msgspec.json.decode(text, type=Manifest)
    except msgspec.ValidationError as error:
        writer, reader = msgspec.json.decode(text, type=_Writer).sluice, version("sluice")
        if writer in ("", reader):
            raise
        raise OutputError(
            f"{path}: was written by sluice {writer}, and sluice {reader} cannot read it ({error}); "
            f"run the inputs again into another --output, or use sluice {writer}"
        ) from None


class _Writer(msgspec.Struct):
    sluice: str = ""


def read_report(output: str) -> Report:
    """Returns report.json.

    Raises:
        OutputError: there is none, or it cannot be read.
    """
    check_is_output(output)
    path = storage.join(output, "report", "report.json")
    try:
        return msgspec.json.decode(storage.read_bytes(path), type=Report)
    except FileNotFoundError:
        raise OutputError(
            f"{output}: no report/report.json: the run did not finish; rerun the same command"
        ) from None
    except (OSError, msgspec.DecodeError) as error:
        raise OutputError(f"{path}: cannot be read: {error}") from None


def vocabulary_of(output: str) -> VocabularyIds:
    """Returns the ids of the special tokens of an output.

    Raises:
        RecipeError: its tokenizer.json is none.
    """
    with local_copies.scope():
        return load_vocabulary(
            local_copies.fetch(storage.join(output, "tokenizer", "tokenizer.json"))
        )
