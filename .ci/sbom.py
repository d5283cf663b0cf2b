"""Writes what a wheel of Sluice holds and needs: a CycloneDX document, beside the wheel.

    python .ci/sbom.py dist/sluice-*.whl

The models in the wheel with their licences and hashes; every package that `pip` would install with it
here, the extras for users included, with its version, licence and the hash of the file that is installed.
Nothing is installed. `--report` takes a report that `pip install --report` wrote, in place of asking pip.
"""

import argparse
import hashlib
import json
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime
from os import environ
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import HashAlgorithm, HashType, Property
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentScope, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from licences import licence
from packageurl import PackageURL
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

EXTRAS = ("sample", "train", "transformers", "encoder", "s3")
MODELS = {
    "sluice/filters/models/language.ftz": "CC-BY-SA-4.0",
    "sluice/filters/models/language_short.ftz": "CC-BY-SA-4.0",
    "sluice/filters/models/screens.table": "Apache-2.0",
}
"""The licences of the models in the wheel; their cards say why."""

LICENCES = LicenseFactory()


def main(argv: list[str] | None = None) -> int:
    """Writes the document; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("wheel", type=Path)
    parser.add_argument("--report", type=Path, help="what `pip install --report` wrote")
    parsed = parser.parse_args(argv)
    report = json.loads(parsed.report.read_text()) if parsed.report else ask_pip(parsed.wheel)
    text = document(parsed.wheel, report)
    fault = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
    if fault is not None:
        raise SystemExit(f"sbom: the document is not valid: {fault}")
    version = parsed.wheel.name.split("-")[1]
    path = parsed.wheel.with_name(f"sluice-{version}.cdx.json")
    path.write_text(text + "\n", "utf-8")
    print(f"{path}: {len(json.loads(text)['components'])} components")
    return 0


def ask_pip(wheel: Path) -> dict[str, Any]:
    """Returns pip's report of what it would install with a wheel and the extras for users."""
    with tempfile.NamedTemporaryFile(suffix=".json") as file:
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--dry-run"]
        wanted = f"{wheel}[{','.join(EXTRAS)}]"
        subprocess.run([*command, "--ignore-installed", "--report", file.name, wanted], check=True)
        report: dict[str, Any] = json.loads(Path(file.name).read_text())
        return report


def document(wheel: Path, report: dict[str, Any]) -> str:
    """Returns the CycloneDX document of a wheel, by pip's report; the same bytes for the same two."""
    rows = {canonicalize_name(row["metadata"]["name"]): row for row in report["install"]}
    made = {name: _package(row) for name, row in rows.items()}
    sluice = made.pop("sluice")
    sluice.hashes = [_hash(hashlib.sha256(wheel.read_bytes()).hexdigest())]
    models = list(_models(wheel))
    bom = Bom(components=[*models, *made.values()])
    bom.metadata.component = sluice
    bom.metadata.timestamp = datetime.fromtimestamp(int(environ.get("SOURCE_DATE_EPOCH", 0)), UTC)
    bom.metadata.properties = [
        Property(name=f"environment:{key}", value=report["environment"][key])
        for key in ("python_version", "platform_machine", "sys_platform")
    ]
    bom.serial_number = uuid5(NAMESPACE_URL, str(sluice.hashes))
    bom.register_dependency(sluice, models)
    for name, component in {**made, "sluice": sluice}.items():
        bom.register_dependency(component, [made[n] for n in _needs(rows[name]) if n in made])
    return JsonV1Dot6(bom).output_as_string(indent=1)


def _package(row: dict[str, Any]) -> Component:
    about, archive = row["metadata"], row["download_info"].get("archive_info", {})
    name, version = canonicalize_name(about["name"]), about["version"]
    url = PackageURL("pypi", None, name, version)
    stated = licence(
        name,
        expression=about.get("license_expression"),
        text=about.get("license"),
        classifiers=about.get("classifier", ()),
    )
    return Component(
        type=ComponentType.APPLICATION if name == "sluice" else ComponentType.LIBRARY,
        name=name,
        version=version,
        purl=url,
        bom_ref=str(url),
        scope=ComponentScope.REQUIRED,
        licenses=[LICENCES.make_from_string(stated)],
        hashes=[_hash(archive["hashes"]["sha256"])] if "hashes" in archive else [],
    )


def _models(wheel: Path) -> Iterator[Component]:
    with zipfile.ZipFile(wheel) as archive:
        for path, stated in MODELS.items():
            digest = hashlib.sha256(archive.read(path)).hexdigest()
            yield Component(
                type=ComponentType.MACHINE_LEARNING_MODEL,
                name=path,
                bom_ref=path,
                licenses=[LICENCES.make_from_string(stated)],
                hashes=[_hash(digest)],
            )


def _needs(row: dict[str, Any]) -> Iterator[str]:
    """Yields the packages that one asks for, with the extras that it was asked for with."""
    for line in row["metadata"].get("requires_dist", ()):
        wanted = Requirement(line)
        extras = ("", *row.get("requested_extras", ()))
        if wanted.marker is None or any(wanted.marker.evaluate({"extra": e}) for e in extras):
            yield canonicalize_name(wanted.name)


def _hash(digest: str) -> HashType:
    return HashType(alg=HashAlgorithm.SHA_256, content=digest)


if __name__ == "__main__":
    sys.exit(main())
