"""One version, licences that are allowed, and tables that say so."""

import re
import sys
import tomllib
from fnmatch import fnmatch
from importlib.metadata import version
from typing import Any

import pytest
from license_expression import get_spdx_licensing
from packaging.requirements import Requirement

from tests.docs.pages import quoted, table
from tests.repository import ROOMS, ROOT

sys.path.insert(0, str(ROOT / ".ci"))
import audit
import licences

PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS: dict[str, list[str]] = PROJECT["optional-dependencies"]
ELSEWHERE = {"gcp"}
"""Extras that are in a venv of their own."""
FOR_USERS = sorted(EXTRAS.keys() - {"dev", "models"} - ELSEWHERE)
HERE = sorted(EXTRAS.keys() - ELSEWHERE)
SPDX = get_spdx_licensing()


def test_the_version_is_in_one_place() -> None:
    """The installed version is pyproject's, and no other file of the program states it."""
    assert version("sluice") == PROJECT["version"]
    stated = re.compile(rf"(?<![\w.]){re.escape(PROJECT['version'])}(?![\w.])")
    for folder in (*ROOMS, "sluice", "tests", ".ci"):
        for path in (ROOT / folder).rglob("*"):
            if path.suffix in {".py", ".toml", ".html", ".md"} and path.name != "DESIGN.md":
                assert not stated.search(path.read_text("utf-8")), path


def test_the_top_level_is_fixed() -> None:
    """The top of the repository has what DESIGN.md lists; tools put their files elsewhere."""
    top = {*ROOMS, "sluice", "tests", "docs", "benchmarks", ".ci"}
    top |= {
        "README.md",
        "CONTRIBUTING.md",
        "CHANGELOG.md",
        "LICENSE",
        "Makefile",
        "pyproject.toml",
        "run_local.sh",
        ".gitignore",
    }
    with (ROOT / ".gitignore").open() as file:
        ignored = [line.strip().strip("/") for line in file]
    names = {path.name for path in ROOT.iterdir()} - {".git"}
    assert {name for name in names if not any(fnmatch(name, i) for i in ignored)} == top


def test_python_is_the_one_that_is_tested() -> None:
    """`requires-python` begins with the version that the checks run on, and ruff and mypy hold to it."""
    whole = tomllib.loads((ROOT / "pyproject.toml").read_text())
    lowest = PROJECT["requires-python"].removeprefix(">=")
    assert whole["tool"]["mypy"]["python_version"] == lowest
    assert whole["tool"]["ruff"]["target-version"] == f"py{lowest.replace('.', '')}"
    assert tuple(map(int, lowest.split("."))) <= sys.version_info[:2]
    assert f"Programming Language :: Python :: {lowest}" in PROJECT["classifiers"]


# --- licences --------------------------------------------------------------------------------


def packages(*extras: str) -> dict[str, str]:
    """Returns package -> licence of all that is installed for the base and some extras."""
    lines = [*PROJECT["dependencies"], *(line for extra in extras for line in EXTRAS[extra])]
    outside = [line for line in lines if not line.startswith("sluice[")]
    distributions = licences.needed(outside)
    return {name: licences.installed_licence(package) for name, package in distributions.items()}


def allowed(expression: str, names: set[str]) -> bool:
    """Returns whether a package may be used: of what AND joins all parts, of what OR joins one."""
    parsed = SPDX.parse(expression)
    facts = {symbol: SPDX.TRUE if str(symbol) in names else SPDX.FALSE for symbol in parsed.symbols}
    return bool(parsed.subs(facts).simplify() == SPDX.TRUE)


def listed(name: str) -> set[str]:
    return {quoted(row[0])[0] for row in table(name)}


@pytest.mark.parametrize(
    ("expression", "is_allowed"),
    [
        ("MIT", True),
        ("MIT AND GPL-3.0-only", False),
        ("MIT OR GPL-3.0-only", True),
        ("GPL-2.0-only", False),
        ("BSD-3-Clause AND GPL-3.0-or-later WITH GCC-exception-3.1", False),
        ("(MIT OR GPL-2.0-only) AND MIT", True),
    ],
)
def test_expressions(expression: str, is_allowed: bool) -> None:
    """An expression is allowed by its parts."""
    assert allowed(expression, {"MIT", "BSD-3-Clause"}) is is_allowed


@pytest.mark.parametrize("extra", ["", *FOR_USERS])
def test_what_users_install_is_allowed(extra: str) -> None:
    """Each package of the base and of an extra has a licence of the list in docs/licences.md."""
    names = listed("licences") | (
        listed("licences-of-gpus") if extra in {"train", "transformers"} else set()
    )
    licence_of = packages(*filter(None, [extra]))
    assert len(licence_of) > 50
    assert {n: stated for n, stated in licence_of.items() if not allowed(stated, names)} == {}


def test_what_tests_install_is_named() -> None:
    """What `dev` brings has an allowed licence too, or is in the table of exceptions with its reason."""
    names = listed("licences") | listed("licences-of-gpus")
    others = {n: e for n, e in packages(*HERE).items() if not allowed(e, names)}
    assert set(others) == listed("licences-of-tests")


def test_every_direct_dependency_is_in_the_table() -> None:
    """docs/licences.md has each with its range and its licence as installed."""
    rows = {quoted(row[0])[0]: row for row in table("dependencies")}
    wanted = {
        Requirement(line).name: str(Requirement(line).specifier)
        for lines in ([PROJECT["dependencies"]] + [EXTRAS[extra] for extra in FOR_USERS])
        for line in lines
        if not line.startswith("sluice[")
    }
    assert rows.keys() == wanted.keys()
    for name, specifier in wanted.items():
        assert (
            Requirement(f"x{quoted(rows[name][1])[0]}").specifier
            == Requirement(f"x{specifier}").specifier
        )
        assert quoted(rows[name][2])[0] == licences.installed_licence(
            licences.distribution(name)
        ), name


def test_a_licence_that_is_not_stated_is_an_error() -> None:
    """A package that does not say is not let through."""
    with pytest.raises(LookupError, match="which licence"):
        licences.licence(
            "x", expression=None, text="", classifiers=["License :: OSI Approved :: BSD License"]
        )


# --- audit -----------------------------------------------------------------------------------


def test_the_audit_fails_on_what_is_known() -> None:
    """A known vulnerability gives exit code 1 and its fix; a package without data is named."""
    bad = {"name": "a", "version": "1", "vulns": [{"id": "CVE-1", "fix_versions": ["2"]}]}
    good = {"name": "b", "version": "1", "vulns": []}
    gone = {"name": "c", "skip_reason": "Dependency not found on PyPI"}
    assert audit.judge([bad, good]) == (
        1,
        ["audit: a 1: CVE-1, fixed in 2", "audit: 1 known in 2 packages"],
    )
    assert audit.judge([good, gone])[0] == 0
    assert "no data on c" in audit.judge([good, gone])[1][0]
    assert "NOT DONE" in audit.judge([gone])[1][0]
