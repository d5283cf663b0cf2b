"""The JSON Schemas of report.json and manifest.json, made from their types.

    python -m sluice.schemas.json_schema    writes them beside this file; a test compares

Sources: JSON Schema 2020-12, as `msgspec` makes it.
"""

from pathlib import Path
from typing import Any, Final

import msgspec

from sluice.schemas.manifest import MANIFEST_VERSION, Manifest
from sluice.schemas.report import REPORT_VERSION, Report

FOLDER: Final = Path(__file__).parent
TYPES: Final[dict[str, tuple[type[msgspec.Struct], int]]] = {
    "report": (Report, REPORT_VERSION),
    "manifest": (Manifest, MANIFEST_VERSION),
}


def json_schema(name: str) -> dict[str, Any]:
    """Returns the JSON Schema of `report` or `manifest`."""
    kind, version = TYPES[name]
    about = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"{name}.json of Sluice, version {version}",
    }
    return about | msgspec.json.schema(kind)


def encoded(name: str) -> bytes:
    """Returns the JSON Schema as its file holds it."""
    text = msgspec.json.encode(json_schema(name), order="sorted")
    return msgspec.json.format(text, indent=1) + b"\n"


if __name__ == "__main__":
    for name in TYPES:
        FOLDER.joinpath(f"{name}.schema.json").write_bytes(encoded(name))
